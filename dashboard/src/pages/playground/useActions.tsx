import { Button, Group } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useLayoutEffect, useMemo, useRef } from "react";
import type { TurnActions } from "./TurnView";
import { type Conversation, DELETED, type Picks } from "./useConversation";

/** What can be done with messages, in functions that stay the same, so that turns are not drawn again for them. */
export function useActions(conversation: Conversation, picks: Picks): TurnActions {
  const latest = useRef({ conversation, picks });
  useLayoutEffect(() => {
    latest.current = { conversation, picks };
  });
  return useMemo(() => {
    const now = () => latest.current.conversation;
    return {
      sendAgain: (turnId, prompt) => now().sendAgain(turnId, prompt, latest.current.picks),
      answer: (turnId, lane) => now().answer(turnId, lane, latest.current.picks),
      editPrompt: (turnId, prompt) => now().editPrompt(turnId, prompt),
      editAnswer: (turnId, lane, text) => now().editAnswer(turnId, lane, text),
      deleteTurn: (turnId) => offerUndo("Message and answers deleted", now().removeTurn(turnId)),
      deleteAnswer: (turnId, lane) => offerUndo("Answer deleted", now().removeAnswer(turnId, lane)),
    };
  }, []);
}

/** A message is deleted at once, for it comes back as easily. */
function offerUndo(what: string, undo: () => void): void {
  notifications.hide(DELETED);
  notifications.show({
    id: DELETED,
    color: "gray",
    autoClose: 8_000,
    message: (
      <Group justify="space-between" wrap="nowrap">
        {what}
        <Button
          size="xs"
          variant="default"
          onClick={() => {
            undo();
            notifications.hide(DELETED);
          }}
        >
          Undo
        </Button>
      </Group>
    ),
  });
}
