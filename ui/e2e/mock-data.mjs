// What the mock server says: a small shop with one thing broken, in the shapes of the HTTP API.

const MINUTE = 60_000;
const GIB = 1024 ** 3;
const GOOD = { seen: false, verified: true };

const TEXT = {
  en: {
    title: "app does not stay up after a setting was lost",
    kind: "Bad setting",
    detail: "The setting DATABASE_URL vanished from /srv/shop/env 4 s before the first crash.",
    other_kind: "Process crash",
    other_detail: "The process ended with status 78.",
    rollback: "Roll back",
    restart: "Restart",
    reason: "The last version with which app ran well is put back.",
    outcome: "Put back version 3f9a12… of /srv/shop/env (1 key returned).",
    withheld: "The keep file does not allow rollback for app without asking.",
    finding: "app ended 5 times within 20 s, each time with status 78.",
    finding_kind: "Crash loop",
    old: "web was killed and started again",
    back: "It is back (time 1)",
    moments: [
      ["seen", "app ended with status 78."],
      ["status", "Incident opened."],
      ["thought", "Bad setting on app is most likely (93 %): DATABASE_URL is gone from /srv/shop/env."],
      ["planned", "Plan 1: roll back /srv/shop/env, then restart app. Waits for a person."],
    ],
    end: [
      ["done", "app was restarted (process 4711)."],
      ["verified", "Quiet for 5 s and the health check passes."],
      ["status", "Resolved."],
    ],
  },
  "zh-CN": {
    title: "丢失一项设置后 app 无法保持运行",
    kind: "设置错误",
    detail: "第一次崩溃前 4 秒，/srv/shop/env 中的设置 DATABASE_URL 消失了。",
    other_kind: "进程崩溃",
    other_detail: "进程以状态 78 结束。",
    rollback: "回滚",
    restart: "重启",
    reason: "恢复 app 上一次正常运行时的版本。",
    outcome: "已恢复 /srv/shop/env 的版本 3f9a12…（找回 1 个键）。",
    withheld: "维护文件不允许未经询问就回滚 app。",
    finding: "app 在 20 秒内结束了 5 次，状态均为 78。",
    finding_kind: "反复崩溃",
    old: "web 被终止后已重新启动",
    back: "再次出现（第 1 次）",
    moments: [
      ["seen", "app 以状态 78 结束。"],
      ["status", "事件已建立。"],
      ["thought", "最可能的原因是 app 的设置错误（93 %）：/srv/shop/env 中缺少 DATABASE_URL。"],
      ["planned", "计划 1：回滚 /srv/shop/env，然后重启 app。等待人工批准。"],
    ],
    end: [
      ["done", "app 已重启（进程 4711）。"],
      ["verified", "已平静 5 秒，健康检查通过。"],
      ["status", "已解决。"],
    ],
  },
};

const words = (language) => TEXT[language] ?? TEXT.en;

/** The state that acts change; one per server. */
export function newWorld() {
  const now = Date.now();
  return { startedAt: now - 42 * MINUTE, brokenAt: now - 3 * MINUTE, frozen: null, status: "diagnosing", resolvedAt: null, undone: false, quiet: false, bare: false, harmless: [], tails: new Set(), runs: [], noFleet: false };
}

export function overview(world) {
  const now = Date.now();
  const well = world.status === "resolved";
  const wobble = (base) => Math.max(0, base * (1 + 0.3 * Math.sin(now / 3000 + base * 100)));
  const service = (name, cpu, mib, depends_on, more = {}) => ({
    name, state: "running", pid: 1000 + name.length, since: world.startedAt + 4000, healthy: 2, checks: 2,
    cpu: wobble(cpu), rss_bytes: Math.round(mib * 1024 * 1024), depends_on, ...more,
  });
  return {
    host: "shop-1", version: "0.1.0", started_at: world.startedAt, now, last_sample_at: now - (now % 1000), mode: "propose",
    frozen: world.frozen, keep_file: "/etc/wellkept/wellkept.yml", series: 513,
    well, worst: well ? null : "critical", incidents_open: well ? 0 : 1,
    services: [
      service("app", 0.02, 182, ["db", "cache", "resolver"], well ? {} : { state: "down", pid: null, since: null, healthy: 0, cpu: 0, rss_bytes: 0 }),
      service("cache", 0.004, 12.4, []),
      service("db", 0.031, 412, []),
      service("resolver", 0.001, 6.2, []),
      service("web", 0.012, 41, ["app"], well ? {} : { healthy: 1 }),
      service("worker-with-a-rather-long-name", 0.09, 96, ["db", "cache"]),
    ],
    filesystems: [
      { mountpoint: "/", size_bytes: 98 * GIB, avail_bytes: 61.4 * GIB, full_in_seconds: null },
      { mountpoint: "/data", size_bytes: 40 * GIB, avail_bytes: 5.1 * GIB, full_in_seconds: 5.4 * 3600 },
      { mountpoint: "/var/lib/postgresql", size_bytes: 200 * GIB, avail_bytes: 122 * GIB, full_in_seconds: null },
    ],
  };
}

export function incidents(world, language) {
  const say = words(language);
  const at = world.brokenAt;
  const resolved = world.status === "resolved";
  const query = 'wellkept_service_up{service="app"}';
  const open = {
    id: "12", title: say.title, status: world.status, severity: "critical",
    began_at: at, opened_at: at + 300, updated_at: world.resolvedAt ?? at + 2500, resolved_at: world.resolvedAt,
    component: "app", entity: "service:app", active: resolved ? 0 : 2, plan_waiting: world.status === "diagnosing", times: 1,
    prevention: null,
    causes: [
      { component: "app", entity: "service:app", kind: "bad_setting", kind_text: say.kind, detail: say.detail, score: 0.93,
        evidence: [{ at: at - 4000, text: "/srv/shop/env: − DATABASE_URL", query: null }, { at, text: query, query }] },
      { component: "app", entity: "service:app", kind: "process_crash", kind_text: say.other_kind, detail: say.other_detail, score: 0.31,
        evidence: [{ at, text: "exit status 78", query: null }] },
    ],
    actions: [
      { id: "12-1", kind: "restart", kind_text: say.restart, target: "app", entity: "service:app", subject: "", status: "failed",
        started_at: at + 900, finished_at: at + 1400, automatic: true, reason: say.other_detail, outcome: say.other_detail, undo: "irreversible", undoable: false },
      ...(resolved
        ? [{ id: "12-2", kind: "rollback", kind_text: say.rollback, target: "app", entity: "service:app", subject: "/srv/shop/env",
            status: world.undone ? "rolled_back" : "succeeded", started_at: world.resolvedAt - 6000, finished_at: world.resolvedAt - 5400, automatic: false,
            reason: say.reason, outcome: say.outcome, undo: "put_back", undoable: !world.undone }]
        : []),
    ],
    findings: [
      { entity: "service:app", component: "app", kind: "crash_loop", kind_text: say.finding_kind, subject: "", severity: "critical", text: say.finding,
        since: at, at: at + 2000, active: !resolved, evidence: [{ at: at + 2000, text: query, query }] },
      { entity: "service:web", component: "web", kind: "check_failing", kind_text: "HTTP", subject: "http://127.0.0.1:8080/<b>x</b>", severity: "warning",
        text: "GET http://127.0.0.1:8080/ → 502 <img src=x onerror=alert(1)>", since: at + 500, at: at + 2000, active: !resolved, evidence: [] },
    ],
    plan: {
      generation: 1, made_at: at + 2500, expires_at: Date.now() + 12 * MINUTE, automatic: false, withheld: say.withheld,
      steps: [
        { kind: "rollback", kind_text: say.rollback, target: "app", subject: "/srv/shop/env", reason: say.reason, undo: "put_back" },
        { kind: "restart", kind_text: say.restart, target: "app", subject: "", reason: say.other_detail, undo: "irreversible" },
      ],
    },
    timeline: [
      ...say.moments.map(([kind, text], i) => ({ at: at + i * 820, kind, text, good: GOOD[kind] ?? null, reopened: false })),
      ...(resolved ? say.end.map(([kind, text], i) => ({ at: world.resolvedAt - 5400 + i * 2700, kind, text, good: GOOD[kind] ?? null, reopened: false })) : []),
    ],
  };
  const old = [1, 2, 3].map((n) => {
    const began = world.startedAt + n * 8 * MINUTE;
    return {
      ...open, id: String(12 - n), title: say.old, status: "resolved", severity: "warning", began_at: began, opened_at: began + 100, updated_at: began + 9000,
      resolved_at: began + 9000, component: "web", entity: "service:web", active: 0, plan: null, plan_waiting: false, times: n === 1 ? 3 : 1, findings: [],
      prevention: {
        kind: "check", kind_text: language === "zh-CN" ? "检查" : "Check", text: language === "zh-CN" ? "web 没有健康检查" : "web has no health check",
        patch: "services:\n  web:\n    health: [{ tcp: \"127.0.0.1:80\" }]\n",
      },
      causes: [{ component: "web", entity: "service:web", kind: "process_crash", kind_text: say.other_kind, detail: say.other_detail, score: 0.97, evidence: [] }],
      actions: [{ ...open.actions[0], id: `${12 - n}-1`, target: "web", status: "succeeded", started_at: began + 200, finished_at: began + 900, outcome: null }],
      timeline: [0, ...(n === 1 ? [30_000] : [])].flatMap((later) => [
        ...(later === 0 ? [] : [{ at: began + later - 1000, kind: "status", text: say.back, good: null, reopened: true }]),
        ...say.end.map(([kind, text], i) => ({ at: began + later + i * 3000, kind, text, good: GOOD[kind] ?? null, reopened: false })),
      ]),
    };
  });
  return [open, ...old].sort((a, b) => b.opened_at - a.opened_at);
}

/** The short form, as lists and events carry it. */
export function summary({ findings, plan, timeline, prevention, ...rest }) {
  void findings, plan, timeline, prevention;
  return {
    ...rest,
    causes: rest.causes.map(({ evidence, ...cause }) => (void evidence, cause)),
    actions: rest.actions.map(({ reason, outcome, undo, undoable, ...action }) => (void reason, outcome, undo, undoable, action)),
  };
}

/** Series for a range query: shapes that look like a host, by the metric that is asked for. */
export function matrix(query, start, end, step) {
  const wave = (seed, at) => 0.5 + 0.3 * Math.sin(at / (40 + seed * 13) + seed) + 0.2 * Math.sin(at / (7 + seed) + seed * 3);
  const one = (metric, seed, scale, base = 0) => {
    const values = [];
    for (let at = start; at <= end + 1e-9 && values.length < 11_000; at += step) values.push([at, String(base + scale * wave(seed, at))]);
    return { metric, values };
  };
  const by = (label, names, scale, base = 0) => names.map((name, i) => one({ [label]: name }, i + 1, scale / (i + 1), base));
  if (query.includes("node_cpu_seconds_total")) return by("mode", ["user", "system", "iowait", "steal", "softirq"], 0.32);
  if (query.includes("filesystem")) return [one({ mountpoint: "/" }, 1, 0.002, 0.37), one({ mountpoint: "/data" }, 2, 0.01, 0.86)];
  if (query.includes("MemTotal_bytes -")) return [one({}, 1, 0.4 * GIB, 5.2 * GIB)];
  if (query.includes("Cached")) return [one({}, 2, 0.2 * GIB, 7.9 * GIB)];
  if (query.includes("SwapTotal")) return [one({}, 2, 0, 0)];
  if (query.includes("MemTotal")) return [one({}, 1, 0, 16 * GIB)];
  if (query.includes("load15")) return [one({}, 5, 0.1, 0.4)];
  if (query.includes("load5")) return [one({}, 4, 0.3, 0.4)];
  if (query.includes("load1")) return [one({}, 3, 0.9, 0.3)];
  if (query.includes("pressure_memory")) return [];
  if (query.includes("pressure")) return [one({}, query.length % 5, 0.03)];
  if (query.includes("_disk_")) return by("device", ["vda", "vdb"], query.includes("read") ? 3e6 : 9e6);
  if (query.includes("_network_")) return by("device", ["eth0"], query.includes("receive") ? 2.2e6 : 0.8e6);
  if (query.includes("Retrans")) return [one({}, 6, 2)];
  if (query.includes("service_cpu")) return by("service", ["app", "cache", "db", "resolver", "web"], 0.06);
  if (query.includes("resident")) return by("service", ["app", "cache", "db", "resolver", "web"], 2e7, 1e8);
  if (query.includes("service_up")) return [one({ __name__: "wellkept_service_up", service: "app" }, 1, 0, 1)];
  return [];
}
