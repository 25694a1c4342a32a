/** Amounts of dollars as operators type them. */

import { parseUsd } from "@/format/money";

/** In nano-dollars; null where the text is no amount. */
export function nanosOrNull(text: string): bigint | null {
  try {
    return parseUsd(text);
  } catch {
    return null;
  }
}

/** What is wrong with an amount that must not be negative; null: nothing. */
export function amountError(text: string): string | null {
  const nanos = nanosOrNull(text);
  return nanos === null || nanos < 0n ? "Give an amount of dollars such as 5 or 5.00." : null;
}

/** The same for one that may be left out. */
export function optionalAmountError(text: string): string | null {
  return text.trim() ? amountError(text) : null;
}
