/** Who is signed in, and what they change about themselves. */

import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { api, result, type Schemas } from "./client";
import { ApiError } from "./errors";

export type User = Schemas["User"];
export type OpenSession = Schemas["OpenSession"];

/** The user of this browser's session; null where there is none. */
export const me = queryOptions({
  queryKey: ["me"],
  queryFn: async ({ client, queryKey }): Promise<User | null> => {
    try {
      return await result(api.GET("/api/auth/me"));
    } catch (error) {
      // Where somebody was signed in, the page stays as it is and asks for the password.
      if (error instanceof ApiError && error.status === 401 && !client.getQueryData(queryKey)) return null;
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
    onSuccess: () => {
      // What the tab remembers, such as the playground's conversation, is nobody else's.
      sessionStorage.clear();
      location.assign("/login");
    },
  });
}

/** Where the user is logged in, newest first (100 at most). */
export const sessions = queryOptions({
  queryKey: ["sessions"],
  queryFn: async () => (await result(api.GET("/api/auth/sessions", { params: { query: { limit: 100 } } }))).items,
});

export function useEndSession() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) =>
      result(api.DELETE("/api/auth/sessions/{session_id}", { params: { path: { session_id: id } } })),
    onSettled: () => void client.invalidateQueries({ queryKey: sessions.queryKey }),
  });
}

export function useEndOtherSessions() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: () => result(api.DELETE("/api/auth/sessions")),
    onSettled: () => void client.invalidateQueries({ queryKey: sessions.queryKey }),
  });
}

export function useRename() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (name: string) => result(api.PATCH("/api/auth/me", { body: { name } })),
    onSuccess: (user) => client.setQueryData(me.queryKey, user),
  });
}

/** Changes the password, which ends all other sessions. */
export function useChangePassword() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: Schemas["PasswordChange"]) => result(api.POST("/api/auth/password", { body })),
    onSuccess: () => void client.invalidateQueries({ queryKey: sessions.queryKey }),
  });
}
