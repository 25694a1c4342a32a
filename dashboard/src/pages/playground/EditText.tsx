import { Button, Group, Stack, Textarea } from "@mantine/core";
import { useEffect, useRef, useState } from "react";

interface Props {
  label: string;
  text: string;
  onSave: (text: string) => void;
  onCancel: () => void;
  /** Saves, and asks anew. */
  onSend?: ((text: string) => void) | undefined;
}

/** A message while it is changed. */
export function EditText({ label, text, onSave, onCancel, onSend }: Props) {
  const [draft, setDraft] = useState(text);
  const field = useRef<HTMLTextAreaElement>(null);
  // Who has just asked for it goes on writing in it.
  useEffect(() => field.current?.focus(), []);
  const isEmpty = draft.trim() === "";
  return (
    <Stack gap="xs">
      <Textarea
        aria-label={label}
        autosize
        minRows={2}
        maxRows={16}
        ref={field}
        value={draft}
        onChange={(event) => setDraft(event.currentTarget.value)}
        onKeyDown={(event) => event.key === "Escape" && onCancel()}
      />
      <Group gap="xs" justify="flex-end">
        <Button variant="subtle" color="gray" onClick={onCancel}>
          Cancel
        </Button>
        <Button variant="default" disabled={isEmpty} onClick={() => onSave(draft)}>
          Save
        </Button>
        {onSend && (
          <Button disabled={isEmpty} onClick={() => onSend(draft)}>
            Send again
          </Button>
        )}
      </Group>
    </Stack>
  );
}
