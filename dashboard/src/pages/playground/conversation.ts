/** The conversation of the playground: prompts, each with the answers of up to two models. Pure; nothing is changed in place. */

import { advanced, begun, bytesOf, type Progress } from "@/stream/figures";
import type { ChatEvent } from "@/stream/chat";

/** `a` is the model that is always there, `b` the one beside it. */
export type Lane = "a" | "b";

export interface Problem {
  code: string;
  message: string;
  requestId: string | null;
  /** When asking again makes sense; null: at once. */
  retryAtMs: number | null;
}

/** running: being asked. stopped: by the user, or they left the page. cut: the stream broke off. */
export type Status = "running" | "done" | "stopped" | "cut" | "failed";

export interface Answer {
  model: string;
  text: string;
  reasoning: string;
  status: Status;
  finishReason: string | null;
  problem: Problem | null;
  /** Under which the call is in the usage log; null until its head is there. */
  requestId: string | null;
  progress: Progress;
}

export interface Turn {
  id: string;
  prompt: string;
  /** Null: deleted by the user. Missing: never asked. */
  answers: Partial<Record<Lane, Answer | null>>;
}

export interface Message {
  role: "system" | "user" | "assistant";
  content: string;
}

export function newTurn(prompt: string): Turn {
  return { id: crypto.randomUUID(), prompt, answers: {} };
}

export function newAnswer(model: string, messages: readonly Message[], now: number): Answer {
  const promptBytes = messages.reduce((sum, message) => sum + bytesOf(message.content), 0);
  return {
    model,
    text: "",
    reasoning: "",
    status: "running",
    finishReason: null,
    problem: null,
    requestId: null,
    progress: begun({ promptBytes, now }),
  };
}

/** The answer with what an event of its stream adds. */
export function withEvent(answer: Answer, event: ChatEvent, now: number): Answer {
  switch (event.kind) {
    case "text":
      return { ...answer, text: answer.text + event.text, progress: advanced(answer.progress, event.text, now) };
    case "reasoning":
      return {
        ...answer,
        reasoning: answer.reasoning + event.text,
        progress: advanced(answer.progress, event.text, now),
      };
    case "finish":
      return { ...answer, finishReason: event.reason };
    case "usage":
      return { ...answer, progress: { ...answer.progress, usage: event.usage } };
    case "error":
      return failed(answer, { code: event.code, message: event.message, requestId: answer.requestId, retryAtMs: null });
    case "end":
      return ended(answer, event.whole ? "done" : "cut", now);
  }
}

export function failed(answer: Answer, problem: Problem): Answer {
  return { ...answer, status: "failed", problem };
}

/** The answer when nothing more comes; one that has failed stays so. */
export function ended(answer: Answer, status: Status, now: number): Answer {
  return {
    ...answer,
    status: answer.status === "running" ? status : answer.status,
    progress: { ...answer.progress, endedMs: answer.progress.endedMs ?? now },
  };
}

/** What a model is sent to answer a turn: all before it, as far as its own lane knows it. */
export function messagesFor(turns: readonly Turn[], turnId: string, lane: Lane, system: string): Message[] {
  const messages: Message[] = system.trim() ? [{ role: "system", content: system }] : [];
  for (const turn of turns) {
    messages.push({ role: "user", content: turn.prompt });
    if (turn.id === turnId) break;
    // Who joined late gets what the other one said before.
    const own = turn.answers[lane];
    const answer = own === undefined && lane === "b" ? turn.answers.a : own;
    if (answer?.text) messages.push({ role: "assistant", content: answer.text });
  }
  return messages;
}

export function withAnswer(turns: readonly Turn[], turnId: string, lane: Lane, answer: Answer | null): Turn[] {
  return turns.map((turn) => (turn.id === turnId ? { ...turn, answers: { ...turn.answers, [lane]: answer } } : turn));
}

export function withPrompt(turns: readonly Turn[], turnId: string, prompt: string): Turn[] {
  return turns.map((turn) => (turn.id === turnId ? { ...turn, prompt } : turn));
}

export function withText(turns: readonly Turn[], turnId: string, lane: Lane, text: string): Turn[] {
  const answer = turns.find(({ id }) => id === turnId)?.answers[lane];
  return answer ? withAnswer(turns, turnId, lane, { ...answer, text }) : [...turns];
}

/** The turns up to one, it included: what comes after is dropped when its prompt is sent again. */
export function upTo(turns: readonly Turn[], turnId: string): Turn[] {
  const index = turns.findIndex((turn) => turn.id === turnId);
  return turns.slice(0, index + 1);
}

export function without(turns: readonly Turn[], turnId: string): Turn[] {
  return turns.filter((turn) => turn.id !== turnId);
}

export function answersOf(turn: Turn): [Lane, Answer][] {
  return (["a", "b"] as const).flatMap((lane): [Lane, Answer][] => {
    const answer = turn.answers[lane];
    return answer ? [[lane, answer]] : [];
  });
}

export function isRunning(turns: readonly Turn[]): boolean {
  return turns.some((turn) => answersOf(turn).some(([, answer]) => answer.status === "running"));
}

/** The conversation as it is found after the page was left: what ran then, runs no more. */
export function asLeft(turns: readonly Turn[]): Turn[] {
  return turns.map((turn) => ({
    ...turn,
    answers: Object.fromEntries(
      Object.entries(turn.answers).map(([lane, answer]) => [
        lane,
        answer?.status === "running" ? ended(answer, "stopped", lastKnown(answer)) : answer,
      ]),
    ),
  }));
}

function lastKnown({ progress }: Answer): number {
  return progress.firstMs ?? progress.startedMs;
}
