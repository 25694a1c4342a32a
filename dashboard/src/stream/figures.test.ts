import { expect, test } from "vitest";
import { advanced, begun, figuresOf } from "./figures";

const PRICES = { input_usd_per_mtok: "0.100000", output_usd_per_mtok: "0.300000" };

test("before the first token there are only the prompt's, about", () => {
  const progress = begun({ promptBytes: 101, now: 1_000 });
  expect(figuresOf(progress, PRICES, 1_500)).toEqual({
    inputTokens: 21,
    outputTokens: 0,
    about: true,
    firstTokenMs: null,
    tokensPerSecond: null,
    costNanos: 2_100n,
  });
});

test("tokens are at least the pieces, and as many as the bytes make likely", () => {
  let progress = begun({ promptBytes: 0, now: 0 });
  progress = advanced(progress, "a", 400);
  progress = advanced(progress, "b", 500);
  expect(figuresOf(progress, PRICES, 600).outputTokens).toBe(2);
  progress = advanced(progress, "x".repeat(98), 600);
  expect(figuresOf(progress, PRICES, 600).outputTokens).toBe(20);
});

test("speed is counted from the first token on", () => {
  let progress = begun({ promptBytes: 0, now: 0 });
  for (let index = 0; index < 11; index += 1) progress = advanced(progress, "a", 2_000 + index * 100);
  const figures = figuresOf(progress, PRICES, 3_000);
  expect(figures.firstTokenMs).toBe(2_000);
  expect(figures.tokensPerSecond).toBe(10);
});

test("with the stream's own usage they are exact", () => {
  const usage = { inputTokens: 30, outputTokens: 5, reasoningTokens: 0 };
  const progress = { ...advanced(begun({ promptBytes: 9, now: 0 }), "Hello", 100), endedMs: 200, usage };
  expect(figuresOf(progress, PRICES, 9_999)).toEqual({
    inputTokens: 30,
    outputTokens: 5,
    about: false,
    firstTokenMs: 100,
    tokensPerSecond: 40,
    costNanos: 4_500n,
  });
});

test("without prices there is no cost", () => {
  expect(figuresOf(begun({ promptBytes: 9, now: 0 }), undefined, 1).costNanos).toBe(null);
});
