/** The cache of what the server said, and when it is asked again. */

import { MutationCache, QueryCache, QueryClient } from "@tanstack/react-query";
import { ApiError } from "./errors";

/** How often what changes by itself (balance, latest calls) is asked for while the page is seen. */
export const LIVE_MS = 4_000;

/** `onSignedOut` is called when an answer says that the session is over. */
export function makeQueryClient(onSignedOut: () => void): QueryClient {
  const onError = (error: unknown): void => {
    if (error instanceof ApiError && error.code === "invalid_session") onSignedOut();
  };
  return new QueryClient({
    queryCache: new QueryCache({ onError }),
    mutationCache: new MutationCache({ onError }),
    defaultOptions: {
      queries: {
        staleTime: 2_000,
        retry: (failures, error) => failures < 3 && (!(error instanceof ApiError) || error.isPassing),
        retryDelay: (failures) => Math.min(500 * 2 ** failures, 4_000),
        // The browser's own idea of being offline does not know loopback.
        networkMode: "always",
      },
      mutations: { networkMode: "always" },
    },
  });
}
