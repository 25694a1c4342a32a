/** The models that the reader may call. */

import { useQuery } from "@tanstack/react-query";
import { balance, plans } from "@/api/account";
import { models } from "@/api/catalogue";
import { allows } from "./allowed";

/** The names of the chat models of the reader's plan, for ready-made calls; empty until they are known. */
export function useOwnChatModels(): string[] {
  const catalogue = useQuery(models).data ?? [];
  const planName = useQuery(balance).data?.plan_name;
  const plan = useQuery(plans).data?.find((each) => each.id === planName);
  if (!plan) return [];
  return catalogue.filter((model) => model.kind === "chat" && allows(plan, model)).map((model) => model.public_name);
}
