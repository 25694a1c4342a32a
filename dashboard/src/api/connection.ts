/** Whether the server answers, for the banner. */

let isUp = true;
const listeners = new Set<() => void>();

/** Notes what the last call came to. */
export function noteConnection(up: boolean): void {
  if (up === isUp) return;
  isUp = up;
  for (const listener of listeners) listener();
}

export function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function isConnected(): boolean {
  return isUp;
}
