// Which day it is, as a value that moves once a day: thousands of lines show their time, and must not be drawn anew
// each second.

import { live } from "./live.svelte";

class Day {
  /** Midnight in the reader's zone, milliseconds. */
  readonly start = $derived(new Date(live.now).setHours(0, 0, 0, 0));
}

export const day = new Day();
