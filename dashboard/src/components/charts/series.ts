/** The shape of what a chart shows. */

export interface Series {
  /** Unique; also the field of the points. */
  name: string;
  label: string;
}

export interface Point {
  /** A UTC day such as 2026-11-28. */
  day: string;
  /** For each series, its exact value. */
  values: Record<string, bigint>;
}

/** Colours that are told apart on light and dark, and by those who don't see red or green. */
export const COLOURS = [
  "#0b7a5f",
  "#3b82d6",
  "#d98a1f",
  "#8b5cc9",
  "#c2557f",
  "#5b9aa0",
  "#9a8433",
  "#8a8f98",
] as const;

export function colourOf(index: number): string {
  return COLOURS[index % COLOURS.length] ?? COLOURS[0];
}
