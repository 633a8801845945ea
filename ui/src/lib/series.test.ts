import { describe, expect, it } from "vitest";

import { ask, legendNames, metricSelector, quote, seriesText } from "./series";

describe("a series as text", () => {
  it("is PromQL", () => {
    expect(seriesText({ __name__: "up", job: "a", instance: "b" })).toBe('up{instance="b", job="a"}');
    expect(seriesText({ __name__: "up" })).toBe("up");
    expect(seriesText({})).toBe("{}");
    expect(seriesText({ job: "a" })).toBe('{job="a"}');
  });

  it("quotes what is outside the old alphabet", () => {
    expect(seriesText({ __name__: "my.metric", "ünï code": 'q"\\\n' })).toBe('{"my.metric", "ünï code"="q\\"\\\\\\n"}');
    expect(metricSelector("my.metric")).toBe('{"my.metric"}');
    expect(quote("a\tb")).toBe('"a\\tb"');
  });
});

describe("names in a legend", () => {
  it("leave out what all have in common", () => {
    expect(legendNames([{ __name__: "up", job: "n", instance: "1" }, { __name__: "up", job: "n", instance: "2" }])).toEqual(['{instance="1"}', '{instance="2"}']);
  });

  it("say everything when there is one series", () => {
    expect(legendNames([{ __name__: "up", job: "n" }])).toEqual(['up{job="n"}']);
    expect(legendNames([])).toEqual([]);
  });

  it("tell metrics apart, and a label that only some have", () => {
    expect(legendNames([{ __name__: "a" }, { __name__: "b" }, { __name__: "a", x: "1" }])).toEqual(["a", "b", 'a{x="1"}']);
  });

  it("are never the same for two series", () => {
    const metrics = Array.from({ length: 60 }, (_, i) => ({ __name__: i % 2 === 0 ? "a" : "b", n: String(i % 10), m: String(Math.floor(i / 10)) }));
    expect(new Set(legendNames(metrics)).size).toBe(60);
  });

  it("look at no names that every object has", () => {
    expect(legendNames([{ constructor: "x" }, { a: "1" }])).toEqual(['{constructor="x"}', '{a="1"}']);
  });
});

describe("the questions behind the store's bars", () => {
  it("count what is behind them", () => {
    expect(ask.metric("up")).toBe("count by (job, instance) (up)");
    expect(ask.label("my label")).toBe('topk(20, count by ("my label") ({"my label"!=""}))');
    expect(ask.pair('path=/a=b"c')).toBe('topk(20, count by (__name__) ({path="/a=b\\"c"}))');
  });
});
