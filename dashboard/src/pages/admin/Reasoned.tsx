import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { type ComponentProps, type ReactNode, useState } from "react";

interface Props {
  opened: boolean;
  onClose: () => void;
  title: string;
  /** What it will do. */
  children: ReactNode;
  confirm: string;
  color?: string;
  isPending: boolean;
  onConfirm: (reason: string) => void;
}

/** Asks before something is done to somebody, and why it is. */
export function Reasoned({ opened, title, ...form }: Props) {
  return (
    <Modal opened={opened} onClose={form.onClose} title={title}>
      <Question {...form} />
    </Modal>
  );
}

/** Lives as long as the dialog is open, so that each begins empty. */
function Question({ onClose, children, confirm, color, isPending, onConfirm }: Omit<Props, "opened" | "title">) {
  const [reason, setReason] = useState("");
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onConfirm(reason.trim());
      }}
    >
      <Stack>
        <Text size="sm">{children}</Text>
        <ReasonInput value={reason} onChange={(event) => setReason(event.currentTarget.value)} data-autofocus />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={isPending} {...(color && { color })}>
            {confirm}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

/** Why something is done, where it need not be said. */
export function ReasonInput(props: Omit<ComponentProps<typeof TextInput>, "label">) {
  return <TextInput label="Reason" description="For the audit log. May be left empty." maxLength={200} {...props} />;
}
