// Values of queries that nobody told us the unit of: guessed from names, which follow Prometheus' conventions.

import { type Unit, bytes, percent } from "./format";
import type { Language } from "./i18n";

export type AxisUnit = Unit | "seconds";

const RATE = /\b(?:rate|irate|deriv)\s*\(/;
/** What turns a value into something of another unit. */
const COUNTED = /^\s*(?:topk\s*\([^,]*,)?\s*(?:count|count_values|group|absent|changes|resets|count_over_time)\b/;
const COMPARED = /\btime\s*\(|\btimestamp\s*\(/;

/** The unit of what an expression gives, as far as its names tell. */
export function unitOf(expr: string): AxisUnit {
  const text = expr.replace(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`/g, '""');
  if (COUNTED.test(text)) return "plain";
  if (/\bhistogram_quantile\s*\(/.test(text)) return /_seconds(?:_bucket)?\b/.test(text) ? "seconds" : /_bytes(?:_bucket)?\b/.test(text) ? "bytes" : "plain";
  // A quotient has the unit of neither side: of the same unit it is a share, otherwise something of its own.
  if (text.includes("/")) return quotient(text);
  if (/\*/.test(text)) return "plain";
  if (RATE.test(text)) {
    if (/_bytes(?:_total)?\b/.test(text)) return "bytes_per_second";
    if (/_seconds(?:_total)?\b/.test(text)) return "share";
    return "per_second";
  }
  if (COMPARED.test(text)) return "seconds";
  if (/_bytes\b/.test(text)) return "bytes";
  if (/_seconds\b/.test(text) && !/_time_seconds\b|_timestamp_seconds\b/.test(text)) return "seconds";
  if (/_ratio\b/.test(text)) return "share";
  return "plain";
}

function quotient(text: string): AxisUnit {
  const sides = text.split("/");
  if (sides.length !== 2) return "plain";
  if (sides.every((side) => /_bytes\b/.test(side))) return "share";
  if (/_seconds_sum\b/.test(sides[0] ?? "") && /_seconds_count\b/.test(sides[1] ?? "")) return "seconds";
  return "plain";
}

/** The unit that several expressions share; plain numbers when they do not agree. */
export function commonUnit(exprs: readonly string[]): AxisUnit {
  const units = new Set(exprs.map(unitOf));
  const [only] = units;
  return units.size === 1 && only !== undefined ? only : "plain";
}

/** A number with at most `digits` significant digits: 1.23e-7, 0.012, 12.3, 1.2M. */
export function compact(value: number, language: Language, digits = 3): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e15)) return value.toExponential(Math.max(0, digits - 1)).replace(/\.?0+e/, "e").replace("e+", "e");
  const maximumSignificantDigits = Math.min(21, Math.max(1, digits));
  return value.toLocaleString(language, size >= 10_000 ? { notation: "compact", maximumSignificantDigits } : { maximumSignificantDigits: Math.max(digits, size >= 1000 ? 4 : 1) });
}

/** Seconds in the unit that fits their size: `250 ms`, `3.2 s`, `4.5 h`. */
export function seconds(value: number, language: Language, digits = 3): string {
  const size = Math.abs(value);
  const [scale, unit] =
    size === 0 || (size >= 1 && size < 120) ? [1, "s"] : size < 1e-6 ? [1e-9, "ns"] : size < 1e-3 ? [1e-6, "µs"] : size < 1 ? [1e-3, "ms"]
    : size < 7200 ? [60, "min"] : size < 172_800 ? [3600, "h"] : [86_400, "d"];
  return `${compact(value / scale, language, digits)} ${unit}`;
}

/** `value` for people. Values that are no finite number are named as PromQL writes them. */
export function inAxisUnit(value: number | null | undefined, unit: AxisUnit, language: Language, digits = 3): string {
  if (value === null || value === undefined) return "–";
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  switch (unit) {
    case "seconds":
      return seconds(value, language, digits);
    case "share":
      return digits > 3 ? `${compact(value * 100, language, digits)} %` : percent(value, language);
    case "bytes":
      return bytes(value, language);
    case "bytes_per_second":
      return `${bytes(value, language)}/s`;
    case "per_second":
      return `${compact(value, language, digits)}/s`;
    case "plain":
      return compact(value, language, digits);
  }
}

/** Labels of an axis: with as many digits as it takes that no two read the same. */
export function axisLabels(values: readonly number[], unit: AxisUnit, language: Language): string[] {
  let labels: string[] = [];
  for (let digits = 3; digits <= 9; digits += 1) {
    labels = values.map((value) => inAxisUnit(value, unit, language, digits));
    if (new Set(labels).size === labels.length) break;
  }
  return labels;
}
