import { expect, test } from "vitest";
import type { ConfiguredModel } from "@/api/adminCatalogue";
import { fieldsOf, newRoute, priceFieldsOf, toModelChange, toNewModel, toPrices, validateModel } from "./modelFields";

const ROUTE = {
  upstream_name: "default",
  upstream_model: "gemma4:latest",
  weight: 2,
  position: 1,
  connect_timeout_ms: null,
  first_byte_timeout_ms: 5000,
  idle_timeout_ms: null,
  total_timeout_ms: null,
};

const MODEL: ConfiguredModel = {
  id: "1",
  public_name: "privaterouter/fast",
  upstream_model: "gemma4:latest",
  family: "gemma",
  kind: "chat",
  status: "active",
  context_tokens: 8192,
  max_output_tokens: 4096,
  dimensions: null,
  template_tokens: 128,
  tools_tokens: 1024,
  image_tokens: 0,
  sticky: null,
  fallback_models: [],
  routes: [ROUTE],
  prices: {
    version_id: "2",
    input_usd_per_mtok: "0.100000",
    cached_input_usd_per_mtok: null,
    cache_write_input_usd_per_mtok: null,
    output_usd_per_mtok: "30.000000",
    effective_at: "2026-11-28T00:00:00Z",
  },
  created_at: "2026-11-28T00:00:00Z",
};

test("a form that was not touched changes nothing", () => {
  expect(toModelChange(fieldsOf(MODEL, ""), MODEL)).toEqual({});
});

test("only what was changed is sent, and routes as a whole with their time limits", () => {
  const fields = fieldsOf(MODEL, "");
  fields.isVisible = false;
  fields.routes.push({ ...newRoute("spare"), upstream_model: "gemma4" });
  expect(toModelChange(fields, MODEL)).toEqual({
    status: "disabled",
    routes: [
      ROUTE,
      {
        upstream_name: "spare",
        upstream_model: "gemma4",
        weight: 1,
        position: 0,
        connect_timeout_ms: null,
        first_byte_timeout_ms: null,
        idle_timeout_ms: null,
        total_timeout_ms: null,
      },
    ],
  });
});

test("prices are typed without the zeros at their ends, and an empty one is as input", () => {
  const prices = priceFieldsOf(MODEL.prices);
  expect(prices).toMatchObject({ input_usd_per_mtok: "0.1", output_usd_per_mtok: "30" });
  expect(toPrices(prices).cached_input_usd_per_mtok).toBe(null);
});

test("what a new model leaves empty has its default at the server", () => {
  const fields = fieldsOf(null, "default");
  expect(Object.keys(validateModel(fields, true)).toSorted()).toEqual([
    "context_tokens",
    "prices.input_usd_per_mtok",
    "prices.output_usd_per_mtok",
    "public_name",
    "routes.0.upstream_model",
  ]);
  const body = toNewModel({ ...fields, public_name: " small ", context_tokens: 100 });
  expect(body).toMatchObject({ public_name: "small", kind: "chat", context_tokens: 100 });
  expect(body).not.toHaveProperty("max_output_tokens");
  expect(body).not.toHaveProperty("upstream_model");
});
