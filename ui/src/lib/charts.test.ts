import { expect, test } from "vitest";

import { CHARTS, ownMatchers } from "./charts";

test("every chart asks for this host's own series only", () => {
  const own = ownMatchers('a"b');
  expect(own).toBe('instance="a\\"b",job="wellkept"');
  for (const { questions } of CHARTS) {
    for (const question of questions) {
      const expr = question.expr(30, own);
      const metrics = expr.match(/\b(node|wellkept)_\w+/g)?.length ?? 0;
      expect(metrics, expr).toBeGreaterThan(0);
      expect(expr.split(own).length - 1, expr).toBe(metrics);
    }
  }
});

test("expressions are PromQL", () => {
  const chart = (id: string) => CHARTS.find((c) => c.id === id)?.questions[0]?.expr(30, "o");
  expect(chart("cpu")).toBe('avg by (mode) (rate(node_cpu_seconds_total{mode!="idle",o}[30s]))');
  expect(chart("memory")).toBe("node_memory_MemTotal_bytes{o} - node_memory_MemAvailable_bytes{o}");
});
