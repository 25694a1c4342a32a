import { expect, test } from "vitest";
import type { Upstream } from "@/api/adminUpstreams";
import { fieldsOf, toBody, validateUpstream } from "./upstreamFields";

const UPSTREAM = {
  name: "ollama-2",
  kind: "litellm",
  base_url: "http://ollama-2:11434",
  has_credential: true,
  virtual_keys: true,
  max_in_flight: 8,
  max_queued: null,
  dialects: ["messages"],
} as Upstream;

test("a credential is only sent where one was typed or is to go", () => {
  const fields = fieldsOf(UPSTREAM);
  expect(toBody(fields)).not.toHaveProperty("credential");
  expect(toBody({ ...fields, credential: "secret" }).credential).toBe("secret");
  expect(toBody({ ...fields, dropsCredential: true }).credential).toBe(null);
});

test("the rest is sent as a whole, for it replaces what was there", () => {
  expect(toBody(fieldsOf(UPSTREAM))).toEqual({
    kind: "litellm",
    base_url: "http://ollama-2:11434",
    virtual_keys: true,
    max_in_flight: 8,
    max_queued: null,
    dialects: ["messages"],
    reason: "",
  });
});

test("an upstream needs a name and an address", () => {
  expect(Object.keys(validateUpstream({ ...fieldsOf(null), base_url: "ollama" })).toSorted()).toEqual([
    "base_url",
    "name",
  ]);
});
