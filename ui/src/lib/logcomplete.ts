// What can be typed next in a query of the logs, found from the text before the cursor.

import type { Api } from "./api";
import type { Choice } from "./complete";
import { canAsk, quote } from "./logquery";

/** Where the cursor is. `from` to `to` is what a choice replaces. */
export type LogPlace = { from: number; to: number; prefix: string } & (
  | { kind: "label" }
  | { kind: "value"; label: string; quoted: boolean }
  | { kind: "stage" }
  | { kind: "none" }
);

const STAGES: readonly { text: string; insert: string }[] = [
  { text: "json", insert: "json" },
  { text: "logfmt", insert: "logfmt" },
];
const NAME = "[\\p{L}_][\\p{L}\\p{N}_.:]*";
const VALUE = new RegExp(`(?:[{,|(]|\\b(?:and|or))\\s*(${NAME})\\s*(?:=~|!~|!=|==|=)\\s*("(?:[^"\\\\]|\\\\[^])*)?$`, "u");
const WORD = new RegExp(`(?:${NAME})?$`, "u");

export function logPlaceAt(text: string, pos: number): LogPlace {
  const head = text.slice(0, pos);
  const nowhere: LogPlace = { kind: "none", from: pos, to: pos, prefix: "" };
  // What stands in quotes may hold any sign.
  const bare = head.replace(/"(?:[^"\\]|\\[^])*"|`[^`]*`/gu, (whole) => "_".repeat(whole.length));
  const inText = /["`]/.test(bare);
  const value = VALUE.exec(inText ? maskClosed(head) : bare);
  const label = value?.[1];
  if (label !== undefined && (value?.[2] !== undefined) === inText) {
    const from = inText ? pos - (value?.[2]?.length ?? 1) + 1 : pos;
    const rest = inText ? (/^(?:[^"\\\n]|\\[^])*(?=")/u.exec(text.slice(pos))?.[0].length ?? 0) : 0;
    return { kind: "value", label, quoted: inText, from, to: pos + rest, prefix: text.slice(from, pos) };
  }
  if (inText) return nowhere;
  const prefix = WORD.exec(bare)?.[0] ?? "";
  const from = pos - prefix.length;
  const to = pos + (/^[\p{L}\p{N}_.:]*/u.exec(text.slice(pos))?.[0].length ?? 0);
  const before = bare.slice(0, from).trimEnd();
  const inBraces = before.lastIndexOf("{") > before.lastIndexOf("}");
  if (inBraces && /[{,]$/.test(before)) return { kind: "label", from, to, prefix };
  if (!inBraces && /\|$/.test(before)) return { kind: "stage", from, to, prefix };
  return nowhere;
}

/** The text with all that is quoted made harmless, but for a last quote that is still open. */
function maskClosed(head: string): string {
  return head.replace(/"(?:[^"\\]|\\[^])*"/gu, (whole) => "_".repeat(whole.length));
}

/** The choices at `place` out of names that the server told. */
export function logChoicesAt(place: LogPlace, names: readonly string[]): Choice[] {
  const labels = (): Choice[] => names.filter(canAsk).map((text) => ({ kind: "label", text, insert: text, note: "" }));
  switch (place.kind) {
    case "label":
      return labels();
    case "stage":
      return [...STAGES.map((one) => ({ kind: "keyword" as const, ...one, note: "" })), ...labels()];
    case "value":
      return names.filter((text) => text !== "").map((text) => ({ kind: "value", text, insert: place.quoted ? quote(text).slice(1, -1) : quote(text), note: "" }));
    default:
      return [];
  }
}

const KEEP_MS = 60_000;
const KEPT_MAX = 50;

/** Names that the server knows: asked once, kept for a minute, and never in the way of anything. */
export class LogNames {
  readonly #kept = new Map<string, { at: number; names: Promise<string[]> }>();

  constructor(private readonly api: Pick<Api, "logs">) {}

  at(place: LogPlace): Promise<string[]> {
    if (place.kind === "none") return Promise.resolve([]);
    const path = place.kind === "value" ? `label/${encodeURIComponent(place.label)}/values` : "labels";
    const known = this.#kept.get(path);
    if (known !== undefined && Date.now() - known.at < KEEP_MS) return known.names;
    const names = this.api
      .logs<{ names?: string[]; values?: string[] }>(path, {})
      .then((found) => found.names ?? found.values ?? [])
      .catch(() => {
        this.#kept.delete(path);
        return [];
      });
    if (this.#kept.size >= KEPT_MAX) this.#kept.clear();
    this.#kept.set(path, { at: Date.now(), names });
    return names;
  }
}
