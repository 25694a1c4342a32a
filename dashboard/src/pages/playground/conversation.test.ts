import { describe, expect, test } from "vitest";
import {
  type Answer,
  asLeft,
  ended,
  messagesFor,
  newAnswer,
  type Turn,
  upTo,
  withEvent,
  without,
} from "./conversation";
import { FRESH, load, save } from "./storage";

function said(text: string, model = "m"): Answer {
  return { ...ended(newAnswer(model, [], 0), "done", 10), text };
}

const TURNS: Turn[] = [
  { id: "1", prompt: "one", answers: { a: said("A1"), b: said("B1") } },
  { id: "2", prompt: "two", answers: { a: said("A2") } },
  { id: "3", prompt: "three", answers: { a: null, b: null } },
  { id: "4", prompt: "four", answers: {} },
];

describe("what a model is sent", () => {
  test("is its own side of the conversation up to the prompt", () => {
    expect(messagesFor(TURNS, "3", "a", "")).toEqual([
      { role: "user", content: "one" },
      { role: "assistant", content: "A1" },
      { role: "user", content: "two" },
      { role: "assistant", content: "A2" },
      { role: "user", content: "three" },
    ]);
  });

  test("begins with the system prompt, where there is one", () => {
    expect(messagesFor(TURNS, "1", "a", "Be brief.")).toEqual([
      { role: "system", content: "Be brief." },
      { role: "user", content: "one" },
    ]);
    expect(messagesFor(TURNS, "1", "a", "  ")).toHaveLength(1);
  });

  test("has the other model's answers where it was not there yet, and none that were deleted", () => {
    expect(messagesFor(TURNS, "4", "b", "").map(({ content }) => content)).toEqual([
      "one",
      "B1",
      "two",
      "A2",
      "three",
      "four",
    ]);
  });

  test("leaves out answers that never came", () => {
    const failed: Turn[] = [{ id: "0", prompt: "zero", answers: { a: said("") } }, ...TURNS];
    expect(messagesFor(failed, "1", "a", "").map(({ role }) => role)).toEqual(["user", "user"]);
  });
});

describe("an answer", () => {
  test("grows by what its stream tells", () => {
    let answer = newAnswer("m", [{ role: "user", content: "four" }], 0);
    answer = withEvent(answer, { kind: "reasoning", text: "hm" }, 100);
    answer = withEvent(answer, { kind: "text", text: "Hi" }, 200);
    answer = withEvent(answer, { kind: "finish", reason: "length" }, 200);
    answer = withEvent(answer, { kind: "end", whole: true }, 300);
    expect(answer).toMatchObject({ text: "Hi", reasoning: "hm", status: "done", finishReason: "length" });
    expect(answer.progress).toMatchObject({ promptBytes: 4, answerBytes: 4, pieces: 2, firstMs: 100, endedMs: 300 });
  });

  test("that failed within the stream stays failed, and keeps what it said", () => {
    let answer = withEvent(newAnswer("m", [], 0), { kind: "text", text: "Hi" }, 1);
    answer = withEvent(answer, { kind: "error", code: "upstream_failed", message: "It broke." }, 2);
    answer = withEvent(answer, { kind: "end", whole: true }, 3);
    expect(answer).toMatchObject({ text: "Hi", status: "failed", problem: { message: "It broke." } });
  });

  test("that did not come to its end is cut", () => {
    expect(withEvent(newAnswer("m", [], 0), { kind: "end", whole: false }, 3).status).toBe("cut");
  });
});

test("sending a prompt again drops what came after it, deleting it only itself", () => {
  expect(upTo(TURNS, "2").map(({ id }) => id)).toEqual(["1", "2"]);
  expect(without(TURNS, "2").map(({ id }) => id)).toEqual(["1", "3", "4"]);
});

test("what ran when the page was left is stopped when it is found again", () => {
  const running = newAnswer("m", [], 7);
  const [turn] = asLeft([{ id: "1", prompt: "one", answers: { a: running, b: null } }]);
  expect(turn).toEqual({
    id: "1",
    prompt: "one",
    answers: { a: { ...running, status: "stopped", progress: { ...running.progress, endedMs: 7 } }, b: null },
  });
});

class FakeStorage implements Storage {
  [name: string]: unknown;
  get length(): number {
    return Object.keys(this).length;
  }
  clear(): void {}
  key(): null {
    return null;
  }
  getItem(name: string): string | null {
    return (this[name] as string | undefined) ?? null;
  }
  setItem(name: string, value: string): void {
    this[name] = value;
  }
  removeItem(name: string): void {
    delete this[name];
  }
}

describe("the tab", () => {
  test("keeps a conversation for its user, and drops it for anybody else", () => {
    const storage = new FakeStorage();
    const kept = { setup: { ...FRESH.setup, system: "Be brief." }, turns: TURNS };
    save("ann", kept, storage);
    expect(load("ann", storage)).toEqual(kept);
    expect(load("bob", storage)).toEqual(FRESH);
    expect(load("ann", storage)).toEqual(FRESH);
  });

  test("that has kept nonsense begins afresh", () => {
    const storage = new FakeStorage();
    storage.setItem("privaterouter.playground.1.ann", "{");
    expect(load("ann", storage)).toEqual(FRESH);
  });
});
