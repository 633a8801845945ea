// What the server says right now, and how fresh that is.
//
// A stream of events brings news. When it is broken or silent we ask instead, and the age of the last news is always
// shown: a page that stands still must never look well. In a hidden tab we ask now and then only, because a browser
// gives one server six connections for all tabs together.

import { Api, ApiError } from "./api";
import { merge } from "./incident";
import { prefs } from "./prefs.svelte";
import { session } from "./session.svelte";
import type { Piece } from "./sse";
import { type StreamState, browserPort, keepOpen } from "./stream";
import type { IncidentSummary, Overview } from "./types";

/** Without news for this long we ask by ourselves. */
const POLL_AFTER_MS = 4_000;
/** How often a hidden tab asks. */
const HIDDEN_POLL_MS = 15_000;
/** From this age on the page says that its picture is old. */
export const STALE_AFTER_MS = 6_000;

export const api = new Api(() => ({ language: prefs.language, token: session.token }));

class Live {
  overview = $state.raw<Overview | null>(null);
  incidents = $state.raw<IncidentSummary[] | null>(null);
  stream = $state<StreamState>("connecting");
  /** The last attempt to ask that failed, until one succeeds. */
  trouble = $state<string | null>(null);
  /** This browser's clock, once a second. */
  tick = $state(Date.now());
  hidden = $state(false);

  #newsAt = $state<number | null>(null);
  #startedAt = Date.now();
  #ahead = $state(0);
  #asking = false;
  #askedAt = 0;
  #life: AbortController | null = null;

  /** Now, by the server's clock: ages are right even when the browser's clock is not. */
  get now(): number {
    return this.tick + this.#ahead;
  }

  /** Milliseconds since the server last said something. */
  get silence(): number {
    return Math.max(0, this.tick - (this.#newsAt ?? this.#startedAt));
  }

  /** Milliseconds since the host was last read, as far as we know. */
  get sampleAge(): number | null {
    const at = this.overview?.last_sample_at ?? null;
    return at === null ? null : Math.max(0, this.now - at);
  }

  /** `news`: the server is silent. `samples`: it speaks, but does not read its host. */
  get stale(): "news" | "samples" | null {
    if (this.silence > STALE_AFTER_MS) return "news";
    if (this.overview === null) return null;
    const readAt = this.overview.last_sample_at ?? this.overview.started_at;
    return this.now - readAt > STALE_AFTER_MS ? "samples" : null;
  }

  start(): void {
    setInterval(() => this.#second(), 1000);
    document.addEventListener("visibilitychange", () => this.#visibility());
    this.#visibility();
    void this.ask();
  }

  /** Opens the stream anew and asks for everything, for example in another language. */
  restart(): void {
    this.#life?.abort();
    this.#life = null;
    if (!this.hidden) this.#open();
    void this.ask(true);
  }

  async ask(now = false): Promise<void> {
    if (this.#asking && !now) return;
    this.#asking = true;
    this.#askedAt = Date.now();
    try {
      const [overview, incidents] = await Promise.all([api.overview(), api.incidents()]);
      this.#takeOverview(overview);
      this.incidents = incidents;
      this.trouble = null;
    } catch (error) {
      this.trouble = error instanceof ApiError ? error.message : String(error);
    } finally {
      this.#asking = false;
    }
  }

  #second(): void {
    this.tick = Date.now();
    const every = this.hidden ? HIDDEN_POLL_MS : POLL_AFTER_MS;
    if (this.silence >= every && this.tick - this.#askedAt >= every) void this.ask();
  }

  #visibility(): void {
    this.hidden = document.hidden;
    this.tick = Date.now();
    if (this.hidden) {
      this.#life?.abort();
      this.#life = null;
    } else if (this.#life === null) {
      this.#open();
      if (this.overview !== null) void this.ask();
    }
  }

  #open(): void {
    const life = new AbortController();
    this.#life = life;
    const port = browserPort(
      () => api.url("/api/v1/events"),
      () => api.headers(),
    );
    let before: StreamState = "connecting";
    const handlers = {
      piece: (piece: Piece) => {
        if (!life.signal.aborted) this.#take(piece);
      },
      state: (state: StreamState) => {
        if (life.signal.aborted) return;
        // What happened while the stream was broken is not told again.
        if (state === "open" && before === "connecting" && this.incidents !== null) void this.ask();
        before = state;
        this.stream = state;
      },
    };
    void keepOpen(port, handlers, life.signal);
  }

  #take(piece: Piece): void {
    if (piece.type === "comment") return;
    let data: unknown;
    try {
      data = JSON.parse(piece.data);
    } catch {
      return; // A torn event is no news.
    }
    if (piece.name === "overview") this.#takeOverview(data as Overview);
    if (piece.name === "incident") this.incidents = merge(this.incidents ?? [], data as IncidentSummary);
  }

  #takeOverview(overview: Overview): void {
    this.overview = overview;
    this.tick = Date.now();
    this.#newsAt = this.tick;
    this.#ahead = overview.now - this.tick;
  }
}

export const live = new Live();
