// Rules and targets sorted for reading: what needs a look comes first, and a search finds what is shown.

import type { DroppedTarget, Metric, Rule, RuleGroup, Target, Targets } from "./prom";

export type RuleFilter = "all" | "firing" | "pending" | "inactive" | "broken";

/** True for a rule that could not be evaluated. */
export function isBroken(rule: Rule): boolean {
  return rule.health === "err" || (rule.lastError ?? "") !== "";
}

/** How many alerting rules are in each state, and how many rules of any kind are broken. */
export function countRules(groups: readonly RuleGroup[]): Record<RuleFilter, number> {
  const rules = groups.flatMap((group) => group.rules);
  const of = (state: string) => rules.filter((rule) => rule.type === "alerting" && rule.state === state).length;
  return { all: rules.length, firing: of("firing"), pending: of("pending"), inactive: of("inactive"), broken: rules.filter(isBroken).length };
}

/** The groups with those of their rules that fit; groups without any are left out. Firing rules first. */
export function chooseRules(groups: readonly RuleGroup[], filter: RuleFilter, search: string): RuleGroup[] {
  const wanted = search.trim().toLowerCase();
  const fits = (group: RuleGroup, rule: Rule): boolean => {
    const state = filter === "all" || (filter === "broken" ? isBroken(rule) : rule.type === "alerting" && rule.state === filter);
    return state && (wanted === "" || textOf(group, rule).includes(wanted));
  };
  const rank = (rule: Rule) => (isBroken(rule) ? 0 : rule.type !== "alerting" ? 4 : 1 + Math.max(0, ["firing", "pending", "inactive"].indexOf(rule.state ?? "inactive")));
  return groups
    .map((group) => ({ ...group, rules: group.rules.filter((rule) => fits(group, rule)).sort((a, b) => rank(a) - rank(b)) }))
    .filter((group) => group.rules.length > 0);
}

function textOf(group: RuleGroup, rule: Rule): string {
  const alerts = (rule.alerts ?? []).map((alert) => pairs(alert.labels));
  return [group.name, group.file, rule.name, rule.query, pairs(rule.labels ?? {}), ...alerts].join("\n").toLowerCase();
}

function pairs(labels: Metric): string {
  return Object.entries(labels).map(([name, value]) => `${name}=${value}`).join("\n");
}

export interface Pool {
  name: string;
  targets: Target[];
  up: number;
  down: number;
  unknown: number;
  dropped: DroppedTarget[];
  /** More were dropped than the server tells of. */
  droppedCount: number;
}

/** The pools by name; in each, targets that are down first. */
export function toPools({ activeTargets, droppedTargets, droppedTargetCounts = {} }: Targets): Pool[] {
  const names = new Set([...activeTargets.map((one) => one.scrapePool), ...droppedTargets.map(poolOf), ...Object.keys(droppedTargetCounts)]);
  const rank = (one: Target) => ({ down: 0, unknown: 1 })[one.health] ?? 2;
  return [...names].sort().map((name) => {
    const targets = activeTargets.filter((one) => one.scrapePool === name).sort((a, b) => rank(a) - rank(b) || (a.scrapeUrl < b.scrapeUrl ? -1 : 1));
    const count = (health: string) => targets.filter((one) => one.health === health).length;
    const dropped = droppedTargets.filter((one) => poolOf(one) === name);
    const told = Object.hasOwn(droppedTargetCounts, name) ? (droppedTargetCounts[name] ?? 0) : 0;
    return { name, targets, up: count("up"), down: count("down"), unknown: targets.length - count("up") - count("down"), dropped, droppedCount: Math.max(told, dropped.length) };
  });
}

function poolOf(one: DroppedTarget): string {
  return one.scrapePool ?? one.discoveredLabels["job"] ?? "";
}

/** The targets of a pool that fit: all or those that are not up, and a search in address, labels and error. */
export function chooseTargets(pool: Pool, onlyDown: boolean, search: string): Target[] {
  const wanted = search.trim().toLowerCase();
  return pool.targets.filter(
    (one) => (!onlyDown || one.health !== "up") && (wanted === "" || [one.scrapePool, one.scrapeUrl, pairs(one.labels), one.lastError].join("\n").toLowerCase().includes(wanted)),
  );
}

/** Each item with a key that stays when others come, go or change places; the same text twice gets two keys. */
export function keyed<T>(items: readonly T[], text: (item: T) => string): { key: string; item: T }[] {
  const seen = new Map<string, number>();
  return items.map((item) => {
    const one = text(item);
    const times = (seen.get(one) ?? 0) + 1;
    seen.set(one, times);
    return { key: `${times} ${one}`, item };
  });
}
