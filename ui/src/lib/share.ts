// The explorer's state in the address, so that a link shows another person the same picture.
//
// `q` once per expression, `off` with the numbers of those that are switched off, `tab`, `range` or `from` and `to`
// (milliseconds), `step` in seconds. Links in Prometheus' own form (`g0.expr`, `g0.tab`, `g0.range_input`) are read, too.

export type Tab = "graph" | "table";
export type Range = { kind: "last"; ms: number } | { kind: "fixed"; from: number; to: number };

export interface Line {
  expr: string;
  on: boolean;
}

export interface Shared {
  lines: Line[];
  tab: Tab;
  range: Range;
  /** Seconds; `null`: as fits the range. */
  step: number | null;
}

export const LINES_MAX = 10;
/** The longest expression that we take from an address. */
const EXPR_MAX = 20_000;
export const DEFAULT_RANGE: Range = { kind: "last", ms: 3_600_000 };
const UNITS: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800, y: 31_536_000 };

/** Seconds of `90`, `1.5`, `30s`, `1h30m`; `null` when it is none of these or not above zero. */
export function parseDuration(text: string): number | null {
  const trimmed = text.trim();
  if (/^\d+(?:\.\d+)?$/.test(trimmed)) return positive(Number(trimmed));
  if (!/^(?:\d+(?:ms|[smhdwy]))+$/.test(trimmed)) return null;
  let sum = 0;
  for (const [, n, unit] of trimmed.matchAll(/(\d+)(ms|[smhdwy])/g)) sum += Number(n) * (UNITS[unit ?? ""] ?? Number.NaN);
  return positive(sum);
}

function positive(value: number): number | null {
  return Number.isFinite(value) && value > 0 && value <= 100 * 31_536_000 ? value : null;
}

/** Seconds as PromQL writes them: `90` is `1m30s`. */
export function writeDuration(value: number): string {
  let rest = Math.round(value * 1000);
  let text = "";
  for (const [unit, ms] of [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], ["s", 1000], ["ms", 1]] as const) {
    const n = Math.floor(rest / ms);
    if (n > 0) text += `${n}${unit}`;
    rest -= n * ms;
  }
  return text === "" ? "0s" : text;
}

/** The query string of a state, without the question mark; empty for an empty explorer. */
export function toSearch(state: Shared): string {
  const lines = state.lines.filter((line) => line.expr.trim() !== "");
  const args = new URLSearchParams();
  for (const line of lines) args.append("q", line.expr);
  const off = lines.flatMap((line, i) => (line.on ? [] : [String(i)]));
  if (off.length > 0) args.set("off", off.join("."));
  if (state.tab === "table") args.set("tab", "table");
  writeRange(args, state.range);
  if (state.step !== null) args.set("step", writeDuration(state.step));
  return args.toString();
}

/** The state of a query string. What makes no sense is as if it were not there. */
export function fromSearch(search: string): Shared {
  const args = new URLSearchParams(search);
  let exprs = args.getAll("q");
  let tab: Tab = args.get("tab") === "table" ? "table" : "graph";
  let range = readRange(args.get("from"), args.get("to"), args.get("range"));
  if (exprs.length === 0 && args.has("g0.expr")) {
    for (let i = 0; i < LINES_MAX && args.has(`g${i}.expr`); i += 1) exprs.push(args.get(`g${i}.expr`) ?? "");
    tab = ["1", "table"].includes(args.get("g0.tab") ?? "") ? "table" : "graph";
    range = readRange(null, null, args.get("g0.range_input"));
  }
  exprs = exprs.filter((expr) => expr.trim() !== "" && expr.length <= EXPR_MAX).slice(0, LINES_MAX);
  const off = new Set((args.get("off") ?? "").split("."));
  return {
    lines: exprs.map((expr, i) => ({ expr, on: !off.has(String(i)) })),
    tab,
    range,
    step: parseDuration(args.get("step") ?? ""),
  };
}

/** Puts a range into an address; the usual one leaves no trace. */
export function writeRange(args: URLSearchParams, range: Range): void {
  if (range.kind === "fixed") {
    args.set("from", String(Math.round(range.from)));
    args.set("to", String(Math.round(range.to)));
  } else if (range.ms !== (DEFAULT_RANGE.kind === "last" ? DEFAULT_RANGE.ms : 0)) {
    args.set("range", writeDuration(range.ms / 1000));
  }
}

/** The range of an address: from one moment to another, or so long until now; without any, the usual one. */
export function readRange(from: string | null, to: string | null, last: string | null): Range {
  if (from !== null && to !== null && /^\d{1,15}$/.test(from) && /^\d{1,15}$/.test(to) && Number(from) < Number(to)) {
    return { kind: "fixed", from: Number(from), to: Number(to) };
  }
  const span = parseDuration(last ?? "");
  return span === null ? DEFAULT_RANGE : { kind: "last", ms: span * 1000 };
}

/** The address of the explorer with one expression. */
export function exploreLink(expr: string, tab: Tab = "graph"): string {
  return `/explore?${toSearch({ lines: [{ expr, on: true }], tab, range: DEFAULT_RANGE, step: null })}`;
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400];

/** The step in seconds that gives about `points` points: a round one. */
export function autoStep(spanMs: number, points: number): number {
  const least = spanMs / 1000 / Math.max(1, points);
  return STEPS.find((step) => step >= least) ?? Math.ceil(least / 86_400) * 86_400;
}

/** The value of an `<input type="datetime-local">` for a time, in the reader's zone, to the second. */
export function toLocal(at: number): string {
  const date = new Date(at);
  const two = (n: number) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}T${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** The time of such a value; `null` when there is none. */
export function fromLocal(text: string): number | null {
  const at = new Date(text).getTime();
  return text !== "" && Number.isFinite(at) && at > 0 ? at : null;
}
