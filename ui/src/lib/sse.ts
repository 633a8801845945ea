// Server-sent events out of a byte stream.
//
// We read the stream with `fetch` instead of `EventSource`: so the comment lines that say "I am still here" are seen,
// the wait before the next attempt is ours, and a token can be sent along.

/** One event; `comment` for the lines that only say that the stream lives. */
export type Piece = { type: "event"; name: string; data: string } | { type: "comment" };

/** The longest event that we keep; a longer one is dropped, so that a broken server cannot fill our memory. */
export const EVENT_CHARS_MAX = 4_000_000;

/** Takes text in any cut and gives whole events. */
export class SseParser {
  #line = "";
  #name = "";
  #data: string[] = [];
  #size = 0;

  push(chunk: string): Piece[] {
    const pieces: Piece[] = [];
    const lines = (this.#line + chunk).split(/\r\n|\n|\r(?!$)/);
    this.#line = lines.pop() ?? "";
    if (this.#line.length > EVENT_CHARS_MAX) this.#line = "";
    for (const line of lines) {
      const piece = this.#take(line);
      if (piece !== null) pieces.push(piece);
    }
    return pieces;
  }

  #take(line: string): Piece | null {
    if (line === "") return this.#finish();
    if (line.startsWith(":")) return { type: "comment" };
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#name = value;
    if (field === "data") {
      this.#size += value.length;
      if (this.#size <= EVENT_CHARS_MAX) this.#data.push(value);
    }
    return null;
  }

  #finish(): Piece | null {
    const whole = this.#size <= EVENT_CHARS_MAX && this.#data.length > 0;
    const piece: Piece | null = whole
      ? { type: "event", name: this.#name === "" ? "message" : this.#name, data: this.#data.join("\n") }
      : null;
    this.#name = "";
    this.#data = [];
    this.#size = 0;
    return piece;
  }
}

/** The first wait after a broken stream. */
export const WAIT_MIN_MS = 500;
/** The longest wait: a server that comes back is noticed within this time. */
export const WAIT_MAX_MS = 10_000;

/**
 * How long to wait before attempt number `attempt` (0 is the first after a break), with up to 30 % taken off by
 * `chance` (0 to 1), so that many tabs do not come back at the same instant.
 */
export function backoff(attempt: number, chance: number): number {
  const whole = Math.min(WAIT_MAX_MS, WAIT_MIN_MS * 2 ** Math.min(attempt, 16));
  return Math.round(whole * (1 - 0.3 * chance));
}
