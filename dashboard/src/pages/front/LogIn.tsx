import { AnchorLink } from "@/components/links";
import { Button, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useRouter, useSearch } from "@tanstack/react-router";
import { messageOf } from "@/api/errors";
import { useLogIn } from "@/api/session";
import { Front } from "@/shell/Front";
import { useTitle } from "@/shell/title";

export default function LogIn() {
  useTitle("Log in");
  const { next } = useSearch({ from: "/front/login" });
  const router = useRouter();
  const logIn = useLogIn();
  const form = useForm({
    initialValues: { email: "", password: "" },
    validate: {
      email: (email) => (email.includes("@") ? null : "Give the e-mail address that you signed up with."),
      password: (password) => (password ? null : "Give your password."),
    },
  });

  const submit = form.onSubmit((credentials) =>
    logIn.mutate(credentials, { onSuccess: () => router.history.push(next ?? "/dashboard") }),
  );

  return (
    <Front
      title="Log in"
      subtitle={
        <>
          New here?{" "}
          <AnchorLink to="/signup" search={next ? { next } : {}} inherit>
            Sign up
          </AnchorLink>
        </>
      }
    >
      <form onSubmit={submit} noValidate>
        <Stack gap="sm">
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
            autoComplete="current-password"
            required
            withAsterisk={false}
            {...form.getInputProps("password")}
          />
          <Text role="alert" size="sm" c="red" mih={20}>
            {logIn.isError && messageOf(logIn.error)}
          </Text>
          <Button type="submit" fullWidth loading={logIn.isPending}>
            Log in
          </Button>
        </Stack>
      </form>
    </Front>
  );
}
