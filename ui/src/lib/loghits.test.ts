import { describe, expect, it } from "vitest";

import { bitsOf, excerpt, findersOf, harmlessPattern, hitsIn } from "./loghits";

const marked = (text: string, query: string) => bitsOf(text, hitsIn(text, findersOf(query))).map((bit) => (bit.hit ? `[${bit.text}]` : bit.text)).join("");

describe("hits", () => {
  it("are the words that were asked for, not those left out", () => {
    expect(marked("GET /health timeout", '{} |= "timeout" != "health"')).toBe("GET /health [timeout]");
    expect(marked("a b a", '{} |= "a" or "b"')).toBe("[a] [b] [a]");
  });

  it("may be found by a pattern, in any case", () => {
    expect(marked("Timeout after 15ms", '{} |~ "(?i)timeout" |~ "\\\\d+ms"')).toBe("[Timeout] after [15ms]");
  });

  it("that overlap are one", () => {
    expect(marked("abcd", '{} |= "abc" |= "bcd"')).toBe("[abcd]");
  });

  it("are marked where characters are shown as escapes", () => {
    expect(marked("x\u202ey\0z", '{} |= "\\xe2\\x80\\xaey"')).toBe("x[\\u{202e}y]\\u{0}z");
  });

  it("are bounded in number", () => {
    expect(hitsIn("a".repeat(10_000).replaceAll("a", "a "), findersOf('|= "a"'))).toHaveLength(200);
  });
});

describe("a pattern", () => {
  it.each(["(a+)+$", "(a|aa)*b", ".*.*x", "a{1,}b{2,}", "(?=x)", "(?s).", "[unclosed", "x".repeat(600)])("that our engine may choke on, or does not know, marks nothing: %s", (text) => {
    expect(harmlessPattern(text)).toBeNull();
  });

  it.each(["took \\d+ms", "(?P<ip>10\\.0)", "a|b|c", "[*+]+", "x\\*\\+"])("that is simple is taken: %s", (text) => {
    expect(harmlessPattern(text)).not.toBeNull();
  });
});

describe("a line", () => {
  it("keeps its own line breaks only where they are wanted", () => {
    expect(bitsOf("a\nb\r", [])).toEqual([{ text: "a\\nb\\r", hit: false }]);
    expect(bitsOf("a\nb\u001b[31m", [], true)).toEqual([{ text: "a\nb\\u{1b}[31m", hit: false }]);
  });

  it("that is long is shown from a little before its first hit", () => {
    const text = `${"x".repeat(5000)}HIT${"y".repeat(5000)}`;
    const part = excerpt(text, [{ from: 5000, to: 5003 }], 400);
    expect(part.before).toBe(4900);
    expect(part.after).toBe(text.length - 5300);
    expect(part.text.slice(part.hits[0]?.from, part.hits[0]?.to)).toBe("HIT");
    expect(excerpt("short", [], 400)).toEqual({ text: "short", hits: [], before: 0, after: 0 });
  });

  it("is never cut through one character", () => {
    const text = "🙂".repeat(300);
    for (const max of [99, 100, 101]) expect(excerpt(text, [{ from: 401, to: 402 }], max).text).not.toMatch(/^[\udc00-\udfff]|[\ud800-\udbff]$/);
  });
});
