import { describe, expect, it } from "vitest";

import { type Rule, type RuleGroup, type Target, timeOf } from "./prom";
import { chooseRules, chooseTargets, countRules, keyed, toPools } from "./rules";
import { ofAlert, ofTarget } from "./tone";

const rule = (name: string, more: Partial<Rule> = {}): Rule => ({ type: "alerting", name, query: `${name} > 0`, state: "inactive", health: "ok", ...more });
const groups: RuleGroup[] = [
  { name: "g", file: "f.yml", interval: 15, rules: [rule("quiet"), rule("rec", { type: "recording" }), rule("hot", { state: "firing", alerts: [{ state: "firing", labels: { pod: "Web-1" }, annotations: {}, value: "1" }] })] },
  { name: "other", file: "f.yml", interval: 15, rules: [rule("soon", { state: "pending" }), rule("odd", { health: "err", lastError: "many-to-many" })] },
];
const names = (chosen: RuleGroup[]) => chosen.map((group) => group.rules.map((one) => one.name));

describe("rules", () => {
  it("are counted by state", () => {
    expect(countRules(groups)).toEqual({ all: 5, firing: 1, pending: 1, inactive: 2, broken: 1 });
  });

  it("stand with what needs a look first", () => {
    expect(names(chooseRules(groups, "all", ""))).toEqual([["hot", "quiet", "rec"], ["odd", "soon"]]);
  });

  it("are chosen by state and by what is written in them", () => {
    expect(names(chooseRules(groups, "pending", ""))).toEqual([["soon"]]);
    expect(names(chooseRules(groups, "broken", ""))).toEqual([["odd"]]);
    expect(names(chooseRules(groups, "all", " POD=web "))).toEqual([["hot"]]);
    expect(names(chooseRules(groups, "inactive", "hot"))).toEqual([]);
  });
});

describe("keys", () => {
  it("stay with their item and are never the same twice", () => {
    expect(keyed(["a", "b", "a"], (one) => one).map(({ key }) => key)).toEqual(["1 a", "1 b", "2 a"]);
    expect(keyed(["b", "a"], (one) => one).map(({ key }) => key)).toEqual(["1 b", "1 a"]);
  });
});

describe("targets", () => {
  const target = (scrapePool: string, scrapeUrl: string, health: string) => ({ scrapePool, scrapeUrl, health, labels: { job: scrapePool }, discoveredLabels: {}, lastError: "", lastScrape: "", lastScrapeDuration: 0 }) as Target;
  const pools = toPools({
    activeTargets: [target("b", "http://1", "up"), target("a", "http://3", "up"), target("a", "http://2", "down"), target("a", "http://1", "unknown")],
    droppedTargets: [{ discoveredLabels: { job: "c" } }],
    droppedTargetCounts: { b: 40 },
  });

  it("lie in their pools, those that are down first", () => {
    expect(pools.map(({ name, up, down, unknown, droppedCount }) => [name, up, down, unknown, droppedCount])).toEqual([["a", 1, 1, 1, 0], ["b", 1, 0, 0, 40], ["c", 0, 0, 0, 1]]);
    expect(pools[0]?.targets.map((one) => one.health)).toEqual(["down", "unknown", "up"]);
  });

  it("are chosen by health and by search", () => {
    const [a] = pools;
    if (a === undefined) throw new Error("no pool");
    expect(chooseTargets(a, true, "").map((one) => one.health)).toEqual(["down", "unknown"]);
    expect(chooseTargets(a, false, "HTTP://3")).toHaveLength(1);
  });
});

describe("what the API leaves open", () => {
  it("is no time: nothing, nonsense, Go's year 1", () => {
    expect([undefined, "", "soon", "0001-01-01T00:00:00Z"].map(timeOf)).toEqual([null, null, null, null]);
    expect(timeOf("2026-01-02T03:04:05.123456789Z")).toBe(Date.UTC(2026, 0, 2, 3, 4, 5, 123));
  });

  it("is an unknown state with a sign of its own", () => {
    expect(ofAlert("sleeping").word).toBe("unknown");
    expect(ofTarget("").word).toBe("unknown");
  });
});
