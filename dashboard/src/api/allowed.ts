/** Which models a plan has, and who is on which plan. */

import { useQuery } from "@tanstack/react-query";
import { balance, plans } from "./account";
import { type Model, models, type Plan } from "./catalogue";

export function allows(plan: Plan, model: Pick<Model, "public_name">): boolean {
  return plan.all_models || plan.allowed_models.includes(model.public_name);
}

/** The names of the plans that have the model, cheapest first, as they are offered. */
export function plansWith(model: Pick<Model, "public_name">, offered: readonly Plan[]): string[] {
  return offered.filter((plan) => allows(plan, model)).map((plan) => plan.name);
}

/** The reader's plan; undefined while it is not known. */
export function useMyPlan(): Plan | undefined {
  const account = useQuery(balance).data;
  return useQuery(plans).data?.find((plan) => plan.id === account?.plan_name);
}

/** The names of the chat models that the reader's plan has. */
export function useMyChatModels(): string[] {
  const plan = useMyPlan();
  const catalogue = useQuery(models).data ?? [];
  return catalogue
    .filter((model) => model.kind === "chat" && plan !== undefined && allows(plan, model))
    .map((model) => model.public_name);
}
