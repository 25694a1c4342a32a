/** The filters of the billing page, as they stand in its address. */

import type { Transaction } from "@/api/account";

export type Kind = Transaction["kind"];

export const KINDS: Record<Kind, string> = {
  charge: "Charge",
  top_up: "Top-up",
  plan_credit: "Plan credit",
  adjustment: "Correction",
};

export interface BillingSearch {
  kind?: Kind;
  offset?: number;
}

/** What is no filter is left out, whatever an address has in it. */
export function readBillingSearch(search: Record<string, unknown>): BillingSearch {
  const kind = search["kind"];
  const offset = Number(search["offset"]);
  return {
    ...(typeof kind === "string" && Object.hasOwn(KINDS, kind) && { kind: kind as Kind }),
    ...(Number.isSafeInteger(offset) && offset > 0 && { offset }),
  };
}
