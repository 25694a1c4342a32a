import { Anchor, Button, Modal, PasswordInput, Stack, Text } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useQueryClient } from "@tanstack/react-query";
import { useLocation } from "@tanstack/react-router";
import { useSyncExternalStore } from "react";
import { messageOf } from "@/api/errors";
import { useLogIn, useUser } from "@/api/session";
import { noteSignedIn, signedOut } from "./signed-out";

// Escape would close a dialog of the page below, with what was typed there.
const KEEPS_ESCAPE = { "data-mantine-stop-propagation": "true" };

/** Asks for the password over the page when the session has ended, so that nothing typed there is lost. */
export function SignInAgain() {
  const over = useSyncExternalStore(signedOut.subscribe, signedOut.get);
  const user = useUser();
  const client = useQueryClient();
  const logIn = useLogIn();
  const { href } = useLocation();
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
    <Modal
      opened={over}
      onClose={() => {}}
      withCloseButton={false}
      title="Your session has ended"
      attributes={{ header: { role: "presentation" }, content: KEEPS_ESCAPE }}
      zIndex={300}
    >
      <form onSubmit={submit}>
        <Stack>
          <Text size="sm" c="dimmed">
            Log in again as {user.email} to go on. What you have typed on this page is still there.
          </Text>
          {/* Tells password managers whose password this is. */}
          <input type="text" autoComplete="username" value={user.email} readOnly hidden />
          <PasswordInput
            label="Password"
            autoComplete="current-password"
            data-autofocus
            required
            withAsterisk={false}
            {...KEEPS_ESCAPE}
            {...form.getInputProps("password")}
            error={logIn.isError && messageOf(logIn.error)}
          />
          <Button type="submit" loading={logIn.isPending} {...KEEPS_ESCAPE}>
            Log in
          </Button>
          <Anchor href={`/login?next=${encodeURIComponent(href)}`} size="sm" {...KEEPS_ESCAPE}>
            Log in as somebody else
          </Anchor>
        </Stack>
      </form>
    </Modal>
  );
}
