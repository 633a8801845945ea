// Text from outside, made harmless to read: the same characters as in the command line (crates/catalogue) are shown
// as escapes, because bidirectional marks and control characters can make a line read differently than it is.

// Written with escapes only, so that this file itself reads as it is.
const HARMFUL = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
const NAMED: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** `text` with control, bidirectional and line-separating characters written as `\n`, `\t` or `\u{202e}`. */
export function visible(text: string): string {
  return text.replace(HARMFUL, (char) => NAMED[char] ?? `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
}

/** The first `max` characters of `text` and how many are left out; never half of a surrogate pair. */
export function cut(text: string, max: number): { head: string; left: number } {
  if (text.length <= max) return { head: text, left: 0 };
  const code = text.charCodeAt(max - 1);
  const end = code >= 0xd800 && code <= 0xdbff ? max - 1 : max;
  return { head: text.slice(0, end), left: text.length - end };
}

/** {@link visible} and {@link cut} in one, with an ellipsis: for titles, legends and other places of one line. */
export function brief(text: string, max = 120): string {
  const { head, left } = cut(text, max);
  return left > 0 ? `${visible(head)}…` : visible(head);
}

/** A piece of a text; `href` when it is an address that may be opened. */
export interface Piece {
  text: string;
  href: string | null;
}

const ADDRESS = /https?:\/\/[^\s<>"'`\\^{|}]+/giu;

/** Splits a text at its http(s) addresses. Everything else, such as `javascript:`, stays text. */
export function linkify(text: string): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const found = match[0].replace(/[.,;:!?)\]]+$/u, "");
    const href = safeHref(found);
    if (href === null) continue;
    if (match.index > at) pieces.push({ text: text.slice(at, match.index), href: null });
    pieces.push({ text: found, href });
    at = match.index + found.length;
  }
  if (at < text.length) pieces.push({ text: text.slice(at), href: null });
  return pieces;
}

/** The address when it may be a link: http or https, a host, and no hidden or misleading characters or user name. */
export function safeHref(text: string): string | null {
  if (visible(text) !== text) return null;
  try {
    const url = new URL(text);
    const web = url.protocol === "http:" || url.protocol === "https:";
    return web && url.username === "" && url.password === "" ? url.href : null;
  } catch {
    return null;
  }
}
