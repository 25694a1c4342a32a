/** A plan as its form has it, and as the API takes it. The fields have the API's names. */

import type { Plan, PlanChange } from "@/api/adminCatalogue";
import { amountError } from "./amounts";
import type { Count } from "./modelFields";

export interface PlanFields {
  name: string;
  monthly_usd: string;
  included_credits_usd: string;
  rpm: Count;
  tpm: Count;
  max_in_flight: Count;
  monthly_quota_tokens: Count;
  all_models: boolean;
  allowed_models: string[];
  reason: string;
}

export function fieldsOf(plan: Plan | null): PlanFields {
  return {
    name: plan?.name ?? "",
    monthly_usd: plan?.monthly_usd ?? "",
    included_credits_usd: plan?.included_credits_usd ?? "",
    rpm: plan?.rpm ?? "",
    tpm: plan?.tpm ?? "",
    max_in_flight: plan?.max_in_flight ?? "",
    monthly_quota_tokens: plan?.monthly_quota_tokens ?? "",
    all_models: plan?.all_models ?? false,
    allowed_models: plan?.allowed_models ?? [],
    reason: "",
  };
}

export function validatePlan(fields: PlanFields): Partial<Record<keyof PlanFields, string>> {
  const money = {
    monthly_usd: amountError(fields.monthly_usd),
    included_credits_usd: amountError(fields.included_credits_usd),
  };
  return {
    ...(!fields.name.trim() && { name: "Give it a name." }),
    ...(money.monthly_usd && { monthly_usd: money.monthly_usd }),
    ...(money.included_credits_usd && { included_credits_usd: money.included_credits_usd }),
    ...(!fields.rpm && { rpm: "Say how many; a plan has no calls without." }),
  };
}

/** Only what is another one than it was. */
export function toPlanChange(fields: PlanFields, before: Plan): PlanChange {
  const old = settingsOf(fieldsOf(before));
  const changed = Object.entries(settingsOf(fields)).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(old[name as keyof PlanChange]),
  );
  return Object.fromEntries(changed) as PlanChange;
}

function settingsOf(fields: PlanFields): PlanChange {
  return {
    name: fields.name.trim(),
    monthly_usd: fields.monthly_usd.trim(),
    included_credits_usd: fields.included_credits_usd.trim(),
    ...(fields.rpm && { rpm: fields.rpm }),
    tpm: fields.tpm || null,
    max_in_flight: fields.max_in_flight || null,
    monthly_quota_tokens: fields.monthly_quota_tokens || null,
    all_models: fields.all_models,
    allowed_models: fields.all_models ? [] : fields.allowed_models.toSorted(),
  };
}
