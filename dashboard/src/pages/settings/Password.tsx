import { Button, Group, PasswordInput, Stack, Text } from "@mantine/core";
import { useForm } from "@mantine/form";
import { ApiError } from "@/api/errors";
import { useChangePassword, useUser } from "@/api/session";
import { tellFailure } from "@/components/failure";
import { PasswordRules } from "@/components/PasswordRules";
import { Section } from "@/components/Section";
import { passwordProblem } from "@/format/password";

/** Another password, which ends all sessions but this one. */
export function Password() {
  const user = useUser();
  const change = useChangePassword();
  const form = useForm({
    initialValues: { current: "", wanted: "" },
    validate: {
      current: (current) => (current ? null : "Give the password that you have now."),
      wanted: (wanted, { current }) =>
        wanted && wanted === current ? "This is the one that you have." : passwordProblem(wanted),
    },
  });

  const submit = form.onSubmit(({ current, wanted }) =>
    change.mutate(
      { current_password: current, new_password: wanted },
      {
        onSuccess: () => form.reset(),
        onError: (error) => {
          const field = error instanceof ApiError && error.param ? FIELD_OF[error.param] : undefined;
          if (field) form.setFieldError(field, (error as ApiError).message);
          else tellFailure(error);
        },
      },
    ),
  );

  return (
    <Section title="Password" subtitle="Changing it ends all your other sessions. API keys go on.">
      <form onSubmit={submit} noValidate>
        <Stack gap="sm" maw={420}>
          {/* Tells password managers whose password this is. */}
          <input type="text" autoComplete="username" value={user.email} readOnly hidden />
          <PasswordInput
            label="Current password"
            autoComplete="current-password"
            required
            withAsterisk={false}
            {...form.getInputProps("current")}
          />
          <PasswordInput
            label="New password"
            autoComplete="new-password"
            required
            withAsterisk={false}
            {...form.getInputProps("wanted")}
          />
          <PasswordRules password={form.values.wanted} />
          <Group>
            <Button type="submit" loading={change.isPending}>
              Change password
            </Button>
          </Group>
          <Text role="status" size="sm" c="var(--pr-gain)" hidden={!change.isSuccess}>
            {change.isSuccess && "Your password is changed, and all your other sessions were ended."}
          </Text>
        </Stack>
      </form>
    </Section>
  );
}

/** Where an error of the API is shown. */
const FIELD_OF: Record<string, "current" | "wanted"> = { current_password: "current", new_password: "wanted" };
