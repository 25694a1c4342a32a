/** Chat completions as one of the user's keys, and what they were charged. */

import { queryOptions } from "@tanstack/react-query";
import { reach } from "./client";
import { ApiError, errorOf } from "./errors";
import { usageEvent } from "./usage";

/** Where a stream is, and under which request it will be found in the usage log. */
export interface Reply {
  requestId: string | null;
  body: ReadableStream<Uint8Array>;
}

/** Asks for a streamed chat completion. ApiError; DOMException `AbortError` where `signal` says so. */
export async function ask(keyId: string, request: object, signal: AbortSignal): Promise<Reply> {
  const response = await reach(`/api/playground/chat/completions?key_id=${encodeURIComponent(keyId)}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request),
    signal,
  });
  if (!response.ok) throw errorOf(await response.json().catch(() => null), response);
  if (!response.body) throw errorOf(null, response);
  return { requestId: response.headers.get("x-request-id"), body: response.body };
}

/** What a call that has ended came to. It is written a moment after the end, so it is asked for until it is there. */
export const charge = (requestId: string) =>
  queryOptions({
    ...usageEvent(requestId),
    staleTime: Infinity,
    gcTime: Infinity,
    retry: (failures, error) =>
      failures < 25 && error instanceof ApiError && (error.code === "usage_not_found" || error.isPassing),
    retryDelay: (failures) => Math.min(200 + 100 * failures, 2_000),
  });
