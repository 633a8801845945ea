// Keeps one stream of events open, whatever happens to it.
//
// The browser's clock, timers and network come in as `Port`, so that tests can play every break by hand.

import { type Piece, SseParser, backoff } from "./sse";

/** What the stream needs from the browser. */
export interface Port {
  open(signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
  wait(ms: number, signal: AbortSignal): Promise<void>;
  now(): number;
  chance(): number;
}

export type StreamState = "connecting" | "open" | "waiting" | "closed";

export interface Handlers {
  piece(piece: Piece): void;
  state(state: StreamState): void;
}

/** A stream that was silent for this long is taken for dead; the server sends a comment every 15 s. */
export const SILENCE_MAX_MS = 40_000;
/** A stream that held this long has proven itself: the next wait is the shortest again. */
const PROVEN_MS = 5_000;

/** Opens, reads, waits and opens again until `signal` is aborted. Never rejects. */
export async function keepOpen(port: Port, handlers: Handlers, signal: AbortSignal): Promise<void> {
  let attempt = 0;
  while (!signal.aborted) {
    handlers.state("connecting");
    const openedAt = port.now();
    const delivered = await readOnce(port, handlers, signal);
    if (signal.aborted) break;
    const proven = delivered && port.now() - openedAt >= PROVEN_MS;
    attempt = proven ? 0 : attempt + 1;
    handlers.state("waiting");
    await port.wait(backoff(Math.max(0, attempt - 1), port.chance()), signal).catch(() => undefined);
  }
  handlers.state("closed");
}

/** One life of the stream; true when at least one piece came. */
async function readOnce(port: Port, handlers: Handlers, signal: AbortSignal): Promise<boolean> {
  const mine = new AbortController();
  const stop = () => mine.abort();
  signal.addEventListener("abort", stop, { once: true });
  let delivered = false;
  try {
    const body = await port.open(mine.signal);
    const reader = body.getReader();
    const decoder = new TextDecoder();
    const parser = new SseParser();
    handlers.state("open");
    for (;;) {
      const chunk = await orSilence(reader.read(), port, mine);
      if (chunk === null || chunk.done) break;
      for (const piece of parser.push(decoder.decode(chunk.value, { stream: true }))) {
        delivered = true;
        handlers.piece(piece);
      }
    }
    // A stream that nobody reads would hold one of the browser's few connections.
    await reader.cancel().catch(() => undefined);
  } catch {
    // A break is no news: the state says it, and the next attempt follows.
  } finally {
    mine.abort();
    signal.removeEventListener("abort", stop);
  }
  return delivered;
}

async function orSilence<T>(read: Promise<T>, port: Port, life: AbortController): Promise<T | null> {
  const timer = new AbortController();
  const silence = port.wait(SILENCE_MAX_MS, timer.signal).then(
    () => null,
    () => read,
  );
  const aborted = new Promise<null>((done) => {
    life.signal.addEventListener("abort", () => done(null), { once: true });
  });
  try {
    return await Promise.race([read, silence, aborted]);
  } finally {
    timer.abort();
  }
}

/** The port of a real browser. */
export function browserPort(url: () => string, headers: () => Record<string, string>): Port {
  return {
    async open(signal) {
      const answer = await fetch(url(), {
        signal,
        cache: "no-store",
        headers: { Accept: "text/event-stream", ...headers() },
      });
      if (!answer.ok || answer.body === null) throw new Error(`the stream answered ${answer.status}`);
      return answer.body;
    },
    wait: (ms, signal) =>
      new Promise((done, fail) => {
        const timer = setTimeout(done, ms);
        signal.addEventListener("abort", () => {
          clearTimeout(timer);
          fail(new Error("aborted"));
        });
      }),
    now: () => performance.now(),
    chance: () => Math.random(),
  };
}
