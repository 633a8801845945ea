// The browser's address and ours, kept in step.

import { type Route, isPlainClick, parse, path, takeToken } from "./router";
import { session } from "./session.svelte";

class Nav {
  route = $state<Route>({ page: "now" });
  /** What stands behind the question mark, without it; a page's own state. */
  search = $state("");
  /** Counts moves, so that the page can take the focus after one. */
  moves = $state(0);

  start(): void {
    const { token, rest } = takeToken(location.hash);
    if (token !== null || rest !== location.hash) {
      // The token leaves the address bar before anything is drawn or asked.
      history.replaceState(null, "", location.pathname + location.search + rest);
    }
    if (token !== null) session.set(token);
    this.#read();
    addEventListener("popstate", () => {
      const before = this.route.page;
      this.#read();
      // Within a page, back takes back a choice; the focus stays where it is.
      if (this.route.page !== before || this.route.page === "incident" || this.route.page === "run") this.moves += 1;
    });
    document.addEventListener("click", (event) => this.#click(event));
  }

  go(to: Exclude<Route, { page: "unknown" }>, search = ""): void {
    const next = search === "" ? path(to) : `${path(to)}?${search}`;
    if (next !== location.pathname + location.search) history.pushState(null, "", next);
    this.route = to;
    this.search = search;
    this.moves += 1;
    scrollTo(0, 0);
  }

  /** Writes a page's state into the address. `push`: the back button returns to the one before. */
  remember(search: string, push: boolean): void {
    if (search === location.search.slice(1)) return;
    const next = location.pathname + (search === "" ? "" : `?${search}`);
    if (push) history.pushState(null, "", next);
    else history.replaceState(null, "", next);
    this.search = search;
  }

  #read(): void {
    this.route = parse(location.pathname);
    this.search = location.search.slice(1);
  }

  #click(event: MouseEvent): void {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (link === null || !isPlainClick(event) || link.target !== "" || link.origin !== location.origin) return;
    if (link.hash !== "" && link.pathname === location.pathname) return;
    const to = parse(link.pathname);
    if (to.page === "unknown") return;
    event.preventDefault();
    this.go(to, link.search.slice(1));
  }
}

export const nav = new Nav();
