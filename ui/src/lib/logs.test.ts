import { describe, expect, it } from "vitest";

import { foldBars, niceTop, sparkline, spanBetween, totals } from "./logbars";
import { type Pattern, arrange, gapsOf, levelOf, msOf, rise, secondsOf, timeOf } from "./logs";
import { EMPTY, around, fromLogSearch, lineState, logsLink, toLogSearch } from "./logshare";
import { Tail } from "./logtail";

const cost = { bytes: 0, lines: 0, segments: 0, segments_skipped: 0 };
const histogram = (bars: number[][]) => ({ from_ns: "1700000000000000000", step_ns: "30000000000", bars, stopped: null, cost });
const line = (text: string) => ({ at_ns: "1", labels: {}, level: null, template: "1", text, lossy: false, fields: {}, extracted: {} });

describe("times", () => {
  it("in nanoseconds become milliseconds, and nothing else does", () => {
    expect(msOf("1732190000123456789")).toBeCloseTo(1_732_190_000_123.456, 2);
    for (const text of ["", "soon", "1e9", "99999999999999999999"]) expect(msOf(text)).toBeNaN();
    expect([timeOf("1795267026683"), timeOf("2026-11-21T13:17:06.683Z"), timeOf("soon")]).toEqual([1_795_267_026_683, 1_795_267_026_683, Number.NaN]);
    expect(secondsOf(1_732_190_000_123)).toBe("1732190000.123");
  });
});

describe("levels", () => {
  it("that we do not know are none", () => {
    expect([levelOf("error"), levelOf(null), levelOf("constructor"), levelOf("ERROR")]).toEqual(["error", "none", "none", "none"]);
  });
});

describe("bars", () => {
  const bars = foldBars(histogram([[1, 0, 0, 2, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 3, 4], [5, 0, 0, 0, 0, 0, 0, 0]]), 2);

  it("are put together until they fit, and no line is lost", () => {
    expect(bars.map((bar) => [bar.from - 1_700_000_000_000, bar.to - 1_700_000_000_000, bar.total])).toEqual([[0, 60_000, 10], [60_000, 90_000, 5]]);
    expect(totals(bars)).toEqual([4, 3, 0, 0, 2, 0, 0, 6]);
  });

  it("stand with the gravest on the ground", () => {
    expect(bars[0]?.counts).toEqual([4, 3, 0, 0, 2, 0, 0, 1]);
  });

  it("give the span that was drawn over, on whole bars, in either direction", () => {
    expect(spanBetween(bars, 0.9, 0.1)).toEqual({ from: 1_700_000_000_000, to: 1_700_000_090_000 });
    expect(spanBetween(bars, 0.6, 0.7)).toEqual({ from: 1_700_000_060_000, to: 1_700_000_090_000 });
    expect(spanBetween(bars, -3, 9)).toEqual({ from: 1_700_000_000_000, to: 1_700_000_090_000 });
    expect(spanBetween([], 0, 1)).toBeNull();
  });

  it("of nonsense are none", () => {
    expect(foldBars({ ...histogram([[1]]), step_ns: "0" }, 10)).toEqual([]);
  });

  it("have a round top", () => {
    expect([0, 4, 5, 11, 99, 101, 1500, 1601].map(niceTop)).toEqual([4, 4, 6, 12, 100, 120, 1600, 2000]);
  });

  it("fit into a small line", () => {
    expect(sparkline([0, 2, 1], 20, 10)).toBe("0.0,10.0 10.0,0.0 20.0,5.0");
    expect(sparkline([], 20, 10)).toBe("");
  });
});

describe("patterns", () => {
  const pattern = (template: string, more: Partial<Pattern>): Pattern => ({ template, text: template, count: 1, first_ns: "1", last_ns: "2", trend: [], examples: [], first_seen_ns: null, new: false, harmless: [], ...more });

  it("are split at their gaps", () => {
    expect(gapsOf("GET <*> took <*>")).toEqual(["GET ", null, " took ", null]);
    expect(gapsOf("<*><*>")).toEqual([null, null]);
    expect(gapsOf("")).toEqual([]);
  });

  it("are ordered by number, by growth, and new ones by age", () => {
    const all = [pattern("a", { count: 5 }), pattern("b", { count: 9, new: true, first_seen_ns: "10" }), pattern("c", { count: 1, trend: [0, 0, 0, 0, 50], new: true, first_seen_ns: "20" })];
    const order = (by: "count" | "new" | "rising") => arrange(all, by, "").map((one) => one.template).join("");
    expect([order("count"), order("new"), order("rising")]).toEqual(["bac", "cb", "cba"]);
    expect(arrange(all, "count", "B").map((one) => one.template)).toEqual(["b"]);
  });

  it("rise when there is more at the end", () => {
    expect(rise([1, 1, 1, 1, 1])).toBe(1);
    expect(rise([0, 0, 0, 0, 1000])).toBe(99);
    expect(rise([])).toBe(0);
  });
});

describe("the address", () => {
  it.each([
    {},
    { query: '{service="app"} |= "a&b=c#d"', tab: "patterns" as const },
    { live: true, range: { kind: "last" as const, ms: 900_000 } },
    { forward: true, at: "1700000000123456789", range: { kind: "fixed" as const, from: 1, to: 2 } },
  ])("brings back %j", (state) => {
    expect(fromLogSearch(toLogSearch({ ...EMPTY, ...state }))).toEqual({ ...EMPTY, ...state });
  });

  it("that makes no sense is the empty page", () => {
    expect(fromLogSearch(`tab=x&from=9&to=1&at=now&live=yes&q=${"x".repeat(20_000)}`)).toEqual(EMPTY);
    expect(logsLink({})).toBe("/logs");
  });

  it("of one line ends with that line", () => {
    expect(lineState("", "1700000000123456789").range).toEqual({ kind: "fixed", from: 1_699_999_700_123, to: 1_700_000_000_124 });
  });

  it("around a span does not reach into the future", () => {
    expect(around(10_000_000, 20_000_000, 20_060_000)).toEqual({ kind: "fixed", from: 9_700_000, to: 20_060_000 });
    expect(around(10_000_000, 10_000_000, 0)).toEqual({ kind: "fixed", from: 9_700_000, to: 9_701_000 });
  });
});

describe("the live list", () => {
  it("keeps the newest", () => {
    const tail = new Tail(10);
    for (let i = 0; i < 25; i += 1) tail.push(line(String(i)));
    expect(tail.shown().map((row) => row.line?.text)).toEqual(["15", "16", "17", "18", "19", "20", "21", "22", "23", "24"]);
  });

  it("stands still while paused, and shows what waited afterwards", () => {
    const tail = new Tail(3);
    tail.push(line("a"));
    tail.pause();
    for (const text of ["b", "c", "d", "e"]) tail.push(line(text));
    expect(tail.shown().map((row) => row.line?.text)).toEqual(["a"]);
    expect([tail.waiting.length, tail.skipped]).toEqual([3, 1]);
    tail.resume();
    expect(tail.shown().map((row) => row.line?.text)).toEqual(["c", "d", "e"]);
  });

  it("says where lines may be missing, once, and not before the first", () => {
    const tail = new Tail();
    tail.push(null);
    tail.push(line("a"));
    tail.push(null);
    tail.push(null);
    tail.push(line("b"));
    expect(tail.shown().map((row) => row.line?.text ?? "gap")).toEqual(["a", "gap", "b"]);
  });

  it("counts what was left out, and nothing that is no number", () => {
    const tail = new Tail();
    tail.drop(5);
    tail.drop(Number.NaN);
    tail.drop(-3);
    expect(tail.dropped).toBe(5);
  });
});
