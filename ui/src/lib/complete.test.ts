import { describe, expect, it } from "vitest";

import { choicesAt, metricAt, placeAt, ranked, take } from "./complete";
import { tokens } from "./promql";

/** The place at `|` in a text. */
const at = (marked: string) => placeAt(marked.replace("|", ""), marked.indexOf("|"));
const metric = (marked: string) => metricAt(marked.replace("|", ""), marked.indexOf("|"));

describe("tokens", () => {
  it("know strings, comments and their ends", () => {
    expect(tokens('a{b="x\\"y"} # c').map((token) => token.text)).toEqual(["a", "{", "b", "=", '"x\\"y"', "}", "# c"]);
    expect(tokens('"abc').at(-1)?.closed).toBe(false);
    expect(tokens('"abc\\"').at(-1)?.closed).toBe(false);
    expect(tokens('"abc\\\\"').at(-1)?.closed).toBe(true);
    expect(tokens("`a\\`").at(-1)?.closed).toBe(true);
  });

  it("cover any text without failing", () => {
    for (const text of ["", "{{{", '"', "[5m", "é😀\u202e", "a==b=~c", ")".repeat(100)]) expect(() => tokens(text)).not.toThrow();
  });
});

describe("the place of the cursor", () => {
  it.each([
    ["|", { kind: "expression", prefix: "" }],
    ["no|", { kind: "expression", prefix: "no", from: 0, to: 2 }],
    ["no|de_load1", { kind: "expression", prefix: "no", from: 0, to: 10 }],
    ["sum(ra|", { kind: "expression", prefix: "ra" }],
    ["sum(rate(x[5m])) b|", { kind: "expression", prefix: "b", afterOperand: true }],
    ["a + b|", { kind: "expression", prefix: "b", afterOperand: false }],
    ["up{|", { kind: "label", prefix: "", selector: "up" }],
    ["up{jo|}", { kind: "label", prefix: "jo", selector: "up" }],
    ['up{job="a",in|}', { kind: "label", prefix: "in", selector: 'up{job="a"}' }],
    ['{job="a", |}', { kind: "label", prefix: "", selector: '{job="a"}' }],
    ['up{job="|', { kind: "value", label: "job", prefix: "", quoted: true, selector: "up" }],
    ['up{job=~"no|de"}', { kind: "value", label: "job", prefix: "no", from: 9, to: 13 }],
    ["up{job=|}", { kind: "value", label: "job", prefix: "", quoted: false }],
    ['up{"ünï code"="|"}', { kind: "value", label: "ünï code" }],
    ["sum by (|) (up)", { kind: "label", selector: "up" }],
    ["sum by (job, in|) (rate(up[5m]))", { kind: "label", prefix: "in", selector: "up" }],
    ["a * on (|) group_left b", { kind: "label" }],
    ["rate(up[|", { kind: "duration", prefix: "" }],
    ["rate(up[5|", { kind: "duration", prefix: "5" }],
    ["up offset |", { kind: "duration" }],
    ['label_replace(up, "a|', { kind: "none" }],
    ["up # com|", { kind: "none" }],
    ["up > 1|", { kind: "none" }],
    ['up{job="a"|}', { kind: "none" }],
  ])("%s", (marked, expected) => {
    expect(at(marked)).toMatchObject(expected);
  });
});

describe("the metric under the cursor", () => {
  it.each([
    ["node_l|oad1 + up", "node_load1"],
    ["up{jo|b=\"a\"} / x", "up"],
    ["sum(rate(x_total[5m]))|", "x_total"],
    ["a + b |", null],
    ["su|m(up) + x", null],
    ["sum by (job) (up)|", "up"],
    ["|", null],
  ])("%s: %s", (marked, expected) => {
    expect(metric(marked)).toBe(expected);
  });
});

describe("choices", () => {
  const names = ["node_load1", "node_load15", "rated_total", "my.metric"];

  it("are ranked: exact, beginning, beginning of a part, anywhere", () => {
    const place = at("load|");
    expect(ranked(choicesAt(place, names), "load", 9).map((one) => one.text)).toEqual(["node_load1", "node_load15"]);
    expect(ranked(choicesAt(at("rate|"), names), "rate", 3).map((one) => one.text)).toEqual(["rate", "rated_total", "irate"]);
  });

  it("are bounded", () => {
    const many = Array.from({ length: 20_000 }, (_, i) => `metric_${i}`);
    expect(ranked(choicesAt(at("m|"), many), "m", 60)).toHaveLength(60);
  });

  it("are put into the text, in quotes where that is needed", () => {
    const put = (marked: string, text: string) => {
      const place = at(marked);
      const choice = choicesAt(place, [...names, "job", "ünï", 'a"b']).find((one) => one.text === text);
      if (choice === undefined) throw new Error(`no choice ${text}`);
      const made = take(marked.replace("|", ""), place, choice);
      return `${made.text.slice(0, made.cursor)}|${made.text.slice(made.cursor)}`;
    };
    expect(put("sum(no|)", "node_load1")).toBe("sum(node_load1|)");
    expect(put("ra|", "rate")).toBe("rate(|");
    expect(put("ra|(x[5m])", "rate")).toBe("rate|(x[5m])");
    expect(put("ti|", "time")).toBe("time()|");
    expect(put("my|", "my.metric")).toBe('{"my.metric"}|');
    expect(put("up{|}", "ünï")).toBe('up{"ünï"|}');
    expect(put('up{job="|"}', 'a"b')).toBe('up{job="a\\"b|"}');
    expect(put("up{job=|}", 'a"b')).toBe('up{job="a\\"b"|}');
    expect(put("sum(up) b|", "by")).toBe("sum(up) by (|");
  });
});
