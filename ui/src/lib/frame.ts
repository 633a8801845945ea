// Series on one grid of times, as uPlot wants them: one column of times, one column of values per series.

import type { MatrixSeries } from "./types";

/** Most series in one chart; more cannot be told apart. */
export const SERIES_MAX = 12;

/** One named row of values. */
export interface Column {
  key: string;
  values: (number | null)[];
}

/** Times in seconds, evenly spaced, and the columns beside them. */
export interface Frame {
  start: number;
  step: number;
  length: number;
  columns: Column[];
}

/** The grid for `spanMs` up to `end` (milliseconds) with about `points` points: whole steps, so that refreshes agree. */
export function grid(end: number, spanMs: number, points: number): { start: number; step: number; length: number } {
  const step = Math.max(1, Math.ceil(spanMs / 1000 / points));
  const last = Math.floor(end / 1000 / step) * step;
  const length = Math.floor(spanMs / 1000 / step) + 1;
  return { start: last - (length - 1) * step, step, length };
}

/** The name of a series by its labels: the values of `by`, or `fallback` when it has none of them. */
export function seriesKey(metric: Record<string, string>, by: readonly string[], fallback: string): string {
  const parts = by.map((label) => metric[label]).filter((value): value is string => value !== undefined && value !== "");
  return parts.length > 0 ? parts.join(" ") : fallback;
}

/** Puts range answers on a grid; what is missing is `null`. */
export function toFrame(
  shape: { start: number; step: number; length: number },
  answers: readonly { by: readonly string[]; name: string; suffix: string; series: readonly MatrixSeries[] }[],
): Frame {
  const columns: Column[] = [];
  for (const answer of answers) {
    for (const series of answer.series) {
      const label = seriesKey(series.metric, answer.by, answer.name);
      const key = answer.suffix === "" || answer.by.length === 0 ? label : `${label} ${answer.suffix}`;
      const values = new Array<number | null>(shape.length).fill(null);
      for (const [at, text] of series.values) {
        const index = Math.round((at - shape.start) / shape.step);
        const value = Number.parseFloat(text);
        if (index >= 0 && index < shape.length && Number.isFinite(value)) values[index] = value;
      }
      columns.push({ key, values });
    }
  }
  return { ...shape, columns };
}

/** Appends `tail` to `frame` and drops as much from the front: the window moves. */
export function append(frame: Frame, tail: Frame): Frame {
  const offset = Math.round((tail.start - frame.start) / frame.step);
  const shift = Math.max(0, offset + tail.length - frame.length);
  if (shift >= frame.length || offset < 0) return tail.length >= frame.length ? tail : frame;
  const keys = new Set([...frame.columns, ...tail.columns].map((column) => column.key));
  const columns = [...keys].map((key) => {
    const values = new Array<number | null>(frame.length).fill(null);
    const old = frame.columns.find((column) => column.key === key)?.values ?? [];
    for (let i = shift; i < old.length; i += 1) values[i - shift] = old[i] ?? null;
    const fresh = tail.columns.find((column) => column.key === key)?.values ?? [];
    for (let i = 0; i < fresh.length; i += 1) {
      const at = offset + i - shift;
      if (at >= 0 && at < values.length) values[at] = fresh[i] ?? null;
    }
    return { key, values };
  });
  // A series without a value in the whole window has left it.
  const alive = columns.filter((column) => column.values.some((value) => value !== null));
  return { start: frame.start + shift * frame.step, step: frame.step, length: frame.length, columns: alive };
}

/** The `limit` columns with the highest peak, in their old order; the rest are only counted. */
export function biggest(columns: readonly Column[], limit = SERIES_MAX): { kept: Column[]; left: number } {
  if (columns.length <= limit) return { kept: [...columns], left: 0 };
  const peak = (column: Column) => column.values.reduce<number>((most, v) => (v !== null && v > most ? v : most), -Infinity);
  const chosen = new Set([...columns].sort((a, b) => peak(b) - peak(a)).slice(0, limit));
  return { kept: columns.filter((column) => chosen.has(column)), left: columns.length - limit };
}

/** Running sums over the columns, for stacked areas: each row is what lies below its upper edge. */
export function stack(columns: readonly Column[]): (number | null)[][] {
  const rows: (number | null)[][] = [];
  let below: (number | null)[] = [];
  for (const column of columns) {
    const row = column.values.map((value, i) => {
      const base = below[i] ?? null;
      return value === null ? base : value + (base ?? 0);
    });
    rows.push(row);
    below = row;
  }
  return rows;
}

/** The column of times, in seconds. */
export function times(frame: Frame): number[] {
  return Array.from({ length: frame.length }, (_, i) => frame.start + i * frame.step);
}

/** The labels by which several series can be told apart; none when there is one series. */
export function tellApart(series: readonly MatrixSeries[]): string[] {
  if (series.length < 2) return [];
  const labels = new Set(series.flatMap((one) => Object.keys(one.metric)));
  return [...labels].filter((label) => new Set(series.map((one) => one.metric[label])).size > 1).sort();
}
