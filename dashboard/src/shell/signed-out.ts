/** Whether the session ended while somebody was at work: the page stays, and asks for the password over it. */

let isOver = false;
const listeners = new Set<() => void>();

function set(over: boolean): void {
  if (over === isOver) return;
  isOver = over;
  for (const listener of listeners) listener();
}

export function noteSignedOut(): void {
  set(true);
}

export function noteSignedIn(): void {
  set(false);
}

export function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function isSignedOut(): boolean {
  return isOver;
}
