// The stream of lines as they come, drawn a few times a second however many there are.

import { tick } from "svelte";

import { api } from "./live.svelte";
import type { LogLine } from "./logs";
import { Tail, type TailRow } from "./logtail";
import type { Piece } from "./sse";
import { type Port, type StreamState, browserPort, keepOpen } from "./stream";

/** How often the list is drawn anew, at most. */
const DRAW_MS = 200;
/** The longest wait between two drawings. */
const DRAW_MAX_MS = 2000;
/** Drawing takes no more than this part of the time. */
const DRAW_SHARE = 0.25;
/** So many of the lines are drawn while they run by; nobody sees more of them. */
const FOLLOWED = 300;

export class LiveTail {
  rows = $state.raw<TailRow[]>([]);
  state = $state<StreamState>("connecting");
  paused = $state(false);
  /** How many lines are kept; {@link rows} are the newest of them. */
  held = $state(0);
  waiting = $state(0);
  dropped = $state(0);
  skipped = $state(0);
  /** The server's words when it refuses the question; then nothing is tried again. */
  refused = $state<string | null>(null);
  /** Why the stream could not be opened the last time. */
  trouble = $state<string | null>(null);
  readonly #tail = new Tail();
  #moved = false;
  #whole = false;

  /** Follows the stream until `signal` is aborted. */
  follow(query: string, signal: AbortSignal): void {
    const life = new AbortController();
    this.#tail.push(null);
    signal.addEventListener("abort", () => life.abort(), { once: true });
    void this.#draw(life.signal);
    const path = () => api.logsPath("tail", { query });
    const base = browserPort(path, () => api.headers());
    const port: Port = {
      ...base,
      open: async (opening) => {
        try {
          const body = await base.open(opening);
          this.trouble = null;
          return body;
        } catch (error) {
          if (!opening.aborted) this.trouble = error instanceof Error ? error.message : String(error);
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
    void keepOpen(port, handlers, life.signal);
  }

  pause(): void {
    this.#tail.pause();
    this.paused = true;
    this.#show();
  }

  resume(): void {
    this.#tail.resume();
    this.paused = false;
    this.#whole = false;
    this.#show();
  }

  /** Shows all that is kept; for who reads in peace. */
  showAll(): void {
    this.#whole = true;
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

  /** A slow machine draws less often, and stays able to stop. */
  async #draw(signal: AbortSignal): Promise<void> {
    let pause = DRAW_MS;
    while (!signal.aborted) {
      await new Promise((done) => setTimeout(done, pause));
      if (!this.#moved || signal.aborted) continue;
      const began = performance.now();
      this.#show();
      await tick();
      // Layout and paint count, too.
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      pause = Math.min(DRAW_MAX_MS, Math.max(DRAW_MS, (performance.now() - began) / DRAW_SHARE));
    }
  }

  #show(): void {
    this.#moved = false;
    this.waiting = this.#tail.waiting.length;
    this.dropped = this.#tail.dropped;
    this.skipped = this.#tail.skipped;
    const all = this.#tail.shown();
    const rows = this.#whole ? all : all.slice(-FOLLOWED);
    this.held = all.length;
    // While paused nothing that is shown moves, and a list that is the same is not drawn anew.
    if (rows.length !== this.rows.length || rows.at(-1) !== this.rows.at(-1)) this.rows = rows;
  }
}

function isLine(data: unknown): data is LogLine {
  return typeof data === "object" && data !== null && "text" in data && typeof data.text === "string" && "labels" in data && "at_ns" in data;
}
