/** Spans of time to look at: chosen by the viewer's own days, asked for in UTC. */

export const PERIODS = ["today", "7d", "30d", "all", "custom"] as const;

export type Period = (typeof PERIODS)[number];

/** `from` and `to` are days such as 2026-11-28, both included, and only count for `custom`. */
export interface Choice {
  period?: Period | undefined;
  from?: string | undefined;
  to?: string | undefined;
}

/** From a time on, and before another; null leaves an end open. */
export interface Span {
  from: string | null;
  to: string | null;
}

const DAY_MS = 86_400_000;

/** More bars than days of a year can't be told apart. */
const MOST_DAYS = 366;

export function spanOf({ period = "30d", from, to }: Choice, now: Date = new Date()): Span {
  if (period === "all") return { from: null, to: null };
  if (period === "custom") {
    const [first, last] = from && to && from > to ? [to, from] : [from, to];
    return { from: first ? midnight(new Date(`${first}T00:00`)) : null, to: last ? midnight(after(last)) : null };
  }
  const days = { today: 1, "7d": 7, "30d": 30 }[period];
  return { from: midnight(new Date(now.getFullYear(), now.getMonth(), now.getDate() - days + 1)), to: null };
}

/** Whether a text is a day that the API and a calendar have. */
export function isDay(text: string): boolean {
  if (!/^2\d{3}-\d{2}-\d{2}$/.test(text)) return false;
  const moment = new Date(text);
  return !Number.isNaN(moment.getTime()) && moment.toISOString().startsWith(text);
}

/** The UTC days that a span touches, today the last of them; where it has no beginning, from `earliest` on. */
export function utcDaysOf(
  span: Span,
  { earliest, now = new Date() }: { earliest?: string | undefined; now?: Date } = {},
) {
  const today = utcDay(now.getTime());
  const last = span.to === null ? today : utcDay(Date.parse(span.to) - 1);
  const end = last < today ? last : today;
  const begin = span.from?.slice(0, 10) ?? earliest ?? end;
  const count = Math.round((Date.parse(end) - Date.parse(begin)) / DAY_MS) + 1;
  const shown = Math.min(Math.max(count, 1), MOST_DAYS);
  return Array.from({ length: shown }, (_, index) => utcDay(Date.parse(end) - (shown - 1 - index) * DAY_MS));
}

/** The same span in whole UTC days, both included, as sums are asked for. */
export function wholeDaysOf(span: Span): Span {
  return {
    from: span.from?.slice(0, 10) ?? null,
    to: span.to === null ? null : utcDay(Date.parse(span.to) - 1),
  };
}

function utcDay(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 10);
}

function after(day: string): Date {
  const next = new Date(`${day}T00:00`);
  next.setDate(next.getDate() + 1);
  return next;
}

function midnight(local: Date): string {
  return local.toISOString();
}
