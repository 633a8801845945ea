// The shapes of Prometheus' API, as far as the console reads them. Times are seconds, values are text.

export type Metric = Record<string, string>;

/** A native histogram in an answer: the boundary rule (0 to 3), lower and upper bound, and count of each bucket. */
export interface Histogram {
  count: string;
  sum: string;
  buckets?: [number, string, string, string][];
}

export interface Sample {
  metric: Metric;
  value?: [number, string];
  histogram?: [number, Histogram];
}

export interface Series {
  metric: Metric;
  values?: [number, string][];
  histograms?: [number, Histogram][];
}

export type QueryData =
  | { resultType: "vector"; result: Sample[] }
  | { resultType: "matrix"; result: Series[] }
  | { resultType: "scalar" | "string"; result: [number, string] };

/** An answer without its wrapping. */
export interface Answer<T> {
  data: T;
  warnings: string[];
  infos: string[];
}

export interface Metadata {
  type: string;
  help: string;
  unit: string;
}

export type AlertState = "firing" | "pending" | "inactive";

export interface Alert {
  labels: Metric;
  annotations: Metric;
  state: string;
  activeAt?: string;
  value: string;
}

export interface Rule {
  type: string;
  name: string;
  query: string;
  labels?: Metric;
  annotations?: Metric;
  alerts?: Alert[];
  state?: string;
  /** Seconds. */
  duration?: number;
  keepFiringFor?: number;
  health?: string;
  lastError?: string;
  evaluationTime?: number;
  lastEvaluation?: string;
}

export interface RuleGroup {
  name: string;
  file: string;
  interval: number;
  evaluationTime?: number;
  lastEvaluation?: string;
  rules: Rule[];
}

export interface Target {
  discoveredLabels: Metric;
  labels: Metric;
  scrapePool: string;
  scrapeUrl: string;
  lastError: string;
  lastScrape: string;
  /** Seconds. */
  lastScrapeDuration: number;
  health: string;
  scrapeInterval?: string;
  scrapeTimeout?: string;
}

export interface DroppedTarget {
  discoveredLabels: Metric;
  scrapePool?: string;
}

export interface Targets {
  activeTargets: Target[];
  droppedTargets: DroppedTarget[];
  droppedTargetCounts?: Record<string, number>;
}

export interface Count {
  name: string;
  value: number;
}

/** What we tell beyond Prometheus; every part may be absent. */
export interface StoreMore {
  blocks?: number;
  blockBytes?: number;
  blockSamples?: number;
  bytesPerSample?: number;
  logBytes?: number;
  headBytes?: number;
  growth?: { name: string; before: number; now: number }[];
  /** Times in milliseconds. */
  retention?: { resolution: string; keptSeconds: number; bytes: number; from: number; to: number }[];
  quarantined?: string[];
}

export interface StoreStatus {
  headStats?: { numSeries: number; numLabelPairs: number; chunkCount?: number; minTime: number; maxTime: number };
  seriesCountByMetricName?: Count[];
  labelValueCountByLabelName?: Count[];
  memoryInBytesByLabelName?: Count[];
  seriesCountByLabelValuePair?: Count[];
  wellkept?: StoreMore;
}

/** Milliseconds of a time as the API writes it; `null` for none, and for Go's year 1. */
export function timeOf(text: string | undefined): number | null {
  if (text === undefined || text === "") return null;
  const at = Date.parse(text);
  return Number.isFinite(at) && at > 0 ? at : null;
}
