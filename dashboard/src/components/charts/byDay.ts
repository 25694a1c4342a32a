/** From sums of the API to what a chart and a table of shares show. */

import { parseUsd } from "@/format/money";
import type { Point, Series } from "./series";

/** A sum over the calls of one day, or of one part of it. */
export interface Sum {
  /** The UTC day. */
  group: string;
  /** The model or key; null where days are not split. */
  split: string | null;
  requests: number;
  input_tokens: number;
  output_tokens: number;
  cost_usd: string;
}

export type Measure = "cost" | "requests" | "tokens";

/** As many parts as there are colours, the last of which stands for all the small ones. */
const MOST_SERIES = 8;
const OTHERS = " others";

export function measured(sum: Sum, measure: Measure): bigint {
  if (measure === "cost") return parseUsd(sum.cost_usd);
  return BigInt(measure === "requests" ? sum.requests : sum.input_tokens + sum.output_tokens);
}

export interface Share {
  name: string;
  requests: number;
  tokens: number;
  nanos: bigint;
}

/** What each part comes to over all days, the dearest first. */
export function sharesOf(sums: readonly Sum[]): Share[] {
  const shares = new Map<string, Share>();
  for (const sum of sums) {
    const share = shares.get(partOf(sum)) ?? { name: partOf(sum), requests: 0, tokens: 0, nanos: 0n };
    share.requests += sum.requests;
    share.tokens += sum.input_tokens + sum.output_tokens;
    share.nanos += parseUsd(sum.cost_usd);
    shares.set(share.name, share);
  }
  return [...shares.values()].toSorted((a, b) => compare(b.nanos, a.nanos) || b.requests - a.requests);
}

/** Bars for exactly these days, also those without a call; the greatest part is the lowest in each. */
export function stackByDay(
  sums: readonly Sum[],
  days: readonly string[],
  { measure, label }: { measure: Measure; label: (name: string) => string },
): { series: Series[]; points: Point[] } {
  const shown = new Set(days);
  const within = sums.filter((sum) => shown.has(sum.group));
  const totals = new Map<string, bigint>();
  for (const sum of within) totals.set(partOf(sum), (totals.get(partOf(sum)) ?? 0n) + measured(sum, measure));

  const names = [...totals].toSorted(([, a], [, b]) => compare(b, a)).map(([name]) => name);
  const own = names.slice(0, names.length > MOST_SERIES ? MOST_SERIES - 1 : MOST_SERIES);
  const series = own.map((name) => ({ name, label: label(name) }));
  if (own.length < names.length) series.push({ name: OTHERS, label: `${names.length - own.length} others` });

  const values = new Map<string, Record<string, bigint>>(days.map((day) => [day, {}]));
  for (const sum of within) {
    const name = own.includes(partOf(sum)) ? partOf(sum) : OTHERS;
    const ofDay = values.get(sum.group)!;
    ofDay[name] = (ofDay[name] ?? 0n) + measured(sum, measure);
  }
  return { series, points: days.map((day) => ({ day, values: values.get(day) ?? {} })) };
}

/** What the calls since a UTC day come to. */
export function totalSince(sums: readonly Sum[], day: string): { nanos: bigint; requests: number } {
  let nanos = 0n;
  let requests = 0;
  for (const sum of sums) {
    if (sum.group < day) continue;
    nanos += parseUsd(sum.cost_usd);
    requests += sum.requests;
  }
  return { nanos, requests };
}

function partOf(sum: Sum): string {
  return sum.split ?? "";
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
