// An incident that came back tells one story after another; a time line of all in one row hides which is the last.

import type { Moment } from "./types";

/** One entry, and how many times in a row the same was said. */
export interface Entry {
  moment: Moment;
  times: number;
}

/** What happened from one opening to the next. */
export interface Round {
  /** The moment that opened it again; `null` for the first round. */
  back: Moment | null;
  /** From when on times are counted. */
  began: number;
  entries: Entry[];
}

/** The rounds of an incident, oldest first; there is always at least one. */
export function rounds(moments: readonly Moment[], began: number): Round[] {
  let last: Round = { back: null, began, entries: [] };
  const all = [last];
  for (const moment of [...moments].sort((a, b) => a.at - b.at)) {
    if (moment.reopened) {
      last = { back: moment, began: moment.at, entries: [] };
      all.push(last);
    } else {
      add(last.entries, moment);
    }
  }
  return all;
}

function add(entries: Entry[], moment: Moment): void {
  const before = entries.at(-1);
  if (before !== undefined && before.moment.kind === moment.kind && before.moment.text === moment.text) before.times += 1;
  else entries.push({ moment, times: 1 });
}
