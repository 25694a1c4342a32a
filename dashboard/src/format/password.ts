/** What is wrong with a password, told while it is typed. The server has the last word, and a longer list. */

export const MIN_PASSWORD = 8;
export const MAX_PASSWORD = 128;

const OBVIOUS =
  /^[\W\d_]{0,5}(pass(word)?|letmein|welcome|admin|login|secret|qwert[yz]?|iloveyou|dragon|monkey)[\W\d_]{0,5}$/;
const REPEATED = /^(.{1,4}?)\1+.{0,3}$/su;
const RUNS = ["01234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm"];

/** Why this password would be refused; null where nothing is known against it. */
export function passwordProblem(password: string): string | null {
  const length = [...password].length;
  if (length < MIN_PASSWORD) return `Use at least ${MIN_PASSWORD} characters; ${MIN_PASSWORD - length} more to go.`;
  if (length > MAX_PASSWORD) return `Use at most ${MAX_PASSWORD} characters.`;
  const text = password.toLowerCase();
  if (OBVIOUS.test(text) || REPEATED.test(text) || RUNS.some((run) => run.includes(text)))
    return "This is one of the first passwords that anybody would guess. Use one that others don't.";
  return null;
}
