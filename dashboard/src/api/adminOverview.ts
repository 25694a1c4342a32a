/** How the whole installation is doing, for its operators. */

import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { api, result, type Schemas } from "./client";

export type Overview = Schemas["Overview"];
export type Days = 1 | 7 | 30 | 90;

export const overview = (days: Days) =>
  queryOptions({
    queryKey: ["admin", "overview", days],
    queryFn: () => result(api.GET("/api/admin/overview", { params: { query: { days: `${days}` as const } } })),
    placeholderData: keepPreviousData,
    refetchInterval: 15_000,
  });
