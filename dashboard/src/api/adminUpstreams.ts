/** The servers behind the gateway: how they do, and how they are set up. */

import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, result, type Schemas } from "./client";

export type Upstream = Schemas["Upstream"];
export type NewUpstream = Schemas["NewUpstream"];

export const upstreams = queryOptions({
  queryKey: ["admin", "upstreams"],
  queryFn: async () => (await result(api.GET("/api/admin/upstreams"))).items,
  refetchInterval: 3_000,
});

/** Adds an upstream, or puts this one in the place of the one of its name. */
export function useSetUpstream() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ name, body }: { name: string; body: NewUpstream }) =>
      result(api.PUT("/api/admin/upstreams/{name}", { params: { path: { name } }, body })),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: upstreams.queryKey });
      void client.invalidateQueries({ queryKey: ["admin", "audit"] });
    },
  });
}
