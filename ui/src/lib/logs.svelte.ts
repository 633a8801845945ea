// The logs' page: what it asks, what came of it, and how both stay in step with the address.

import { ApiError, type Trouble } from "./api";
import { api, live } from "./live.svelte";
import { LogNames } from "./logcomplete";
import { findersOf } from "./loghits";
import { type Choice, asksNumbers, choose, chosen, toggle } from "./logquery";
import { type Facet, type Facets, type Found, type Histogram, type LogLine, type LogsStatus, type Patterns, type Stopped, secondsOf } from "./logs";
import { type LogState, type LogTab, fromLogSearch, toLogSearch } from "./logshare";
import { nav } from "./nav.svelte";
import type { Series } from "./prom";
import { type Drawn, type Shape, shapeOf, toGraph } from "./results";
import { type Range, autoStep } from "./share";

/** Lines of one answer. */
const PAGE = 200;
const BARS = 120;
/** About this many points fill a graph. */
const POINTS = 240;
/** Most patterns that are listed. */
const PATTERNS = 200;
/** Labels whose values stand at the side. */
export const FACETS = ["service", "level", "host", "filename"] as const;
const FACET_VALUES = 10;

/** A line with a number of its own: two lines may be the same in everything. */
export interface LogRow {
  id: number;
  line: LogLine;
}

/** What was asked last, so that coming back from another page brings it back. */
let kept = "";

class Logs {
  /** What stands in the query line; {@link asked} is what was asked. */
  query = $state("");
  asked = $state("");
  range = $state.raw<Range>({ kind: "last", ms: 3_600_000 });
  tab = $state<LogTab>("lines");
  live = $state(false);
  forward = $state(false);
  at = $state<string | null>(null);

  rows = $state.raw<LogRow[]>([]);
  /** `false` until there is an answer. */
  answered = $state(false);
  next = $state<string | null>(null);
  stopped = $state<Stopped>(null);
  histogram = $state.raw<Histogram | null>(null);
  /** Numbers over time, when the query asks for them. */
  numbers = $state.raw<{ series: Series[]; shape: Shape } | null>(null);
  facets = $state.raw<Facet[]>([]);
  patterns = $state.raw<Patterns | null>(null);
  status = $state.raw<LogsStatus | null>(null);
  error = $state<string | null>(null);
  trouble = $state<Trouble | null>(null);
  /** The query that {@link error} speaks of. */
  wrong = $state("");
  busy = $state(false);
  more = $state(false);
  /** Grows when somebody asks anew, so that the live list begins anew, too. */
  runs = $state(0);

  /** Why what is shown is only a part, if it is. */
  readonly partly = $derived(this.stopped ?? this.histogram?.stopped ?? null);
  readonly counts = $derived(asksNumbers(this.asked));
  readonly drawn = $derived.by((): Drawn | null => (this.numbers === null ? null : toGraph(this.numbers.shape, [{ letter: "", series: this.numbers.series }])));
  readonly names = new LogNames(api);
  readonly finders = $derived(findersOf(this.asked));
  /** The span that was asked for. */
  window = $state.raw<{ from: number; to: number }>({ from: 0, to: 0 });
  #life: AbortController | null = null;
  #ids = 0;
  #shown: string | null = null;

  /** Takes up the address; called when the page opens (`opened`) and whenever the address changes. */
  follow(search: string, opened: boolean): void {
    if (search === "" && opened && kept !== "") {
      nav.remember(kept, false);
      search = kept;
    }
    if (search === this.#shown && !opened) return;
    const state = fromLogSearch(search);
    this.query = state.query;
    [this.range, this.tab, this.live, this.forward, this.at] = [state.range, state.tab, state.live, state.forward, state.at];
    this.#shown = search;
    kept = search;
    this.#load();
  }

  /** Asks for what stands in the query line; the back button returns to what was asked before. */
  run(): void {
    this.at = null;
    this.#remember(true);
    this.#load();
  }

  ask(query: string): void {
    this.query = query;
    this.run();
  }

  setRange(range: Range): void {
    this.range = range;
    this.live = false;
    this.run();
  }

  setTab(tab: LogTab): void {
    this.tab = tab;
    if (tab !== "lines") this.live = false;
    this.run();
  }

  setLive(on: boolean): void {
    this.live = on;
    this.tab = "lines";
    this.run();
  }

  setForward(on: boolean): void {
    this.forward = on;
    this.run();
  }

  /** Opens a line, or closes it; the address follows. */
  open(at: string | null): void {
    this.at = at;
    this.#remember(false);
  }

  /** What is chosen of a label in the query line. */
  chosen(name: string): Choice {
    return chosen(this.query, name);
  }

  toggle(name: string, value: string, side: keyof Choice, extracted = false): void {
    this.ask(toggle(this.query, name, value, side, extracted));
  }

  /** The next page, behind the last line. */
  async loadMore(): Promise<void> {
    const cursor = this.next;
    const life = this.#life;
    if (cursor === null || life === null || this.more) return;
    this.more = true;
    try {
      const found = await api.logs<Found>("search", { ...this.#span(this.asked), ...this.#page(), cursor }, life.signal);
      if (life.signal.aborted) return;
      this.rows = [...this.rows, ...this.#numbered(found.lines)];
      this.next = found.next;
      this.stopped = found.stopped;
    } catch (error) {
      if (!life.signal.aborted) this.#fail(error);
    } finally {
      this.more = false;
    }
  }

  /** The span that is asked for now, milliseconds. */
  span(): { from: number; to: number } {
    if (this.range.kind === "fixed") return { from: this.range.from, to: this.range.to };
    return { from: live.now - this.range.ms, to: live.now };
  }

  state(): LogState {
    const { query, range, tab, live: on, forward, at } = this;
    return { query, range, tab, live: on, forward, at };
  }

  stop(): void {
    this.#life?.abort();
    this.#life = null;
  }

  #remember(push: boolean): void {
    const search = toLogSearch(this.state());
    this.#shown = search;
    kept = search;
    nav.remember(search, push);
  }

  #span(query: string): { query: string; start: string; end: string } {
    return { query, start: secondsOf(this.window.from), end: secondsOf(this.window.to) };
  }

  #page(): Record<string, string> {
    return { limit: String(PAGE), direction: this.forward ? "forward" : "backward" };
  }

  #numbered(lines: readonly LogLine[]): LogRow[] {
    return lines.map((line) => ({ id: (this.#ids += 1), line }));
  }

  #load(): void {
    this.#life?.abort();
    const life = new AbortController();
    this.#life = life;
    // Without spaces around it, as the server counts the bytes.
    this.asked = this.query.trim();
    this.window = this.span();
    this.error = null;
    this.runs += 1;
    this.busy = true;
    void Promise.all(this.#jobs(life.signal)).finally(() => {
      if (this.#life === life) this.busy = false;
    });
  }

  #jobs(signal: AbortSignal): Promise<void>[] {
    if (this.tab === "unusual") return [];
    if (this.counts) return [this.#count(signal)];
    const jobs = [this.#answer(signal), this.#sides(signal)];
    if (!this.live) jobs.push(this.#bars(signal));
    return jobs;
  }

  async #count(signal: AbortSignal): Promise<void> {
    const { from, to } = this.window;
    const shape = shapeOf(from, to, autoStep(to - from, POINTS));
    [this.rows, this.next, this.patterns, this.histogram] = [[], null, null, null];
    try {
      const found = await api.lineNumbers(this.asked, shape, signal);
      if (!signal.aborted) [this.numbers, this.stopped] = [{ series: found.result, shape }, found.stopped];
    } catch (error) {
      if (signal.aborted) return;
      this.#fail(error);
      [this.numbers, this.stopped] = [null, null];
    }
  }

  async #answer(signal: AbortSignal): Promise<void> {
    try {
      if (this.tab === "patterns") {
        const found = await api.logs<Patterns>("patterns", { ...this.#span(this.asked), top: String(PATTERNS), bars: "60" }, signal);
        if (!signal.aborted) [this.patterns, this.stopped] = [found, found.stopped];
        return;
      }
      const found = await api.logs<Found>("search", { ...this.#span(this.asked), ...this.#page() }, signal);
      if (signal.aborted) return;
      this.rows = this.#numbered(found.lines);
      [this.next, this.stopped, this.answered] = [found.next, found.stopped, true];
      // An empty page says why, and for that it must know whether there are lines at all.
      if (found.lines.length === 0) this.status = await api.logs<LogsStatus>("status", {}, signal).catch(() => null);
    } catch (error) {
      if (signal.aborted) return;
      this.#fail(error);
      // What was shown is no answer to what was asked.
      [this.rows, this.next, this.stopped, this.patterns] = [[], null, null, null];
    }
  }

  async #bars(signal: AbortSignal): Promise<void> {
    try {
      const found = await api.logs<Histogram>("histogram", { ...this.#span(this.asked), bars: String(BARS) }, signal);
      if (!signal.aborted) this.histogram = found;
    } catch {
      // The answer itself says what is wrong.
      if (!signal.aborted) this.histogram = null;
    }
  }

  /** The values at the side. A label that is chosen from is counted without that choice, so that others can be added. */
  async #sides(signal: AbortSignal): Promise<void> {
    const narrowed = FACETS.filter((name) => chosen(this.asked, name).only.length > 0);
    const free = FACETS.filter((name) => !narrowed.includes(name));
    const args = (query: string, names: readonly string[]) => ({ ...this.#span(query), names: names.join(","), top: String(FACET_VALUES) });
    const questions = [
      ...(free.length > 0 ? [args(this.asked, free)] : []),
      ...narrowed.map((name) => args(choose(this.asked, name, { ...chosen(this.asked, name), only: [] }), [name])),
    ];
    try {
      const found = (await Promise.all(questions.map((one) => api.logs<Facets>("facets", one, signal)))).flatMap((one) => one.facets);
      if (!signal.aborted) this.facets = FACETS.flatMap((name) => found.find((one) => one.name === name) ?? []);
    } catch {
      // The answer itself says what is wrong; what stood at the side can still be clicked.
    }
  }

  #fail(error: unknown): void {
    this.error = error instanceof Error ? error.message : String(error);
    this.trouble = error instanceof ApiError ? error.trouble : null;
    this.wrong = this.asked;
  }
}

export const logs = new Logs();
