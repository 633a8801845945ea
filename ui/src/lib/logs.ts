// The shapes of the logs' API, and what can be said of them without a browser.

import type { Series } from "./prom";
import type { Sign } from "./tone";

/** Mildest first; a line can have none. */
export const LEVELS = ["trace", "debug", "info", "notice", "warning", "error", "critical"] as const;
export type Level = (typeof LEVELS)[number];

export interface LogLine {
  /** Nanoseconds since 1970, as text: a number would lose the last digits. */
  at_ns: string;
  labels: Record<string, string>;
  level: string | null;
  template: string;
  text: string;
  /** The text was not UTF-8; what was not is replaced. */
  lossy: boolean;
  fields: Record<string, string>;
  extracted: Record<string, string>;
}

export interface Cost {
  bytes: number;
  lines: number;
  segments: number;
  segments_skipped: number;
}

export type Stopped = "bytes" | "lines" | "result_bytes" | "time" | null;

interface Bounded {
  stopped: Stopped;
  cost: Cost;
}

export interface Found extends Bounded {
  lines: LogLine[];
  next: string | null;
}

export interface Histogram extends Bounded {
  from_ns: string;
  step_ns: string;
  /** Of each bar: without level, then as {@link LEVELS}. */
  bars: number[][];
}

/** Numbers over time, counted from lines. */
export interface LineNumbers {
  result: Series[];
  stopped: Stopped;
}

export interface Facet {
  name: string;
  values: [string, number][];
  /** How many lines have other values. */
  others: number;
}

export interface Facets extends Bounded {
  facets: Facet[];
  lines: number;
}

export type OddKind = "new_template" | "rate" | "missing_beat" | "session" | "value";
export const ODD_KINDS = ["new_template", "rate", "missing_beat"] as const;

export interface Pattern {
  template: string;
  text: string;
  count: number;
  first_ns: string;
  last_ns: string;
  trend: number[];
  examples: LogLine[];
  first_seen_ns: string | null;
  new: boolean;
  harmless: string[];
}

export interface Patterns extends Bounded {
  patterns: Pattern[];
  templates: number;
  lines: number;
}

export interface Oddity {
  at_ns: string;
  entity: string;
  template: string;
  template_text: string;
  kind: string;
  parameter: number | null;
  score: number;
  seen: number;
  usual: number;
  value: string | null;
  text: string;
}

export interface Mark {
  template: string;
  template_text: string;
  kind: string;
  parameter: number | null;
  by: string;
  at: string;
}

export interface Around {
  before: LogLine[];
  after: LogLine[];
}

/** What the lines around an incident say. */
export interface IncidentStory {
  query: string;
  from_ns: string;
  to_ns: string;
  lines: number;
  summary: { text: string; template: string; level: string | null; count: number; first_ns: string; last_ns: string }[];
  terms: { term: string; score: number; count: number }[];
  past: { id: string; score: number; title: string | null; opened_at: number | null; causes: string[]; templates: string[]; terms: string[] }[];
}

/** As far as the console reads it. */
export interface LogsStatus {
  lines: number;
}

/** Milliseconds of a time in nanoseconds; `NaN` for what is none. */
export function msOf(ns: string): number {
  return /^-?\d{1,19}$/.test(ns) ? Number(BigInt(ns)) / 1e6 : Number.NaN;
}

/** Milliseconds of a time as an answer writes it: RFC 3339, or milliseconds since 1970. */
export function timeOf(text: string): number {
  return /^\d{1,15}$/.test(text) ? Number(text) : Date.parse(text);
}

/** A time in milliseconds as the API takes it. */
export function secondsOf(ms: number): string {
  return (ms / 1000).toFixed(3);
}

/** True for the id of a pattern; lines that were stored without one have none to ask for. */
export function isTemplate(id: string): boolean {
  return /^[\w-]{1,64}$/.test(id);
}

/** The level as one of ours; anything else is none. */
export function levelOf(level: string | null): Level | "none" {
  return LEVELS.find((one) => one === level) ?? "none";
}

/** Colour and sign of a level. */
export function signOf(level: Level | "none"): Sign {
  switch (level) {
    case "critical":
      return { tone: "bad", icon: "bolt" };
    case "error":
      return { tone: "bad", icon: "cross" };
    case "warning":
      return { tone: "warn", icon: "alert" };
    case "notice":
      return { tone: "info", icon: "flag" };
    case "info":
      return { tone: "info", icon: "info" };
    case "debug":
      return { tone: "idle", icon: "wrench" };
    case "trace":
      return { tone: "idle", icon: "eye" };
    default:
      return { tone: "idle", icon: "minus" };
  }
}

/** The pieces of a template: texts, and `null` for a gap. */
export function gapsOf(template: string): (string | null)[] {
  return template.split("<*>").flatMap((text, i) => [...(i > 0 ? [null] : []), ...(text === "" ? [] : [text])]);
}

/** Which patterns are shown, and in which order. */
export type PatternOrder = "count" | "new" | "rising";

/** How much more of the last fifth of the trend there is than of the rest, at most 99-fold. */
export function rise(trend: readonly number[]): number {
  const cut = Math.floor(trend.length * 0.8);
  const mean = (part: readonly number[]) => part.reduce((sum, n) => sum + n, 0) / Math.max(1, part.length);
  const [before, now] = [mean(trend.slice(0, cut)), mean(trend.slice(cut))];
  return now === 0 ? 0 : Math.min(99, now / Math.max(before, 0.1));
}

/** The patterns in an order; `search` in their text, upper and lower case the same. */
export function arrange(patterns: readonly Pattern[], order: PatternOrder, search: string): Pattern[] {
  const wanted = search.trim().toLowerCase();
  const kept = patterns.filter((one) => (wanted === "" || one.text.toLowerCase().includes(wanted)) && (order !== "new" || one.new));
  const seen = (one: Pattern) => msOf(one.first_seen_ns ?? one.first_ns);
  return kept.sort((a, b) => {
    if (order === "new") return seen(b) - seen(a) || b.count - a.count;
    if (order === "rising") return rise(b.trend) - rise(a.trend) || b.count - a.count;
    return b.count - a.count;
  });
}
