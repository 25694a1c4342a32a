/** The models and what they cost. */

import { queryOptions } from "@tanstack/react-query";
import { api, result, type Schemas } from "./client";

export type Model = Schemas["Model"];
export type Plan = Schemas["Plan"];

export const models = queryOptions({
  queryKey: ["models"],
  queryFn: async () => (await result(api.GET("/api/models"))).items,
  staleTime: 60_000,
});
