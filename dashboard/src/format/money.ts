/** Amounts of US dollars as the API gives them: decimal strings. They are counted in nano-dollars, never as floats. */

const NANOS = 1_000_000_000n;
const FORM = /^(-?)(\d+)(?:\.(\d{1,9}))?$/;

/** The amount in nano-dollars. RangeError where the text is no amount. */
export function parseUsd(text: string): bigint {
  const [, sign, whole, fraction = ""] = FORM.exec(text.trim()) ?? [];
  if (whole === undefined) throw new RangeError(`not an amount of US dollars: ${text}`);
  const nanos = BigInt(whole) * NANOS + BigInt(fraction.padEnd(9, "0"));
  return sign ? -nanos : nanos;
}

/** `$1,234.50`, `$0.0000041`, `-$3.00`: exact, with at least two decimals. */
export function formatNanos(nanos: bigint): string {
  const [sign, positive] = nanos < 0n ? ["-", -nanos] : ["", nanos];
  const whole = (positive / NANOS).toString().replace(/\B(?=(\d{3})+$)/g, ",");
  const fraction = (positive % NANOS).toString().padStart(9, "0").replace(/0+$/, "").padEnd(2, "0");
  return `${sign}$${whole}.${fraction}`;
}

/** An amount of the API, exactly. */
export function formatUsd(text: string): string {
  return formatNanos(parseUsd(text));
}

/**
 * An amount for a headline: rounded down to cents, or where it is less than a dollar to two significant digits.
 * Show the exact one beside it, as a title.
 */
export function formatRoundly(nanos: bigint): string {
  const positive = nanos < 0n ? -nanos : nanos;
  if (positive >= NANOS || positive === 0n) return formatNanos(nanos - (nanos % 10_000_000n));
  const step = 10n ** BigInt(Math.max(0, positive.toString().length - 2));
  const coarse = step > 10_000_000n ? 10_000_000n : step;
  return formatNanos(nanos - (nanos % coarse));
}

/** The sum, in nano-dollars. */
export function sumUsd(amounts: Iterable<string>): bigint {
  let sum = 0n;
  for (const amount of amounts) sum += parseUsd(amount);
  return sum;
}

/** What part of `whole` an amount is, in percent from 0 to 100, for the length of a bar. */
export function percentOf(part: bigint, whole: bigint): number {
  if (whole <= 0n) return part > 0n ? 100 : 0;
  const percent = Number((part * 10_000n) / whole) / 100;
  return Math.min(100, Math.max(0, percent));
}

/** What tokens cost at a price per million of them, in nano-dollars, rounded up as a charge is. */
export function costNanos(parts: Iterable<readonly [tokens: number, usdPerMtok: string]>): bigint {
  let total = 0n;
  for (const [tokens, price] of parts) total += BigInt(tokens) * parseUsd(price);
  return (total + 999_999n) / 1_000_000n;
}

/** How high a bar of a chart is. A picture needs no more than a float gives; what is written beside it is exact. */
export function toPlot(nanos: bigint): number {
  return Number(nanos) / 1e9;
}
