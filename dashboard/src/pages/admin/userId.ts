/** Whom a filter means: operators know e-mails, the API asks for ids. */

import { useQuery } from "@tanstack/react-query";
import { userByEmail } from "@/api/adminUsers";

interface Who {
  /** Empty: everybody. */
  id: string;
  /** Whether `id` is right already, so that it can be asked with. */
  isKnown: boolean;
  /** Why there is no such user. */
  error: string | null;
}

/** The id of the user with this e-mail; any other text is an id itself. */
export function useUserId(text: string): Who {
  const isEmail = text.includes("@");
  const found = useQuery({ ...userByEmail(text), enabled: isEmail });
  if (!isEmail) return { id: text, isKnown: true, error: null };
  const error = found.data === null ? "No user has exactly this e-mail." : null;
  return { id: found.data ?? "", isKnown: Boolean(found.data), error };
}
