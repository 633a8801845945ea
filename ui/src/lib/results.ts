// Answers of queries made ready to be drawn: rows of a table, and columns of a graph on one grid of times.

import { type Column, type Frame, biggest } from "./frame";
import type { Histogram, Metric, QueryData, Series } from "./prom";
import { legendNames } from "./series";

/** Most series in one graph; more make it slow and cannot be told apart anyway. */
export const DRAWN_MAX = 200;

export interface Cell {
  /** Seconds. */
  at: number;
  value: string | null;
  histogram: Histogram | null;
}

export interface Row {
  metric: Metric | null;
  cells: Cell[];
}

/** Rows of a table, whatever kind the answer is. */
export function toRows(data: QueryData): Row[] {
  switch (data.resultType) {
    case "vector":
      return data.result.map(({ metric, value, histogram }) => ({
        metric,
        cells: [...(value === undefined ? [] : [plain(value)]), ...(histogram === undefined ? [] : [rich(histogram)])],
      }));
    case "matrix":
      return data.result.map(({ metric, values = [], histograms = [] }) => ({
        metric,
        cells: [...values.map(plain), ...histograms.map(rich)].sort((a, b) => a.at - b.at),
      }));
    default:
      return [{ metric: null, cells: [plain(data.result)] }];
  }
}

const plain = ([at, value]: [number, string]): Cell => ({ at, value, histogram: null });
const rich = ([at, histogram]: [number, Histogram]): Cell => ({ at, value: null, histogram });

/** A value as PromQL writes it. */
export function parseValue(text: string): number {
  if (text === "+Inf" || text === "Inf") return Infinity;
  if (text === "-Inf") return -Infinity;
  return Number.parseFloat(text);
}

export interface Shape {
  start: number;
  step: number;
  length: number;
}

/** The grid for a span of milliseconds: on whole steps of so many seconds, so that asking again draws the same points. */
export function shapeOf(from: number, to: number, step: number): Shape {
  const start = Math.floor(from / 1000 / step) * step;
  return { start, step, length: Math.floor((to / 1000 - start) / step) + 1 };
}

/** Series that are hidden after a click on one in the legend. `only`: all others are hidden, or shown again. */
export function toggled(keys: readonly string[], hidden: ReadonlySet<string>, key: string, only: boolean): ReadonlySet<string> {
  if (only) {
    const alone = keys.every((one) => (one === key) !== hidden.has(one));
    return new Set(alone ? [] : keys.filter((one) => one !== key));
  }
  const next = new Set(hidden);
  if (!next.delete(key)) next.add(key);
  return next;
}

export interface Drawn {
  frame: Frame;
  /** Series that the graph leaves out because they are too many. */
  left: number;
  /** Series of which some values are NaN or infinite and cannot be drawn. */
  odd: number;
  /** Series that are native histograms, drawn by their count. */
  histograms: number;
}

/** Puts the answers of several questions on one grid. `letter` goes in front of the names when there are several. */
export function toGraph(shape: Shape, answers: readonly { letter: string; series: readonly Series[] }[], limit = DRAWN_MAX): Drawn {
  const drawn: Drawn = { frame: { ...shape, columns: [] }, left: 0, odd: 0, histograms: 0 };
  const columns: Column[] = [];
  const keys = new Set<string>();
  for (const { letter, series } of answers) {
    const names = legendNames(series.map((one) => one.metric));
    series.forEach((one, i) => {
      const name = names[i] ?? "";
      const { values, odd } = column(shape, one);
      if (odd) drawn.odd += 1;
      if ((one.histograms?.length ?? 0) > 0) drawn.histograms += 1;
      let key = letter === "" ? name : `${letter} ${name}`;
      // No right answer has a series twice; a wrong one must not break the page.
      while (keys.has(key)) key += "′";
      keys.add(key);
      columns.push({ key, values });
    });
  }
  const { kept, left } = biggest(columns, limit);
  drawn.left = left;
  drawn.frame.columns = kept;
  return drawn;
}

function column(shape: Shape, series: Series): { values: (number | null)[]; odd: boolean } {
  const values = new Array<number | null>(shape.length).fill(null);
  let odd = false;
  const put = (at: number, text: string) => {
    const index = Math.round((at - shape.start) / shape.step);
    const value = parseValue(text);
    if (!Number.isFinite(value)) odd = true;
    else if (index >= 0 && index < shape.length) values[index] = value;
  };
  for (const [at, text] of series.values ?? []) put(at, text);
  for (const [at, histogram] of series.histograms ?? []) put(at, histogram.count);
  return { values, odd };
}

/** Lowest and highest value of the columns that are shown; `null` when there is none. */
export function bounds(columns: readonly Column[], hidden: ReadonlySet<string>): [number, number] | null {
  let low = Infinity;
  let high = -Infinity;
  for (const { key, values } of columns) {
    if (hidden.has(key)) continue;
    for (const value of values) {
      if (value === null) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return low <= high ? [low, high] : null;
}

/** The scale for such bounds: zero belongs to it unless the values lie close together far from it. */
export function scale([low, high]: [number, number]): [number, number] {
  const spread = high - low;
  const size = Math.max(Math.abs(low), Math.abs(high));
  if (size === 0) return [0, 1];
  if (spread === 0) return low > 0 ? [0, high * 1.2] : [low * 1.2, 0];
  const room = spread * 0.06;
  const near = spread > 0.25 * size;
  const bottom = low >= 0 && near ? 0 : low - room;
  const top = high <= 0 && near ? 0 : high + room;
  return [bottom, top];
}

/** The column whose value at `index` lies nearest to `value`; ties go to the first. */
export function nearest(columns: readonly Column[], hidden: ReadonlySet<string>, index: number, value: number): number | null {
  let best: number | null = null;
  let distance = Infinity;
  columns.forEach((one, i) => {
    const here = one.values[index];
    if (here === null || here === undefined || hidden.has(one.key)) return;
    const away = Math.abs(here - value);
    if (away < distance) {
      distance = away;
      best = i;
    }
  });
  return best;
}

/** `A`, `B`, … for the questions of one explorer. */
export function letterOf(index: number): string {
  return String.fromCharCode(65 + (index % 26));
}
