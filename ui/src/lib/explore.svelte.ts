// The explorer's state: its questions, what is drawn of them, and how both stay in step with the address.

import { acts } from "./acts.svelte";
import { ApiError } from "./api";
import { api, live } from "./live.svelte";
import { Names } from "./names";
import { nav } from "./nav.svelte";
import { t } from "./prefs.svelte";
import type { Answer, QueryData, Series } from "./prom";
import { type Drawn, type Shape, letterOf, shapeOf, toGraph, toggled } from "./results";
import { LINES_MAX, type Range, type Shared, type Tab, autoStep, fromSearch, toSearch } from "./share";

/** About this many points fill a graph. */
const POINTS = 400;

/** One question with what came of it. */
export class Question {
  expr = $state("");
  on = $state(true);
  busy = $state(false);
  error = $state<string | null>(null);
  warnings = $state.raw<string[]>([]);
  infos = $state.raw<string[]>([]);
  /** The answer for the table, at one time. */
  table = $state.raw<{ data: QueryData; at: number } | null>(null);
  /** The answer for the graph, with the grid it was asked on. */
  graph = $state.raw<{ series: Series[]; shape: Shape } | null>(null);
  life: AbortController | null = null;

  constructor(
    readonly id: number,
    expr = "",
    on = true,
  ) {
    this.expr = expr;
    this.on = on;
  }
}

/** What was asked last, so that coming back from another page brings it back. */
let kept = "";

class Explore {
  questions = $state<Question[]>([]);
  tab = $state<Tab>("graph");
  range = $state.raw<Range>({ kind: "last", ms: 3_600_000 });
  /** Seconds; `null`: as fits the range. */
  step = $state<number | null>(null);
  shape = $state.raw<Shape | null>(null);
  hidden = $state.raw<ReadonlySet<string>>(new Set());
  readonly names = new Names(api);
  #ids = 0;
  #shown: string | null = null;

  readonly busy = $derived(this.questions.some((one) => one.busy));

  readonly drawn = $derived.by((): Drawn | null => {
    const all = this.questions.flatMap(({ on, graph }, i) => (on && graph !== null ? [{ letter: letterOf(i), ...graph }] : []));
    // Until the first new answer is there, the old picture stays.
    const fresh = all.some(({ shape }) => shape === this.shape);
    const shape = fresh || !this.busy ? this.shape : (all[0]?.shape ?? null);
    const answers = all.filter((one) => one.shape === shape);
    if (shape === null || answers.length === 0) return null;
    return toGraph(shape, answers.length === 1 ? answers.map((one) => ({ ...one, letter: "" })) : answers);
  });

  /** Takes up the address; called when the page opens (`opened`) and whenever the address changes. */
  follow(search: string, opened: boolean): void {
    if (search === "" && kept !== "") {
      nav.remember(kept, false);
      search = kept;
    }
    if (search === this.#shown && this.questions.length > 0) {
      // What was asked before the reader left is old by now, or was never answered.
      if (opened) this.#load();
      return;
    }
    const state = fromSearch(search);
    this.#abort();
    this.questions = (state.lines.length > 0 ? state.lines : [{ expr: "", on: true }]).map((line) => new Question((this.#ids += 1), line.expr, line.on));
    this.tab = state.tab;
    this.range = state.range;
    this.step = state.step;
    this.shape = null;
    this.hidden = new Set();
    this.#shown = search;
    kept = search;
    this.#load();
  }

  /** Asks everything anew; the back button returns to what was asked before. */
  run(): void {
    this.#remember(true);
    this.#load();
  }

  setTab(tab: Tab): void {
    this.tab = tab;
    this.run();
  }

  setRange(range: Range): void {
    this.range = range;
    this.run();
  }

  setStep(step: number | null): void {
    this.step = step;
    this.run();
  }

  add(): void {
    if (this.questions.length < LINES_MAX) this.questions.push(new Question((this.#ids += 1)));
  }

  remove(id: number): void {
    const at = this.questions.findIndex((one) => one.id === id);
    this.questions[at]?.life?.abort();
    this.questions.splice(at, 1);
    if (this.questions.length === 0) this.add();
    this.hidden = new Set();
    if (toSearch(this.#state()) === "") kept = "";
    this.#remember(false);
  }

  toggle(question: Question): void {
    question.on = !question.on;
    this.#remember(false);
    if (question.on) this.#load();
  }

  /** Shows or hides a series of the graph; `only`: all others are hidden, or shown again. */
  toggleSeries(key: string, only: boolean): void {
    this.hidden = toggled(this.drawn?.frame.columns.map((column) => column.key) ?? [], this.hidden, key, only);
  }

  /** Shows all series again, or none. */
  showAll(all: boolean): void {
    this.hidden = new Set(all ? [] : (this.drawn?.frame.columns.map((column) => column.key) ?? []));
  }

  /** Puts the server's own layout in place of what was typed. */
  async format(question: Question): Promise<void> {
    try {
      question.expr = (await api.prom<string>("format_query", { query: question.expr })).data;
      question.error = null;
    } catch (error) {
      if (error instanceof ApiError && error.trouble === "not_found") acts.say(false, t("explore.no_format"));
      else question.error = wordsOf(error);
    }
  }

  /** The span that is shown, milliseconds. */
  window(): { from: number; to: number } {
    if (this.range.kind === "fixed") return { from: this.range.from, to: this.range.to };
    const to = Math.min(live.overview?.last_sample_at ?? live.now, live.now);
    return { from: to - this.range.ms, to };
  }

  stop(): void {
    this.#abort();
  }

  #state(): Shared {
    return { lines: this.questions.map(({ expr, on }) => ({ expr, on })), tab: this.tab, range: this.range, step: this.step };
  }

  #remember(push: boolean): void {
    const search = toSearch(this.#state());
    this.#shown = search;
    kept = search;
    nav.remember(search, push);
  }

  #abort(): void {
    for (const one of this.questions) one.life?.abort();
  }

  #load(): void {
    const { from, to } = this.window();
    const step = this.step ?? autoStep(to - from, POINTS);
    const shape = shapeOf(from, to, step);
    if (this.tab === "graph") this.shape = shape;
    for (const one of this.questions) void this.#ask(one, shape, to / 1000);
  }

  async #ask(one: Question, shape: Shape, at: number): Promise<void> {
    one.life?.abort();
    if (one.expr.trim() === "" || !one.on) {
      one.error = null;
      one.busy = false;
      if (one.expr.trim() === "") [one.table, one.graph] = [null, null];
      return;
    }
    const life = new AbortController();
    one.life = life;
    one.busy = true;
    try {
      const answer = this.tab === "graph" ? await this.#graph(one, shape, life.signal) : await this.#table(one, at, life.signal);
      if (life.signal.aborted) return;
      one.warnings = answer.warnings;
      one.infos = answer.infos;
      one.error = null;
    } catch (error) {
      if (life.signal.aborted) return;
      one.error = wordsOf(error);
      // What was shown is no answer to what was asked.
      [one.table, one.graph] = [null, null];
      [one.warnings, one.infos] = [[], []];
    } finally {
      if (one.life === life) one.busy = false;
    }
  }

  async #graph(one: Question, shape: Shape, signal: AbortSignal): Promise<Answer<unknown>> {
    const end = shape.start + (shape.length - 1) * shape.step;
    const args = { query: one.expr, start: shape.start.toFixed(3), end: end.toFixed(3), step: String(shape.step) };
    const answer = await api.prom<{ result: Series[] }>("query_range", args, signal);
    if (!signal.aborted) one.graph = { series: answer.data.result, shape };
    return answer;
  }

  async #table(one: Question, at: number, signal: AbortSignal): Promise<Answer<unknown>> {
    const answer = await api.prom<QueryData>("query", { query: one.expr, time: at.toFixed(3) }, signal);
    if (!signal.aborted) one.table = { data: answer.data, at: at * 1000 };
    return answer;
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export const explore = new Explore();
