/** Who is signed in. */

import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { api, result, type Schemas } from "./client";
import { ApiError } from "./errors";

export type User = Schemas["User"];

/** The user of this browser's session; null where there is none. */
export const me = queryOptions({
  queryKey: ["me"],
  queryFn: async (): Promise<User | null> => {
    try {
      return await result(api.GET("/api/auth/me"));
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return null;
      throw error;
    }
  },
  staleTime: 60_000,
});

/** The signed-in user; pages behind the guard always have one. */
export function useUser(): User {
  const user = useQuery(me).data;
  if (!user) throw new Error("nobody is signed in");
  return user;
}

/** Logs in, and forgets what was cached for whoever was here before. */
export function useLogIn() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: Schemas["Credentials"]) => result(api.POST("/api/auth/login", { body })),
    onSuccess: ({ user }) => {
      const before = client.getQueryData(me.queryKey);
      if (before && before.id !== user.id) client.clear();
      client.setQueryData(me.queryKey, user);
    },
  });
}

export function useSignUp() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: Schemas["SignUp"]) => result(api.POST("/api/auth/signup", { body })),
    onSuccess: ({ user }) => {
      client.clear();
      client.setQueryData(me.queryKey, user);
    },
  });
}

/** Logs out and loads the page anew, so that nothing of this user stays in its memory. */
export function useLogOut() {
  return useMutation({
    mutationFn: async () => {
      try {
        await result(api.POST("/api/auth/logout"));
      } catch (error) {
        // The session was over already.
        if (!(error instanceof ApiError && error.status === 401)) throw error;
      }
    },
    onSuccess: () => location.assign("/login"),
  });
}
