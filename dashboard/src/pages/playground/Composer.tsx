import { Button, Group, Text, Textarea } from "@mantine/core";
import { SendHorizontal, Square } from "lucide-react";
import { type KeyboardEvent, useState } from "react";
import classes from "./Playground.module.css";

interface Props {
  draft: string;
  onDraft: (draft: string) => void;
  isRunning: boolean;
  /** Nothing can be sent: no model is chosen. */
  disabled: boolean;
  onSend: (prompt: string) => void;
  onStop: () => void;
}

/** Where the next message is written. */
export function Composer({ draft, onDraft, isRunning, disabled, onSend, onStop }: Props) {
  const [isFocused, setFocused] = useState(false);
  const canSend = !isRunning && !disabled && draft.trim() !== "";

  function send(): void {
    if (!canSend) return;
    onSend(draft);
    onDraft("");
  }

  function onKeyDown(event: KeyboardEvent): void {
    // With Shift it is a new line; within an input method, Enter chooses a word.
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  }

  return (
    <form
      className={classes.composer}
      data-focused={isFocused || undefined}
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <Textarea
        aria-label="Message"
        placeholder="Write a message"
        variant="unstyled"
        autosize
        minRows={1}
        maxRows={8}
        value={draft}
        onChange={(event) => onDraft(event.currentTarget.value)}
        onKeyDown={onKeyDown}
        onFocus={() => setFocused(true)}
        onBlur={() => setFocused(false)}
        data-autofocus
      />
      <Group justify="space-between" wrap="nowrap">
        <Text size="xs" c="dimmed" visibleFrom="sm">
          Enter sends, Shift+Enter starts a new line
        </Text>
        <Group gap="xs" ml="auto" wrap="nowrap">
          {isRunning && (
            <Button
              variant="default"
              leftSection={<Square size={13} fill="currentColor" aria-hidden />}
              onClick={onStop}
            >
              Stop
            </Button>
          )}
          <Button type="submit" disabled={!canSend} rightSection={<SendHorizontal size={15} aria-hidden />}>
            Send
          </Button>
        </Group>
      </Group>
    </form>
  );
}
