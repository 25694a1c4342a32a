/** A model as its form has it, and as the API takes it. The fields have the API's names. */

import type { ConfiguredModel, ModelChange, NewModel, NewPrices, PriceVersion } from "@/api/adminCatalogue";
import { amountError, optionalAmountError } from "./amounts";

/** A number as an input has it; empty: none. */
export type Count = number | "";

export interface RouteFields {
  /** Of the form's own, so that rows keep their inputs when one above them goes. */
  key: string;
  upstream_name: string;
  upstream_model: string;
  weight: Count;
  position: Count;
  connect_timeout_ms: Count;
  first_byte_timeout_ms: Count;
  idle_timeout_ms: Count;
  total_timeout_ms: Count;
}

export interface PriceFields {
  input_usd_per_mtok: string;
  cached_input_usd_per_mtok: string;
  cache_write_input_usd_per_mtok: string;
  output_usd_per_mtok: string;
}

export interface ModelFields {
  public_name: string;
  kind: ConfiguredModel["kind"];
  isVisible: boolean;
  upstream_model: string;
  family: string;
  context_tokens: Count;
  max_output_tokens: Count;
  dimensions: Count;
  template_tokens: Count;
  tools_tokens: Count;
  image_tokens: Count;
  sticky: "" | "prompt_prefix" | "user";
  fallback_models: string[];
  routes: RouteFields[];
  prices: PriceFields;
  reason: string;
}

export function newRoute(upstream: string): RouteFields {
  return {
    key: crypto.randomUUID(),
    upstream_name: upstream,
    upstream_model: "",
    weight: 1,
    position: 0,
    connect_timeout_ms: "",
    first_byte_timeout_ms: "",
    idle_timeout_ms: "",
    total_timeout_ms: "",
  };
}

export function priceFieldsOf(prices: PriceVersion | null): PriceFields {
  return {
    input_usd_per_mtok: trimmed(prices?.input_usd_per_mtok),
    cached_input_usd_per_mtok: trimmed(prices?.cached_input_usd_per_mtok),
    cache_write_input_usd_per_mtok: trimmed(prices?.cache_write_input_usd_per_mtok),
    output_usd_per_mtok: trimmed(prices?.output_usd_per_mtok),
  };
}

/** The form of a model, or of a new one that is served by the upstream of this name. */
export function fieldsOf(model: ConfiguredModel | null, upstream: string): ModelFields {
  return {
    public_name: model?.public_name ?? "",
    kind: model?.kind ?? "chat",
    isVisible: model?.status !== "disabled",
    upstream_model: model?.upstream_model ?? "",
    family: model?.family ?? "",
    context_tokens: model?.context_tokens ?? "",
    max_output_tokens: model?.max_output_tokens ?? "",
    dimensions: model?.dimensions ?? "",
    template_tokens: model?.template_tokens ?? "",
    tools_tokens: model?.tools_tokens ?? "",
    image_tokens: model?.image_tokens ?? "",
    sticky: model?.sticky ?? "",
    fallback_models: model?.fallback_models ?? [],
    routes: model
      ? model.routes.map((route) => ({
          ...newRoute(route.upstream_name),
          upstream_model: route.upstream_model,
          weight: route.weight ?? 1,
          position: route.position ?? 0,
          connect_timeout_ms: route.connect_timeout_ms ?? "",
          first_byte_timeout_ms: route.first_byte_timeout_ms ?? "",
          idle_timeout_ms: route.idle_timeout_ms ?? "",
          total_timeout_ms: route.total_timeout_ms ?? "",
        }))
      : [newRoute(upstream)],
    prices: priceFieldsOf(model?.prices ?? null),
    reason: "",
  };
}

export function toPrices(fields: PriceFields): NewPrices {
  return {
    input_usd_per_mtok: fields.input_usd_per_mtok.trim(),
    cached_input_usd_per_mtok: fields.cached_input_usd_per_mtok.trim() || null,
    cache_write_input_usd_per_mtok: fields.cache_write_input_usd_per_mtok.trim() || null,
    output_usd_per_mtok: fields.output_usd_per_mtok.trim(),
  };
}

/** What the API takes. What is left empty is not sent: it has its default there. */
function settingsOf(fields: ModelFields): ModelChange {
  return {
    status: fields.isVisible ? "active" : "disabled",
    family: fields.family.trim(),
    fallback_models: fields.fallback_models,
    sticky: fields.sticky || null,
    dimensions: fields.dimensions || null,
    ...(fields.upstream_model.trim() && { upstream_model: fields.upstream_model.trim() }),
    ...(fields.context_tokens !== "" && { context_tokens: fields.context_tokens }),
    ...(fields.max_output_tokens !== "" && { max_output_tokens: fields.max_output_tokens }),
    ...(fields.template_tokens !== "" && { template_tokens: fields.template_tokens }),
    ...(fields.tools_tokens !== "" && { tools_tokens: fields.tools_tokens }),
    ...(fields.image_tokens !== "" && { image_tokens: fields.image_tokens }),
    routes: fields.routes.map((route) => ({
      upstream_name: route.upstream_name,
      upstream_model: route.upstream_model.trim(),
      weight: route.weight || 1,
      position: route.position || 0,
      connect_timeout_ms: route.connect_timeout_ms || null,
      first_byte_timeout_ms: route.first_byte_timeout_ms || null,
      idle_timeout_ms: route.idle_timeout_ms || null,
      total_timeout_ms: route.total_timeout_ms || null,
    })),
  };
}

export function toNewModel(fields: ModelFields): NewModel {
  return {
    ...settingsOf(fields),
    public_name: fields.public_name.trim(),
    kind: fields.kind,
    prices: toPrices(fields.prices),
    reason: fields.reason.trim(),
  } as NewModel;
}

/** Only what is another one than it was, so that nothing goes over what somebody else changes meanwhile. */
export function toModelChange(fields: ModelFields, before: ConfiguredModel): ModelChange {
  const old = settingsOf(fieldsOf(before, ""));
  const changed = Object.entries(settingsOf(fields)).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(old[name as keyof ModelChange]),
  );
  return Object.fromEntries(changed) as ModelChange;
}

/** What is wrong with prices, by the path of its input. */
export function priceErrors(fields: PriceFields): Record<string, string> {
  const found = {
    "prices.input_usd_per_mtok": amountError(fields.input_usd_per_mtok),
    "prices.cached_input_usd_per_mtok": optionalAmountError(fields.cached_input_usd_per_mtok),
    "prices.cache_write_input_usd_per_mtok": optionalAmountError(fields.cache_write_input_usd_per_mtok),
    "prices.output_usd_per_mtok": amountError(fields.output_usd_per_mtok),
  };
  const errors: Record<string, string> = {};
  for (const [path, error] of Object.entries(found)) if (error) errors[path] = error;
  return errors;
}

/** What is wrong, by the path of its input. */
export function validateModel(fields: ModelFields, isNew: boolean): Record<string, string> {
  const errors: Record<string, string> = {};
  if (!fields.public_name.trim()) errors["public_name"] = "Give it the name that callers use.";
  if (fields.context_tokens === "") errors["context_tokens"] = "Say how many tokens it takes.";
  fields.routes.forEach((route, index) => {
    if (!route.upstream_name) errors[`routes.${index}.upstream_name`] = "Choose an upstream.";
    if (!route.upstream_model.trim()) errors[`routes.${index}.upstream_model`] = "Give the model’s name there.";
  });
  return isNew ? { ...errors, ...priceErrors(fields.prices) } : errors;
}

/** `0.120000` as one types it: `0.12`. */
function trimmed(usd: string | null | undefined): string {
  if (!usd) return "";
  return usd.includes(".") ? usd.replace(/0+$/, "").replace(/\.$/, "") : usd;
}
