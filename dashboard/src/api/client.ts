/** Calls of `/api`, typed by its OpenAPI document. The session is the cookie that log-in sets. */

import createClient, { type Middleware } from "openapi-fetch";
import { connected } from "./connection";
import { errorOf, unreachable } from "./errors";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];

const asJson: Middleware = {
  onRequest({ request }) {
    // Also where there is no body: it tells the server that this is no form of another site.
    if (request.method !== "GET") request.headers.set("content-type", "application/json");
    return request;
  },
};

/** `fetch` that says in the banner when nobody answers. ApiError `unreachable`. */
export async function reach(input: Request | string, init?: RequestInit): Promise<Response> {
  try {
    const response = await fetch(input, init);
    connected.set(response.status !== 502 && response.status !== 504);
    return response;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    connected.set(false);
    throw unreachable();
  }
}

/** `api.GET("/api/usage", {params: {query: {limit: 20}}})`; hand what it gives to `result`. */
export const api = createClient<paths>({ baseUrl: globalThis.location?.origin ?? "", fetch: reach });
api.use(asJson);

/** The answer's body. ApiError. */
export async function result<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await call;
  if (!response.ok) throw errorOf(error, response);
  return data as T;
}
