/** The ledger of all accounts. */

import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { api, result, type Schemas } from "./client";
import type { paths } from "./schema";

export type LedgerLine = Schemas["AccountTransaction"];
export type LedgerTotals = Schemas["LedgerTotals"];
export type LedgerQuery = NonNullable<paths["/api/admin/ledger"]["get"]["parameters"]["query"]>;

export const ledger = (query: LedgerQuery) =>
  queryOptions({
    queryKey: ["admin", "ledger", "lines", query],
    queryFn: () => result(api.GET("/api/admin/ledger", { params: { query } })),
    placeholderData: keepPreviousData,
    refetchInterval: 15_000,
  });

export const ledgerTotals = queryOptions({
  queryKey: ["admin", "ledger", "totals"],
  queryFn: () => result(api.GET("/api/admin/ledger/totals")),
  refetchInterval: 15_000,
});
