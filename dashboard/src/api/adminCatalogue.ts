/** Models, their prices, and plans, as operators configure them. */

import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { plans } from "./account";
import { models } from "./catalogue";
import { api, result, type Schemas } from "./client";

export type ConfiguredModel = Schemas["ConfiguredModel"];
export type NewModel = Schemas["NewModel"];
export type NewPrices = Schemas["NewPrices"];
export type PriceVersion = Schemas["PriceVersion"];
export type ListedPrice = Schemas["ListedPrice"];
export type Estimate = Schemas["Estimate"];
export type Plan = Schemas["Plan"];
// A change is any of the fields; the document's defaults are those of a new model.
export type ModelChange = Partial<Schemas["ModelChange"]>;
export type PlanChange = Partial<Schemas["PlanSettings"]>;

export const adminModels = queryOptions({
  queryKey: ["admin", "models"],
  queryFn: async () => (await result(api.GET("/api/admin/models"))).items,
});

export const adminPlans = queryOptions({
  queryKey: ["admin", "plans"],
  queryFn: async () => (await result(api.GET("/api/admin/plans"))).items,
});

export const prices = (model: string, query: { limit: number; offset: number }) =>
  queryOptions({
    queryKey: ["admin", "prices", model, query],
    queryFn: () => result(api.GET("/api/admin/prices", { params: { query: { model, ...query } } })),
  });

/** Asks anew for all that shows the catalogue. */
function useRefresh() {
  const client = useQueryClient();
  return (): void => {
    for (const list of ["models", "plans", "prices", "audit"]) {
      void client.invalidateQueries({ queryKey: ["admin", list] });
    }
    void client.invalidateQueries({ queryKey: models.queryKey });
    void client.invalidateQueries({ queryKey: plans.queryKey });
  };
}

export function useAddModel() {
  const refresh = useRefresh();
  return useMutation({
    mutationFn: (body: NewModel) => result(api.POST("/api/admin/models", { body })),
    onSuccess: refresh,
  });
}

export function useChangeModel() {
  const refresh = useRefresh();
  return useMutation({
    mutationFn: ({ name, body }: { name: string; body: ModelChange }) =>
      result(
        api.PATCH("/api/admin/models/{name}", {
          params: { path: { name } },
          body: body as Schemas["ModelChange"],
        }),
      ),
    onSuccess: refresh,
  });
}

export function usePreviewPrices() {
  return useMutation({
    mutationFn: (body: Schemas["PricesToTry"]) => result(api.POST("/api/admin/prices/preview", { body })),
  });
}

export function useSetPrices() {
  const refresh = useRefresh();
  return useMutation({
    mutationFn: (body: Schemas["PriceChange"]) => result(api.POST("/api/admin/prices", { body })),
    onSuccess: refresh,
  });
}

export function useSetPlan() {
  const refresh = useRefresh();
  return useMutation({
    mutationFn: ({ name, body }: { name: string; body: PlanChange }) =>
      result(
        api.PATCH("/api/admin/plans/{name}", { params: { path: { name } }, body: body as Schemas["PlanSettings"] }),
      ),
    onSuccess: refresh,
  });
}
