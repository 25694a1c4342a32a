import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { isDay, spanOf, utcDaysOf, wholeDaysOf } from "./period";

const NOW = new Date("2026-11-28T13:03:05Z");

describe("in Berlin", () => {
  beforeEach(() => vi.stubEnv("TZ", "Europe/Berlin"));
  afterEach(() => vi.unstubAllEnvs());

  test.each([
    ["today", "2026-11-27T23:00:00.000Z"],
    ["7d", "2026-11-21T23:00:00.000Z"],
    ["30d", "2026-10-29T23:00:00.000Z"],
  ] as const)("%s begins at the viewer's midnight", (period, from) => {
    expect(spanOf({ period }, NOW)).toEqual({ from, to: null });
  });

  test("thirty days are what is looked at where nothing is chosen, and everything has no ends", () => {
    expect(spanOf({}, NOW)).toEqual(spanOf({ period: "30d" }, NOW));
    expect(spanOf({ period: "all", from: "2026-11-01" }, NOW)).toEqual({ from: null, to: null });
  });

  test("chosen days are both included, also over the change of the clocks", () => {
    expect(spanOf({ period: "custom", from: "2026-10-24", to: "2026-10-25" }, NOW)).toEqual({
      from: "2026-10-23T22:00:00.000Z",
      to: "2026-10-25T23:00:00.000Z",
    });
  });

  test("the two days may be given in any order, and each may be left open", () => {
    const ordered = spanOf({ period: "custom", from: "2026-11-01", to: "2026-11-05" }, NOW);
    expect(spanOf({ period: "custom", from: "2026-11-05", to: "2026-11-01" }, NOW)).toEqual(ordered);
    expect(spanOf({ period: "custom", from: "2026-11-01" }, NOW)).toEqual({ from: ordered.from, to: null });
    expect(spanOf({ period: "custom", to: "2026-11-05" }, NOW)).toEqual({ from: null, to: ordered.to });
  });

  test("sums are asked for in the whole UTC days that a span touches", () => {
    const span = spanOf({ period: "custom", from: "2026-11-02", to: "2026-11-03" }, NOW);
    expect(wholeDaysOf(span)).toEqual({ from: "2026-11-01", to: "2026-11-03" });
    expect(utcDaysOf(span, { now: NOW })).toEqual(["2026-11-01", "2026-11-02", "2026-11-03"]);
  });
});

test("the days of a chart end today, whatever was chosen", () => {
  const span = { from: "2026-11-27T00:00:00.000Z", to: "2027-01-01T00:00:00.000Z" };
  expect(utcDaysOf(span, { now: NOW })).toEqual(["2026-11-27", "2026-11-28"]);
});

test("without a beginning the days begin with the first call, and a year is shown at most", () => {
  const everything = { from: null, to: null };
  expect(utcDaysOf(everything, { now: NOW })).toEqual(["2026-11-28"]);
  expect(utcDaysOf(everything, { now: NOW, earliest: "2026-11-26" })).toHaveLength(3);
  const years = utcDaysOf(everything, { now: NOW, earliest: "2020-01-01" });
  expect([years.length, years.at(-1)]).toEqual([366, "2026-11-28"]);
});

test.each([
  ["2026-11-28", true],
  ["2028-02-29", true],
  ["2026-02-30", false],
  ["2026-13-01", false],
  ["0002-01-01", false],
  ["2026-11-28T00:00", false],
  ["", false],
])("%j is a day: %s", (text, is) => {
  expect(isDay(text)).toBe(is);
});
