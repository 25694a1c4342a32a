/** A key as its form has it, and as the API takes it. */

import type { Key } from "@/api/keys";
import { parseUsd } from "@/format/money";

export interface Fields {
  name: string;
  /** Dollars; empty: no limit. */
  monthlyLimit: string;
  models: string[];
  rpm: number | "";
  tpm: number | "";
  inFlight: number | "";
  /** As `datetime-local` has it, in the viewer's zone; empty: never. */
  expires: string;
  keepsAnswers: boolean;
}

/** The form of a key, or of a new one. */
export function fieldsOf(key: Key | null): Fields {
  return {
    name: key?.name ?? "",
    monthlyLimit: key?.monthly_limit_usd ?? "",
    models: key?.allowed_models ?? [],
    rpm: key?.rpm_limit ?? "",
    tpm: key?.tpm_limit ?? "",
    inFlight: key?.max_in_flight ?? "",
    expires: key?.expires_at ? toLocal(key.expires_at) : "",
    keepsAnswers: key?.keeps_answers ?? false,
  };
}

/** What the API takes. */
export function toBody(fields: Fields) {
  return {
    name: fields.name.trim(),
    monthly_limit_usd: fields.monthlyLimit.trim() || null,
    allowed_models: fields.models,
    rpm_limit: fields.rpm || null,
    tpm_limit: fields.tpm || null,
    max_in_flight: fields.inFlight || null,
    expires_at: fields.expires ? new Date(fields.expires).toISOString() : null,
    keeps_answers: fields.keepsAnswers,
  };
}

/** What is wrong, by field. */
export function validate(fields: Fields): Partial<Record<keyof Fields, string>> {
  const errors: Partial<Record<keyof Fields, string>> = {};
  if (!fields.name.trim()) errors.name = "Give it a name, so that you know later where it is used.";
  if (fields.monthlyLimit.trim() && !isAmount(fields.monthlyLimit))
    errors.monthlyLimit = "Give an amount of dollars such as 5 or 5.00.";
  if (fields.expires && new Date(fields.expires) <= new Date()) errors.expires = "Choose a time to come.";
  return errors;
}

function isAmount(text: string): boolean {
  try {
    return parseUsd(text) >= 0n;
  } catch {
    return false;
  }
}

function toLocal(time: string): string {
  const moment = new Date(time);
  return new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
