// The state of the logs' page in the address, so that a link shows another person the same lines.
//
// `q` the query, `range` or `from` and `to`, `tab`, `live=1`, `order=oldest`, `at` the line that stands open.

import { DEFAULT_RANGE, type Range, readRange, writeRange } from "./share";

export type LogTab = "lines" | "patterns" | "unusual";
export const LOG_TABS: readonly LogTab[] = ["lines", "patterns", "unusual"];

export interface LogState {
  query: string;
  range: Range;
  tab: LogTab;
  live: boolean;
  /** Oldest first. */
  forward: boolean;
  /** The time of the line that stands open, nanoseconds. */
  at: string | null;
}

export const EMPTY: LogState = { query: "", range: DEFAULT_RANGE, tab: "lines", live: false, forward: false, at: null };
/** The longest query that we take from an address; the server's own bound. */
const QUERY_MAX = 16_384;
/** What is shown around a moment that somebody points at. */
const AROUND_MS = 5 * 60_000;

export function toLogSearch(state: LogState): string {
  const args = new URLSearchParams();
  if (state.query.trim() !== "") args.set("q", state.query);
  writeRange(args, state.range);
  if (state.tab !== "lines") args.set("tab", state.tab);
  if (state.live) args.set("live", "1");
  if (state.forward) args.set("order", "oldest");
  if (state.at !== null) args.set("at", state.at);
  return args.toString();
}

/** The state of a query string. What makes no sense is as if it were not there. */
export function fromLogSearch(search: string): LogState {
  const args = new URLSearchParams(search);
  const query = args.get("q") ?? "";
  const at = args.get("at") ?? "";
  return {
    query: query.length > QUERY_MAX ? "" : query,
    range: readRange(args.get("from"), args.get("to"), args.get("range")),
    tab: LOG_TABS.find((one) => one === args.get("tab")) ?? "lines",
    live: args.get("live") === "1",
    forward: args.get("order") === "oldest",
    at: /^\d{1,19}$/.test(at) ? at : null,
  };
}

/** The address of the page in a state. */
export function logsLink(state: Partial<LogState>): string {
  const search = toLogSearch({ ...EMPTY, ...state });
  return search === "" ? "/logs" : `/logs?${search}`;
}

/** The time around a moment, or around a span; milliseconds, and not beyond `now`. */
export function around(from: number, to: number, now: number): Range {
  const start = Math.floor(from - AROUND_MS);
  return { kind: "fixed", from: start, to: Math.max(start + 1000, Math.min(Math.ceil(to + AROUND_MS), Math.ceil(now))) };
}

/** The state that shows one line open: it is the newest of its time, so it stands on top. */
export function lineState(query: string, atNs: string): LogState {
  const ms = Number(BigInt(atNs) / 1_000_000n);
  return { ...EMPTY, query, range: { kind: "fixed", from: Math.max(0, ms - AROUND_MS), to: ms + 1 }, at: atNs };
}
