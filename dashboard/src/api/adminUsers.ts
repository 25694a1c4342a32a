/** Users as operators see them: who they are, what they have, what they did; and what is done about them. */

import { keepPreviousData, queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { balance, type TransactionQuery } from "./account";
import { api, result, type Schemas } from "./client";
import { LIVE_MS } from "./query";
import type { paths } from "./schema";
import type { SummaryQuery, UsageQuery } from "./usage";

export type AdminUser = Schemas["UserWithAccount"];
export type UserQuery = NonNullable<paths["/api/admin/users"]["get"]["parameters"]["query"]>;

export const users = (query: UserQuery) =>
  queryOptions({
    queryKey: ["admin", "users", query],
    queryFn: () => result(api.GET("/api/admin/users", { params: { query } })),
    placeholderData: keepPreviousData,
  });

export const user = (id: string) =>
  queryOptions({
    queryKey: ["admin", "user", id],
    queryFn: () => result(api.GET("/api/admin/users/{user_id}", { params: { path: { user_id: id } } })),
    refetchInterval: LIVE_MS,
  });

export const userKeys = (id: string, query: { limit: number; offset: number }) =>
  queryOptions({
    queryKey: ["admin", "user", id, "keys", query],
    queryFn: () => result(api.GET("/api/admin/users/{user_id}/keys", { params: { path: { user_id: id }, query } })),
    placeholderData: keepPreviousData,
  });

export const userUsage = (id: string, query: UsageQuery) =>
  queryOptions({
    queryKey: ["admin", "user", id, "usage", query],
    queryFn: () => result(api.GET("/api/admin/users/{user_id}/usage", { params: { path: { user_id: id }, query } })),
    placeholderData: keepPreviousData,
    refetchInterval: LIVE_MS,
  });

export const userSummary = (id: string, query: SummaryQuery) =>
  queryOptions({
    queryKey: ["admin", "user", id, "summary", query],
    queryFn: () =>
      result(api.GET("/api/admin/users/{user_id}/usage/summary", { params: { path: { user_id: id }, query } })),
    placeholderData: keepPreviousData,
  });

export const userTransactions = (id: string, query: TransactionQuery) =>
  queryOptions({
    queryKey: ["admin", "user", id, "transactions", query],
    queryFn: () =>
      result(api.GET("/api/admin/users/{user_id}/transactions", { params: { path: { user_id: id }, query } })),
    placeholderData: keepPreviousData,
  });

/** The id of the user with this e-mail; null where there is none. */
export const userByEmail = (email: string) =>
  queryOptions({
    queryKey: ["admin", "user-by-email", email],
    queryFn: async () =>
      (await result(api.GET("/api/admin/users", { params: { query: { email, limit: 1 } } }))).items[0]?.id ?? null,
    staleTime: 60_000,
  });

/** Asks for everything about this user anew, and for what shows it elsewhere. */
function useRefresh(id: string) {
  const client = useQueryClient();
  return (): void => {
    void client.invalidateQueries({ queryKey: ["admin", "user", id] });
    for (const list of ["users", "ledger", "audit", "overview"]) {
      void client.invalidateQueries({ queryKey: ["admin", list] });
    }
    // The operator may be this user.
    void client.invalidateQueries({ queryKey: balance.queryKey });
  };
}

/** Shows the account as an answer has it, before it is asked for again. */
function useShowAccount(id: string) {
  const client = useQueryClient();
  return (account: Schemas["Account"]): void => {
    client.setQueryData(user(id).queryKey, (known) => known && { ...known, account });
  };
}

export function useChangeUser(id: string) {
  const client = useQueryClient();
  const refresh = useRefresh(id);
  return useMutation({
    mutationFn: (body: Schemas["UserChange"]) =>
      result(api.PATCH("/api/admin/users/{user_id}", { params: { path: { user_id: id } }, body })),
    onSuccess: (changed) => {
      client.setQueryData(user(id).queryKey, changed);
      refresh();
    },
  });
}

export function useChangePlan(id: string) {
  const show = useShowAccount(id);
  const refresh = useRefresh(id);
  return useMutation({
    mutationFn: (body: Schemas["PlanChange"]) =>
      result(api.POST("/api/admin/users/{user_id}/plan", { params: { path: { user_id: id } }, body })),
    onSuccess: ({ account }) => {
      show(account);
      refresh();
    },
  });
}

/** Adds credit or takes some. `idempotencyKey` is made once for each decision, so that a second click books nothing. */
export function useAdjustCredit(id: string) {
  const show = useShowAccount(id);
  const refresh = useRefresh(id);
  return useMutation({
    mutationFn: ({ idempotencyKey, ...body }: Schemas["Credit"] & { idempotencyKey: string }) =>
      result(
        api.POST("/api/admin/users/{user_id}/credits", {
          params: { path: { user_id: id }, header: { "idempotency-key": idempotencyKey } },
          body,
        }),
      ),
    onSuccess: ({ account }) => {
      show(account);
      refresh();
    },
  });
}
