// What a query looked for, found again in the lines that came.
//
// Only for the eye: which lines fit is the server's word. A pattern that could take long to run here is not marked at
// all, because our engine, unlike the server's, may take for ever on a line that somebody made for that.

import { parse } from "./logquery";
import { visible } from "./visible";

/** From the character `from` up to before `to`. */
export interface Span {
  from: number;
  to: number;
}

export type Finder = { text: string } | { pattern: RegExp };

/** A piece of a line; `hit`: it is what was looked for. */
export interface Bit {
  text: string;
  hit: boolean;
}

/** Most hits that are marked in one line. */
const HITS_MAX = 200;
/** Only so much of a line is looked through with a pattern. */
const PATTERN_CHARS = 4000;

/** What a query looks for in the text of lines. */
export function findersOf(query: string): Finder[] {
  const finders: Finder[] = [];
  for (const stage of parse(query)?.stages ?? []) {
    if (stage.kind !== "text" || stage.sign.startsWith("!")) continue;
    for (const text of stage.texts) {
      if (text === "") continue;
      if (stage.sign === "|=") finders.push({ text });
      else {
        const pattern = harmlessPattern(text);
        if (pattern !== null) finders.push({ pattern });
      }
    }
  }
  return finders;
}

/** The pattern for our engine, when it surely ends soon: at most one repetition without end, and none of a group. */
export function harmlessPattern(text: string): RegExp | null {
  const anyCase = text.startsWith("(?i)");
  const body = (anyCase ? text.slice(4) : text).replace(/\(\?P</g, "(?<");
  if (body.length > 500) return null;
  const bare = body.replace(/\\[^]/gu, "a").replace(/\[[^\]]*\]/gu, "a");
  const endless = bare.match(/[*+]|\{\d*,\d*\}/gu)?.length ?? 0;
  if (endless > 1 || /\)[*+{]/u.test(bare) || /\(\?[^:<]/u.test(bare)) return null;
  try {
    return new RegExp(body, anyCase ? "giu" : "gu");
  } catch {
    return null; // The server's engine knows more than ours.
  }
}

/** Where the finders find something, in order and without overlap. */
export function hitsIn(text: string, finders: readonly Finder[]): Span[] {
  const found: Span[] = [];
  for (const finder of finders) {
    if ("text" in finder) {
      for (let at = text.indexOf(finder.text); at >= 0 && found.length < HITS_MAX; at = text.indexOf(finder.text, at + finder.text.length)) {
        found.push({ from: at, to: at + finder.text.length });
      }
    } else {
      for (const match of text.slice(0, PATTERN_CHARS).matchAll(finder.pattern)) {
        if (match[0] !== "") found.push({ from: match.index, to: match.index + match[0].length });
        if (found.length >= HITS_MAX) break;
      }
    }
  }
  found.sort((a, b) => a.from - b.from);
  const merged: Span[] = [];
  for (const one of found) {
    const last = merged.at(-1);
    if (last !== undefined && one.from <= last.to) last.to = Math.max(last.to, one.to);
    else merged.push({ ...one });
  }
  return merged;
}

/** The text in pieces, made {@link visible}; with `lines`, its own line breaks stay. */
export function bitsOf(text: string, hits: readonly Span[], lines = false): Bit[] {
  const bits: Bit[] = [];
  const shown = (piece: string) => (lines ? piece.split("\n").map(visible).join("\n") : visible(piece));
  let at = 0;
  for (const { from, to } of hits) {
    if (from > at) bits.push({ text: shown(text.slice(at, from)), hit: false });
    bits.push({ text: shown(text.slice(from, to)), hit: true });
    at = to;
  }
  if (at < text.length) bits.push({ text: shown(text.slice(at)), hit: false });
  return bits;
}

/** A part of a long text of about `max` characters, from a little before the first hit. */
export function excerpt(text: string, hits: readonly Span[], max: number): { text: string; hits: Span[]; before: number; after: number } {
  if (text.length <= max) return { text, hits: [...hits], before: 0, after: 0 };
  const first = hits[0];
  const inside = (at: number) => {
    const code = text.charCodeAt(at);
    return code >= 0xdc00 && code <= 0xdfff;
  };
  let from = first === undefined || first.to <= max ? 0 : Math.max(0, first.from - Math.floor(max / 4));
  if (inside(from)) from -= 1;
  let to = Math.min(text.length, from + max);
  if (inside(to)) to -= 1;
  const kept = hits.filter((one) => one.from < to && one.to > from).map((one) => ({ from: Math.max(0, one.from - from), to: Math.min(to, one.to) - from }));
  return { text: text.slice(from, to), hits: kept, before: from, after: text.length - to };
}
