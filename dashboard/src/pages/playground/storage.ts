/** Keeps the last conversation and its settings for this tab, and for the user whose it is. */

import { asLeft, type Turn } from "./conversation";
import { DEFAULTS, type Parameters } from "./request";

/** What is set beside the conversation; empty or null: not chosen. */
export interface Setup {
  keyId: string;
  model: string;
  /** The model that answers beside it. */
  beside: string | null;
  system: string;
  parameters: Parameters;
}

export interface Kept {
  setup: Setup;
  turns: Turn[];
}

// Another shape gets another name: nothing is read that another release wrote.
const PREFIX = "privaterouter.playground.1.";

export const FRESH: Kept = {
  setup: { keyId: "", model: "", beside: null, system: "", parameters: DEFAULTS },
  turns: [],
};

/** What the user left here. Others' conversations are no business of theirs, and are dropped. */
export function load(userId: string, storage: Storage = sessionStorage): Kept {
  for (const name of Object.keys(storage)) {
    if (name.startsWith(PREFIX) && name !== PREFIX + userId) storage.removeItem(name);
  }
  try {
    const kept = JSON.parse(storage.getItem(PREFIX + userId) ?? "null") as Kept | null;
    return kept ? { setup: { ...FRESH.setup, ...kept.setup }, turns: asLeft(kept.turns) } : FRESH;
  } catch {
    return FRESH;
  }
}

/** Does nothing where the browser has no room, or gives none. */
export function save(userId: string, kept: Kept, storage: Storage = sessionStorage): void {
  try {
    storage.setItem(PREFIX + userId, JSON.stringify(kept));
  } catch {
    storage.removeItem(PREFIX + userId);
  }
}
