// The stream of lines as they come, drawn a few times a second however many there are.

import { api } from "./live.svelte";
import type { LogLine } from "./logs";
import { Tail, type TailRow } from "./logtail";
import type { Piece } from "./sse";
import { type Port, type StreamState, browserPort, keepOpen } from "./stream";

/** How often the list is drawn anew. */
const DRAW_MS = 200;

export class LiveTail {
  rows = $state.raw<TailRow[]>([]);
  state = $state<StreamState>("connecting");
  paused = $state(false);
  waiting = $state(0);
  dropped = $state(0);
  skipped = $state(0);
  /** The server's words when it refuses the question; then nothing is tried again. */
  refused = $state<string | null>(null);
  readonly #tail = new Tail();
  #moved = false;

  /** Follows the stream until `signal` is aborted. */
  follow(query: string, signal: AbortSignal): void {
    const life = new AbortController();
    this.#tail.push(null);
    signal.addEventListener("abort", () => life.abort(), { once: true });
    const timer = setInterval(() => this.#draw(), DRAW_MS);
    const path = () => api.logsPath("tail", { query });
    const base = browserPort(path, () => api.headers());
    const port: Port = {
      ...base,
      open: async (opening) => {
        try {
          return await base.open(opening);
        } catch (error) {
          // The stream says a number only; the same question to the search says what is wrong with it.
          const wrong = await api.logs("search", { query, limit: "1", start: "0", end: "1" }, opening).then(
            () => null,
            (said: unknown) => said,
          );
          if (wrong instanceof Error && "trouble" in wrong && wrong.trouble === "refused") {
            this.refused = wrong.message;
            life.abort();
          }
          throw error;
        }
      },
    };
    const handlers = {
      piece: (piece: Piece) => {
        if (!life.signal.aborted) this.#take(piece);
      },
      state: (state: StreamState) => {
        if (life.signal.aborted) return;
        // A break may have swallowed lines; the list says so at that place.
        if (state === "waiting") this.#tail.push(null);
        this.state = state;
        this.#moved = true;
      },
    };
    void keepOpen(port, handlers, life.signal).then(() => clearInterval(timer));
  }

  pause(): void {
    this.#tail.pause();
    this.paused = true;
    this.#show();
  }

  resume(): void {
    this.#tail.resume();
    this.paused = false;
    this.#show();
  }

  clear(): void {
    this.#tail.clear();
    this.#show();
  }

  #take(piece: Piece): void {
    if (piece.type === "comment") return;
    let data: unknown;
    try {
      data = JSON.parse(piece.data);
    } catch {
      return; // A torn event is no line.
    }
    if (piece.name === "line" && isLine(data)) this.#tail.push(data);
    if (piece.name === "dropped") this.#tail.drop(Number((data as { count?: unknown } | null)?.count));
    this.#moved = true;
  }

  #draw(): void {
    if (this.#moved) this.#show();
  }

  #show(): void {
    this.#moved = false;
    this.waiting = this.#tail.waiting.length;
    this.dropped = this.#tail.dropped;
    this.skipped = this.#tail.skipped;
    // While paused nothing that is shown moves, and a list that is the same is not drawn anew.
    if (!this.paused || this.rows.length !== this.#tail.rows.length) this.rows = this.#tail.shown();
  }
}

function isLine(data: unknown): data is LogLine {
  return typeof data === "object" && data !== null && "text" in data && typeof data.text === "string" && "labels" in data && "at_ns" in data;
}
