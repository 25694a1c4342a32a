import { Button } from "@mantine/core";
import { ArrowDown, MessagesSquare } from "lucide-react";
import { useLayoutEffect, useRef, useState } from "react";
import type { Model } from "@/api/catalogue";
import { EmptyState } from "@/components/states";
import type { Lane, Turn } from "./conversation";
import classes from "./Playground.module.css";
import { type TurnActions, TurnView } from "./TurnView";

interface Props {
  turns: readonly Turn[];
  busy: boolean;
  models: readonly Model[];
  asked: Record<Lane, string | null>;
  actions: TurnActions;
}

// So far from the end still counts as being there: a line, and what a browser rounds.
const NEAR_PX = 40;

/** The conversation. It follows what is written, unless the reader has scrolled up. */
export function Thread({ turns, busy, models, asked, actions }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const isFollowing = useRef(true);
  const [isAway, setAway] = useState(false);

  function toEnd(): void {
    box.current?.scrollTo({ top: box.current.scrollHeight });
  }

  function onScroll(): void {
    const { scrollHeight, scrollTop, clientHeight } = box.current!;
    isFollowing.current = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    setAway(!isFollowing.current);
  }

  const count = turns.length;
  const shown = useRef(count);
  useLayoutEffect(() => {
    // Who has just sent something wants to see it.
    if (count > shown.current) isFollowing.current = true;
    shown.current = count;
    if (isFollowing.current) toEnd();
  });

  return (
    <div className={classes.threadFrame}>
      <div
        ref={box}
        className={classes.thread}
        onScroll={onScroll}
        tabIndex={0}
        role="region"
        aria-label="Conversation"
      >
        {count === 0 ? (
          <EmptyState icon={MessagesSquare} title="Nothing said yet">
            Write a message below. Tokens, speed and cost are shown while it is answered; every call is billed and
            listed under Usage like any other.
          </EmptyState>
        ) : (
          turns.map((turn, index) => (
            <TurnView
              key={turn.id}
              turn={turn}
              isLast={index === count - 1}
              busy={busy}
              models={models}
              asked={asked}
              actions={actions}
            />
          ))
        )}
      </div>
      {isAway && count > 0 && (
        <Button
          className={classes.toEnd!}
          variant="default"
          radius="xl"
          leftSection={<ArrowDown size={14} aria-hidden />}
          onClick={toEnd}
        >
          To the end
        </Button>
      )}
    </div>
  );
}
