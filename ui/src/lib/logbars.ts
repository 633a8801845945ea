// The bars over time: folded to the width there is, stacked by level, and read back.

import { type Histogram, LEVELS, type Level, msOf } from "./logs";

export type Row = Level | "none";
/** From the foot of a bar upwards: what is grave stands on the ground, where heights can be compared. */
export const ROWS: readonly Row[] = [...[...LEVELS].reverse(), "none"];

export interface Bar {
  /** Milliseconds. */
  from: number;
  to: number;
  /** As {@link ROWS}. */
  counts: number[];
  total: number;
}

/** The bars, with as many neighbours put together that no more than `most` are left. */
export function foldBars(histogram: Histogram, most: number): Bar[] {
  const [start, step] = [msOf(histogram.from_ns), msOf(histogram.step_ns)];
  if (!Number.isFinite(start) || !(step > 0)) return [];
  const group = Math.max(1, Math.ceil(histogram.bars.length / Math.max(1, most)));
  const bars: Bar[] = [];
  for (let i = 0; i < histogram.bars.length; i += group) {
    const part = histogram.bars.slice(i, i + group);
    const counts = ROWS.map((row) => {
      const column = row === "none" ? 0 : LEVELS.indexOf(row) + 1;
      return part.reduce((sum, bar) => sum + Math.max(0, bar[column] ?? 0), 0);
    });
    bars.push({ from: start + i * step, to: start + (i + part.length) * step, counts, total: counts.reduce((sum, n) => sum + n, 0) });
  }
  return bars;
}

/** How many lines there are of each row, over all bars. */
export function totals(bars: readonly Bar[]): number[] {
  return ROWS.map((_, row) => bars.reduce((sum, bar) => sum + (bar.counts[row] ?? 0), 0));
}

/** A round number that can be halved, not below `peak`: the top of the scale. */
export function niceTop(peak: number): number {
  if (peak <= 4) return 4;
  const unit = 10 ** Math.floor(Math.log10(peak));
  const tops = [1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10].map((n) => Math.round(n * unit));
  return tops.find((top) => top >= peak && top % 2 === 0) ?? 10 * unit;
}

/** The span between two places of the chart (0 to 1), on whole bars; at least one bar. */
export function spanBetween(bars: readonly Bar[], a: number, b: number): { from: number; to: number } | null {
  const clamp = (share: number) => Math.min(bars.length - 1, Math.max(0, Math.floor(share * bars.length)));
  const [first, last] = [bars[clamp(Math.min(a, b))], bars[clamp(Math.max(a, b))]];
  if (first === undefined || last === undefined) return null;
  return { from: Math.floor(first.from), to: Math.max(Math.ceil(last.to), Math.floor(first.from) + 1) };
}

/** Points of a small line, in a box of `width` by `height`; heights from the highest value. */
export function sparkline(values: readonly number[], width: number, height: number): string {
  const top = Math.max(1, ...values);
  const step = width / Math.max(1, values.length - 1);
  return values.map((value, i) => `${(i * step).toFixed(1)},${(height - (Math.max(0, value) / top) * height).toFixed(1)}`).join(" ");
}
