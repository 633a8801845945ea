import { describe, expect, it } from "vitest";

import { brief, cut, linkify, safeHref, visible } from "./visible";

describe("text from outside", () => {
  it.each(["web-1", "磁盘已满", "a\\n b", "👩‍👧", "ünïcode {x}"])("%s stays as it is", (text) => {
    expect(visible(text)).toBe(text);
  });

  it.each([
    ["a\nb\r\tc", "a\\nb\\r\\tc"],
    ["\u001b[31mred", "\\u{1b}[31mred"],
    ["\u009b2J", "\\u{9b}2J"],
    ["abc\u202efed", "abc\\u{202e}fed"],
    ["\u2066x\u2069", "\\u{2066}x\\u{2069}"],
    ["x\u2028y\ufeff", "x\\u{2028}y\\u{feff}"],
    ["a\u{e0041}b", "a\\u{e0041}b"],
  ])("%j is shown as %s", (text, expected) => {
    expect(visible(text)).toBe(expected);
  });

  it("is cut, but never inside a character", () => {
    expect(cut("abcdef", 4)).toEqual({ head: "abcd", left: 2 });
    expect(cut("abc", 4)).toEqual({ head: "abc", left: 0 });
    expect(cut("abc😀def", 4)).toEqual({ head: "abc", left: 5 });
    expect(brief(`${"x".repeat(500)}\u202e`, 10)).toBe(`${"x".repeat(10)}…`);
  });
});

describe("addresses in a text", () => {
  it("become links, and the text around them stays", () => {
    expect(linkify("see https://a.example/x?y=1, then (http://b.example).")).toEqual([
      { text: "see ", href: null },
      { text: "https://a.example/x?y=1", href: "https://a.example/x?y=1" },
      { text: ", then (", href: null },
      { text: "http://b.example", href: "http://b.example/" },
      { text: ").", href: null },
    ]);
  });

  it.each(["javascript:alert(1)", "data:text/html,x", "//host/x", "ftp://host/", "https://", "<a href='javascript:x'>"])("%s is no link", (text) => {
    expect(linkify(text).every((piece) => piece.href === null)).toBe(true);
    expect(linkify(text).map((piece) => piece.text).join("")).toBe(text);
  });

  it.each(["https://bank.example@evil.example/", "https://a.example/\u202egpj.exe", "https://a\u200eb.example/"])("%j would mislead and is no link", (text) => {
    expect(safeHref(text)).toBeNull();
  });
});
