// The mock's answers in Prometheus' shapes: queries, names, rules, targets and the store. Some of it is hostile.

import { matrix } from "./mock-data.mjs";

export const MARKUP = "<img src=x onerror=alert(1)><b>bold</b>";
export const TURNED = "safe\u202egnp.exe\u2066";
export const LONG = "x".repeat(10_000);

const METRICS = {
  up: ["gauge", "Whether the last scrape worked."],
  node_cpu_seconds_total: ["counter", "Seconds the CPUs spent in each mode."],
  node_load1: ["gauge", "1m load average."],
  node_load5: ["gauge", "5m load average."],
  node_memory_Cached_bytes: ["gauge", "Memory information field Cached_bytes."],
  node_network_receive_bytes_total: ["counter", "Network device statistic receive_bytes."],
  http_requests_total: ["counter", "Requests by path and status."],
  http_request_duration_seconds: ["histogram", "How long requests took, as a native histogram."],
  shop_many_series: ["gauge", "A metric with far too many series."],
  hostile_metric: ["gauge", `Help with ${MARKUP} and ${TURNED}`],
  wellkept_service_up: ["gauge", "Whether a service is up."],
};
const LABELS = ["__name__", "device", "instance", "job", "mode", "path", "service", "status", "ünï code"];
const VALUES = {
  job: ["node", "shop", "database"],
  mode: ["user", "system", "iowait", "idle"],
  instance: ["shop-1:9100", "shop-2:9100", "db-1:9187"],
  path: ["/", "/cart", MARKUP, TURNED, LONG],
};
const JOBS = ["node", "node", "shop", "database"];
const HISTOGRAM = {
  count: "1240", sum: "86.4",
  buckets: [[3, "-0.001", "0.001", "2"], [0, "0.001", "0.0625", "830"], [0, "0.0625", "0.125", "301"], [0, "0.125", "0.25", "96"], [0, "0.25", "+Inf", "11"]],
};

/** Answers a path of Prometheus' API, or gives `null` when it is none. */
export function prometheus(path, args, world, { ok, refuse }) {
  const query = args.get("query") ?? "";
  const label = /^\/api\/v1\/label\/([^/]+)\/values$/.exec(path);
  if (label !== null) {
    const name = decodeURIComponent(label[1]);
    return ok(name === "__name__" ? Object.keys(METRICS) : (VALUES[name] ?? []));
  }
  switch (path) {
    case "/api/v1/query_range":
    case "/api/v1/query":
      return evaluate(path.endsWith("range"), query, args, { ok, refuse });
    case "/api/v1/labels":
      return ok(LABELS);
    case "/api/v1/metadata": {
      const found = METRICS[args.get("metric")];
      return ok(found === undefined ? {} : { [args.get("metric")]: [{ type: found[0], help: found[1], unit: "" }] });
    }
    case "/api/v1/format_query":
      return query.includes("boom") ? refuse(400, "bad_data", PARSE_ERROR) : ok(query.replace(/\s+/g, " ").replace(/\s*\(\s*/g, "(\n  ").replace(/\s*\)/g, "\n)").trim());
    case "/api/v1/rules":
      return ok({ groups: world.bare ? [] : rules() });
    case "/api/v1/targets":
      return ok(world.bare ? { activeTargets: [], droppedTargets: [], droppedTargetCounts: {} } : targets());
    case "/api/v1/status/tsdb":
      return ok(world.bare ? { headStats: { numSeries: 0, numLabelPairs: 0, chunkCount: 0, minTime: 0, maxTime: 0 }, seriesCountByMetricName: [] } : tsdb());
    default:
      return null;
  }
}

const PARSE_ERROR = "invalid parameter \"query\": 1:5: parse error: unexpected end of input, expected a number, a string or (";

function evaluate(range, query, args, { ok, refuse }) {
  if (query.includes("boom")) return refuse(400, "bad_data", PARSE_ERROR);
  const at = Number(args.get("time"));
  const [start, end, step] = range ? ["start", "end", "step"].map((name) => Number(args.get(name))) : [at, at, 1];
  if (/^[\d.]+$/.test(query.trim())) {
    return ok(range ? { resultType: "matrix", result: [{ metric: {}, values: line(start, end, step, () => query.trim()) }] } : { resultType: "scalar", result: [at, query.trim()] });
  }
  const result = series(query, start, end, step);
  const notes = {
    ...(query.includes("rate(node_load") ? { infos: ['PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "node_load1" (1:6)'] } : {}),
    ...(query.includes("hostile") ? { warnings: [`one source said: ${MARKUP} ${TURNED}`] } : {}),
  };
  if (range) return ok({ resultType: "matrix", result }, notes);
  const vector = result.map(({ metric, values, histograms }) => ({
    metric, ...(values === undefined ? {} : { value: values.at(-1) }), ...(histograms === undefined ? {} : { histogram: histograms.at(-1) }),
  }));
  return ok({ resultType: "vector", result: vector }, notes);
}

function line(start, end, step, value) {
  const made = [];
  for (let i = 0; start + i * step <= end + 1e-9 && i < 11_000; i += 1) made.push([start + i * step, value(i)]);
  return made;
}

function series(query, start, end, step) {
  const one = (metric, value) => ({ metric, values: line(start, end, step, value) });
  if (query.includes("http_request_duration_seconds")) {
    return [{ metric: { __name__: "http_request_duration_seconds", job: "shop" }, histograms: line(start, end, step, (i) => ({ ...HISTOGRAM, count: String(1200 + i) })) }];
  }
  if (query.includes("hostile")) {
    return [
      one({ __name__: "hostile_metric", path: MARKUP }, (i) => (i % 7 === 3 ? "NaN" : String(3 + Math.sin(i / 9)))),
      one({ __name__: "hostile_metric", path: TURNED }, (i) => (i % 50 === 49 ? "+Inf" : String(2 + Math.cos(i / 11)))),
      one({ __name__: "hostile_metric", path: LONG }, (i) => String(-1 - Math.sin(i / 20))),
      one({ __name__: "hostile_metric", path: "/ok", "ünï code": 'quo"te\n' }, () => "NaN"),
    ];
  }
  if (query.includes("shop_many_series")) {
    return Array.from({ length: 250 }, (_, n) => one({ __name__: "shop_many_series", shard: String(n).padStart(3, "0"), job: "shop" }, (i) => String(n + 6 * Math.sin(i / 17 + n))));
  }
  if (query.startsWith("topk") || query.startsWith("count")) return Object.keys(METRICS).map((name, n) => one({ __name__: name }, () => String(400 - n * 31)));
  if (/^up\b/.test(query)) return JOBS.map((job, n) => one({ __name__: "up", instance: `shop-${n + 1}:9100`, job }, (i) => (n === 3 && i % 60 > 40 ? "0" : "1")));
  const found = matrix(query, start, end, step);
  const bare = /^\s*([a-z_]\w*)\s*(?:\{|$)/i.exec(query)?.[1];
  return bare === undefined ? found : found.map(({ metric, values }) => ({ metric: { __name__: bare, instance: "shop-1:9100", job: "node", ...metric }, values }));
}

const iso = (ms) => new Date(Date.now() - ms).toISOString();

function rules() {
  const about = { health: "ok", evaluationTime: 0.000412, lastEvaluation: iso(6000) };
  const alert = (state, labels, annotations, ms, value) => ({ state, labels, annotations, activeAt: iso(ms), value });
  const hostile = { summary: `Looks like ${MARKUP}`, runbook_url: "https://runbooks.example.org/disk?x=1", evil: "javascript:alert(1)", turned: TURNED, long: LONG };
  return [
    {
      name: "host", file: "/etc/wellkept/rules/host.yml", interval: 15, evaluationTime: 0.0021, lastEvaluation: iso(6000), limit: 0,
      rules: [
        { ...about, type: "recording", name: "instance:node_cpu:rate5m", query: 'sum by (instance) (rate(node_cpu_seconds_total{mode!="idle"}[5m]))', labels: {} },
        { ...about, type: "alerting", name: "HostDown", state: "inactive", query: "up == 0", duration: 120, keepFiringFor: 0, labels: { severity: "critical" }, annotations: { summary: "{{ $labels.instance }} does not answer" }, alerts: [] },
        {
          ...about, type: "alerting", name: "DiskFillsUp", state: "firing", query: 'predict_linear(node_filesystem_avail_bytes{fstype!~"tmpfs|overlay"}[6h], 4 * 3600) < 0', duration: 600, keepFiringFor: 300,
          labels: { severity: "critical" }, annotations: { summary: "{{ $labels.mountpoint }} will be full" },
          alerts: [
            alert("firing", { alertname: "DiskFillsUp", instance: "shop-1:9100", mountpoint: "/data", severity: "critical" }, { summary: "/data on shop-1 will be full in four hours", runbook_url: "https://runbooks.example.org/disk" }, 1_860_000, "-1.2873916e+09"),
            alert("pending", { alertname: "DiskFillsUp", instance: "shop-2:9100", mountpoint: "/", severity: "critical" }, { summary: "/ on shop-2 will be full in four hours" }, 95_000, "-3.1e+07"),
          ],
        },
      ],
    },
    {
      name: "shop", file: "/etc/wellkept/rules/shop.yml", interval: 60, evaluationTime: 0.0132, lastEvaluation: iso(33_000), limit: 0,
      rules: [
        { ...about, type: "alerting", name: "SlowRequests", state: "pending", query: "histogram_quantile(0.99, sum(rate(http_request_duration_seconds[5m]))) > 0.5", duration: 300, labels: { severity: "warning", team: "shop" }, annotations: { summary: "99th percentile above 500 ms" },
          alerts: [alert("pending", { alertname: "SlowRequests", severity: "warning", team: "shop" }, { summary: "99th percentile above 500 ms" }, 130_000, "6.2e-01")] },
        { type: "alerting", name: "QueueLength", state: "inactive", query: "sum by (queue) (shop_queue_length) / on (queue) shop_queue_limit > 0.9", duration: 0, labels: {}, annotations: {}, alerts: [],
          health: "err", lastError: "found duplicate series for the match group {queue=\"mail\"} on the right hand-side of the operation: [{queue=\"mail\", shard=\"1\"}, {queue=\"mail\", shard=\"2\"}];many-to-many matching not allowed", evaluationTime: 0.0002, lastEvaluation: iso(33_000) },
        { ...about, type: "alerting", name: MARKUP, state: "firing", query: "hostile_metric > 0", duration: 0, labels: { path: TURNED }, annotations: hostile,
          alerts: [alert("firing", { alertname: MARKUP, path: TURNED, long: LONG }, hostile, 4_000_000, "NaN")] },
      ],
    },
  ];
}

function targets() {
  const target = (pool, instance, health, more = {}) => ({
    discoveredLabels: { __address__: instance, __metrics_path__: "/metrics", __scheme__: "http", job: pool }, labels: { instance, job: pool }, scrapePool: pool,
    scrapeUrl: `http://${instance}/metrics`, globalUrl: `http://${instance}/metrics`, lastError: "", lastScrape: iso(4000 + instance.length * 300), lastScrapeDuration: 0.0123,
    health, scrapeInterval: "15s", scrapeTimeout: "10s", ...more,
  });
  return {
    activeTargets: [
      target("node", "shop-1:9100", "up"), target("node", "shop-2:9100", "up"), target("node", "shop-3:9100", "up", { lastScrapeDuration: 0.91 }),
      target("database", "db-1:9187", "up"),
      target("database", "db-2:9187", "down", { lastError: "Get \"http://db-2:9187/metrics\": connection refused (os error 111)", lastScrapeDuration: 0.0004 }),
      target("database", "db-3:9187", "unknown", { lastScrape: "0001-01-01T00:00:00Z", lastScrapeDuration: 0 }),
      target("hostile", "[::1]:9999", "down", { lastError: `expected a value, got ${MARKUP} ${TURNED}`, labels: { instance: MARKUP, job: "hostile", path: TURNED, long: LONG } }),
    ],
    droppedTargets: [
      { discoveredLabels: { __address__: "old-1:9100", __meta_filepath: "/etc/targets/old.json", job: "node" }, scrapePool: "node" },
      { discoveredLabels: { __address__: "old-2:9100", __meta_note: MARKUP, job: "node" }, scrapePool: "node" },
    ],
    droppedTargetCounts: { node: 2, database: 0, hostile: 0 },
  };
}

function tsdb() {
  const now = Date.now();
  const counts = (entries) => Object.entries(entries).map(([name, value]) => ({ name, value }));
  return {
    headStats: { numSeries: 48_213, numLabelPairs: 6_120, chunkCount: 96_400, minTime: now - 2 * 3_600_000, maxTime: now },
    seriesCountByMetricName: counts({ shop_many_series: 21_040, http_requests_total: 9_312, node_cpu_seconds_total: 4_096, "http_request_duration_seconds": 2_304, node_network_receive_bytes_total: 812, [MARKUP]: 40, [`turned ${TURNED}`]: 12, up: 7 }),
    labelValueCountByLabelName: counts({ path: 9_120, shard: 4_000, instance: 212, __name__: 184, device: 44, "ünï code": 3 }),
    memoryInBytesByLabelName: counts({ path: 1_204_000, shard: 180_000, instance: 54_200, __name__: 9_840, device: 1_200 }),
    seriesCountByLabelValuePair: counts({ "job=shop": 30_112, "job=node": 9_800, "instance=shop-1:9100": 4_210, [`path=${LONG}`]: 900, [`path=${MARKUP}`]: 12 }),
    wellkept: {
      blocks: 14, blockBytes: 812_004_112, blockSamples: 1_920_441_000, bytesPerSample: 0.423, logBytes: 18_400_122, headBytes: 92_100_440,
      growth: [{ name: "shop_many_series", before: 12_000, now: 21_040 }, { name: "http_requests_total", before: 9_001, now: 9_312 }, { name: "up", before: 9, now: 7 }],
      retention: [
        { resolution: "raw", keptSeconds: 15 * 86_400, bytes: 640_000_000, from: now - 15 * 86_400_000, to: now },
        { resolution: "5m", keptSeconds: 90 * 86_400, bytes: 150_000_000, from: now - 60 * 86_400_000, to: now },
        { resolution: "1h", keptSeconds: 2 * 365 * 86_400, bytes: 22_004_112, from: now - 60 * 86_400_000, to: now },
      ],
      quarantined: ["01JC7Q2M block 2026-11-02: checksum of values.col does not match", `block ${MARKUP} ${TURNED}`],
    },
  };
}
