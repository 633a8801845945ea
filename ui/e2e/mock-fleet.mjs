// The mock's runs, agents and deployments. Some of it is hostile, and much of it is long.

import { LONG, MARKUP, TURNED } from "./mock-metrics.mjs";

const HOUR = 3_600_000;
const TERMINAL = "\u001b[31mred\u001b[0m \u001b]0;title\u0007 bell\u0000";

const head = (at, more) => ({
  id: `${String(at).padStart(15, "0")}-7`, began_at: at, ended_at: at + 2_340, kind: "run", who: "ann", what: ["uptime"], what_is_cut: false,
  pattern: "web:&prod", exit: 0, check: false, host_count: 2, counts: { ok: 2 }, changed: 0, ...more,
});
const host = (name, more = {}) => ({
  host: name, status: "ok", exit: 0, note: null, took_ms: 412, stdout: "", stderr: "", dropped_bytes: 0, left_out: false, counts: null, failures: [], ...more,
});
const recap = (more) => ({ ok: 0, changed: 0, failed: 0, unreachable: 0, unknown: 0, skipped: 0, rescued: 0, ignored: 0, ...more });
const failure = (more) => ({ task: "web : install packages", how: "failed", message: "", hidden: false, ignored: false, ...more });

const RUN_HOSTS = [
  host("web1.prod.example", { stdout: " 10:12:01 up 41 days,  2:10,  1 user,  load average: 0.12, 0.20, 0.18\n" }),
  host("web2.prod.example", { status: "failed", exit: 7, note: null, stderr: `${TERMINAL}\n${MARKUP}\tafter a tab\n${TURNED}\n`, dropped_bytes: 48_213 }),
  host("web3.prod.example", { status: "unreachable", exit: null, took_ms: 10_004, note: "connecting took longer than 10 s" }),
  host("web4.prod.example", { status: "unknown", exit: null, note: "the connection was lost while it ran" }),
  host("web5.prod.example", { status: "not_begun", exit: null, took_ms: 0 }),
  host(`web6-${"averylongnamewithoutanyend".repeat(4)}`, { stdout: Array.from({ length: 350 }, (_, i) => `line ${i + 1}`).join("\n") }),
  host("web7.prod.example", { left_out: true }),
];
const PLAY_HOSTS = [
  host("app1", { exit: null, took_ms: 0, counts: recap({ ok: 14, changed: 3, skipped: 2 }) }),
  host("app2", {
    exit: null, took_ms: 0, status: "failed", counts: recap({ ok: 6, changed: 1, failed: 1, ignored: 1 }),
    failures: [
      failure({ task: "web : probe", message: "non-zero return code\ncurl: (7) refused", ignored: true }),
      failure({ message: `No package matching '${MARKUP}' is available` }),
      failure({ task: "web : set a password", hidden: true }),
    ],
  }),
  host("app3", { exit: null, took_ms: 0, status: "unknown", counts: recap({ ok: 3, unknown: 1 }), failures: [failure({ task: "restart", how: "unknown", message: "the connection was lost" })] }),
];
const WHOLE = {
  "001700000400000-7": { hosts: RUN_HOSTS, damaged_hosts: 1 },
  "001700000300000-7": { hosts: PLAY_HOSTS, damaged_hosts: 0 },
};

function heads(world) {
  const named = [
    head(1_700_000_400_000, { exit: 4, host_count: 7, counts: { ok: 3, failed: 1, unreachable: 1, unknown: 1, not_begun: 1 } }),
    head(1_700_000_300_000, { kind: "play", what: ["site.yml"], pattern: "app", exit: 2, host_count: 3, counts: { ok: 1, failed: 1, unknown: 1 }, changed: 2, ended_at: 1_700_000_300_000 + 83_000 }),
    { id: "001700000250000-9", began_at: 1_700_000_250_000, damaged: "it is damaged: expected value at line 1 column 1" },
    head(1_700_000_200_000, { kind: "apply", what: ["state/web.yml"], check: true, exit: 0, host_count: 40, counts: { ok: 40 }, changed: 4, who: "bob" }),
    head(1_700_000_100_000, { kind: "script", what: [`./check ${MARKUP}`, TURNED, LONG.slice(0, 390)], what_is_cut: true, who: `a-user-with-${"long".repeat(12)}`, pattern: LONG.slice(0, 200) }),
  ];
  const old = Array.from({ length: 120 }, (_, i) => head(1_699_900_000_000 - i * HOUR, { kind: i % 3 === 0 ? "copy" : "run", what: ["df", "-h"], pattern: "all" }));
  return [...world.runs.map((run) => head(run.at, run)), ...named, ...old];
}

const fits = (run, kind, name) => run.damaged !== undefined || ((kind === "" || run.kind === kind) && (name === "" || "web1.prod.example".includes(name)));

function agents() {
  const now = Date.now();
  const agent = (name, more) => ({
    name, state: "well", version: "0.1.0", joined_at: now - 40 * 24 * HOUR, revoked_at: null, certificate_ends_at: now + 24 * HOUR, heard_at: now - 3_000,
    waiting: 0, dropped: 0, refused: 0, queued: 0, last_order: null, ...more,
  });
  const order = (more) => ({ id: "1", what: "site-42.wkb", who: "ann", stage: "ended", exit: 0, said: "", handed_at: now - HOUR, at: now - HOUR, ...more });
  const all = [
    agent("db1.prod.example", { last_order: order({}) }),
    agent("edge-7", { state: "silent", heard_at: now - 5 * HOUR - 60_000, waiting: 412, dropped: 18, queued: 2, last_order: order({ stage: "handed", exit: null }) }),
    agent("old-box", { state: "revoked", revoked_at: now - 24 * HOUR, heard_at: now - 30 * HOUR }),
    agent("fresh", { state: "waited", version: null, heard_at: null, waiting: null, joined_at: now - 20_000 }),
    agent("web1.prod.example", { last_order: order({ stage: "refused", exit: null, said: `the bundle is for ${MARKUP}, not for this host` }) }),
  ];
  return { agents: all, more: 0, listens: true, silent_after_ms: 60_000, problem: null };
}

function deployments(language) {
  const zh = language === "zh-CN";
  const one = (id, more) => ({
    id, act: "deploy", version: "1.4.2", who: "ann", controller: "ops", began_at: 1_700_000_000_000 + Number(id) * HOUR, ended_at: 1_700_000_000_000 + Number(id) * HOUR + 64_000,
    status: "done", why: null, hosts: ["web1", "web2", "web3"], host_count: 3, already: 0, batches: 2, before: ["1.4.1"], sha256: null, commit: null, ...more,
  });
  const shop = {
    app: "shop", problem: null, status: "rolled_back", to: "/srv/shop", more: 12, damaged: ["000001700000000000-9"],
    current: [
      { version: "1.4.2", sure: true, hosts: ["web1", "web2", "web3", "web4", "web5", "web6", "web7", "web8", "web9"], host_count: 9 },
      { version: "1.4.1", sure: false, hosts: ["web10"], host_count: 1 },
    ],
    history: [
      one("9", { version: "1.5.0", status: "rolled_back", before: ["1.4.2"], why: zh ? "错误率上升：之前 0.2 %，之后 9 %" : "the share of errors rose from 0.2 % to 9 %" }),
      one("8", { already: 1 }),
      one("7", { act: "rollback", version: "1.4.1", before: ["1.4.2"], who: "bob" }),
      one("6", { status: "interrupted", ended_at: null }),
      one("5", { version: "1.4.1", before: [null] }),
      one("4", { version: "1.4.0", before: ["1.3.9"], status: "failed" }),
      one("3", { version: "1.3.9", before: ["1.3.8"] }),
    ],
  };
  const api = { ...shop, app: "api", status: "under_way", to: "/srv/api", more: 0, damaged: [], current: [{ version: "7", sure: true, hosts: ["api1"], host_count: 1 }], history: [one("10", { status: "under_way", ended_at: null, version: "8", before: ["7"], hosts: ["api1"], host_count: 1, batches: 1 })] };
  const broken = { app: "broken", problem: "its journals have 70000000 bytes; at most 67108864 are read here" };
  return { apps: [api, broken, shop], more: 0 };
}

/** Answers a path of the fleet's API, or gives `null` when it is none. */
export function fleet(path, args, world, { ok, refuse, token }) {
  if (path === "/api/v1/fleet/runs") {
    const [kind, name, before] = ["kind", "host", "before"].map((one) => args.get(one) ?? "");
    const all = world.noFleet ? [] : heads(world).filter((run) => fits(run, kind, name) && (before === "" || run.id < before));
    const runs = all.slice(0, 50);
    return ok({ runs, next: all.length > 50 ? runs.at(-1).id : null });
  }
  const id = /^\/api\/v1\/fleet\/runs\/([^/]+)$/.exec(path)?.[1];
  if (id !== undefined) {
    if (!token) return refuse(401, "unauthorized", "This needs the token");
    const found = heads(world).find((run) => run.id === id);
    if (found === undefined) return refuse(404, "not_found", `There is no recorded run ${id}.`);
    const whole = WHOLE[id] ?? { hosts: [host("h1")], damaged_hosts: 0 };
    const only = args.get("host");
    const alone = (one) => ({ ...one, left_out: false, stdout: one.left_out ? "told alone\n" : one.stdout });
    return ok({ ...found, ...whole, hosts: only === null ? whole.hosts : whole.hosts.filter((one) => one.host === only).map(alone) });
  }
  if (path === "/api/v1/fleet/agents") return ok(world.noFleet ? { agents: [], more: 0, listens: false, problem: null } : agents());
  if (path === "/api/v1/fleet/deployments") return ok(world.noFleet ? { apps: [], more: 0 } : deployments(args.get("lang")));
  return null;
}
