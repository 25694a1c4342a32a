/** API keys. */

import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, result, type Schemas } from "./client";

export type Key = Schemas["Key"];
export type NewKey = Schemas["NewKey"];
export type KeyChange = Schemas["KeyChange"];

/** All keys that are not deleted, newest first (200 at most). */
export const keys = queryOptions({
  queryKey: ["keys"],
  queryFn: async () => (await result(api.GET("/api/keys", { params: { query: { limit: 200 } } }))).items,
  refetchInterval: 15_000,
});

export function useCreateKey() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: NewKey) => result(api.POST("/api/keys", { body })),
    onSuccess: () => void client.invalidateQueries({ queryKey: keys.queryKey }),
  });
}

export function useChangeKey() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ id, ...body }: KeyChange & { id: string }) =>
      result(api.PATCH("/api/keys/{key_id}", { params: { path: { key_id: id } }, body })),
    onSuccess: () => void client.invalidateQueries({ queryKey: keys.queryKey }),
  });
}

export function useDeleteKey() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => result(api.DELETE("/api/keys/{key_id}", { params: { path: { key_id: id } } })),
    onSuccess: () => void client.invalidateQueries({ queryKey: keys.queryKey }),
  });
}
