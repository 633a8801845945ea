import { describe, expect, it } from "vitest";

import { isPlainClick, parse, path, takeToken } from "./router";

describe("the router", () => {
  it.each([
    ["/", { page: "now" }],
    ["/host", { page: "host" }],
    ["/host/", { page: "host" }],
    ["/incidents", { page: "incidents" }],
    ["/incidents/12", { page: "incident", id: "12" }],
    ["/incidents/12/x", { page: "unknown" }],
    ["/incidents/..%2f", { page: "unknown" }],
    ["/incidents/-1", { page: "unknown" }],
    [`/incidents/${"1".repeat(21)}`, { page: "unknown" }],
    ["/explore", { page: "explore" }],
    ["/logs", { page: "logs" }],
    ["/logs/x", { page: "unknown" }],
    ["/fleet", { page: "fleet" }],
    ["/fleet/runs/001700000000000-12", { page: "run", id: "001700000000000-12" }],
    ["/fleet/runs/12", { page: "unknown" }],
    ["/fleet/runs/1-2/x", { page: "unknown" }],
    ["/fleet/x/1-2", { page: "unknown" }],
    [`/fleet/runs/1-${"1".repeat(21)}`, { page: "unknown" }],
    ["/store/", { page: "store" }],
    ["/targets/x", { page: "unknown" }],
    ["/elsewhere", { page: "unknown" }],
  ])("reads %s", (given, expected) => {
    expect(parse(given)).toEqual(expected);
  });

  it("finds every page again from its own path", () => {
    for (const route of [{ page: "now" }, { page: "host" }, { page: "incidents" }, { page: "incident", id: "7" }, { page: "logs" }, { page: "fleet" }, { page: "run", id: "17-3" }, { page: "explore" }, { page: "alerts" }, { page: "targets" }, { page: "store" }] as const) {
      expect(parse(path(route))).toEqual(route);
    }
  });

  it("leaves clicks alone that should open a tab", () => {
    const plain = { button: 0, metaKey: false, ctrlKey: false, shiftKey: false, altKey: false, defaultPrevented: false };
    expect(isPlainClick(plain)).toBe(true);
    for (const odd of [{ button: 1 }, { metaKey: true }, { ctrlKey: true }, { shiftKey: true }, { altKey: true }, { defaultPrevented: true }]) {
      expect(isPlainClick({ ...plain, ...odd })).toBe(false);
    }
  });
});

describe("a token in the address", () => {
  it.each([
    ["", null, ""],
    ["#token=abc", "abc", ""],
    ["#token=a%2Bb", "a+b", ""],
    ["#main", null, "#main"],
    ["#main&token=abc&x=1", "abc", "#main&x=1"],
    ["#token=", null, ""],
    ["#token=%E0%A4%A", null, ""],
  ])("%s", (given, token, rest) => {
    expect(takeToken(given)).toEqual({ token, rest });
  });
});
