/** What the audit log notes, in words. */

import { formatNanos } from "@/format/money";

export const ACTIONS: Record<string, string> = {
  "user.created": "User created",
  "user.updated": "User changed",
  "user.disabled": "User disabled",
  "user.enabled": "User enabled",
  "user.password_changed": "Password changed",
  "api_key.created": "API key created",
  "api_key.updated": "API key changed",
  "api_key.deleted": "API key deleted",
  "plan.changed": "Plan of an account changed",
  "balance.adjusted": "Credit adjusted",
  "charges.corrected": "Charges corrected",
  "model.created": "Model added",
  "model.updated": "Model changed",
  "model.price_changed": "Price changed",
  "plan.updated": "Plan edited",
  "upstream.created": "Upstream added",
  "upstream.updated": "Upstream changed",
};

export const SUBJECTS: Record<string, string> = {
  user: "User",
  account: "Account",
  api_key: "API key",
  model: "Model",
  plan: "Plan",
  upstream: "Upstream",
  price_version: "Price version",
};

const NANOS = /_nanos(_per_mtok)?$/;

/** A field's name as people write it: `input_nanos_per_mtok` is `Input, per million tokens`. */
export function wordsOf(field: string): string {
  const words = field
    .replace(/_nanos_per_mtok$/, ", per million tokens")
    .replace(NANOS, "")
    .replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A field's value as people write it: amounts are kept in nano-dollars. */
export function valueOf(field: string, text: string | null): string {
  if (text === null) return "None";
  if (text === "") return "Empty";
  return NANOS.test(field) && /^-?\d+$/.test(text) ? formatNanos(BigInt(text)) : text;
}
