import { describe, expect, it } from "vitest";

import { rounds } from "./timeline";
import type { Moment } from "./types";

const moment = (at: number, text: string, reopened = false): Moment => ({ at, kind: reopened ? "status" : "seen", text, good: null, reopened });

describe("a time line", () => {
  it("is one round while the incident was never opened again", () => {
    expect(rounds([moment(20, "b"), moment(10, "a")], 5)).toEqual([
      { back: null, began: 5, entries: [{ moment: moment(10, "a"), times: 1 }, { moment: moment(20, "b"), times: 1 }] },
    ]);
    expect(rounds([], 5)).toEqual([{ back: null, began: 5, entries: [] }]);
  });

  it("begins a round, counted from there, whenever the incident came back", () => {
    const all = rounds([moment(10, "a"), moment(50, "back", true), moment(60, "a"), moment(90, "again", true)], 10);
    expect(all.map((round) => [round.back?.text ?? null, round.began, round.entries.length])).toEqual([
      [null, 10, 1],
      ["back", 50, 1],
      ["again", 90, 0],
    ]);
  });

  it("says once, with how often, what was said several times in a row", () => {
    const [round] = rounds([moment(1, "a"), moment(2, "a"), moment(3, "b"), moment(4, "a")], 1);
    expect(round?.entries.map((entry) => [entry.moment.at, entry.moment.text, entry.times])).toEqual([[1, "a", 2], [3, "b", 1], [4, "a", 1]]);
  });

  it("keeps the order of the server for what happened in the same millisecond", () => {
    const [first, second] = rounds([moment(7, "a"), moment(7, "b"), moment(7, "back", true), moment(7, "c")], 7);
    expect(first?.entries.map((entry) => entry.moment.text)).toEqual(["a", "b"]);
    expect(second?.entries.map((entry) => entry.moment.text)).toEqual(["c"]);
  });
});
