/** The server-sent events of a streamed chat completion, read as they arrive. Knows neither the page nor the network. */

import { createParser } from "eventsource-parser";

/** What a call used, as the last chunk of its stream tells. */
export interface Usage {
  inputTokens: number;
  outputTokens: number;
  reasoningTokens: number;
}

export type ChatEvent =
  | { kind: "text"; text: string }
  | { kind: "reasoning"; text: string }
  | { kind: "finish"; reason: string }
  | { kind: "usage"; usage: Usage }
  | { kind: "error"; code: string; message: string }
  /** The last event. `whole` is false where the stream ended before it said that it was done. */
  | { kind: "end"; whole: boolean };

/**
 * The events of a stream, the end last, however it ends: a broken connection is an `end` that is not whole.
 * Giving up the generator cancels the stream.
 */
export async function* chatEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ChatEvent, void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const arrived: ChatEvent[] = [];
  let whole = false;
  const parser = createParser({
    onEvent: ({ data }) => {
      if (data.trim() === "[DONE]") whole = true;
      else if (!whole) arrived.push(...eventsOf(data));
    },
  });
  try {
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- a stream is read piece after piece
      const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }));
      if (done) break;
      parser.feed(decoder.decode(value, { stream: true }));
      yield* arrived.splice(0);
      if (whole) break;
    }
    yield { kind: "end", whole };
  } finally {
    void reader.cancel().catch(() => {});
  }
}

/** What one chunk says. Nothing where it is no JSON object: what does not arrive at all shows at the end. */
export function eventsOf(data: string): ChatEvent[] {
  const chunk = parse(data);
  if (!chunk) return [];
  if (chunk["error"] !== undefined && chunk["error"] !== null) return [errorIn(chunk["error"])];
  const events: ChatEvent[] = [];
  const choice = first(chunk["choices"]);
  const delta = objectOf(choice?.["delta"]);
  const reasoning = textOf(delta?.["reasoning_content"]) || textOf(delta?.["reasoning"]);
  if (reasoning) events.push({ kind: "reasoning", text: reasoning });
  const text = textOf(delta?.["content"]) || textOf(delta?.["refusal"]);
  if (text) events.push({ kind: "text", text });
  const reason = textOf(choice?.["finish_reason"]);
  if (reason) events.push({ kind: "finish", reason });
  const usage = objectOf(chunk["usage"]);
  if (usage) events.push({ kind: "usage", usage: usageOf(usage) });
  return events;
}

function errorIn(value: unknown): ChatEvent {
  const error = objectOf(value);
  const message = textOf(error?.["message"]) || "The model's server failed while it answered.";
  return { kind: "error", code: textOf(error?.["code"]) || "unknown", message };
}

function usageOf(usage: Record<string, unknown>): Usage {
  return {
    inputTokens: countOf(usage["prompt_tokens"]),
    outputTokens: countOf(usage["completion_tokens"]),
    reasoningTokens: countOf(objectOf(usage["completion_tokens_details"])?.["reasoning_tokens"]),
  };
}

function parse(data: string): Record<string, unknown> | null {
  try {
    return objectOf(JSON.parse(data));
  } catch {
    return null;
  }
}

function objectOf(value: unknown): Record<string, unknown> | null {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}

function first(value: unknown): Record<string, unknown> | null {
  return Array.isArray(value) ? objectOf(value[0]) : null;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function countOf(value: unknown): number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : 0;
}
