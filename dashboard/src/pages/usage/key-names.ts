/** Names of API keys, also of those that are gone. */

import { useQuery } from "@tanstack/react-query";
import { keys } from "@/api/keys";

/** Gives a key's name. A deleted key has none any more, and is known by the end of its id. */
export function useKeyName(): (id: string) => string {
  const { data } = useQuery(keys);
  if (data === undefined) return () => "…";
  const names = new Map(data.map((key) => [key.id, key.name || key.key_prefix]));
  return (id) => names.get(id) ?? `Deleted key …${id.slice(-6)}`;
}
