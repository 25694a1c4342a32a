/** The account's money: balance, top-ups, what changed it; and its plan. */

import { keepPreviousData, queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, result, type Schemas } from "./client";
import { LIVE_MS } from "./query";
import type { paths } from "./schema";

export type Balance = Schemas["Balance"];
export type Transaction = Schemas["Transaction"];
export type TransactionQuery = NonNullable<paths["/api/billing/transactions"]["get"]["parameters"]["query"]>;

export const balance = queryOptions({
  queryKey: ["balance"],
  queryFn: () => result(api.GET("/api/billing/balance")),
  refetchInterval: LIVE_MS,
});

export const plans = queryOptions({
  queryKey: ["plans"],
  queryFn: async () => (await result(api.GET("/api/plans"))).items,
  staleTime: 60_000,
});

export const transactions = (query: TransactionQuery) =>
  queryOptions({
    queryKey: ["transactions", query],
    queryFn: () => result(api.GET("/api/billing/transactions", { params: { query } })),
    placeholderData: keepPreviousData,
  });

/** Adds credit. `idempotencyKey` is made once for each decision of the user, so that a second click books nothing. */
export function useTopUp() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ amountUsd, idempotencyKey }: { amountUsd: string; idempotencyKey: string }) =>
      result(
        api.POST("/api/billing/topup", {
          body: { amount_usd: amountUsd },
          params: { header: { "idempotency-key": idempotencyKey } },
        }),
      ),
    onSuccess: (account) => {
      client.setQueryData(balance.queryKey, account);
      void client.invalidateQueries({ queryKey: ["transactions"] });
    },
  });
}
