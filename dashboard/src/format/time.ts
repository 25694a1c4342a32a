/** Times as the API gives them (UTC, RFC 3339), shown in the viewer's zone. */

const SHORT: Intl.DateTimeFormatOptions = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" };
const EXACT: Intl.DateTimeFormatOptions = { ...SHORT, year: "numeric", second: "2-digit" };

/** `Nov 28, 14:03`, with the year where it is not this one. */
export function formatTime(time: string, { now = new Date(), zone }: { now?: Date; zone?: string } = {}): string {
  const moment = new Date(time);
  const options = moment.getUTCFullYear() === now.getUTCFullYear() ? SHORT : { ...SHORT, year: "numeric" as const };
  return new Intl.DateTimeFormat("en-US", withZone({ ...options, hour12: false }, zone)).format(moment);
}

/** `Nov 28, 2026, 14:03:05`. */
export function formatExactly(time: string, zone?: string): string {
  return new Intl.DateTimeFormat("en-US", withZone({ ...EXACT, hour12: false }, zone)).format(new Date(time));
}

/** `2026-11-28 13:03:05 UTC`. */
export function formatUtc(time: string): string {
  return `${new Date(time).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** Whether it is over; never, where there is no time. */
export function isPast(time: string | null, now: Date = new Date()): boolean {
  return time !== null && new Date(time) <= now;
}

const STEPS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
] as const;

/** `3 minutes ago`; older than a month, the time itself. */
export function formatAge(time: string, now: Date = new Date()): string {
  const seconds = Math.round((now.getTime() - new Date(time).getTime()) / 1000);
  if (Math.abs(seconds) > 30 * 86_400) return formatTime(time, { now });
  const words = new Intl.RelativeTimeFormat("en-US", { numeric: "auto" });
  for (const [unit, length] of STEPS) {
    if (Math.abs(seconds) >= length) return words.format(-Math.round(seconds / length), unit);
  }
  return Math.abs(seconds) < 5 ? "just now" : words.format(-seconds, "second");
}

/** `Nov 28`, of a UTC day such as 2026-11-28. */
export function formatDay(day: string): string {
  return new Intl.DateTimeFormat("en-US", { month: "short", day: "numeric", timeZone: "UTC" }).format(new Date(day));
}

/** The UTC days of the last `count` days, today included, oldest first: what a chart has on its axis. */
export function lastDays(count: number, now: Date = new Date()): string[] {
  const today = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate());
  return Array.from({ length: count }, (_, index) =>
    new Date(today - (count - 1 - index) * 86_400_000).toISOString().slice(0, 10),
  );
}

/** `412 ms`, `3.2 s`, `1 min 4 s`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

function withZone(options: Intl.DateTimeFormatOptions, zone: string | undefined): Intl.DateTimeFormatOptions {
  return zone === undefined ? options : { ...options, timeZone: zone };
}
