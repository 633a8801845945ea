// The charts of the host page: what is asked and how it is named. Metric names are node_exporter's.

import type { Unit } from "./format";
import type { Key } from "./i18n";

/** One question of a chart. `expr` gets the window of `rate` in whole seconds. */
export interface Question {
  expr(window: number): string;
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

const rate = (selector: string) => (window: number) => `rate(${selector}[${window}s])`;
const as = (expr: string) => () => expr;

export const CHARTS: readonly ChartSpec[] = [
  {
    id: "cpu",
    title: "host.cpu",
    unit: "share",
    stacked: true,
    top: 1,
    questions: [
      {
        expr: (window) => `avg by (mode) (rate(node_cpu_seconds_total{mode!="idle"}[${window}s]))`,
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
      { expr: as("node_load1"), by: [], name: "host.load1" },
      { expr: as("node_load5"), by: [], name: "host.load5" },
      { expr: as("node_load15"), by: [], name: "host.load15" },
    ],
  },
  {
    id: "memory",
    title: "host.memory",
    unit: "bytes",
    stacked: false,
    top: null,
    questions: [
      { expr: as("node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes"), by: [], name: "host.memory_used" },
      { expr: as("node_memory_Cached_bytes"), by: [], name: "host.memory_cached" },
      { expr: as("node_memory_SwapTotal_bytes - node_memory_SwapFree_bytes"), by: [], name: "host.swap_used" },
      { expr: as("node_memory_MemTotal_bytes"), by: [], name: "host.memory_total" },
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
      { expr: rate(`node_disk_read_bytes_total{${DISKS}}`), by: ["device"], name: "host.read" },
      { expr: rate(`node_disk_written_bytes_total{${DISKS}}`), by: ["device"], name: "host.written" },
    ],
  },
  {
    id: "network",
    title: "host.network",
    unit: "bytes_per_second",
    stacked: false,
    top: 1024,
    questions: [
      { expr: rate(`node_network_receive_bytes_total{${LINKS}}`), by: ["device"], name: "host.received" },
      { expr: rate(`node_network_transmit_bytes_total{${LINKS}}`), by: ["device"], name: "host.sent" },
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
        expr: as(`1 - node_filesystem_avail_bytes{${REAL_FILES}} / node_filesystem_size_bytes{${REAL_FILES}}`),
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
        expr: (window) => `sum by (service) (rate(wellkept_service_cpu_seconds_total[${window}s]))`,
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
    questions: [{ expr: as("sum by (service) (wellkept_service_resident_memory_bytes)"), by: ["service"], name: "" }],
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
