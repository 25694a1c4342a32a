/** Which plans have which models. */

import type { Model, Plan } from "@/api/catalogue";

export function allows(plan: Plan, model: Pick<Model, "public_name">): boolean {
  return plan.all_models || plan.allowed_models.includes(model.public_name);
}

/** The names of the plans that have the model, cheapest first, as they are offered. */
export function plansWith(model: Pick<Model, "public_name">, plans: readonly Plan[]): string[] {
  return plans.filter((plan) => allows(plan, model)).map((plan) => plan.name);
}
