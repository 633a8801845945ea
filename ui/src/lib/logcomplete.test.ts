import { describe, expect, it } from "vitest";

import { logChoicesAt, logPlaceAt } from "./logcomplete";

/** The place at `^`. */
const at = (text: string) => {
  const place = logPlaceAt(text.replace("^", ""), text.indexOf("^"));
  return [place.kind, "label" in place ? place.label : "", place.prefix];
};

describe("the place in a query", () => {
  it.each([
    ["{^", ["label", "", ""]],
    ["{ser^vice}", ["label", "", "ser"]],
    ['{service="app", h^', ["label", "", "h"]],
    ["{service=^", ["value", "service", ""]],
    ['{service="^', ["value", "service", ""]],
    ['{service=~"a|w^"}', ["value", "service", "a|w"]],
    ['{a="x", service!="we^', ["value", "service", "we"]],
    ['{a="x"} | ^', ["stage", "", ""]],
    ['{a="x"} | lev^', ["stage", "", "lev"]],
    ['{a="x"} | json | level="er^', ["value", "level", "er"]],
    ['{a="x"} |= "time^', ["none", "", ""]],
    ['{a="x"} |= "x | service=^', ["none", "", ""]],
    ['{a="x"}^', ["none", "", ""]],
    ['{a="{^', ["value", "a", "{"]],
    ["^", ["none", "", ""]],
  ])("%s", (text, expected) => {
    expect(at(text)).toEqual(expected);
  });

  it("says what is replaced", () => {
    const text = '{service="ap" }';
    const place = logPlaceAt(text, 12);
    expect(text.slice(place.from, place.to)).toBe("ap");
    expect(logPlaceAt("{service}", 4)).toMatchObject({ from: 1, to: 8 });
  });
});

describe("choices", () => {
  it("are quoted as the place needs it", () => {
    const value = (text: string, pos: number) => logChoicesAt(logPlaceAt(text, pos), ['a"b', ""]).map((one) => one.insert);
    expect(value("{a=", 3)).toEqual(['"a\\"b"']);
    expect(value('{a="', 4)).toEqual(['a\\"b']);
  });

  it("leave out names that no query can speak of", () => {
    expect(logChoicesAt(logPlaceAt("{", 1), ["host", "a b", "5xx"]).map((one) => one.text)).toEqual(["host"]);
    expect(logChoicesAt(logPlaceAt("{} | ", 5), ["host"]).map((one) => one.text)).toEqual(["json", "logfmt", "host"]);
  });
});
