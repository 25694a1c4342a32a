import { expect, test } from "vitest";
import { sharesOf, stackByDay, type Sum, totalSince } from "./byDay";

const DAYS = ["2026-11-26", "2026-11-27", "2026-11-28"];

function sum(group: string, split: string | null, cost_usd: string, requests = 1): Sum {
  return { group, split, requests, input_tokens: 10, output_tokens: 5, cost_usd };
}

const SUMS = [
  sum("2026-11-26", "fast", "0.000000001"),
  sum("2026-11-26", "smart", "0.30", 2),
  sum("2026-11-28", "fast", "0.10", 3),
];

test("days without a call have their bar, and the dearest model is the lowest", () => {
  const { series, points } = stackByDay(SUMS, DAYS, { measure: "cost", label: (name) => name.toUpperCase() });
  expect(series).toEqual([
    { name: "smart", label: "SMART" },
    { name: "fast", label: "FAST" },
  ]);
  expect(points).toEqual([
    { day: "2026-11-26", values: { fast: 1n, smart: 300_000_000n } },
    { day: "2026-11-27", values: {} },
    { day: "2026-11-28", values: { fast: 100_000_000n } },
  ]);
});

test("what lies outside the days is not shown", () => {
  const { series, points } = stackByDay(SUMS, DAYS.slice(1), { measure: "requests", label: String });
  expect(series.map(({ name }) => name)).toEqual(["fast"]);
  expect(points.map(({ values }) => values)).toEqual([{}, { fast: 3n }]);
});

test("days that are not split are one series", () => {
  const whole = [sum("2026-11-27", null, "1.00")];
  const { series, points } = stackByDay(whole, DAYS, { measure: "tokens", label: () => "All calls" });
  expect(series).toEqual([{ name: "", label: "All calls" }]);
  expect(points[1]?.values).toEqual({ "": 15n });
});

test("more parts than colours are shown as others, and nothing is lost", () => {
  const many = Array.from({ length: 12 }, (_, index) => sum("2026-11-28", `model ${index}`, `${index + 1}`));
  const { series, points } = stackByDay(many, DAYS, { measure: "cost", label: String });
  expect(series).toHaveLength(8);
  expect(series.at(-1)?.label).toBe("5 others");
  const shown = Object.values(points[2]!.values).reduce((all, value) => all + value, 0n);
  expect(shown).toBe(78_000_000_000n);
});

test("shares are summed over the days to the nano-dollar, the dearest first", () => {
  expect(sharesOf(SUMS)).toEqual([
    { name: "smart", requests: 2, tokens: 15, nanos: 300_000_000n },
    { name: "fast", requests: 4, tokens: 30, nanos: 100_000_001n },
  ]);
});

test("a total begins with its day", () => {
  expect(totalSince(SUMS, "2026-11-28")).toEqual({ nanos: 100_000_000n, requests: 3 });
  expect(totalSince(SUMS, "2026-11-26")).toEqual({ nanos: 400_000_001n, requests: 6 });
});
