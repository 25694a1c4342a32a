import { expect, test } from "vitest";
import { fieldsOf, toBody, validate } from "./fields";

test("an empty form asks for no limit at all", () => {
  expect(toBody({ ...fieldsOf(null), name: " laptop " })).toEqual({
    name: "laptop",
    monthly_limit_usd: null,
    allowed_models: [],
    rpm_limit: null,
    tpm_limit: null,
    max_in_flight: null,
    expires_at: null,
    keeps_answers: false,
  });
});

test("an amount stays the text that was typed", () => {
  expect(toBody({ ...fieldsOf(null), name: "x", monthlyLimit: "0.000000001" }).monthly_limit_usd).toBe("0.000000001");
});

test("a form says what is wrong with it", () => {
  const errors = validate({ ...fieldsOf(null), monthlyLimit: "five", expires: "2020-01-01T00:00" });
  expect(Object.keys(errors).toSorted()).toEqual(["expires", "monthlyLimit", "name"]);
  expect(validate({ ...fieldsOf(null), name: "x", monthlyLimit: "-1" })).toHaveProperty("monthlyLimit");
});
