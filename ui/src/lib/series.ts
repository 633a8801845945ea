// How series are written: as PromQL, so that what is read can be pasted back into a query.

import type { Metric } from "./prom";

const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** A PromQL string in double quotes. */
export function quote(text: string): string {
  const body = text.replace(/[\\"\n\r\t]/g, (char) => ({ "\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t" })[char] ?? char);
  return `"${body}"`;
}

/** A label's name as a query may say it: quoted when it is none of the old alphabet. */
export function labelName(name: string): string {
  return LABEL_NAME.test(name) ? name : quote(name);
}

/** A selector of one metric by its name, whatever the name is. */
export function metricSelector(name: string): string {
  return METRIC_NAME.test(name) ? name : `{${quote(name)}}`;
}

/** A series in full: `name{a="b"}`. Labels in order of their names. */
export function seriesText(metric: Metric): string {
  const name = metric["__name__"] ?? "";
  const plain = METRIC_NAME.test(name);
  const labels = labelsOf(metric).map(([label, value]) => `${labelName(label)}=${quote(value)}`);
  if (name !== "" && !plain) labels.unshift(quote(name));
  if (labels.length === 0) return plain ? name : "{}";
  return `${plain ? name : ""}{${labels.join(", ")}}`;
}

/** Labels besides the name, sorted. */
export function labelsOf(metric: Metric): [string, string][] {
  return Object.entries(metric)
    .filter(([label]) => label !== "__name__")
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** Short names that tell the series of one answer apart: what all have in common is left out. */
export function legendNames(metrics: readonly Metric[]): string[] {
  const first = metrics[0];
  if (first === undefined) return [];
  if (metrics.length === 1) return [seriesText(first)];
  const labels = new Set(metrics.flatMap((metric) => Object.keys(metric)));
  const differ = [...labels].filter((label) => metrics.some((metric) => valueOf(metric, label) !== valueOf(first, label)));
  return metrics.map((metric) => seriesText(Object.fromEntries(differ.flatMap((label) => (Object.hasOwn(metric, label) ? [[label, metric[label] ?? ""]] : [])))));
}

/** A label may have a name that every object has: `constructor`. */
function valueOf(metric: Metric, label: string): string | undefined {
  return Object.hasOwn(metric, label) ? metric[label] : undefined;
}

const TOP = 20;

/** Questions of the series explorer: what is behind one of its bars. */
export const ask = {
  /** The series of one metric, by where they come from. */
  metric: (name: string) => `count by (job, instance) (${metricSelector(name)})`,
  /** The values of one label by how many series they have. */
  label: (name: string) => `topk(${TOP}, count by (${labelName(name)}) ({${labelName(name)}!=""}))`,
  /** The metrics that one pair of label and value is on. The API writes pairs as `name=value`. */
  pair: (text: string) => {
    const at = text.indexOf("=");
    const [name, value] = at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
    return `topk(${TOP}, count by (__name__) ({${labelName(name)}=${quote(value)}}))`;
  },
};
