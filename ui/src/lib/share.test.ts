import { describe, expect, it } from "vitest";

import { type Shared, DEFAULT_RANGE, LINES_MAX, autoStep, exploreLink, fromLocal, fromSearch, parseDuration, toLocal, toSearch, writeDuration } from "./share";

const state = (more: Partial<Shared>): Shared => ({ lines: [{ expr: "up", on: true }], tab: "graph", range: DEFAULT_RANGE, step: null, ...more });

describe("the state in the address", () => {
  it.each<[string, Shared]>([
    ["one query", state({})],
    ["several, one off", state({ lines: [{ expr: "a", on: true }, { expr: 'b{c=~"x|y&z=1#"}', on: false }, { expr: "sum(\n  d\n)", on: true }] })],
    ["a table", state({ tab: "table" })],
    ["a length", state({ range: { kind: "last", ms: 900_000 } })],
    ["two moments", state({ range: { kind: "fixed", from: 1_700_000_000_000, to: 1_700_003_600_000 } })],
    ["a step", state({ step: 90 })],
  ])("comes back: %s", (_, given) => {
    expect(fromSearch(toSearch(given))).toEqual(given);
  });

  it("is empty for nothing, and leaves out empty queries", () => {
    expect(toSearch(state({ lines: [{ expr: " ", on: true }] }))).toBe("");
    expect(fromSearch("")).toEqual(state({ lines: [] }));
    expect(toSearch(state({ lines: [{ expr: "", on: true }, { expr: "a", on: false }] }))).toBe("q=a&off=0");
  });

  it.each(["range=-1h", "range=99999999y", "from=5&to=4", "from=a&to=b", "step=0", "tab=<b>", "q=", "%E0%A4%A=1"])("ignores %s", (search) => {
    expect(fromSearch(search)).toEqual(state({ lines: [] }));
  });

  it("has a bound", () => {
    expect(fromSearch("q=a&".repeat(100)).lines).toHaveLength(LINES_MAX);
    expect(fromSearch(`q=${"a".repeat(30_000)}`).lines).toEqual([]);
  });

  it("understands links of Prometheus", () => {
    expect(fromSearch("g0.expr=up%20%3D%3D%200&g0.tab=1&g0.range_input=15m&g1.expr=b")).toEqual(
      state({ lines: [{ expr: "up == 0", on: true }, { expr: "b", on: true }], tab: "table", range: { kind: "last", ms: 900_000 } }),
    );
  });

  it("makes links", () => {
    expect(exploreLink("a > 0")).toBe("/explore?q=a+%3E+0");
    expect(exploreLink("a", "table")).toBe("/explore?q=a&tab=table");
  });
});

describe("lengths of time", () => {
  it.each([["15s", 15], ["1h30m", 5400], ["90", 90], ["250ms", 0.25], ["1.5", 1.5], ["7d", 604_800]])("%s is %d s", (text, value) => {
    expect(parseDuration(text)).toBe(value);
    expect(parseDuration(writeDuration(value))).toBe(value);
  });

  it.each(["", "0", "0s", "1x", "-5m", "1h 30m", "m", "1e9999"])("%j is none", (text) => {
    expect(parseDuration(text)).toBeNull();
  });

  it("give round steps", () => {
    expect(autoStep(3_600_000, 400)).toBe(10);
    expect(autoStep(300_000, 400)).toBe(1);
    expect(autoStep(7 * 86_400_000, 400)).toBe(1800);
    expect(autoStep(365 * 86_400_000, 100)).toBe(4 * 86_400);
  });

  it("moments come back from their fields, to the second", () => {
    expect(fromLocal(toLocal(1_700_000_001_000))).toBe(1_700_000_001_000);
    expect(fromLocal("")).toBeNull();
    expect(fromLocal("yesterday")).toBeNull();
  });
});
