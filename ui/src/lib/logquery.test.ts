import { describe, expect, it } from "vitest";

import { asksNumbers, canAsk, choose, chosen, parse, parserFor, placeOf, quote, readWords, toggle, unitOfNumbers, withParser, withWords, wordsOf, write, writeWords } from "./logquery";

describe("a query", () => {
  it.each([
    "",
    '{service="app"} |= "timeout" | level="error"',
    '{service=~"a|b", host!="x"} != "health" |~ "took \\d+ms" | json | status >= 500 != "ok"',
    '{a="b"} |= "x" or "y" | logfmt | a > 5m and b="c" or (d != "e") | f=~"g"',
    "{} |= `back\\slash`",
  ])("that is taken apart and written again is the same: %s", (query) => {
    const parts = parse(query);
    expect(parts).not.toBeNull();
    expect(write(parts ?? { matches: [], stages: [] }).replace(/^\{\} /, "")).toBe(query.replace(/^\{\} /, ""));
  });

  it("is split where a new stage begins, not where a comparison stands", () => {
    const kinds = (query: string) => parse(query)?.stages.map((one) => one.raw);
    expect(kinds('{} | status != "5" != "x"')).toEqual(['| status != "5"', '!= "x"']);
    expect(kinds('{} | n >= 500 !~ "x"')).toEqual(["| n >= 500", '!~ "x"']);
    expect(kinds('{} | (a="b" or c="d") != "x"')).toEqual(['| (a="b" or c="d")', '!= "x"']);
    expect(kinds('"just a text"')).toEqual(['|= "just a text"']);
  });

  it.each(['{service="app"', "{service=}", "sum(rate({}[5m]))", '{} |= "open', "{} | ", "{} %", '{a="b"} words'])("that is not finished, or is none for lines, is not taken apart: %s", (query) => {
    expect(parse(query)).toBeNull();
  });

  it("reads comments, escapes and bytes", () => {
    expect(parse('# all of it\n{a="x\\n\\"\\xe2\\x80\\xae\\0"}')?.matches[0]?.value).toBe('x\n"\u202e\0');
  });
});

describe("what a query asks for", () => {
  it.each(["sum(rate({}[5m]))", "  count_over_time({a=\"b\"}[1m])", "# by service\nsum by (service) (rate({}[5m]))", "topk(3, sum without (host) (rate({}[1m])))"])("is numbers: %s", (query) => {
    expect(asksNumbers(query)).toBe(true);
  });

  it.each(["", "{}", '{service="sum(x)"}', "sum", '"sum(rate({}[5m]))"', '|= "rate("', "# sum(rate({}[5m]))"])("is lines: %s", (query) => {
    expect(asksNumbers(query)).toBe(false);
  });
});

describe("the unit of numbers", () => {
  it.each([
    ["sum(count_over_time({}[5m]))", "plain"],
    ["rate({}[5m])", "per_second"],
    ["bytes_rate({}[5m])", "bytes_per_second"],
    ["sum(bytes_over_time({}[5m]))", "bytes"],
  ])("of %s", (query, unit) => {
    expect(unitOfNumbers(query)).toBe(unit);
  });
});

describe("quoting", () => {
  it.each(["plain", 'say "hi"', "a\\b", "\0\u001b[31m", "safe\u202egnp", "日本語 🙂", "<b>\n\t"])("gives back %j", (text) => {
    const made = quote(text);
    expect(parse(`{a=${made}}`)?.matches[0]?.value).toBe(text);
    expect(made).not.toMatch(/[\u0000-\u001f\u202a-\u202e]/);
  });
});

describe("choosing", () => {
  it("puts labels into the braces, several as one choice", () => {
    let query = toggle("", "service", "app", "only");
    expect(query).toBe('{service="app"}');
    query = toggle(query, "service", "web.1", "only");
    expect(query).toBe('{service=~"app|web\\\\.1"}');
    expect(chosen(query, "service")).toEqual({ only: ["app", "web.1"], without: [] });
    query = toggle(query, "service", "app", "only");
    expect(query).toBe('{service="web.1"}');
    expect(toggle(query, "service", "web.1", "only")).toBe("");
  });

  it("leaves out, and never both", () => {
    const query = toggle('{service="app"} |= "x"', "service", "app", "without");
    expect(query).toBe('{service!="app"} |= "x"');
    expect(toggle(query, "service", "db", "without")).toBe('{service!~"app|db"} |= "x"');
    expect(toggle(query, "service", "app", "only")).toBe('{service="app"} |= "x"');
  });

  it("keeps what it does not understand", () => {
    const query = '{service=~"a.*"} | json | status >= 500 and level="error"';
    expect(chosen(query, "service")).toEqual({ only: [], without: [] });
    expect(toggle(query, "host", "h", "only")).toBe('{service=~"a.*", host="h"} | json | status >= 500 and level="error"');
  });

  it("changes a stage where it stands as one", () => {
    const query = '{service="app"} | level="error"';
    expect(chosen(query, "level").only).toEqual(["error"]);
    expect(toggle(query, "level", "warning", "only")).toBe('{service="app"} | level=~"error|warning"');
    expect(toggle(query, "level", "error", "only")).toBe('{service="app"}');
  });

  it("asks what a stage found behind that stage", () => {
    expect(toggle('{service="app"} | json', "status", "500", "only", true)).toBe('{service="app"} | json | status="500"');
    expect(toggle('{service="app"} | json | status="500"', "status", "500", "without", true)).toBe('{service="app"} | json | status!="500"');
  });

  it("knows the other words for a level", () => {
    expect(chosen('{level=~"ERR|warn"}', "level").only).toEqual(["error", "warning"]);
  });

  it("chooses lines without a value", () => {
    expect(choose("", "level", { only: ["", "error"], without: [] })).toBe('{level=~"|error"}');
    expect(chosen('{level=~"|error"}', "level").only).toEqual(["", "error"]);
  });

  it("puts a choice behind a query that is not finished", () => {
    expect(toggle('{service="a"', "host", "h", "only")).toBe('{service="a" | host="h"');
  });

  it("cannot ask for names that are none in the language", () => {
    expect(["level", "http.status", "größe", "5xx", "a b", "", 'x"'].map(canAsk)).toEqual([true, true, true, false, false, false, false]);
  });

  it("cannot be led astray by what a value says", () => {
    const evil = '"} | drop {x="';
    expect(chosen(toggle("", "service", evil, "only"), "service").only).toEqual([evil]);
    expect(parse(toggle("", "service", evil, "only"))?.stages).toEqual([]);
  });
});

describe("words", () => {
  it("go from the box into the query and back", () => {
    const words = readWords('timeout "connection refused" -health -"a b"', false);
    expect(words.map((one) => [one.text, one.without])).toEqual([["timeout", false], ["connection refused", false], ["health", true], ["a b", true]]);
    const query = withWords('{service="app"} | json', words);
    expect(query).toBe('{service="app"} |= "timeout" |= "connection refused" != "health" != "a b" | json');
    expect(writeWords(wordsOf(query))).toBe('timeout "connection refused" -health -"a b"');
  });

  it("may be looked for in any case", () => {
    const query = withWords("", readWords("C++ -x.y", true));
    expect(query).toBe('|~ "(?i)C\\\\+\\\\+" !~ "(?i)x\\\\.y"');
    expect(wordsOf(query)).toEqual([{ text: "C++", without: false, anyCase: true }, { text: "x.y", without: true, anyCase: true }]);
  });

  it("without upper and lower case are looked for as they are", () => {
    expect(withWords("", readWords("500 超时 Ö", true))).toBe('|= "500" |= "超时" |~ "(?i)Ö"');
  });

  it("replace only words, and stay where the first stood", () => {
    expect(withWords('{} | logfmt |= "a" |~ "b.*" != "c" | d="e"', readWords("z", false))).toBe('| logfmt |= "z" |~ "b.*" | d="e"');
    expect(withWords('{a="b"} |= "x"', [])).toBe('{a="b"}');
  });

  it("with quotes and bars survive the box", () => {
    for (const text of ['say "hi"', "-5", "a\\b c", '"', "x|y"]) {
      expect(readWords(writeWords([{ text, without: false, anyCase: false }]), false)).toEqual([{ text, without: false, anyCase: false }]);
    }
    expect(readWords('  "half open', false).map((one) => one.text)).toEqual(["half open"]);
    expect(readWords('"" -', false).map((one) => one.text)).toEqual(["-"]);
  });
});

describe("a parser", () => {
  it("is offered for texts that it can read", () => {
    expect(['{"a": 1}', ' {\n"level":"info","x":{}}', "level=info msg=\"done now\" took=5ms", "a=b", "x == y and z == w", "plain words {not json}", ""].map(parserFor)).toEqual(["json", "json", "logfmt", null, null, null, null]);
  });


  it("stands behind the words and before conditions, once", () => {
    expect(withParser('{a="b"} |= "x" | c="d"', "json")).toBe('{a="b"} |= "x" | json | c="d"');
    expect(withParser("{} | json", "json")).toBe("{} | json");
  });
});

describe("the place of an error", () => {
  it("is counted in bytes and covers the word that stands there", () => {
    expect(placeOf('{dienst="größe"} nonsense here', "at byte 19: found `nonsense`")).toEqual({ before: '{dienst="größe"} ', at: "nonsense", after: " here" });
  });

  it("may be the end, or not be named", () => {
    expect(placeOf('{a="b"', "at byte 6: found the end")).toEqual({ before: '{a="b"', at: "", after: "" });
    expect(placeOf("{}", "the store is closed")).toBeNull();
    expect(placeOf("{}", "at byte 999999: found the end")?.before).toBe("{}");
  });
});
