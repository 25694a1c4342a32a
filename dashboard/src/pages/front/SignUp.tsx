import { AnchorLink } from "@/components/links";
import { Button, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useRouter, useSearch } from "@tanstack/react-router";
import { useQuery } from "@tanstack/react-query";
import { plans } from "@/api/account";
import { ApiError, messageOf } from "@/api/errors";
import { useSignUp } from "@/api/session";
import { PasswordRules } from "@/components/PasswordRules";
import { passwordProblem } from "@/format/password";
import { formatUsd } from "@/format/money";
import { Front } from "@/shell/Front";
import { useTitle } from "@/shell/title";

/** The plan that everybody begins on. */
const FIRST_PLAN = "free";

export default function SignUp() {
  useTitle("Sign up");
  const { next } = useSearch({ from: "/front/signup" });
  const router = useRouter();
  const signUp = useSignUp();
  const credit = useQuery(plans).data?.find((plan) => plan.id === FIRST_PLAN)?.included_credits_usd;
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
          else if (error instanceof ApiError && error.param === "password")
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
          You start with {credit ? `${formatUsd(credit)} of credit` : "credit to try it"}, no card needed. Already have
          an account?{" "}
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
          <PasswordRules password={form.values.password} />
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
