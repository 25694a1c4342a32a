import { expect, test } from "vitest";
import { formatAge, formatDay, formatDuration, formatExactly, formatTime, formatUtc, lastDays } from "./time";

const NOW = new Date("2026-11-28T13:03:05Z");

test("a time is shown in the viewer's zone, and with the year only where it is another one", () => {
  expect(formatTime("2026-11-28T23:30:00Z", { now: NOW, zone: "Europe/Berlin" })).toBe("Nov 29, 00:30");
  expect(formatTime("2025-01-02T03:04:05Z", { now: NOW, zone: "UTC" })).toBe("Jan 2, 2025, 03:04");
  expect(formatExactly("2026-11-28T13:03:05Z", "America/New_York")).toBe("Nov 28, 2026, 08:03:05");
});

test("UTC is shown to the second", () => {
  expect(formatUtc("2026-11-28T13:03:05.678Z")).toBe("2026-11-28 13:03:05 UTC");
});

test.each([
  ["2026-11-28T13:03:03Z", "just now"],
  ["2026-11-28T13:02:35Z", "30 seconds ago"],
  ["2026-11-28T12:03:05Z", "1 hour ago"],
  ["2026-11-27T13:03:05Z", "yesterday"],
  ["2026-11-25T13:03:05Z", "3 days ago"],
])("%s was %s", (time, shown) => {
  expect(formatAge(time, NOW)).toBe(shown);
});

test("the last days end with today, by UTC", () => {
  expect(lastDays(3, new Date("2026-03-01T00:30:00Z"))).toEqual(["2026-02-27", "2026-02-28", "2026-03-01"]);
  expect(formatDay("2026-03-01")).toBe("Mar 1");
});

test.each([
  [0, "0 ms"],
  [999, "999 ms"],
  [3_240, "3.2 s"],
  [64_000, "1 min 4 s"],
])("%s ms are %s", (milliseconds, shown) => {
  expect(formatDuration(milliseconds)).toBe(shown);
});
