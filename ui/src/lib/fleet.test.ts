import { describe, expect, it } from "vitest";

import { type HostResult, type RunHead, chooseHosts, commandLine, countsOf, fromFleetSearch, mergeRuns, ofRun, outputLines, toFleetSearch } from "./fleet";

const run = (id: string, more: Partial<RunHead> = {}): RunHead => ({
  id, began_at: 1, ended_at: 2, kind: "run", who: "ann", what: ["uptime"], what_is_cut: false, pattern: "all",
  exit: 0, check: false, host_count: 1, counts: { ok: 1 }, changed: 0, ...more,
});

describe("a run", () => {
  it.each([
    [{}, "ok"],
    [{ counts: { ok: 9, unknown: 1 } }, "unknown"],
    [{ counts: { ok: 1, failed: 1, unreachable: 2 } }, "failed"],
    [{ counts: { unreachable: 2 } }, "unreachable"],
    [{ counts: { ok: 1, not_begun: 3 } }, "not_begun"],
    [{ counts: {}, exit: 4 }, "failed"],
    [{ exit: 99 }, "stopped"],
    [{ damaged: "torn" }, "damaged"],
  ])("%j is %s", (more, word) => {
    expect(ofRun(run("1-1", more)).word).toBe(word);
  });

  it("counts what needs a look first, and what we have no word for last", () => {
    const counts = countsOf(run("1-1", { counts: { ok: 7, failed: 2, odd: 1, unknown: 0 } }));
    expect(counts.map((one) => [one.status, one.count])).toEqual([["failed", 2], ["ok", 7], ["odd", 1]]);
  });

  it("shows a command as a shell would take it", () => {
    expect(commandLine(["sh", "-c", "echo 'a' b", ""])).toBe("sh -c 'echo '\\''a'\\'' b' ''");
  });
});

describe("a list that is brought up to date", () => {
  it("keeps older pages, takes new runs, and loses what is gone", () => {
    const known = [run("9-1"), run("8-1"), run("7-1"), run("5-1")];
    const fresh = { runs: [run("9-5"), run("9-1"), run("7-1", { who: "bob" })], next: "7-1" };
    const merged = mergeRuns(known, fresh);
    expect(merged.map((one) => one.id)).toEqual(["9-5", "9-1", "7-1", "5-1"]);
    expect(merged[2]?.who).toBe("bob");
  });

  it("is the page itself when there is no other", () => {
    expect(mergeRuns([run("5-1")], { runs: [], next: null })).toEqual([]);
    expect(mergeRuns([run("5-1")], { runs: [run("9-1")], next: null }).map((one) => one.id)).toEqual(["9-1"]);
  });
});

describe("outputs", () => {
  it("are lines that can neither move the cursor nor turn the text around", () => {
    expect(outputLines("a\tb\r\n\u001b[2Jc\u202e\n\nlast")).toEqual(["a\tb", "\\u{1b}[2Jc\\u{202e}", "", "last"]);
    expect(outputLines("")).toEqual([]);
    expect(outputLines("one\n")).toEqual(["one"]);
  });
});

describe("the page's state in the address", () => {
  it.each(["", "kind=play&host=web", "tab=agents", "tab=deployments"])("keeps %s", (search) => {
    expect(toFleetSearch(fromFleetSearch(search))).toBe(search);
  });

  it("is as if it were not there when it makes no sense", () => {
    expect(fromFleetSearch(`tab=x&kind=<b>&host=${"h".repeat(999)}`)).toEqual({ tab: "runs", kind: "", host: "h".repeat(255) });
  });
});

describe("the hosts of a run", () => {
  const host = (name: string, status: string): HostResult => ({
    host: name, status, exit: 0, note: null, took_ms: 1, stdout: "", stderr: "", dropped_bytes: 0, left_out: false, counts: null, failures: [],
  });
  const all = [host("Web1", "ok"), host("web2", "failed"), host("db", "unknown"), host("web3", "odd")];

  it("come with what needs a look first", () => {
    expect(chooseHosts(all, "all", "").map((one) => one.host)).toEqual(["web2", "db", "web3", "Web1"]);
  });

  it("are found by status and name", () => {
    expect(chooseHosts(all, "ok", "web").map((one) => one.host)).toEqual(["Web1"]);
    expect(chooseHosts(all, "failed", "db")).toEqual([]);
  });
});
