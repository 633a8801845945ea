import { describe, expect, it } from "vitest";

import type { Series } from "./prom";
import { bounds, nearest, parseValue, scale, toGraph, toRows } from "./results";

const shape = { start: 100, step: 10, length: 4 };
const histogram = { count: "7", sum: "2.5", buckets: [[0, "0", "1", "7"]] as [number, string, string, string][] };

describe("rows of a table", () => {
  it("are made of every kind of answer", () => {
    expect(toRows({ resultType: "scalar", result: [1, "2"] })).toEqual([{ metric: null, cells: [{ at: 1, value: "2", histogram: null }] }]);
    expect(toRows({ resultType: "vector", result: [{ metric: { a: "b" }, histogram: [1, histogram] }] })[0]?.cells).toEqual([{ at: 1, value: null, histogram }]);
    const mixed: Series = { metric: {}, values: [[1, "NaN"], [3, "+Inf"]], histograms: [[2, histogram]] };
    expect(toRows({ resultType: "matrix", result: [mixed] })[0]?.cells.map((cell) => cell.at)).toEqual([1, 2, 3]);
    expect(toRows({ resultType: "vector", result: [] })).toEqual([]);
  });
});

describe("a graph", () => {
  const series: Series[] = [
    { metric: { __name__: "a", x: "1" }, values: [[100, "1"], [110, "NaN"], [130, "4"]] },
    { metric: { __name__: "a", x: "2" }, values: [[100, "+Inf"], [120, "-2"]] },
    { metric: { __name__: "h", x: "3" }, histograms: [[110, histogram]] },
  ];

  it("leaves gaps where no number can be drawn, and says so", () => {
    const drawn = toGraph(shape, [{ letter: "", series }]);
    expect(drawn.frame.columns.map((column) => column.values)).toEqual([[1, null, null, 4], [null, null, -2, null], [null, 7, null, null]]);
    expect(drawn).toMatchObject({ left: 0, odd: 2, histograms: 1 });
  });

  it("names series by their question when there are several", () => {
    const drawn = toGraph(shape, [{ letter: "A", series: series.slice(0, 1) }, { letter: "B", series: series.slice(0, 1) }]);
    expect(drawn.frame.columns.map((column) => column.key)).toEqual(['A a{x="1"}', 'B a{x="1"}']);
  });

  it("keeps a series apart from one that an odd answer has twice", () => {
    const twice = [{ metric: { a: "1" } }, { metric: { a: "1" } }];
    expect(new Set(toGraph(shape, [{ letter: "", series: twice }]).frame.columns.map((column) => column.key)).size).toBe(2);
  });

  it("shows no more series than can be drawn, the highest", () => {
    const many = Array.from({ length: 250 }, (_, i) => ({ metric: { n: String(i) }, values: [[100, String(i)]] as [number, string][] }));
    const drawn = toGraph(shape, [{ letter: "", series: many }]);
    expect([drawn.frame.columns.length, drawn.left]).toEqual([200, 50]);
    expect(drawn.frame.columns[0]?.key).toBe('{n="50"}');
  });

  it("finds the series nearest to the pointer, hidden ones aside", () => {
    const columns = [{ key: "a", values: [1] }, { key: "b", values: [5] }, { key: "c", values: [null] }];
    expect(nearest(columns, new Set(), 0, 4)).toBe(1);
    expect(nearest(columns, new Set(["b"]), 0, 4)).toBe(0);
    expect(nearest(columns, new Set(["a", "b"]), 0, 4)).toBeNull();
  });
});

describe("the scale", () => {
  it("has zero in it unless the values lie close together far from it", () => {
    expect(scale([2, 10])[0]).toBe(0);
    expect(scale([1000, 1001])[0]).toBeGreaterThan(990);
    expect(scale([-10, -2])[1]).toBe(0);
    expect(scale([5, 5])).toEqual([0, 6]);
    expect(scale([0, 0])).toEqual([0, 1]);
    for (const [low, high] of [[-3, 4], [-1, 0], [1e-9, 2e-9], [-1e12, 1e12]] as const) {
      const [bottom, top] = scale([low, high]);
      expect(bottom <= low && top >= high && bottom < top).toBe(true);
    }
  });

  it("looks at what is shown", () => {
    const columns = [{ key: "a", values: [1, null, 3] }, { key: "b", values: [100] }];
    expect(bounds(columns, new Set(["b"]))).toEqual([1, 3]);
    expect(bounds(columns, new Set(["a", "b"]))).toBeNull();
  });

  it("reads values as PromQL writes them", () => {
    expect([parseValue("+Inf"), parseValue("-Inf"), parseValue("1e3")]).toEqual([Infinity, -Infinity, 1000]);
    expect(parseValue("NaN")).toBeNaN();
  });
});
