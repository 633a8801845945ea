// One answer of Prometheus' API that is asked for again and again while somebody can see it.

import { api, live } from "./live.svelte";

export class Watch<T> {
  data = $state.raw<T | null>(null);
  /** The server's words when the last attempt failed; what came before stays in `data`. */
  trouble = $state<string | null>(null);
  #asked = $state(0);

  constructor(
    readonly path: string,
    readonly everyMs: number,
    readonly args: Record<string, string> = {},
  ) {
    $effect(() => {
      void this.#asked;
      if (live.hidden) return;
      const life = new AbortController();
      void this.#follow(life.signal);
      return () => life.abort();
    });
  }

  /** Asks at once. */
  again(): void {
    this.#asked += 1;
  }

  async #follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const { data } = await api.prom<T>(this.path, this.args, signal);
        if (signal.aborted) return;
        this.data = data;
        this.trouble = null;
      } catch (error) {
        if (signal.aborted) return;
        this.trouble = error instanceof Error ? error.message : String(error);
      }
      await new Promise((done) => setTimeout(done, this.everyMs));
    }
  }
}
