/** What is shown of a call while it runs: tokens, speed and cost, exact as soon as they are known. */

import { costNanos } from "@/format/money";
import type { Usage } from "./chat";

/** Moments are milliseconds since 1970. */
export interface Progress {
  promptBytes: number;
  answerBytes: number;
  /** How many pieces the answer came in. */
  pieces: number;
  startedMs: number;
  firstMs: number | null;
  endedMs: number | null;
  usage: Usage | null;
}

export interface Prices {
  input_usd_per_mtok: string;
  output_usd_per_mtok: string;
}

export interface Figures {
  inputTokens: number;
  outputTokens: number;
  /** Whether the tokens are an estimate. */
  about: boolean;
  firstTokenMs: number | null;
  /** Null until there is a time to divide by. */
  tokensPerSecond: number | null;
  /** What it costs by the catalogue's prices; null where they are not known. */
  costNanos: bigint | null;
}

const encoder = new TextEncoder();

export function bytesOf(text: string): number {
  return encoder.encode(text).length;
}

export function begun({ promptBytes, now }: { promptBytes: number; now: number }): Progress {
  return { promptBytes, answerBytes: 0, pieces: 0, startedMs: now, firstMs: null, endedMs: null, usage: null };
}

/** Another piece of the answer, or of its reasoning, is there. */
export function advanced(progress: Progress, text: string, now: number): Progress {
  return {
    ...progress,
    answerBytes: progress.answerBytes + bytesOf(text),
    pieces: progress.pieces + 1,
    firstMs: progress.firstMs ?? now,
  };
}

export function figuresOf(progress: Progress, prices: Prices | undefined, now: number): Figures {
  const { usage, firstMs } = progress;
  // A token has about five bytes; most servers send each in a piece of its own, and none sends less than one.
  const inputTokens = usage?.inputTokens ?? Math.ceil(progress.promptBytes / 5);
  const outputTokens = usage?.outputTokens ?? Math.max(progress.pieces, Math.ceil(progress.answerBytes / 5));
  const seconds = firstMs === null ? 0 : ((progress.endedMs ?? now) - firstMs) / 1000;
  return {
    inputTokens,
    outputTokens,
    about: usage === null,
    firstTokenMs: firstMs === null ? null : firstMs - progress.startedMs,
    // The first token's own time is that of the prompt.
    tokensPerSecond: seconds >= 0.05 && outputTokens > 1 ? (outputTokens - 1) / seconds : null,
    costNanos: prices
      ? costNanos([
          [inputTokens, prices.input_usd_per_mtok],
          [outputTokens, prices.output_usd_per_mtok],
        ])
      : null,
  };
}
