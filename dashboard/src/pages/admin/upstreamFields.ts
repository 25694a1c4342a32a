/** An upstream as its form has it, and as the API takes it. The fields have the API's names. */

import type { NewUpstream, Upstream } from "@/api/adminUpstreams";
import type { Count } from "./modelFields";

export interface UpstreamFields {
  name: string;
  kind: NewUpstream["kind"];
  base_url: string;
  /** Empty: the one that is stored stays. It is never read. */
  credential: string;
  dropsCredential: boolean;
  virtual_keys: boolean;
  max_in_flight: Count;
  max_queued: Count;
  dialects: string[];
  reason: string;
}

export function fieldsOf(upstream: Upstream | null): UpstreamFields {
  return {
    name: upstream?.name ?? "",
    kind: (upstream?.kind ?? "ollama") as NewUpstream["kind"],
    base_url: upstream?.base_url ?? "",
    credential: "",
    dropsCredential: false,
    virtual_keys: upstream?.virtual_keys ?? false,
    max_in_flight: upstream?.max_in_flight ?? "",
    max_queued: upstream?.max_queued ?? "",
    dialects: upstream?.dialects ?? [],
    reason: "",
  };
}

export function toBody(fields: UpstreamFields): NewUpstream {
  return {
    kind: fields.kind,
    base_url: fields.base_url.trim(),
    ...(fields.credential && { credential: fields.credential }),
    ...(fields.dropsCredential && { credential: null }),
    virtual_keys: fields.kind === "litellm" && fields.virtual_keys,
    max_in_flight: fields.max_in_flight || null,
    max_queued: fields.max_queued || null,
    dialects: fields.dialects as NonNullable<NewUpstream["dialects"]>,
    reason: fields.reason.trim(),
  };
}

export function validateUpstream(fields: UpstreamFields): Partial<Record<keyof UpstreamFields, string>> {
  return {
    ...(!fields.name.trim() && { name: "Give it a name, which routes of models use." }),
    ...(!/^https?:\/\/\S+$/.test(fields.base_url.trim()) && {
      base_url: "Give an address such as http://ollama:11434.",
    }),
  };
}
