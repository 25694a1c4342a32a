import { AnchorLink } from "@/components/links";
import { Button, List, PasswordInput, Stack, Text, TextInput, ThemeIcon } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useRouter, useSearch } from "@tanstack/react-router";
import { Check, Circle } from "lucide-react";
import { ApiError, messageOf } from "@/api/errors";
import { useSignUp } from "@/api/session";
import { MAX_PASSWORD, MIN_PASSWORD, passwordProblem } from "@/format/password";
import { Front } from "@/shell/Front";
import { useTitle } from "@/shell/title";

export default function SignUp() {
  useTitle("Sign up");
  const { next } = useSearch({ from: "/front/signup" });
  const router = useRouter();
  const signUp = useSignUp();
  const form = useForm({
    initialValues: { name: "", email: "", password: "" },
    validate: {
      email: (email) =>
        /^\S+@\S+\.\S+$/.test(email.trim()) ? null : "Give an e-mail address, such as ada@example.com.",
      password: passwordProblem,
    },
  });

  const submit = form.onSubmit(({ name, email, password }) =>
    signUp.mutate(
      { name: name.trim(), email: email.trim(), password },
      {
        onSuccess: () => router.history.push(next ?? "/dashboard"),
        onError: (error) => {
          if (error instanceof ApiError && error.code === "email_taken") form.setFieldError("email", error.message);
          else if (error instanceof ApiError && (error.param === "password" || error.code === "weak_password"))
            form.setFieldError("password", error.message);
        },
      },
    ),
  );
  const shownAtField = Object.keys(form.errors).length > 0;

  return (
    <Front
      title="Create your account"
      subtitle={
        <>
          You start with $1.00 of credit, no card needed. Already have an account?{" "}
          <AnchorLink to="/login" search={next ? { next } : {}} inherit>
            Log in
          </AnchorLink>
        </>
      }
    >
      <form onSubmit={submit} noValidate>
        <Stack gap="sm">
          <TextInput
            label="Name"
            description="Optional"
            autoComplete="name"
            maxLength={100}
            {...form.getInputProps("name")}
          />
          <TextInput
            label="E-mail"
            type="email"
            autoComplete="email"
            required
            withAsterisk={false}
            {...form.getInputProps("email")}
          />
          <PasswordInput
            label="Password"
            autoComplete="new-password"
            required
            withAsterisk={false}
            {...form.getInputProps("password")}
          />
          <Rules password={form.values.password} />
          <Text role="alert" size="sm" c="red" mih={20}>
            {signUp.isError && !shownAtField && messageOf(signUp.error)}
          </Text>
          <Button type="submit" fullWidth loading={signUp.isPending}>
            Sign up
          </Button>
        </Stack>
      </form>
    </Front>
  );
}

/** What a password needs, ticked off while it is typed. */
function Rules({ password }: { password: string }) {
  const length = [...password].length;
  const rules = [
    [`At least ${MIN_PASSWORD} characters`, length >= MIN_PASSWORD && length <= MAX_PASSWORD],
    ["Not one that everybody uses", length >= MIN_PASSWORD && passwordProblem(password) === null],
  ] as const;
  return (
    <List size="xs" spacing={4} c="dimmed" center>
      {rules.map(([rule, met]) => (
        <List.Item
          key={rule}
          icon={
            <ThemeIcon size={16} radius="xl" variant={met ? "filled" : "light"} color={met ? "jade" : "gray"}>
              {met ? <Check size={11} aria-label="met:" /> : <Circle size={8} aria-label="not yet:" />}
            </ThemeIcon>
          }
        >
          {rule}
        </List.Item>
      ))}
    </List>
  );
}
