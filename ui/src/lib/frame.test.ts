import { describe, expect, it } from "vitest";

import { append, biggest, grid, stack, tellApart, times, toFrame } from "./frame";

const shape = { start: 100, step: 2, length: 4 };

describe("the grid", () => {
  it("has one point a second for a quarter of an hour", () => {
    expect(grid(1_000_000_500, 900_000, 900)).toEqual({ start: 999_100, step: 1, length: 901 });
  });

  it("lies on whole steps, so that two refreshes agree", () => {
    for (const end of [1_000_000_000, 1_000_001_000, 1_000_007_000]) {
      const { start, step } = grid(end, 3_600_000, 900);
      expect(step).toBe(4);
      expect(start % step).toBe(0);
    }
  });
});

describe("answers on the grid", () => {
  it("get null where nothing was measured or the value is no number", () => {
    const frame = toFrame(shape, [{ by: ["mode"], name: "", suffix: "", series: [{ metric: { mode: "user" }, values: [[100, "1"], [104, "NaN"], [106, "2.5"], [200, "9"]] }] }]);
    expect(frame.columns).toEqual([{ key: "user", values: [1, null, null, 2.5] }]);
    expect(times(frame)).toEqual([100, 102, 104, 106]);
  });

  it("are named by label and by question", () => {
    const series = [{ metric: { device: "vda" }, values: [] }];
    expect(toFrame(shape, [{ by: ["device"], name: "read", suffix: "read", series }]).columns[0]?.key).toBe("vda read");
    expect(toFrame(shape, [{ by: [], name: "load", suffix: "load", series }]).columns[0]?.key).toBe("load");
  });

  it("are told apart by the labels that differ", () => {
    expect(tellApart([{ metric: { a: "1", b: "x" }, values: [] }, { metric: { a: "2", b: "x" }, values: [] }])).toEqual(["a"]);
    expect(tellApart([{ metric: { a: "1" }, values: [] }])).toEqual([]);
  });
});

describe("a moving window", () => {
  const frame = { ...shape, columns: [{ key: "a", values: [1, 2, 3, 4] }] };

  it("drops at the front what comes at the end", () => {
    const moved = append(frame, { start: 108, step: 2, length: 2, columns: [{ key: "a", values: [5, 6] }] });
    expect(moved).toEqual({ start: 104, step: 2, length: 4, columns: [{ key: "a", values: [3, 4, 5, 6] }] });
  });

  it("keeps a gap as a gap", () => {
    const moved = append(frame, { start: 110, step: 2, length: 1, columns: [{ key: "a", values: [6] }] });
    expect(moved.columns).toEqual([{ key: "a", values: [3, 4, null, 6] }]);
  });

  it("takes new series in and lets gone ones out", () => {
    const moved = append(frame, { start: 108, step: 2, length: 3, columns: [{ key: "b", values: [7, 8, 9] }] });
    expect(moved.columns).toEqual([{ key: "a", values: [4, null, null, null] }, { key: "b", values: [null, 7, 8, 9] }]);
    const gone = append(moved, { start: 114, step: 2, length: 1, columns: [{ key: "b", values: [1] }] });
    expect(gone.columns.map((column) => column.key)).toEqual(["b"]);
  });
});

describe("columns", () => {
  it("stack on each other, and a missing value adds nothing", () => {
    expect(stack([{ key: "a", values: [1, null, 3] }, { key: "b", values: [1, 2, null] }])).toEqual([[1, null, 3], [2, 2, 3]]);
  });

  it("beyond the limit are left out, smallest first", () => {
    const columns = [1, 5, 3].map((peak) => ({ key: String(peak), values: [peak, null] }));
    expect(biggest(columns, 2)).toEqual({ kept: [columns[1], columns[2]], left: 1 });
  });
});
