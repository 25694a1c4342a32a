import { notifications } from "@mantine/notifications";
import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { balance } from "@/api/account";
import { ApiError, messageOf } from "@/api/errors";
import { ask } from "@/api/playground";
import { noteSignedOut } from "@/shell/signed-out";
import { chatEvents } from "@/stream/chat";
import * as talk from "./conversation";
import type { Answer, Lane, Problem, Turn } from "./conversation";
import { requestOf } from "./request";
import { type Kept, load, save, type Setup } from "./storage";

/** As whom, and which models, what is sent next will be asked. `b` is null where nobody answers beside `a`. */
export interface Picks {
  keyId: string;
  models: Record<Lane, string | null>;
}

// Often enough to read along, seldom enough for a slow phone.
const SHOW_EVERY_MS = 50;
/** The notification that offers to undo a deletion. */
export const DELETED = "playground-deleted";

/** The user's conversation, kept for the tab, and all that can be done with it. Leaving the page stops what runs. */
export function useConversation(userId: string) {
  const [kept, setKept] = useState(() => load(userId));
  const [announcement, setAnnouncement] = useState("");
  const latest = useRef(kept);
  const calls = useRef(new Set<AbortController>());
  const client = useQueryClient();

  const update = useCallback((change: (kept: Kept) => Partial<Kept>) => {
    latest.current = { ...latest.current, ...change(latest.current) };
    setKept(latest.current);
  }, []);

  useEffect(() => {
    const timer = setTimeout(() => save(userId, kept), 300);
    return () => clearTimeout(timer);
  }, [userId, kept]);

  useEffect(() => {
    const running = calls.current;
    const keep = () => save(userId, latest.current);
    addEventListener("pagehide", keep);
    return () => {
      removeEventListener("pagehide", keep);
      keep();
      for (const call of running) call.abort();
    };
  }, [userId]);

  /** Has one model answer a turn, in the place of what it said before. */
  async function answer(turnId: string, lane: Lane, picks: Picks): Promise<void> {
    const model = picks.models[lane];
    if (!model) return;
    const { setup, turns } = latest.current;
    const messages = talk.messagesFor(turns, turnId, lane, setup.system);
    let now = talk.newAnswer(model, messages, Date.now());
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = () => {
      clearTimeout(timer);
      timer = undefined;
      update((before) => ({ turns: talk.withAnswer(before.turns, turnId, lane, now) }));
    };
    const becomes = (next: Answer) => {
      now = next;
      timer ??= setTimeout(show, SHOW_EVERY_MS);
    };
    show();

    const call = new AbortController();
    calls.current.add(call);
    try {
      const reply = await ask(picks.keyId, requestOf(model, messages, setup.parameters), call.signal);
      becomes({ ...now, requestId: reply.requestId });
      for await (const event of chatEvents(reply.body)) {
        if (call.signal.aborted) break;
        becomes(talk.withEvent(now, event, Date.now()));
      }
    } catch (error) {
      if (error instanceof ApiError && error.code === "invalid_session") noteSignedOut();
      if (!call.signal.aborted) becomes(talk.failed(now, problemOf(error)));
    }
    calls.current.delete(call);
    now = talk.ended(now, call.signal.aborted ? "stopped" : "cut", Date.now());
    show();
    setAnnouncement(now.problem ? `${model} failed: ${now.problem.message}` : `${model}: ${now.text}`);
    void client.invalidateQueries({ queryKey: balance.queryKey });
    void client.invalidateQueries({ queryKey: ["usage"], predicate: ({ queryKey }) => queryKey[1] !== "event" });
  }

  /** Has all models that are picked answer a turn. */
  function answerAll(turnId: string, picks: Picks): void {
    notifications.hide(DELETED);
    void answer(turnId, "a", picks);
    void answer(turnId, "b", picks);
  }

  function stop(): void {
    for (const call of calls.current) call.abort();
  }

  /** Changes the turns in a way that can be undone until the next message is sent. */
  function remove(change: (turns: readonly Turn[]) => Turn[]): () => void {
    const before = latest.current.turns;
    update(({ turns }) => ({ turns: change(turns) }));
    return () => update(() => ({ turns: before }));
  }

  return {
    ...kept,
    announcement,
    isRunning: talk.isRunning(kept.turns),
    set: (change: Partial<Setup>) => update(({ setup }) => ({ setup: { ...setup, ...change } })),
    send(prompt: string, picks: Picks): void {
      const turn = talk.newTurn(prompt);
      update(({ turns }) => ({ turns: [...turns, turn] }));
      answerAll(turn.id, picks);
    },
    sendAgain(turnId: string, prompt: string, picks: Picks): void {
      update(({ turns }) => ({ turns: talk.upTo(talk.withPrompt(turns, turnId, prompt), turnId) }));
      answerAll(turnId, picks);
    },
    answer(turnId: string, lane: Lane, picks: Picks): void {
      notifications.hide(DELETED);
      void answer(turnId, lane, picks);
    },
    stop,
    editPrompt: (turnId: string, prompt: string) =>
      update(({ turns }) => ({ turns: talk.withPrompt(turns, turnId, prompt) })),
    editAnswer: (turnId: string, lane: Lane, text: string) =>
      update(({ turns }) => ({ turns: talk.withText(turns, turnId, lane, text) })),
    removeTurn: (turnId: string) => remove((turns) => talk.without(turns, turnId)),
    removeAnswer: (turnId: string, lane: Lane) => remove((turns) => talk.withAnswer(turns, turnId, lane, null)),
    clear(): void {
      stop();
      update(() => ({ turns: [] }));
    },
  };
}

export type Conversation = ReturnType<typeof useConversation>;

function problemOf(error: unknown): Problem {
  if (!(error instanceof ApiError)) {
    return { code: "unknown", message: messageOf(error), requestId: null, retryAtMs: null };
  }
  const { code, message, requestId, retryAfterS } = error;
  return { code, message, requestId, retryAtMs: retryAfterS === null ? null : Date.now() + retryAfterS * 1000 };
}
