import { describe, expect, it } from "vitest";

import en from "../../../messages/en/console.json";
import zh from "../../../messages/zh-CN/console.json";
import { bestLanguage, fill, translate, translateWord } from "./i18n";

const placeholders = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort();
const sources = import.meta.glob(["../**/*.svelte", "../**/*.ts", "!../**/*.test.ts"], { query: "?raw", import: "default", eager: true }) as Record<string, string>;

describe("the catalogue", () => {
  it("has the same keys in both languages, in the same order", () => {
    expect(Object.keys(zh)).toEqual(Object.keys(en));
  });

  it("has the same placeholders in both languages", () => {
    for (const [key, text] of Object.entries(en)) {
      expect(placeholders(zh[key as keyof typeof zh]), key).toEqual(placeholders(text));
    }
  });

  it("has no empty text", () => {
    for (const [key, text] of [...Object.entries(en), ...Object.entries(zh)]) expect(text.trim(), key).not.toBe("");
  });

  it("has every key that the pages name", () => {
    const named = Object.values(sources).flatMap((source) => [...source.matchAll(/\bt\(\s*"([\w.]+)"/g)].map((match) => match[1] as string));
    expect(named.length).toBeGreaterThan(100);
    for (const key of named) expect(en, key).toHaveProperty([`console.${key}`]);
  });

  it("has both forms of every count", () => {
    const counted = Object.values(sources).flatMap((source) => [...source.matchAll(/\btn\(\s*"([\w.]+)"/g)].map((match) => match[1] as string));
    expect(counted.length).toBeGreaterThan(2);
    for (const key of counted) {
      expect(en, key).toHaveProperty([`console.${key}.one`]);
      expect(en, key).toHaveProperty([`console.${key}.other`]);
    }
  });

  it("has a word for every state that the API can name", () => {
    const families: Record<string, string[]> = {
      status: ["open", "diagnosing", "recovering", "verifying", "resolved", "escalated"],
      severity: ["info", "warning", "critical"],
      action_status: ["planned", "running", "succeeded", "failed", "rolled_back", "skipped", "unknown"],
      state: ["running", "stopped", "down", "unknown", "failing"],
      mode: ["watch", "propose", "act", "watch_text", "propose_text", "act_text"],
      moment: ["seen", "thought", "planned", "done", "verified", "status"],
      undo: ["irreversible", "put_back", "stop", "release", "unblock", "renice", "means"],
      doing: ["open", "diagnosing", "recovering", "verifying", "escalated"],
      done: ["approve", "undo", "escalate", "freeze", "unfreeze", "mark", "unmark"],
      level: ["critical", "error", "warning", "notice", "info", "debug", "trace", "none"],
      facet: ["service", "level", "host", "filename"],
      odd: ["new_template", "rate", "missing_beat", "session", "value"],
      logs: ["stopped_bytes", "stopped_lines", "stopped_result_bytes", "stopped_time"],
      alert_state: ["firing", "pending", "inactive", "unknown"],
      alerts: ["filter_all", "filter_firing", "filter_pending", "filter_inactive", "filter_broken"],
      target: ["up", "down", "unknown"],
      explore: ["kind_metric", "kind_function", "kind_aggregation", "kind_keyword", "kind_label", "kind_value", "kind_duration"],
      fleet_status: ["ok", "failed", "unreachable", "unknown", "not_begun", "stopped", "damaged"],
      fleet_kind: ["run", "play", "apply", "copy", "fetch", "script", "expect", "facts"],
      fleet_task: ["ok", "changed", "failed", "unreachable", "unknown", "skipped", "rescued", "ignored"],
      agent_state: ["well", "silent", "revoked", "waited"],
      agent_stage: ["handed", "taken", "began", "refused", "ended", "stopped", "unknown"],
      deployment: ["done", "rolled_back", "failed", "unknown", "interrupted", "under_way"],
      deployment_act: ["deploy", "rollback"],
      fleet: ["tab_runs", "tab_agents", "tab_deployments"],
      theme: ["auto", "light", "dark"],
    };
    for (const [family, words] of Object.entries(families)) {
      for (const word of words) expect(en, `${family}.${word}`).toHaveProperty([`console.${family}.${word}`]);
    }
  });
});

describe("filling in", () => {
  it("puts values at their names and leaves unknown names alone", () => {
    expect(fill("{a} of {b} {c}", { a: 1, b: "x" })).toBe("1 of x {c}");
  });

  it("never looks at an inserted value again", () => {
    expect(fill("{a} {b}", { a: "{b}", b: "secret" })).toBe("{b} secret");
  });

  it("inserts nothing for names that every object has", () => {
    expect(fill("{constructor}{toString}", {})).toBe("{constructor}{toString}");
  });

  it("speaks the chosen language", () => {
    expect(translate("en", "nav.host")).toBe("Host");
    expect(translate("zh-CN", "nav.host")).toBe("主机");
  });

  it("shows a word of the API that it does not know as it is", () => {
    expect(translateWord("en", "status", "hibernating")).toBe("hibernating");
  });
});

describe("the language of a browser", () => {
  it.each([
    [["zh-TW", "en"], "zh-CN"],
    [["zh-Hans-CN"], "zh-CN"],
    [["de-DE", "en-US"], "en"],
    [["fr", "zh"], "zh-CN"],
    [["ja"], "en"],
    [[], "en"],
  ])("%j gets %s", (preferred, expected) => {
    expect(bestLanguage(preferred)).toBe(expected);
  });
});
