// The query language of the logs, as far as clicks need it: what a query already chooses, and a query with one more
// choice. What we do not understand keeps its own words and its place; the server alone decides what a query means.

import type { AxisUnit } from "./units";
import { visible } from "./visible";

/** How a label or a field is compared. */
export type MatchSign = "=" | "!=" | "=~" | "!~";
type TextSign = "|=" | "!=" | "|~" | "!~";

/** One comparison of a name with a text. */
export interface Match {
  name: string;
  sign: MatchSign;
  value: string;
  /** As it stands in the query. */
  raw: string;
}

export type Stage =
  | { kind: "text"; sign: TextSign; texts: string[]; raw: string }
  | ({ kind: "label" } & Match)
  | { kind: "other"; raw: string };

export interface Parts {
  matches: Match[];
  stages: Stage[];
}

/** What is chosen of a name: only these values, and none of those. */
export interface Choice {
  only: string[];
  without: string[];
}

interface Token {
  kind: "word" | "text" | "sign";
  /** Of a text: what it means, without quotes and escapes. */
  value: string;
  from: number;
  to: number;
}

const SIGNS = ["|=", "|~", "!=", "!~", "=~", "==", ">=", "<=", "{", "}", "(", ")", "[", "]", ",", "|", "=", ">", "<", "-", "+", "*"];
const COMPARISONS = new Set(["=", "==", "!=", "=~", "!~", ">", ">=", "<", "<="]);
const NAME = /^[\p{L}_.:µ][\p{L}\p{N}_.:µ]*$/u;
/** A query longer than this is not taken apart; the server takes none longer than 16 KiB. */
const QUERY_MAX = 20_000;

/** True for a name that a query can speak of. */
export function canAsk(name: string): boolean {
  return NAME.test(name);
}

/** True for a query whose answer is numbers over time, and not lines: it begins with the name of a function. */
export function asksNumbers(query: string): boolean {
  return /^(?:\s+|#[^\n]*(?:\n|$))*[a-z_]+\s*(?:\(|(?:by|without)\b)/u.test(query);
}

/** The unit of such numbers. */
export function unitOfNumbers(query: string): AxisUnit {
  if (/\bbytes_rate\b/u.test(query)) return "bytes_per_second";
  if (/\bbytes_over_time\b/u.test(query)) return "bytes";
  return /\brate\b/u.test(query) ? "per_second" : "plain";
}

function lex(query: string): Token[] | null {
  const tokens: Token[] = [];
  let at = 0;
  while (at < query.length) {
    const rest = query.slice(at);
    const space = /^(?:\s+|#[^\n]*)/u.exec(rest);
    const text = /^(?:"(?:[^"\\]|\\[^])*"|`[^`]*`)/u.exec(rest);
    const sign = SIGNS.find((one) => rest.startsWith(one));
    const word = /^[\p{L}\p{N}_.:µ]+/u.exec(rest);
    const found = space?.[0] ?? text?.[0] ?? sign ?? word?.[0];
    if (found === undefined) return null;
    const to = at + found.length;
    if (text !== null) tokens.push({ kind: "text", value: unquote(found), from: at, to });
    else if (space === null) tokens.push({ kind: sign === undefined ? "word" : "sign", value: found, from: at, to });
    at = to;
  }
  return tokens;
}

function unquote(text: string): string {
  const inner = text.slice(1, -1);
  if (text.startsWith("`")) return inner;
  const plain: Record<string, string> = { n: "\n", t: "\t", r: "\r", "0": "\0" };
  // Escaped bytes may be pieces of one character, so neighbours are read together.
  return inner.replace(/(?:\\x[0-9a-fA-F]{2})+|\\([^])/gu, (whole: string, one: string | undefined) => {
    if (one !== undefined) return plain[one] ?? one;
    const bytes = whole.split("\\x").slice(1).map((hex) => Number.parseInt(hex, 16));
    return new TextDecoder().decode(new Uint8Array(bytes));
  });
}

/** `text` in quotes. What cannot be seen is written as bytes, so that a query reads as it is. */
export function quote(text: string): string {
  const plain: Record<string, string> = { "\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\" };
  let out = "";
  for (const char of text) {
    const escape = plain[char];
    if (escape !== undefined) out += escape;
    else if (visible(char) === char) out += char;
    else for (const byte of new TextEncoder().encode(char)) out += `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return `"${out}"`;
}

/** The parts of a query for lines; `null` when it is none, or is not finished. */
export function parse(query: string): Parts | null {
  const tokens = query.length > QUERY_MAX ? null : lex(query);
  if (tokens === null) return null;
  const parts: Parts = { matches: [], stages: [] };
  let at = 0;
  const is = (value: string, ahead = 0) => tokens[at + ahead]?.kind === "sign" && tokens[at + ahead]?.value === value;
  const rawOf = (from: number) => query.slice(tokens[from]?.from ?? 0, tokens[at - 1]?.to ?? 0);

  if (is("{")) {
    at += 1;
    while (!is("}")) {
      const from = at;
      const found = matchAt(tokens, at);
      if (found === null) return null;
      at += 3;
      parts.matches.push({ ...found, raw: rawOf(from) });
      if (is(",")) at += 1;
      else if (!is("}")) return null;
    }
    at += 1;
  } else if (tokens[0]?.kind === "text") {
    const texts = textsAt(tokens, 0);
    at = texts.length * 2 - 1;
    parts.stages.push({ kind: "text", sign: "|=", texts, raw: `|= ${rawOf(0)}` });
  }
  while (at < tokens.length) {
    const from = at;
    const sign = tokens[at]?.kind === "sign" ? tokens[at]?.value : undefined;
    at += 1;
    if (sign === "|=" || sign === "|~" || sign === "!=" || sign === "!~") {
      const texts = textsAt(tokens, at);
      if (texts.length === 0) return null;
      at += texts.length * 2 - 1;
      parts.stages.push({ kind: "text", sign, texts, raw: rawOf(from) });
    } else if (sign === "|") {
      const single = matchAt(tokens, at);
      at = endOfStage(tokens, at);
      if (at === from + 1) return null;
      const raw = rawOf(from);
      parts.stages.push(single !== null && at === from + 4 ? { kind: "label", ...single, raw } : { kind: "other", raw });
    } else {
      return null;
    }
  }
  return parts;
}

function matchAt(tokens: readonly Token[], at: number): Omit<Match, "raw"> | null {
  const [name, sign, value] = tokens.slice(at, at + 3);
  if (name?.kind !== "word" || sign?.kind !== "sign" || value?.kind !== "text") return null;
  const found = (["=", "!=", "=~", "!~"] as const).find((one) => one === (sign.value === "==" ? "=" : sign.value));
  return found === undefined ? null : { name: name.value, sign: found, value: value.value };
}

/** Texts with `or` between them. */
function textsAt(tokens: readonly Token[], at: number): string[] {
  const texts: string[] = [];
  for (let i = at; tokens[i]?.kind === "text"; i += 2) {
    texts.push(tokens[i]?.value ?? "");
    if (tokens[i + 1]?.kind !== "word" || tokens[i + 1]?.value.toLowerCase() !== "or" || tokens[i + 2]?.kind !== "text") break;
  }
  return texts;
}

/** Where the stage that is under way ends: `!=` is a comparison behind a name, and a new stage behind a value. */
function endOfStage(tokens: readonly Token[], from: number): number {
  let at = from;
  for (; at < tokens.length; at += 1) {
    const token = tokens[at];
    if (token?.kind !== "sign") continue;
    if (token.value === "|" || token.value === "|=" || token.value === "|~") break;
    const before = tokens[at - 1];
    const isOperand = before?.kind === "text" || before?.value === ")" || COMPARISONS.has(tokens[at - 2]?.value ?? "");
    if ((token.value === "!=" || token.value === "!~") && at > from && isOperand) break;
  }
  return at;
}

/** The text of a query. */
export function write({ matches, stages }: Parts): string {
  const selector = matches.length === 0 ? [] : [`{${matches.map((one) => one.raw).join(", ")}}`];
  return [...selector, ...stages.map((one) => one.raw)].join(" ");
}

function alternatives(pattern: string): string[] | null {
  const found = [""];
  for (let i = 0; i < pattern.length; i += 1) {
    const char = pattern.charAt(i);
    if (char === "|") found.push("");
    else if (char === "\\" && /^[^\p{L}\p{N}]$/u.test(pattern.charAt(i + 1))) found[found.length - 1] += pattern.charAt((i += 1));
    else if (/[\\^$.*+?()[\]{}]/.test(char)) return null;
    else found[found.length - 1] += char;
  }
  return found;
}

function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

/** What one comparison chooses, when a click could have made it. */
function valuesOf({ sign, value }: Match): { values: string[]; without: boolean } | null {
  const values = sign === "=" || sign === "!=" ? [value] : alternatives(value);
  return values === null ? null : { values, without: sign === "!=" || sign === "!~" };
}

const LEVEL_WORDS: Record<string, string> = {
  warn: "warning", err: "error", crit: "critical", fatal: "critical", panic: "critical", emerg: "critical", alert: "critical",
};

/** What a query chooses of `name`. */
export function chosen(query: string, name: string): Choice {
  const parts = parse(query);
  const choice: Choice = { only: [], without: [] };
  const stages = parts?.stages.filter((one) => one.kind === "label") ?? [];
  for (const one of [...(parts?.matches ?? []), ...stages]) {
    const found = one.name === name ? valuesOf(one) : null;
    if (found === null) continue;
    const words = name === "level" ? found.values.map((value) => LEVEL_WORDS[value.toLowerCase()] ?? value.toLowerCase()) : found.values;
    (found.without ? choice.without : choice.only).push(...words);
  }
  return choice;
}

function rawMatch(name: string, values: readonly string[], without: boolean): Match {
  const [first = ""] = values;
  const sign: MatchSign = values.length === 1 ? (without ? "!=" : "=") : without ? "!~" : "=~";
  const value = values.length === 1 ? first : values.map(literal).join("|");
  return { name, sign, value, raw: `${name}${sign}${quote(value)}` };
}

/**
 * The query with another choice of `name`. Labels stand in the braces; what a stage found (`extracted`) is asked behind
 * it, and a choice that stands as a stage stays one.
 */
export function choose(query: string, name: string, choice: Choice, extracted = false): string {
  const parts = parse(query);
  const made = [
    ...(choice.only.length > 0 ? [rawMatch(name, [...new Set(choice.only)], false)] : []),
    ...(choice.without.length > 0 ? [rawMatch(name, [...new Set(choice.without)], true)] : []),
  ];
  // Nobody can say what an unfinished query means; the choice is put behind it, and the server says what is wrong.
  if (parts === null) return [query, ...made.map((one) => `| ${one.raw}`)].join(" ").trim();
  const mine = (one: Match) => one.name === name && valuesOf(one) !== null;
  const asStage = extracted || parts.stages.some((one) => one.kind === "label" && mine(one));
  const matches = parts.matches.filter((one) => !mine(one));
  const stages = parts.stages.filter((one) => one.kind !== "label" || !mine(one));
  if (asStage) stages.push(...made.map((one): Stage => ({ kind: "label", ...one, raw: `| ${one.raw}` })));
  else matches.push(...made);
  return write({ matches, stages });
}

/** The query with `value` of `name` chosen (or left out), or no longer, when it was. */
export function toggle(query: string, name: string, value: string, side: keyof Choice, extracted = false): string {
  const { only, without } = chosen(query, name);
  const other: keyof Choice = side === "only" ? "without" : "only";
  const now: Choice = { only, without };
  now[side] = now[side].includes(value) ? now[side].filter((one) => one !== value) : [...now[side], value];
  now[other] = now[other].filter((one) => one !== value);
  return choose(query, name, now, extracted);
}

/** One word of the search box. */
export interface Word {
  text: string;
  without: boolean;
  /** Upper and lower case are the same. */
  anyCase: boolean;
}

/** The word that a stage asks for, when the search box can show it. */
function wordOf(stage: Stage): Word | null {
  if (stage.kind !== "text" || stage.texts.length !== 1) return null;
  const [text = ""] = stage.texts;
  const without = stage.sign.startsWith("!");
  if (stage.sign === "|=" || stage.sign === "!=") return { text, without, anyCase: false };
  const rest = text.startsWith("(?i)") ? alternatives(text.slice(4)) : null;
  return rest?.length === 1 ? { text: rest[0] ?? "", without, anyCase: true } : null;
}

/** The words that a query asks for. */
export function wordsOf(query: string): Word[] {
  return (parse(query)?.stages ?? []).flatMap((stage) => wordOf(stage) ?? []);
}

/** Words as they stand in the search box: `timeout "connection refused" -health`. */
export function writeWords(words: readonly Word[]): string {
  return words
    .map(({ text, without }) => {
      const bare = text !== "" && !/[\s"]/u.test(text) && !text.startsWith("-");
      return `${without ? "-" : ""}${bare ? text : `"${text.replace(/["\\]/g, "\\$&")}"`}`;
    })
    .join(" ");
}

/** True for texts that can be written in two cases: not for figures, and not for Chinese. */
export function hasCase(text: string): boolean {
  return text.toLowerCase() !== text.toUpperCase();
}

/** The words of a search box. Where there is no case, the quicker search for the text itself is asked for. */
export function readWords(box: string, anyCase: boolean): Word[] {
  return [...box.matchAll(/(-?)(?:"((?:[^"\\]|\\[^])*)"?|(\S+))/gu)].flatMap(([, minus, quoted, bare]) => {
    const text = bare ?? (quoted ?? "").replace(/\\([^])/gu, "$1");
    return text === "" ? [] : [{ text, without: minus === "-", anyCase: anyCase && hasCase(text) }];
  });
}

/** The query with other words; they stand where the first of them stood, or before all other stages. */
export function withWords(query: string, words: readonly Word[]): string {
  const made = words.map((word): Stage => {
    const text = word.anyCase ? `(?i)${literal(word.text)}` : word.text;
    const sign: TextSign = word.anyCase ? (word.without ? "!~" : "|~") : word.without ? "!=" : "|=";
    return { kind: "text", sign, texts: [text], raw: `${sign} ${quote(text)}` };
  });
  const parts = parse(query);
  if (parts === null) return [query, ...made.map((one) => one.raw)].join(" ").trim();
  const first = Math.max(0, parts.stages.findIndex((one) => wordOf(one) !== null));
  const stages = parts.stages.filter((one) => wordOf(one) === null);
  stages.splice(first, 0, ...made);
  return write({ ...parts, stages });
}

/** The query with one more stage that takes fields out of the line, if it has it not yet. */
export function withParser(query: string, parser: "json" | "logfmt"): string {
  const parts = parse(query);
  if (parts === null || parts.stages.some((one) => one.raw === `| ${parser}`)) return query;
  const stages = [...parts.stages];
  const behind = stages.findLastIndex((one) => one.kind === "text") + 1;
  stages.splice(behind, 0, { kind: "other", raw: `| ${parser}` });
  return write({ ...parts, stages });
}

/** The stage that could read fields out of a text; `null` for plain words. */
export function parserFor(text: string): "json" | "logfmt" | null {
  const head = text.slice(0, 20_000);
  if (/^\s*\{\s*"[^]*:/u.test(head)) return "json";
  return (head.match(/(?:^|\s)[\p{L}_][\p{L}\p{N}_.-]{0,60}=(?:"|[^\s=])/gu)?.length ?? 0) >= 2 ? "logfmt" : null;
}

/** The place of an error that names a byte: the query cut in three. */
export function placeOf(query: string, error: string): { before: string; at: string; after: string } | null {
  const named = /\bat byte (\d{1,6})\b/u.exec(error);
  if (named === null) return null;
  const bytes = new TextEncoder().encode(query);
  const start = new TextDecoder().decode(bytes.slice(0, Number(named[1]))).length;
  const token = (lex(query) ?? []).find((one) => one.from === start);
  const end = token?.to ?? (start < query.length ? start + ((query.codePointAt(start) ?? 0) > 0xffff ? 2 : 1) : start);
  return { before: query.slice(0, start), at: query.slice(start, end), after: query.slice(end) };
}
