/** What is looked at, as the page's address has it, and as the API is asked for it. */

import type { UsageFilter } from "@/api/usage";
import { isDay, type Period, PERIODS, spanOf } from "@/format/period";

export const STATUSES = ["success", "error", "cancelled", "interrupted"] as const;
export const VIEWS = ["day", "model", "key"] as const;
export const MEASURES = ["cost", "requests", "tokens"] as const;

export interface UsageSearch {
  model?: string | undefined;
  key?: string | undefined;
  status?: (typeof STATUSES)[number] | undefined;
  /** Left out: 30 days. */
  period?: Period | undefined;
  /** Days of the viewer, for a custom period. */
  from?: string | undefined;
  to?: string | undefined;
  offset?: number | undefined;
  /** Left out: by day. */
  view?: (typeof VIEWS)[number] | undefined;
  /** Left out: cost. */
  measure?: (typeof MEASURES)[number] | undefined;
  /** The call that is explained. */
  event?: string | undefined;
}

/** Whatever the address says, as far as it makes sense. */
export function usageSearch(given: Record<string, unknown>): UsageSearch {
  const found: UsageSearch = {
    model: text(given["model"]),
    key: text(given["key"]),
    status: oneOf(STATUSES, given["status"]),
    period: oneOf(PERIODS, given["period"]),
    from: day(given["from"]),
    to: day(given["to"]),
    offset: page(given["offset"]),
    view: oneOf(VIEWS, given["view"]),
    measure: oneOf(MEASURES, given["measure"]),
    event: text(given["event"]),
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
}

export function filterOf(search: UsageSearch, now?: Date): UsageFilter {
  const { from, to } = spanOf(search, now);
  return {
    ...(search.model && { model: search.model }),
    ...(search.key && { key_id: search.key }),
    ...(search.status && { status: search.status }),
    ...(from && { from }),
    ...(to && { to }),
  };
}

/** Whether calls may be left out that were made lately. */
export function isFiltered({ model, key, status, period }: UsageSearch): boolean {
  return Boolean(model ?? key ?? status ?? period);
}

function text(value: unknown): string | undefined {
  // The router reads 7 and true in an address as what they look like.
  const given = typeof value === "number" || typeof value === "boolean" ? String(value) : value;
  return typeof given === "string" && given !== "" ? given : undefined;
}

function day(value: unknown): string | undefined {
  return typeof value === "string" && isDay(value) ? value : undefined;
}

function page(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 && value < 2 ** 31 ? value : undefined;
}

function oneOf<T extends string>(values: readonly T[], value: unknown): T | undefined {
  return values.find((each) => each === value);
}
