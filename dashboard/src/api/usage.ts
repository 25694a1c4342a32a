/** What calls used: the list, one call, sums. */

import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { api, result, type Schemas } from "./client";
import { LIVE_MS } from "./query";
import type { paths } from "./schema";

export type Event = Schemas["Event"];
export type EventDetail = Schemas["EventDetail"];
export type UsageQuery = NonNullable<paths["/api/usage"]["get"]["parameters"]["query"]>;
export type UsageFilter = NonNullable<paths["/api/usage/export.csv"]["get"]["parameters"]["query"]>;
export type SummaryQuery = NonNullable<paths["/api/usage/summary"]["get"]["parameters"]["query"]>;

/** New calls come by themselves on the first page only: later ones would move under the reader. */
export const usage = (query: UsageQuery) =>
  queryOptions({
    queryKey: ["usage", "list", query],
    queryFn: () => result(api.GET("/api/usage", { params: { query } })),
    placeholderData: keepPreviousData,
    refetchInterval: query.offset ? false : LIVE_MS,
  });

export const usageSummary = (query: SummaryQuery) =>
  queryOptions({
    queryKey: ["usage", "summary", query],
    queryFn: () => result(api.GET("/api/usage/summary", { params: { query } })),
    placeholderData: keepPreviousData,
    refetchInterval: LIVE_MS,
  });

/** One call with how its cost came about. It never changes, but its charge may be yet to come. */
export const usageEvent = (id: string) =>
  queryOptions({
    queryKey: ["usage", "event", id],
    queryFn: () => result(api.GET("/api/usage/{request_id}", { params: { path: { request_id: id } } })),
    refetchInterval: ({ state }) => (isSettled(state.data) ? false : LIVE_MS),
  });

/** Where the calls that match are as CSV. */
export function usageCsvUrl(filter: UsageFilter): string {
  const query = new URLSearchParams(Object.entries(filter).filter(([, value]) => value != null) as [string, string][]);
  return `/api/usage/export.csv?${query}`;
}

function isSettled(detail: EventDetail | undefined): boolean {
  return detail === undefined || detail.ledger.state === "booked" || detail.ledger.state === "not_charged";
}
