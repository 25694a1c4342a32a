import { expect, test } from "vitest";
import { filterOf, isFiltered, usageSearch } from "./search";

const NOW = new Date("2026-11-28T13:03:05Z");

test("an address is read as far as it makes sense", () => {
  expect(
    usageSearch({
      model: 7,
      key: "",
      status: "lost",
      period: "custom",
      from: "2026-02-30",
      to: "2026-11-05",
      offset: -20,
      view: "key",
      measure: "gold",
      event: "019f1b2c-4e1a-7d4f-9b6a-2c0d4e7f8a91",
      more: true,
    }),
  ).toEqual({
    model: "7",
    period: "custom",
    to: "2026-11-05",
    view: "key",
    event: "019f1b2c-4e1a-7d4f-9b6a-2c0d4e7f8a91",
  });
});

test("the API is asked for exactly what was chosen", () => {
  const day = new Date(2026, 10, 5);
  const next = new Date(2026, 10, 6);
  const search = usageSearch({
    model: "m",
    key: "k",
    status: "error",
    period: "custom",
    from: "2026-11-05",
    to: "2026-11-05",
  });
  expect(filterOf(search, NOW)).toEqual({
    model: "m",
    key_id: "k",
    status: "error",
    from: day.toISOString(),
    to: next.toISOString(),
  });
  expect(filterOf({ period: "all" }, NOW)).toEqual({});
});

test("neither the page nor the chart is a filter", () => {
  expect(isFiltered({ offset: 20, view: "key", measure: "tokens", event: "e" })).toBe(false);
  expect(isFiltered({ period: "today" })).toBe(true);
});
