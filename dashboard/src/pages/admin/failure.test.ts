import { expect, test } from "vitest";
import { fieldOf } from "./failure";

const VALUES = { name: "", prices: { output: "" }, routes: [{ weight: 1 }], fallback_models: ["a", "b"] };

test("an error is shown at the input that holds the value", () => {
  expect(fieldOf("name", VALUES)).toBe("name");
  expect(fieldOf("prices.output", VALUES)).toBe("prices.output");
  expect(fieldOf("routes.0.weight", VALUES)).toBe("routes.0.weight");
  expect(fieldOf("fallback_models.1", VALUES)).toBe("fallback_models");
});

test("an error of something that has no input is shown elsewhere", () => {
  expect(fieldOf("idempotency-key", VALUES)).toBe(null);
});
