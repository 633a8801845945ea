// What the editor knows of the query language: its words and how a text falls into tokens. It judges nothing;
// whether a query is right is said by the server.

const list = (words: string) => words.trim().split(/\s+/);

/** Each function with the names of its arguments, for the list of suggestions. */
export const FUNCTIONS: Record<string, string> = {
  ...Object.fromEntries(
    list("abs acos acosh asin asinh atan atanh ceil cos cosh deg exp floor ln log10 log2 rad sgn sin sinh sqrt tan tanh absent timestamp sort sort_desc scalar")
      .map((name) => [name, "vector"]),
  ),
  ...Object.fromEntries(
    list(`avg_over_time changes count_over_time delta deriv idelta increase irate mad_over_time max_over_time min_over_time
      present_over_time rate resets stddev_over_time stdvar_over_time sum_over_time first_over_time last_over_time absent_over_time
      ts_of_first_over_time ts_of_last_over_time ts_of_max_over_time ts_of_min_over_time`).map((name) => [name, "range"]),
  ),
  ...Object.fromEntries(list("day_of_month day_of_week day_of_year days_in_month hour minute month year").map((name) => [name, "vector?"])),
  ...Object.fromEntries(list("histogram_avg histogram_count histogram_sum histogram_stddev histogram_stdvar").map((name) => [name, "vector"])),
  clamp: "vector, min, max",
  clamp_max: "vector, max",
  clamp_min: "vector, min",
  double_exponential_smoothing: "range, level, trend",
  histogram_fraction: "lower, upper, vector",
  histogram_quantile: "quantile, vector",
  info: "vector, selector?",
  label_join: 'vector, "label", "separator", "label", …',
  label_replace: 'vector, "label", "replacement", "label", "pattern"',
  pi: "",
  predict_linear: "range, seconds",
  quantile_over_time: "quantile, range",
  round: "vector, nearest?",
  sort_by_label: 'vector, "label", …',
  sort_by_label_desc: 'vector, "label", …',
  time: "",
  vector: "scalar",
};

export const AGGREGATIONS: Record<string, string> = {
  ...Object.fromEntries(list("avg count group max min stddev stdvar sum").map((name) => [name, "vector"])),
  bottomk: "k, vector",
  count_values: '"label", vector',
  limit_ratio: "ratio, vector",
  limitk: "k, vector",
  quantile: "quantile, vector",
  topk: "k, vector",
};

/** Words that a list of labels in parentheses follows. */
export const GROUPINGS: ReadonlySet<string> = new Set(list("by without on ignoring group_left group_right"));
export const KEYWORDS: ReadonlySet<string> = new Set([...GROUPINGS, ...list("and or unless bool offset atan2")]);
export const DURATIONS: readonly string[] = ["1m", "5m", "15m", "30m", "1h", "6h", "1d", "7d"];

export interface Token {
  kind: "word" | "number" | "string" | "comment" | "sign";
  text: string;
  from: number;
  to: number;
  /** False for a string or comment that goes on to the end of the text. */
  closed: boolean;
}

const PATTERN =
  /(?<word>[a-zA-Z_:][a-zA-Z0-9_:]*)|(?<number>[0-9][0-9a-zA-Z_.]*)|(?<string>"(?:[^"\\]|\\[^])*"?|'(?:[^'\\]|\\[^])*'?|`[^`]*`?)|(?<comment>#[^\n]*)|(?<sign>=~|!~|!=|==|<=|>=|[^\s])/gu;

/** The tokens of a text. A text that is no query has tokens, too. */
export function tokens(text: string): Token[] {
  return [...text.matchAll(PATTERN)].map((match) => {
    const kind = (Object.entries(match.groups ?? {}).find(([, found]) => found !== undefined)?.[0] ?? "sign") as Token["kind"];
    const body = match[0];
    const to = match.index + body.length;
    const closed = kind === "string" ? body.length > 1 && body.endsWith(body.charAt(0)) && !/(?:^|[^\\])(?:\\\\)*\\.$/su.test(body.charAt(0) === "`" ? "" : body) : kind !== "comment" || to < text.length;
    return { kind, text: body, from: match.index, to, closed };
  });
}

/** True for a word that can only be the name of a metric where it stands. */
export function isMetricWord(word: string): boolean {
  return !KEYWORDS.has(word) && !/^(?:inf|nan)$/i.test(word);
}
