import { describe, expect, test } from "vitest";
import { type ChatEvent, chatEvents, eventsOf } from "./chat";

function streamOf(pieces: readonly (string | Uint8Array)[], { broken = false } = {}): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const left = [...pieces];
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      const piece = left.shift();
      if (piece !== undefined) controller.enqueue(typeof piece === "string" ? encoder.encode(piece) : piece);
      else if (broken) controller.error(new TypeError("network error"));
      else controller.close();
    },
  });
}

async function read(stream: ReadableStream<Uint8Array>): Promise<ChatEvent[]> {
  const events: ChatEvent[] = [];
  for await (const event of chatEvents(stream)) events.push(event);
  return events;
}

const chunk = (delta: object, finish: string | null = null) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const USAGE = {
  prompt_tokens: 21,
  completion_tokens: 7,
  completion_tokens_details: { reasoning_tokens: 3 },
};
const DONE = "data: [DONE]\n\n";

describe("the stream of a chat completion", () => {
  test("gives its text, why it ended and what it used", async () => {
    const usage = `data: ${JSON.stringify({ choices: [], usage: USAGE })}\n\n`;
    const stream = streamOf([chunk({ role: "assistant", content: "" }), chunk({ content: "Hi" }, "stop"), usage, DONE]);
    expect(await read(stream)).toEqual([
      { kind: "text", text: "Hi" },
      { kind: "finish", reason: "stop" },
      { kind: "usage", usage: { inputTokens: 21, outputTokens: 7, reasoningTokens: 3 } },
      { kind: "end", whole: true },
    ]);
  });

  test("may be cut anywhere, also within a character", async () => {
    const bytes = new TextEncoder().encode(chunk({ content: "Grüße, 世界 😀" }) + DONE);
    const single = Array.from(bytes, (byte) => Uint8Array.of(byte));
    expect(await read(streamOf(single))).toEqual([
      { kind: "text", text: "Grüße, 世界 😀" },
      { kind: "end", whole: true },
    ]);
  });

  test("may end its lines with a carriage return, and hold comments", async () => {
    const text = `: keep-alive\n\n${chunk({ content: "a" })}: keep-alive\n\n${chunk({ content: "b" })}${DONE}`;
    expect(await read(streamOf([text.replaceAll("\n", "\r\n")]))).toEqual([
      { kind: "text", text: "a" },
      { kind: "text", text: "b" },
      { kind: "end", whole: true },
    ]);
  });

  test("tells reasoning from the answer, by either name", async () => {
    const stream = streamOf([chunk({ reasoning_content: "Let me" }), chunk({ reasoning: " see" }), DONE]);
    expect(await read(stream)).toEqual([
      { kind: "reasoning", text: "Let me" },
      { kind: "reasoning", text: " see" },
      { kind: "end", whole: true },
    ]);
  });

  test("may fail after its first words", async () => {
    const error = `data: ${JSON.stringify({ error: { message: "It broke.", code: "upstream_failed" } })}\n\n`;
    expect(await read(streamOf([chunk({ content: "Hi" }), error, DONE]))).toEqual([
      { kind: "text", text: "Hi" },
      { kind: "error", code: "upstream_failed", message: "It broke." },
      { kind: "end", whole: true },
    ]);
  });

  test("is not whole where it ends without saying so", async () => {
    expect(await read(streamOf([chunk({ content: "Hi" }, "stop")]))).toEqual([
      { kind: "text", text: "Hi" },
      { kind: "finish", reason: "stop" },
      { kind: "end", whole: false },
    ]);
  });

  test("is not whole where the connection breaks, also within a chunk", async () => {
    const stream = streamOf([chunk({ content: "Hi" }), 'data: {"choices":[{"del'], { broken: true });
    expect(await read(stream)).toEqual([
      { kind: "text", text: "Hi" },
      { kind: "end", whole: false },
    ]);
  });

  test("is given up by whoever stops reading it", async () => {
    let isCancelled = false;
    const stream = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new TextEncoder().encode(chunk({ content: "Hi" }))),
      cancel: () => {
        isCancelled = true;
      },
    });
    for await (const _ of chatEvents(stream)) break;
    expect(isCancelled).toBe(true);
  });
});

describe("a chunk", () => {
  test.each(["", "null", "[]", "7", "{", '{"choices":{}}', '{"choices":[null]}', '{"choices":[{"delta":7}]}'])(
    "that is nonsense says nothing: %s",
    (data) => {
      expect(eventsOf(data)).toEqual([]);
    },
  );

  test("with an error of another shape still says that it failed", () => {
    expect(eventsOf('{"error":"no"}')).toEqual([
      { kind: "error", code: "unknown", message: "The model's server failed while it answered." },
    ]);
  });
});
