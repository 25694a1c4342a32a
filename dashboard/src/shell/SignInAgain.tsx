import { Anchor, Button, Modal, PasswordInput, Stack, Text } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useQueryClient } from "@tanstack/react-query";
import { useSyncExternalStore } from "react";
import { messageOf } from "@/api/errors";
import { useLogIn, useUser } from "@/api/session";
import { isSignedOut, noteSignedIn, subscribe } from "./signed-out";

/** Asks for the password over the page when the session has ended, so that nothing typed there is lost. */
export function SignInAgain() {
  const over = useSyncExternalStore(subscribe, isSignedOut);
  const user = useUser();
  const client = useQueryClient();
  const logIn = useLogIn();
  const form = useForm({ initialValues: { password: "" } });

  const submit = form.onSubmit(({ password }) =>
    logIn.mutate(
      { email: user.email, password },
      {
        onSuccess: () => {
          form.reset();
          noteSignedIn();
          void client.invalidateQueries();
        },
      },
    ),
  );

  return (
    <Modal opened={over} onClose={() => {}} withCloseButton={false} title="Your session has ended">
      <form onSubmit={submit}>
        <Stack>
          <Text size="sm" c="dimmed">
            Log in again as {user.email} to go on. What you have typed on this page is still there.
          </Text>
          <PasswordInput
            label="Password"
            autoComplete="current-password"
            data-autofocus
            required
            error={logIn.isError && messageOf(logIn.error)}
            {...form.getInputProps("password")}
          />
          <Button type="submit" loading={logIn.isPending}>
            Log in
          </Button>
          {/* Loads the page anew, so that nothing of this user stays in its memory. */}
          <Anchor href="/login" size="sm">
            Log in as somebody else
          </Anchor>
        </Stack>
      </form>
    </Modal>
  );
}
