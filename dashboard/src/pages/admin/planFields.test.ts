import { expect, test } from "vitest";
import type { Plan } from "@/api/adminCatalogue";
import { fieldsOf, toPlanChange, validatePlan } from "./planFields";

const PLAN: Plan = {
  id: "free",
  name: "Free",
  monthly_usd: "0.00",
  included_credits_usd: "1.00",
  rpm: 10,
  tpm: null,
  max_in_flight: 2,
  all_models: false,
  allowed_models: ["b", "a"],
  monthly_quota_tokens: null,
};

test("a form that was not touched changes nothing, whatever the order of the models", () => {
  expect(toPlanChange({ ...fieldsOf(PLAN), allowed_models: ["a", "b"] }, PLAN)).toEqual({});
});

test("an empty limit is none, and a plan with all models has no list", () => {
  const fields = { ...fieldsOf(PLAN), max_in_flight: "" as const, all_models: true };
  expect(toPlanChange(fields, PLAN)).toEqual({ max_in_flight: null, all_models: true, allowed_models: [] });
});

test("a plan needs a name, amounts and a number of requests", () => {
  const fields = { ...fieldsOf(PLAN), name: " ", monthly_usd: "-1", included_credits_usd: "", rpm: "" as const };
  expect(Object.keys(validatePlan(fields)).toSorted()).toEqual(["included_credits_usd", "monthly_usd", "name", "rpm"]);
});
