// The mock's logs: a shop that has trouble with its database, and lines that somebody made to do harm.
//
// The query language is understood as far as the console's clicks and tests write it; anything else is refused with
// the place, in the words of the real server.

export const LOG_MARKUP = "<img src=x onerror=alert(1)><b>bold</b>";
export const LOG_TURNED = "invoice\u202egnp.exe\u2066";
export const LOG_HUGE = `HUGE ${"x".repeat(60_000)}NEEDLE${"y".repeat(40_000)}`;

const LEVELS = ["trace", "debug", "info", "notice", "warning", "error", "critical"];
/** The ids of patterns are 16 digits of hexadecimal, as the server writes them. */
export const idOf = (n) => `a0b1c2d3e4f50${n}`;
const TEMPLATES = {
  101: "GET <*> took <*>", 102: "connection to <*> timeout after <*>", 103: "heartbeat ok", 104: '{"payment":<*>,"declined":true,"status":<*>,"reason":"card"}',
  105: "user <*> logged in from <*>", 106: `uploaded ${LOG_MARKUP} as <*>`, 107: "panic: <*>\n  at <*>", 108: "<*>",
};
const COST = { bytes: 3_400_000, lines: 48_000, segments: 12, segments_skipped: 9 };
/** One line in so many milliseconds; twice as many in the last ten minutes. */
const EVERY_MS = 4000;

function line(at, labels, level, template, text, more = {}) {
  return { at_ns: `${Math.floor(at)}${String(100_000 + Number(template)).padStart(6, "0")}`, labels, level, template: idOf(template), text, lossy: false, fields: {}, extracted: {}, ...more };
}

const APP = { service: "app", host: "shop-1", filename: "/var/log/app/app.log" };
const WEB = { service: "web", host: "shop-1", filename: "/var/log/nginx/access.log" };
const DB = { service: "db", host: "db-1", filename: "/var/log/postgresql/postgresql-16-main-of-a-name-that-is-rather-long.log" };

function made(i, at, fresh) {
  switch (i % 11) {
    case 0:
      return line(at, APP, fresh ? "error" : "warning", 102, `connection to db-1:5432 timeout after ${300 + (i % 90)}ms`, { fields: { trace_id: `4bf92f3577b34da6a3ce929d0e${String(i % 1e6).padStart(6, "0")}` } });
    case 3:
      return line(at, DB, "info", 103, "heartbeat ok");
    case 5:
      return line(at, APP, "info", 105, `user u${i % 40} logged in from 192.0.2.${i % 200}`);
    case 7:
      return line(at, APP, "debug", 104, `{"payment":${i},"declined":true,"status":${500 + (i % 4)},"reason":"card"}`);
    case 9:
      return line(at, { ...WEB, host: "shop-2" }, null, 101, `GET /cart took ${i % 50}ms`);
    default:
      return line(at, WEB, i % 4 === 0 ? "notice" : "info", 101, `GET /item/${i % 30} took ${i % 70}ms`);
  }
}

function hostile(now) {
  return [
    line(now - 500, APP, "error", 108, "nul \0 byte and \u001b[31mred\u001b[0m \u001b]0;title\u0007 \r\n\tend"),
    line(now - 600, APP, "warning", 108, LOG_TURNED),
    line(now - 700, APP, "error", 106, `uploaded ${LOG_MARKUP} as ${LOG_MARKUP}`, { fields: { [LOG_MARKUP]: LOG_MARKUP, "5xx": "no name for a query" } }),
    line(now - 800, APP, null, 108, LOG_HUGE),
    line(now - 900, { ...APP, service: LOG_MARKUP }, "info", 108, "caf\ufffd not UTF-8 \ufffd\ufffd", { lossy: true }),
    line(now - 1000, APP, "critical", 107, "panic: index out of range\n  at shop::cart::total (src/cart.rs:42)\n  at shop::main"),
    line(now - 1100, APP, "info", 108, ""),
  ];
}

let kept = { minute: 0, lines: [] };

/** All lines of the last day, newest first; made once a minute, so that pages and clicks agree. */
function all(world) {
  if (world.bare) return [];
  const minute = Math.floor(Date.now() / 60_000);
  if (kept.minute === minute) return kept.lines;
  const now = minute * 60_000;
  const lines = hostile(now);
  let i = 1_000_000 + minute * 15;
  for (let at = now - 2000; at > now - 86_400_000; at -= at > now - 600_000 ? EVERY_MS / 2 : at > now - 7_200_000 ? EVERY_MS : 60_000) {
    lines.push(made(i, at, at > now - 600_000));
    i -= 1;
  }
  kept = { minute, lines: lines.sort((a, b) => (BigInt(a.at_ns) < BigInt(b.at_ns) ? 1 : -1)) };
  return kept.lines;
}

const textOf = (id) => TEMPLATES[id.slice(-3)];

class QueryError extends Error {}

function unquote(text) {
  if (text.startsWith("`")) return text.slice(1, -1);
  const inner = text.slice(1, -1);
  return inner.replace(/(?:\\x[0-9a-f]{2})+|\\(.)/gis, (whole, one) =>
    one === undefined ? Buffer.from(whole.replaceAll("\\x", ""), "hex").toString() : ({ n: "\n", t: "\t", r: "\r", 0: "\0" }[one] ?? one));
}

/** A query as one test for lines; gives what its `json` stage found. */
function compile(query) {
  const steps = [];
  let at = 0;
  const wrong = (found, expected) => {
    throw new QueryError(`invalid parameter "query": at byte ${Buffer.byteLength(query.slice(0, at))}: found ${found}; expected ${expected}`);
  };
  const take = (pattern) => {
    at += /^\s*/.exec(query.slice(at))[0].length;
    const found = pattern.exec(query.slice(at));
    if (found === null) return null;
    at += found[0].length;
    return found[0];
  };
  const next = () => { take(/^/); const rest = query.slice(at); return rest === "" ? "the end" : `\`${/^[\p{L}\d_.:]+|./su.exec(rest)[0]}\``; };
  const text = (what) => unquote(take(/^(?:"(?:[^"\\]|\\.)*"|`[^`]*`)/s) ?? wrong(next(), `a quoted text ${what}`));
  const valueOf = (one, found, name) => (name === "level" ? (one.level ?? "") : name === "template" ? one.template : (found[name] ?? one.fields[name] ?? one.labels[name] ?? ""));
  const regex = (pattern) => new RegExp(pattern.replace(/^\(\?i\)/, ""), pattern.startsWith("(?i)") ? "iu" : "u");
  const match = () => {
    const name = take(/^[\p{L}_.:][\p{L}\d_.:]*/u) ?? wrong(next(), "a label's name, or `}`");
    const sign = take(/^(?:=~|!~|!=|==|=)/) ?? wrong(next(), "one of `=` `!=` `=~` `!~`");
    const value = text("as the label's value");
    const whole = sign.endsWith("~") ? new RegExp(`^(?:${value})$`, "u") : null;
    const not = sign.startsWith("!");
    return (one, found) => (whole === null ? valueOf(one, found, name) === value : whole.test(valueOf(one, found, name))) !== not;
  };
  if (take(/^\{/)) {
    while (!take(/^\}/)) {
      steps.push(match());
      if (!take(/^,/) && !/^\s*\}/.test(query.slice(at))) wrong(next(), "`,` or `}` behind a matcher");
    }
  }
  while (query.slice(at).trim() !== "") {
    const sign = take(/^(?:\|=|\|~|!=|!~|\|)/) ?? wrong(next(), "the end, or a stage that begins with `|`");
    if (sign === "|" && take(/^logfmt\b/)) continue;
    if (sign === "|" && take(/^json\b/)) {
      steps.push((one, found) => {
        const body = /\{.*\}/s.exec(one.text)?.[0];
        try {
          for (const [name, value] of Object.entries(JSON.parse(body ?? ""))) found[name] = String(value);
        } catch { /* No JSON, nothing found. */ }
        return true;
      });
    } else if (sign === "|") steps.push(match());
    else {
      const wanted = text("to look for");
      const pattern = sign.endsWith("~") ? regex(wanted) : null;
      steps.push((one) => (pattern === null ? one.text.includes(wanted) : pattern.test(one.text)) !== sign.startsWith("!"));
    }
  }
  return (one) => {
    const found = {};
    return steps.every((step) => step(one, found)) ? { ...one, extracted: found } : null;
  };
}

const nsOf = (text) => (text === null ? null : BigInt(Math.round(Number(text) * 1000)) * 1_000_000n);

function chosen(world, args) {
  const fits = compile(args.get("query") ?? "");
  const end = nsOf(args.get("end")) ?? BigInt(Date.now()) * 1_000_000n;
  const start = nsOf(args.get("start")) ?? end - 3_600_000_000_000n;
  const lines = all(world).filter((one) => BigInt(one.at_ns) >= start && BigInt(one.at_ns) < end).flatMap((one) => fits(one) ?? []);
  return { lines, start, end };
}

function search(world, args) {
  const { lines } = chosen(world, args);
  if (args.get("direction") === "forward") lines.reverse();
  const [from, limit] = [Number(args.get("cursor") ?? 0), Number(args.get("limit") ?? 200)];
  return { lines: lines.slice(from, from + limit), next: from + limit < lines.length ? String(from + limit) : null, stopped: world.logsStopped ?? null, cost: COST };
}

function histogram(world, args) {
  const { lines, start, end } = chosen(world, args);
  const count = Number(args.get("bars") ?? 120);
  const step = (end - start) / BigInt(count);
  const bars = Array.from({ length: count }, () => new Array(8).fill(0));
  for (const one of lines) bars[Math.min(count - 1, Number((BigInt(one.at_ns) - start) / step))][LEVELS.indexOf(one.level) + 1] += 1;
  return { from_ns: String(start), step_ns: String(step), bars, stopped: null, cost: COST };
}

function facets(world, args) {
  const { lines } = chosen(world, args);
  const top = Number(args.get("top") ?? 10);
  const facet = (name) => {
    const counts = new Map();
    for (const one of lines) {
      const value = name === "level" ? (one.level ?? "") : (one.labels[name] ?? "");
      counts.set(value, (counts.get(value) ?? 0) + 1);
    }
    const values = [...counts].sort((a, b) => b[1] - a[1]);
    return { name, values: values.slice(0, top), others: Math.max(0, values.length - top) };
  };
  return { facets: args.get("names").split(",").map(facet), lines: lines.length, stopped: null, cost: COST };
}

function patterns(world, args) {
  const { lines, start, end } = chosen(world, args);
  const bars = Number(args.get("bars") ?? 60);
  const groups = new Map();
  for (const one of lines) groups.set(one.template, groups.get(one.template) ?? []).get(one.template).push(one);
  const list = [...groups].map(([template, group]) => {
    const trend = new Array(bars).fill(0);
    for (const one of group) trend[Math.min(bars - 1, Number((BigInt(one.at_ns) - start) * BigInt(bars) / (end - start)))] += 1;
    const fresh = ["106", "107", "108"].some((n) => idOf(n) === template);
    return {
      template, text: textOf(template), count: group.length, first_ns: group.at(-1).at_ns, last_ns: group[0].at_ns, trend, examples: group.slice(0, 3),
      first_seen_ns: fresh ? group.at(-1).at_ns : String(start - 86_400_000_000_000n), new: fresh,
      harmless: world.harmless.filter((one) => one.template === template).map((one) => one.kind),
    };
  });
  return { patterns: list.sort((a, b) => b.count - a.count).slice(0, Number(args.get("top") ?? 100)), templates: list.length, lines: lines.length, stopped: null, cost: COST };
}

function context(world, args) {
  const labels = args.get("labels");
  const stream = all(world).filter((one) => JSON.stringify(one.labels) === labels);
  const at = BigInt(args.get("at_ns"));
  const before = stream.filter((one) => BigInt(one.at_ns) < at).slice(0, Number(args.get("before")));
  const after = stream.filter((one) => BigInt(one.at_ns) > at).slice(-Number(args.get("after")));
  return { before: before.reverse(), after: after.reverse() };
}

const ODD = {
  en: {
    rate: "app writes “connection to <*> timeout after <*>” 30 times a minute; usual are 8.", new: "app writes a line of a kind never seen before.",
    beat: "db wrote “heartbeat ok” each 44 s; the last came 5 min ago.", value: `app: a value never seen before: ${LOG_TURNED}`,
  },
  "zh-CN": {
    rate: "app 每分钟写出 30 次“connection to <*> timeout after <*>”，通常为 8 次。", new: "app 写出了一种从未见过的日志。",
    beat: "db 平时每 44 秒写出“heartbeat ok”，上一次已是 5 分钟前。", value: `app：出现从未见过的值：${LOG_TURNED}`,
  },
};

function oddities(world, language) {
  if (world.bare) return [];
  const now = Date.now();
  const says = ODD[language] ?? ODD.en;
  const one = (ago, entity, template, kind, text, seen, usual, more = {}) => ({ at_ns: `${now - ago}000000`, entity, template: idOf(template), template_text: TEMPLATES[template], kind, parameter: null, score: 4.2, seen, usual, value: null, text, ...more });
  const told = [
    one(60_000, "app", "102", "rate", says.rate, 30, 8),
    one(90_000, "app", "107", "new_template", says.new, 1, 0),
    one(300_000, "db", "103", "missing_beat", says.beat, 300, 44),
    one(900_000, "app", "105", "value", says.value, 1, 0.001, { parameter: 1, value: LOG_TURNED }),
  ];
  return told.filter((odd) => !world.harmless.some((mark) => mark.template === odd.template && mark.kind === odd.kind && mark.parameter === odd.parameter));
}

/** Server-sent lines: `world.flood` more at once, which the server then counts instead of sending. */
function tail(response, world, args) {
  const fits = compile(args.get("query") ?? "");
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  response.write(": here\n\n");
  const send = (event, data) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  let i = 0;
  const timer = setInterval(() => {
    const many = world.flood ?? 2;
    for (let n = 0; n < many; n += 1) {
      i += 1;
      const one = i % 9 === 0 ? { ...hostile(Date.now())[1] } : { ...made(i, Date.now(), true) };
      const found = fits({ ...one, text: `${one.text} #${i}` });
      if (found !== null) send("line", found);
    }
    if (world.flood !== undefined) send("dropped", { count: 1234 });
  }, 100);
  world.tails.add(response);
  response.on("close", () => { clearInterval(timer); world.tails.delete(response); });
}

/** Numbers over time: how many lines of each service fit; the functions of the query are taken for `sum by (service)`. */
function numbers(world, args) {
  const query = args.get("query") ?? "";
  const inner = /\{[^}]*\}[^[]*/.exec(query)?.[0];
  if (inner === undefined) throw new QueryError(`invalid parameter "query": at byte ${query.length}: found the end; expected \`{\``);
  const fits = compile(inner);
  const [start, end, step] = ["start", "end", "step"].map((name) => Number(args.get(name)));
  const series = new Map();
  for (const line of all(world)) {
    const slot = Math.ceil((Number(BigInt(line.at_ns) / 1_000_000n) / 1000 - start) / step);
    if (slot < 0 || start + slot * step > end || fits(line) === null) continue;
    const slots = series.get(line.labels.service) ?? series.set(line.labels.service, new Map()).get(line.labels.service);
    slots.set(slot, (slots.get(slot) ?? 0) + 1);
  }
  const values = (slots) => [...slots].sort(([a], [b]) => a - b).map(([slot, n]) => [start + slot * step, String(n)]);
  return { resultType: "matrix", result: [...series].map(([service, slots]) => ({ metric: { service }, values: values(slots) })), stopped: null };
}

/** Answers a path of the logs' API, or gives `null` when it is none. */
export function logs(path, args, world, { ok, refuse, response, language }) {
  const name = /^\/api\/v1\/logs\/(\w+)$/.exec(path)?.[1];
  const answers = { search, histogram, facets, patterns, context };
  try {
    if (Object.hasOwn(answers, name ?? "")) return ok(answers[name](world, args));
    if (path === "/loki/api/v1/query_range") return ok(numbers(world, args));
    if (name === "tail") return tail(response, world, args) ?? true;
  } catch (error) {
    if (error instanceof QueryError) return refuse(400, "bad_data", error.message);
    throw error;
  }
  const label = /^\/api\/v1\/logs\/label\/([^/]+)\/values$/.exec(path);
  if (label !== null) return ok({ values: [...new Set(all(world).map((one) => (label[1] === "level" ? one.level : one.labels[decodeURIComponent(label[1])]) ?? ""))].sort() });
  if (name === "labels") return ok({ names: ["filename", "host", "level", "service"] });
  if (name === "oddities") return ok({ oddities: oddities(world, language) });
  if (name === "harmless") return ok({ harmless: world.harmless });
  if (name === "status") {
    const lines = all(world);
    return ok({ lines: lines.length, head_lines: 0, segments: 0, bytes_on_disk: 0, oldest_ns: lines.at(-1)?.at_ns ?? null, newest_ns: lines[0]?.at_ns ?? null, templates: 8, taken_total: lines.length, dropped: [], sources: [], retention_s: 604_800, bytes_max: 1e10 });
  }
  return null;
}

/** The act: something odd is harmless, or is not. */
export function markHarmless(world, { template, kind, parameter, harmless }) {
  world.harmless = world.harmless.filter((one) => one.template !== template || one.kind !== kind || one.parameter !== parameter);
  if (harmless) world.harmless.push({ template, template_text: textOf(template) ?? "", kind, parameter, by: "owner", at: new Date().toISOString() });
}

/** What the lines around an incident say. */
export function incidentStory(id) {
  const at = Date.now() - 120_000;
  const of = (text, template, level, count) => ({ text, template: idOf(template), level, count, first_ns: `${at}000000`, last_ns: `${at + 30_000}000000` });
  return {
    query: '{service=~"app"}',
    from_ns: `${at}000000`,
    to_ns: `${at + 60_000}000000`,
    lines: 240,
    summary: [of("connection to db-1:5432 timeout after 312ms", 102, "error", 228), of(`uploaded ${LOG_MARKUP} as x`, 106, "error", 1), of("panic: index out of range\\n  at shop::cart::total", 107, "critical", 1)],
    terms: [{ term: "timeout", score: 9.1, count: 228 }, { term: "磁盘 配额", score: 4.2, count: 3 }, { term: LOG_MARKUP, score: 2.5, count: 1 }],
    past: [{ id: String(Math.max(1, Number(id) - 1)), score: 0.82, title: "app crashed", opened_at: at - 86_400_000, causes: ["Process crashed"], templates: [], terms: ["timeout"] }],
  };
}
