// What can be typed next: found from the tokens before the cursor, without asking anybody. Which names there are is
// asked by `names.ts`; here is decided which of them fit.

import { AGGREGATIONS, DURATIONS, FUNCTIONS, GROUPINGS, KEYWORDS, type Token, isMetricWord, tokens } from "./promql";
import { quote } from "./series";

/** Where the cursor is. `from` to `to` is what a choice replaces. */
export type Place = { from: number; to: number; prefix: string } & (
  | { kind: "expression"; afterOperand: boolean }
  | { kind: "label"; selector: string }
  | { kind: "value"; selector: string; label: string; quoted: boolean }
  | { kind: "duration" }
  | { kind: "none" }
);

export type ChoiceKind = "metric" | "function" | "aggregation" | "keyword" | "label" | "value" | "duration";

export interface Choice {
  kind: ChoiceKind;
  /** What is shown, and what the prefix is compared with. */
  text: string;
  /** What is put into the query. */
  insert: string;
  note: string;
}

interface Frame {
  sign: string;
  /** Index of the opening token. */
  at: number;
}

/** The brackets that are open before token `end`. */
function open(all: readonly Token[], end: number): Frame[] {
  const frames: Frame[] = [];
  for (let i = 0; i < end; i += 1) {
    const token = all[i];
    if (token?.kind !== "sign") continue;
    if ("([{".includes(token.text)) frames.push({ sign: token.text, at: i });
    else if (")]}".includes(token.text)) frames.pop();
  }
  return frames;
}

export function placeAt(text: string, pos: number): Place {
  const all = tokens(text);
  const end = all.findIndex((token) => token.to >= pos);
  const touching = end < 0 ? undefined : all[end];
  const inside = touching !== undefined && touching.from < pos ? touching : undefined;
  const nowhere: Place = { kind: "none", from: pos, to: pos, prefix: "" };
  if (inside?.kind === "comment") return nowhere;
  const inString = inside?.kind === "string" && (pos < inside.to || !inside.closed);
  const word = inside?.kind === "word" || inside?.kind === "number" ? inside : undefined;
  // Everything that lies wholly before what is being typed.
  const count = all.filter((token) => token.to <= pos).length - (word !== undefined && word.to === pos ? 1 : 0) - (inString && inside.to === pos ? 1 : 0);
  const before = all.slice(0, count).filter((token) => token.kind !== "comment");
  const last = before.at(-1);
  const frame = open(before, before.length).at(-1);
  const span = { from: word?.from ?? pos, to: word?.to ?? pos, prefix: word === undefined ? "" : text.slice(word.from, pos) };

  if (frame?.sign === "{") return inBraces(before, frame, text, pos, span, inString ? inside : undefined);
  if (inString) return nowhere;
  if (frame?.sign === "[") return last?.text === "[" || last?.text === ":" ? { kind: "duration", ...span } : nowhere;
  if (last?.text === "offset") return { kind: "duration", ...span };
  if (frame?.sign === "(" && GROUPINGS.has(before[frame.at - 1]?.text ?? "")) {
    return { kind: "label", selector: firstMetric(all), ...span };
  }
  if (word?.kind === "number") return nowhere;
  const afterOperand = last !== undefined && (last.text === ")" || last.text === "}" || last.text === "]" || last.kind === "number" || (last.kind === "word" && isMetricWord(last.text)));
  return { kind: "expression", afterOperand, ...span };
}

function inBraces(before: readonly Token[], frame: Frame, text: string, pos: number, span: { from: number; to: number; prefix: string }, string: Token | undefined): Place {
  const selector = selectorAt(before, frame);
  const sign = before.at(-1)?.text ?? "";
  const label = before.at(-2);
  const isOperator = ["=", "!=", "=~", "!~"].includes(sign);
  if (isOperator && label !== undefined) {
    const name = label.kind === "string" ? unquote(label.text) : label.text;
    const ask = { kind: "value", selector, label: name } as const;
    if (string === undefined) return { ...ask, quoted: false, ...span };
    return { ...ask, quoted: true, from: string.from + 1, to: string.closed ? string.to - 1 : pos, prefix: text.slice(string.from + 1, pos) };
  }
  if (string === undefined && (sign === "{" || sign === ",")) return { kind: "label", selector, ...span };
  return { kind: "none", from: pos, to: pos, prefix: "" };
}

/** The selector in front of and inside a brace, with those of its matchers that are complete. */
function selectorAt(before: readonly Token[], frame: Frame): string {
  const name = before[frame.at - 1];
  const metric = name?.kind === "word" && isMetricWord(name.text) ? name.text : "";
  const inner = before.slice(frame.at + 1);
  const matchers: string[] = [];
  for (let i = 0; i + 2 < inner.length; i += 1) {
    const [label, sign, value] = [inner[i], inner[i + 1], inner[i + 2]];
    const complete = label !== undefined && label.kind !== "sign" && value?.kind === "string" && value.closed;
    if (complete && ["=", "!=", "=~", "!~"].includes(sign?.text ?? "")) matchers.push(`${label.text}${sign?.text ?? ""}${value.text}`);
  }
  if (matchers.length === 0) return metric;
  return `${metric}{${matchers.join(",")}}`;
}

function unquote(text: string): string {
  return text.slice(1, text.length > 1 && text.endsWith(text.charAt(0)) ? -1 : undefined).replace(/\\(.)/gs, "$1");
}

/** All words that stand where only a metric can, in order. */
function metricTokens(all: readonly Token[]): Token[] {
  return all.filter((token, i) => {
    if (token.kind !== "word" || !isMetricWord(token.text)) return false;
    const frame = open(all, i).at(-1);
    if (frame?.sign === "{" || frame?.sign === "[") return false;
    if (frame?.sign === "(" && GROUPINGS.has(all[frame.at - 1]?.text ?? "")) return false;
    const next = all[i + 1];
    const called = next?.text === "(" || (Object.hasOwn(AGGREGATIONS, token.text) && GROUPINGS.has(next?.text ?? ""));
    return !called && all[i - 1]?.text !== "@";
  });
}

function firstMetric(all: readonly Token[]): string {
  return metricTokens(all)[0]?.text ?? "";
}

/** The metric under the cursor, or whose braces it is in; when there is only one metric at all, that one. */
export function metricAt(text: string, pos: number): string | null {
  const all = tokens(text);
  const found = metricTokens(all);
  const touched = found.find((token) => token.from <= pos && pos <= token.to);
  if (touched !== undefined) return touched.text;
  const frame = open(all, all.filter((token) => token.from < pos).length).findLast(({ sign }) => sign === "{");
  const owner = frame === undefined ? undefined : found.find((token) => token === all[frame.at - 1]);
  if (owner !== undefined) return owner.text;
  return new Set(found.map((token) => token.text)).size === 1 ? (found[0]?.text ?? null) : null;
}

/** Words of the language that fit an expression. */
export function words(afterOperand: boolean): Choice[] {
  if (afterOperand) return [...KEYWORDS].map((text) => ({ kind: "keyword", text, insert: GROUPINGS.has(text) ? `${text} (` : `${text} `, note: "" }));
  const calls = (kind: ChoiceKind, from: Record<string, string>): Choice[] =>
    Object.entries(from).map(([text, args]) => ({ kind, text, insert: args === "" ? `${text}()` : `${text}(`, note: `(${args})` }));
  return [...calls("aggregation", AGGREGATIONS), ...calls("function", FUNCTIONS)];
}

/** The choices for `place` out of names that the server told. */
export function choicesAt(place: Place, names: readonly string[]): Choice[] {
  switch (place.kind) {
    case "expression":
      return [...words(place.afterOperand), ...(place.afterOperand ? [] : names.map((text) => ({ kind: "metric" as const, text, insert: metricInsert(text), note: "" })))];
    case "label":
      return names.map((text) => ({ kind: "label", text, insert: /^[a-zA-Z_]\w*$/.test(text) ? text : quote(text), note: "" }));
    case "value":
      return names.map((text) => ({ kind: "value", text, insert: place.quoted ? quote(text).slice(1, -1) : quote(text), note: "" }));
    case "duration":
      return DURATIONS.map((text) => ({ kind: "duration", text, insert: text, note: "" }));
    case "none":
      return [];
  }
}

function metricInsert(name: string): string {
  return /^[a-zA-Z_:][\w:]*$/.test(name) ? name : `{${quote(name)}}`;
}

/** Those that fit the prefix, best first: begins with it, then a part begins with it, then contains it; then by the alphabet. */
export function ranked(choices: readonly Choice[], prefix: string, limit: number): Choice[] {
  const wanted = prefix.toLowerCase();
  if (wanted === "") return choices.slice(0, limit);
  const rank = (text: string): number => {
    const at = text.toLowerCase().indexOf(wanted);
    if (at < 0) return -1;
    if (at === 0) return text.length === wanted.length ? 0 : 1;
    return /[^a-zA-Z0-9]/.test(text.charAt(at - 1)) ? 2 : 3;
  };
  return choices
    .map((choice, i) => ({ choice, i, rank: rank(choice.text) }))
    .filter((one) => one.rank >= 0)
    .sort((a, b) => a.rank - b.rank || (a.choice.text < b.choice.text ? -1 : a.choice.text > b.choice.text ? 1 : a.i - b.i))
    .slice(0, limit)
    .map((one) => one.choice);
}

/** The text after a choice was taken, and where the cursor then is. */
export function take(text: string, place: Place, choice: Choice): { text: string; cursor: number } {
  const rest = text.slice(place.to);
  // What is there already is not written twice.
  let insert = choice.insert;
  const tail = /[( ]+$/.exec(insert)?.[0] ?? "";
  if (tail !== "" && rest.trimStart().startsWith("(")) insert = insert.slice(0, -tail.length);
  if (insert.endsWith("()") && rest.startsWith("(")) insert = insert.slice(0, -2);
  return { text: text.slice(0, place.from) + insert + rest, cursor: place.from + insert.length };
}
