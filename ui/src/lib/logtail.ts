// Lines as they come: a list with an end, and a waiting list while somebody reads.

import type { LogLine } from "./logs";

/** Most lines that are shown, and most that wait. */
export const TAIL_MAX = 2000;

/** A line, or a place where lines may be missing because the stream was broken. */
export interface TailRow {
  id: number;
  line: LogLine | null;
}

/** Oldest first. Not reactive: who shows it takes {@link Tail.rows} when it is time to. */
export class Tail {
  rows: TailRow[] = [];
  waiting: TailRow[] = [];
  /** The server left these out, because they came faster than they could be sent. */
  dropped = 0;
  /** These waited and had to go before they were shown. */
  skipped = 0;
  paused = false;
  #ids = 0;

  constructor(readonly max = TAIL_MAX) {}

  push(line: LogLine | null): void {
    const last = (this.paused ? this.waiting : this.rows).at(-1);
    // Two breaks in a row are one gap, and before the first line nothing is missing.
    if (line === null && (last === undefined ? this.rows.length === 0 : last.line === null)) return;
    const row = { id: (this.#ids += 1), line };
    if (!this.paused) {
      this.rows.push(row);
      // Trimmed in strides: taking one off the front for each line would copy the list each time.
      if (this.rows.length > this.max * 1.25) this.#trim();
      return;
    }
    this.waiting.push(row);
    if (this.waiting.length > this.max) {
      this.waiting.shift();
      this.skipped += 1;
    }
  }

  drop(count: number): void {
    if (Number.isFinite(count) && count > 0) this.dropped += count;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    this.rows.push(...this.waiting);
    this.waiting = [];
    this.#trim();
  }

  clear(): void {
    this.rows = [];
    this.waiting = [];
    this.dropped = 0;
    this.skipped = 0;
  }

  /** What is to be shown now. */
  shown(): TailRow[] {
    if (!this.paused) this.#trim();
    return [...this.rows];
  }

  #trim(): void {
    if (this.rows.length > this.max) this.rows.splice(0, this.rows.length - this.max);
  }
}
