// Names that the server knows, for suggestions: asked once, kept for a minute, and never in the way of anything.

import type { Api } from "./api";
import type { Place } from "./complete";
import type { Metadata } from "./prom";

const KEEP_MS = 60_000;
/** More names than this are found by typing on. */
const NAMES_MAX = 20_000;
const KEPT_MAX = 50;

export class Names {
  readonly #kept = new Map<string, { at: number; names: Promise<string[]> }>();
  readonly #meta = new Map<string, Promise<Metadata | null>>();

  constructor(private readonly api: Pick<Api, "prom">) {}

  /** The names that can stand at `place`; none when the server does not tell. */
  at(place: Place): Promise<string[]> {
    switch (place.kind) {
      case "expression":
        return place.afterOperand ? Promise.resolve([]) : this.#ask("label/__name__/values", "");
      case "label":
        return this.#ask("labels", place.selector).then((names) => names.filter((name) => name !== "__name__"));
      case "value":
        return this.#ask(`label/${encodeURIComponent(place.label)}/values`, place.selector);
      default:
        return Promise.resolve([]);
    }
  }

  /** Type and help of a metric; `null` when nobody said. */
  meta(metric: string): Promise<Metadata | null> {
    let found = this.#meta.get(metric);
    if (found === undefined) {
      found = this.api
        .prom<Record<string, Metadata[]>>("metadata", { metric, limit_per_metric: "1" })
        .then(({ data }) => (Object.hasOwn(data, metric) ? (data[metric]?.[0] ?? null) : null))
        .catch(() => {
          this.#meta.delete(metric);
          return null;
        });
      if (this.#meta.size >= KEPT_MAX) this.#meta.clear();
      this.#meta.set(metric, found);
    }
    return found;
  }

  #ask(path: string, selector: string): Promise<string[]> {
    const key = `${path} ${selector}`;
    const known = this.#kept.get(key);
    if (known !== undefined && Date.now() - known.at < KEEP_MS) return known.names;
    const args = { limit: String(NAMES_MAX), ...(selector === "" ? {} : { "match[]": selector }) };
    const names = this.api
      .prom<string[]>(path, args)
      .then(({ data }) => data)
      .catch(() => {
        // A selector that is not finished yet is no selector: then all names are better than none.
        this.#kept.delete(key);
        return selector === "" ? [] : this.#ask(path, "");
      });
    if (this.#kept.size >= KEPT_MAX) this.#kept.clear();
    this.#kept.set(key, { at: Date.now(), names });
    return names;
  }
}
