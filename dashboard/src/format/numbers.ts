/** Counts as people read them. */

/** `1,234,567`. */
export function formatCount(count: number): string {
  return new Intl.NumberFormat("en-US").format(count);
}

/** `1.2M`, for headlines and axes. */
export function formatCompact(count: number): string {
  return new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 }).format(count);
}

/** `1 request`, `2 requests`. */
export function plural(count: number, one: string, many: string = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}
