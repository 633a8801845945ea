import { describe, expect, it } from "vitest";

import { EVENT_CHARS_MAX, type Piece, SseParser, WAIT_MAX_MS, WAIT_MIN_MS, backoff } from "./sse";
import { type Port, SILENCE_MAX_MS, type StreamState, keepOpen } from "./stream";

describe("events out of text", () => {
  const text = ": here\n\nevent: overview\ndata: {\"a\":\ndata: 1}\n\ndata: x\r\n\r\nevent: empty\n\n";
  const expected: Piece[] = [
    { type: "comment" },
    { type: "event", name: "overview", data: '{"a":\n1}' },
    { type: "event", name: "message", data: "x" },
  ];

  it("are the same at every cut", () => {
    for (let cut = 0; cut <= text.length; cut += 1) {
      const parser = new SseParser();
      expect([...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))], `cut at ${cut}`).toEqual(expected);
    }
  });

  it("are the same when every letter comes alone", () => {
    const parser = new SseParser();
    expect([...text].flatMap((letter) => parser.push(letter))).toEqual(expected);
  });

  it("are dropped when they are too long, and the next one is taken", () => {
    const parser = new SseParser();
    const half = "x".repeat(EVENT_CHARS_MAX / 2 + 1);
    expect(parser.push(`data: ${half}\ndata: ${half}\n\ndata: y\n\n`)).toEqual([{ type: "event", name: "message", data: "y" }]);
  });
});

describe("the wait before the next attempt", () => {
  it("doubles up to its bound", () => {
    expect([0, 1, 2, 3].map((attempt) => backoff(attempt, 0))).toEqual([WAIT_MIN_MS, 1000, 2000, 4000]);
    expect(backoff(50, 0)).toBe(WAIT_MAX_MS);
  });

  it("is shortened by chance, at most by 30 %", () => {
    expect(backoff(0, 1)).toBe(Math.round(WAIT_MIN_MS * 0.7));
  });
});

/** A browser whose time moves only when the code waits for it. */
function scripted(lives: (((say: (text: string) => void) => "end" | "hang") | "refuse")[], stop: AbortController) {
  const waits: number[] = [];
  let clock = 0;
  let opened = 0;
  const port: Port = {
    open: (signal) => {
      const life = lives[opened];
      opened += 1;
      if (life === undefined) stop.abort();
      if (life === undefined || life === "refuse") return Promise.reject(new Error("refused"));
      return Promise.resolve(
        new ReadableStream<Uint8Array>({
          start(control) {
            const end = life((text) => control.enqueue(new TextEncoder().encode(text)));
            if (end === "end") control.close();
            signal.addEventListener("abort", () => control.error(new Error("aborted")));
          },
        }),
      );
    },
    wait: (ms, signal) => {
      if (ms === SILENCE_MAX_MS) {
        // Silence is over at once when nothing else happens first.
        return new Promise((done, fail) => {
          setTimeout(() => (signal.aborted ? fail(new Error("aborted")) : ((clock += ms), done())), 5);
        });
      }
      waits.push(ms);
      clock += ms;
      return Promise.resolve();
    },
    now: () => clock,
    chance: () => 0,
  };
  return { port, waits, opened: () => opened, pass: (ms: number) => (clock += ms) };
}

async function play(lives: Parameters<typeof scripted>[0]) {
  const stop = new AbortController();
  const script = scripted(lives, stop);
  const states: StreamState[] = [];
  const pieces: Piece[] = [];
  await keepOpen(script.port, { piece: (piece) => pieces.push(piece), state: (state) => states.push(state) }, stop.signal);
  return { ...script, states, pieces };
}

describe("a stream", () => {
  it("is opened again after it ended", async () => {
    const told = await play([(say) => (say("data: 1\n\n"), "end"), (say) => (say("data: 2\n\n"), "end")]);
    expect(told.pieces.map((piece) => piece.type === "event" && piece.data)).toEqual(["1", "2"]);
    expect(told.states).toEqual(["connecting", "open", "waiting", "connecting", "open", "waiting", "connecting", "closed"]);
  });

  it("waits longer after each refusal", async () => {
    const told = await play(["refuse", "refuse", "refuse", "refuse"]);
    expect(told.waits).toEqual([500, 1000, 2000, 4000]);
  });

  it("is taken for dead when it says nothing, and its news before that are kept", async () => {
    const told = await play([(say) => (say("data: 1\n\n"), "hang")]);
    expect(told.pieces).toHaveLength(1);
    expect(told.opened()).toBe(2);
  });

  it("waits the shortest time again once it has held", async () => {
    const told = await play(["refuse", "refuse", (say) => (say("data: 1\n\n"), "hang"), "refuse"]);
    expect(told.waits).toEqual([500, 1000, 500, 500]);
  });

  it("that is no longer wanted is closed and not opened again", async () => {
    const stop = new AbortController();
    const script = scripted([() => "hang"], stop);
    const states: StreamState[] = [];
    const running = keepOpen(script.port, { piece: () => undefined, state: (state) => {
      states.push(state);
      if (state === "open") stop.abort();
    } }, stop.signal);
    await running;
    expect(states.at(-1)).toBe("closed");
    expect(script.opened()).toBe(1);
  });
});
