import { expect, test } from "vitest";
import { valueOf, wordsOf } from "./actions";

test("fields and amounts of the audit log are readable", () => {
  expect(wordsOf("input_nanos_per_mtok")).toBe("Input, per million tokens");
  expect(wordsOf("max_in_flight")).toBe("Max in flight");
  expect(valueOf("amount_nanos", "-2500000000")).toBe("-$2.50");
  expect(valueOf("rpm", "2500000000")).toBe("2500000000");
});

test("no value is told from an empty one", () => {
  expect(valueOf("name", null)).toBe("None");
  expect(valueOf("name", "")).toBe("Empty");
});
