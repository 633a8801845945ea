// Which page a path names. The browser's history is touched in `nav.svelte.ts` only.

export type Route =
  | { page: "now" }
  | { page: "host" }
  | { page: "incidents" }
  | { page: "incident"; id: string }
  | { page: "logs" }
  | { page: "fleet" }
  | { page: "run"; id: string }
  | { page: MetricsPage }
  | { page: "unknown" };

/** The pages of the group "Metrics". */
export const METRICS_PAGES = ["explore", "alerts", "targets", "store"] as const;
export type MetricsPage = (typeof METRICS_PAGES)[number];

/** The longest incident id that we ask the server about. */
const ID_MAX = 20;

/** The route of a path of our own origin; a slash at the end does not matter. */
export function parse(path: string): Route {
  const parts = path.split("/").filter((part) => part !== "");
  const [first, second, third] = parts;
  if (first === undefined) return { page: "now" };
  if (first === "host" && parts.length === 1) return { page: "host" };
  if (first === "logs" && parts.length === 1) return { page: "logs" };
  if (first === "fleet" && parts.length === 1) return { page: "fleet" };
  if (first === "fleet" && second === "runs" && parts.length === 3 && third !== undefined) {
    if (/^\d{1,20}-\d{1,20}$/.test(third)) return { page: "run", id: third };
  }
  if (first === "incidents" && parts.length === 1) return { page: "incidents" };
  if (first === "incidents" && parts.length === 2 && second !== undefined) {
    if (/^\d+$/.test(second) && second.length <= ID_MAX) return { page: "incident", id: second };
  }
  const metrics = METRICS_PAGES.find((page) => page === first);
  if (metrics !== undefined && parts.length === 1) return { page: metrics };
  return { page: "unknown" };
}

/** The path of a route; the inverse of {@link parse}. */
export function path(route: Exclude<Route, { page: "unknown" }>): string {
  switch (route.page) {
    case "now":
      return "/";
    case "host":
      return "/host";
    case "incidents":
      return "/incidents";
    case "incident":
      return `/incidents/${route.id}`;
    case "run":
      return `/fleet/runs/${route.id}`;
    default:
      return `/${route.page}`;
  }
}

/** What the click on a link needs to say about itself. */
export interface Click {
  button: number;
  metaKey: boolean;
  ctrlKey: boolean;
  shiftKey: boolean;
  altKey: boolean;
  defaultPrevented: boolean;
}

/** True when a click should stay in this page instead of opening a tab or saving a file. */
export function isPlainClick(click: Click): boolean {
  return (
    !click.defaultPrevented &&
    click.button === 0 &&
    !(click.metaKey || click.ctrlKey || click.shiftKey || click.altKey)
  );
}

/** The token in a fragment such as `#token=abc`, and what stays of the fragment without it. */
export function takeToken(fragment: string): { token: string | null; rest: string } {
  const body = fragment.startsWith("#") ? fragment.slice(1) : fragment;
  const kept: string[] = [];
  let token: string | null = null;
  for (const part of body.split("&")) {
    if (part.startsWith("token=")) {
      token = decode(part.slice("token=".length));
    } else if (part !== "") {
      kept.push(part);
    }
  }
  return { token: token === "" ? null : token, rest: kept.length > 0 ? `#${kept.join("&")}` : "" };
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
