/** Whether the session ended while somebody was at work: the page stays, and asks for the password over it. */

import { makeFlag } from "@/api/flag";

export const signedOut = makeFlag(false);

export function noteSignedOut(): void {
  signedOut.set(true);
}

export function noteSignedIn(): void {
  signedOut.set(false);
}
