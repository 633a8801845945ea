// The browser's address and ours, kept in step.

import { type Route, isPlainClick, parse, path, takeToken } from "./router";
import { session } from "./session.svelte";

class Nav {
  route = $state<Route>({ page: "now" });
  /** Counts moves, so that the page can take the focus after one. */
  moves = $state(0);

  start(): void {
    const { token, rest } = takeToken(location.hash);
    if (token !== null || rest !== location.hash) {
      // The token leaves the address bar before anything is drawn or asked.
      history.replaceState(null, "", location.pathname + location.search + rest);
    }
    if (token !== null) session.set(token);
    this.route = parse(location.pathname);
    addEventListener("popstate", () => {
      this.route = parse(location.pathname);
      this.moves += 1;
    });
    document.addEventListener("click", (event) => this.#click(event));
  }

  go(to: Exclude<Route, { page: "unknown" }>): void {
    const next = path(to);
    if (next !== location.pathname) history.pushState(null, "", next);
    this.route = to;
    this.moves += 1;
    scrollTo(0, 0);
  }

  #click(event: MouseEvent): void {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (link === null || !isPlainClick(event) || link.target !== "" || link.origin !== location.origin) return;
    if (link.hash !== "" && link.pathname === location.pathname) return;
    const to = parse(link.pathname);
    if (to.page === "unknown") return;
    event.preventDefault();
    this.go(to);
  }
}

export const nav = new Nav();
