// The charts of the host page: what is asked and how it is named. Metric names are node_exporter's.

import type { Unit } from "./format";
import type { Key } from "./i18n";

/** One question of a chart. `expr` gets the window of `rate` in whole seconds, and the matchers of this host's own series:
 * others may push series of the same names. */
export interface Question {
  expr(window: number, own: string): string;
  /** Labels that name the series; none: the text of `name`. */
  by: readonly string[];
  /** The series' name, or what is put behind the labels. */
  name: Key | "";
}

export interface ChartSpec {
  id: string;
  title: Key;
  unit: Unit;
  /** Areas on top of each other instead of lines. */
  stacked: boolean;
  /** The top of the scale is at least this. */
  top: number | null;
  questions: readonly Question[];
  /** Series in this order first, by key. */
  order?: readonly string[];
}

const DISKS = 'device!~"(loop|ram|zram|dm-).*"';
const LINKS = 'device!~"lo|veth.*|br-.*|docker.*"';
const REAL_FILES = 'fstype!~"tmpfs|devtmpfs|overlay|squashfs|ramfs|nsfs|proc|sysfs|cgroup.*"';

type Expression = Question["expr"];

const only = (matchers: string, own: string) => `{${matchers === "" ? own : `${matchers},${own}`}}`;
const rate =
  (name: string, matchers = ""): Expression =>
  (window, own) =>
    `rate(${name}${only(matchers, own)}[${window}s])`;
const value =
  (name: string, matchers = ""): Expression =>
  (_, own) =>
    name + only(matchers, own);
const between =
  (operator: string, left: Expression, right: Expression): Expression =>
  (window, own) =>
    `${left(window, own)} ${operator} ${right(window, own)}`;
const within =
  (around: string, inner: Expression): Expression =>
  (window, own) =>
    `${around}(${inner(window, own)})`;

export const CHARTS: readonly ChartSpec[] = [
  {
    id: "cpu",
    title: "host.cpu",
    unit: "share",
    stacked: true,
    top: 1,
    questions: [
      {
        expr: within("avg by (mode) ", rate("node_cpu_seconds_total", 'mode!="idle"')),
        by: ["mode"],
        name: "",
      },
    ],
    order: ["user", "system", "iowait", "steal", "nice", "irq", "softirq"],
  },
  {
    id: "load",
    title: "host.load",
    unit: "plain",
    stacked: false,
    top: 1,
    questions: [
      { expr: value("node_load1"), by: [], name: "host.load1" },
      { expr: value("node_load5"), by: [], name: "host.load5" },
      { expr: value("node_load15"), by: [], name: "host.load15" },
    ],
  },
  {
    id: "memory",
    title: "host.memory",
    unit: "bytes",
    stacked: false,
    top: null,
    questions: [
      { expr: between("-", value("node_memory_MemTotal_bytes"), value("node_memory_MemAvailable_bytes")), by: [], name: "host.memory_used" },
      { expr: value("node_memory_Cached_bytes"), by: [], name: "host.memory_cached" },
      { expr: between("-", value("node_memory_SwapTotal_bytes"), value("node_memory_SwapFree_bytes")), by: [], name: "host.swap_used" },
      { expr: value("node_memory_MemTotal_bytes"), by: [], name: "host.memory_total" },
    ],
  },
  {
    id: "pressure",
    title: "host.pressure",
    unit: "share",
    stacked: false,
    top: 0.05,
    questions: [
      { expr: rate("node_pressure_cpu_waiting_seconds_total"), by: [], name: "host.pressure_cpu" },
      { expr: rate("node_pressure_io_waiting_seconds_total"), by: [], name: "host.pressure_io" },
      { expr: rate("node_pressure_memory_waiting_seconds_total"), by: [], name: "host.pressure_memory" },
      { expr: rate("node_pressure_memory_stalled_seconds_total"), by: [], name: "host.pressure_memory_stalled" },
    ],
  },
  {
    id: "disk",
    title: "host.disk",
    unit: "bytes_per_second",
    stacked: false,
    top: 1024,
    questions: [
      { expr: rate("node_disk_read_bytes_total", DISKS), by: ["device"], name: "host.read" },
      { expr: rate("node_disk_written_bytes_total", DISKS), by: ["device"], name: "host.written" },
    ],
  },
  {
    id: "network",
    title: "host.network",
    unit: "bytes_per_second",
    stacked: false,
    top: 1024,
    questions: [
      { expr: rate("node_network_receive_bytes_total", LINKS), by: ["device"], name: "host.received" },
      { expr: rate("node_network_transmit_bytes_total", LINKS), by: ["device"], name: "host.sent" },
    ],
  },
  {
    id: "filesystem",
    title: "host.filesystem",
    unit: "share",
    stacked: false,
    top: 1,
    questions: [
      {
        expr: between(
          "/",
          (window, own) => `1 - ${value("node_filesystem_avail_bytes", REAL_FILES)(window, own)}`,
          value("node_filesystem_size_bytes", REAL_FILES),
        ),
        by: ["mountpoint"],
        name: "",
      },
    ],
  },
  {
    id: "tcp",
    title: "host.tcp",
    unit: "per_second",
    stacked: false,
    top: 1,
    questions: [{ expr: rate("node_netstat_Tcp_RetransSegs"), by: [], name: "host.retransmitted" }],
  },
  {
    id: "service_cpu",
    title: "host.service_cpu",
    unit: "share",
    stacked: false,
    top: 0.05,
    questions: [
      {
        expr: within("sum by (service) ", rate("wellkept_service_cpu_seconds_total")),
        by: ["service"],
        name: "",
      },
    ],
  },
  {
    id: "service_memory",
    title: "host.service_memory",
    unit: "bytes",
    stacked: false,
    top: 1024 * 1024,
    questions: [{ expr: within("sum by (service) ", value("wellkept_service_resident_memory_bytes")), by: ["service"], name: "" }],
  },
];

export const RANGES: readonly { id: string; title: Key; ms: number }[] = [
  { id: "5m", title: "range.5m", ms: 5 * 60_000 },
  { id: "15m", title: "range.15m", ms: 15 * 60_000 },
  { id: "1h", title: "range.1h", ms: 60 * 60_000 },
  { id: "6h", title: "range.6h", ms: 6 * 60 * 60_000 },
  { id: "24h", title: "range.24h", ms: 24 * 60 * 60_000 },
];

/** How wide `rate` looks at a step of so many seconds: calm at one second, and no gap between steps. */
export function rateWindow(step: number): number {
  return Math.max(10, 2 * step);
}

/** The matchers of what this host collects about itself; quotes in a name are escaped as PromQL wants it. */
export function ownMatchers(host: string | undefined): string {
  return host === undefined ? 'job="wellkept"' : `instance=${JSON.stringify(host)},job="wellkept"`;
}
