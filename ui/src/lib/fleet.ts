// Work on many hosts: what the API tells of runs, agents and deployments, and how it is read.

import type { Sign, Tone } from "./tone";
import { visible } from "./visible";

export type HostStatus = "ok" | "failed" | "unreachable" | "unknown" | "not_begun";
/** What needs a look comes first. */
export const HOST_STATUSES: readonly HostStatus[] = ["failed", "unreachable", "unknown", "not_begun", "ok"];
/** What is recorded. */
export const RUN_KINDS = ["run", "play", "apply", "copy", "fetch", "script", "expect", "facts"] as const;

/** A run as the list has it. A damaged one has an id, a time and why. */
export interface RunHead {
  id: string;
  began_at: number;
  damaged?: string;
  kind: string;
  who: string;
  what: string[];
  what_is_cut: boolean;
  pattern: string;
  ended_at: number;
  exit: number;
  check: boolean;
  host_count: number;
  counts: Partial<Record<string, number>>;
  changed: number;
}

export interface Runs {
  runs: RunHead[];
  /** There are more, before this one. */
  next: string | null;
}

/** The recap of a playbook on a host. */
export const TASK_COUNTS = ["ok", "changed", "failed", "unreachable", "unknown", "skipped", "rescued", "ignored"] as const;
export type TaskCount = (typeof TASK_COUNTS)[number];

export interface TaskFailure {
  task: string;
  how: string;
  message: string;
  hidden: boolean;
  ignored: boolean;
}

export interface HostResult {
  host: string;
  status: string;
  exit: number | null;
  note: string | null;
  took_ms: number;
  stdout: string;
  stderr: string;
  dropped_bytes: number;
  /** Its outputs did not fit into the answer; they are told when it is asked for alone. */
  left_out: boolean;
  counts: Record<TaskCount, number> | null;
  failures: TaskFailure[];
}

export interface Run extends RunHead {
  hosts: HostResult[];
  damaged_hosts: number;
}

export interface Order {
  id: string;
  what: string;
  who: string;
  stage: string;
  exit: number | null;
  said: string;
  handed_at: number;
  at: number;
}

export interface Agent {
  name: string;
  state: string;
  version: string | null;
  joined_at: number;
  revoked_at: number | null;
  heard_at: number | null;
  waiting: number | null;
  dropped: number | null;
  refused: number | null;
  queued: number;
  last_order: Order | null;
}

export interface Agents {
  agents: Agent[];
  more: number;
  listens: boolean;
  problem: string | null;
}

export interface Deployment {
  id: string;
  act: string;
  version: string;
  who: string;
  began_at: number;
  ended_at: number | null;
  status: string;
  why: string | null;
  hosts: string[];
  host_count: number;
  already: number;
  batches: number;
  before: (string | null)[];
  commit: string | null;
}

export interface App {
  app: string;
  problem: string | null;
  status: string | null;
  to: string | null;
  /** Hosts by the release that they have. */
  current: { version: string | null; sure: boolean; hosts: string[]; host_count: number }[];
  history: Deployment[];
  more: number;
  damaged: string[];
}

export interface Deployments {
  apps: App[];
  more: number;
}

/** How a host ended. */
export function ofHost(status: string): Sign {
  switch (status) {
    case "ok":
      return { tone: "good", icon: "check" };
    case "failed":
      return { tone: "bad", icon: "cross" };
    case "unreachable":
      return { tone: "bad", icon: "link" };
    case "not_begun":
      return { tone: "idle", icon: "clock" };
    default:
      return { tone: "warn", icon: "question" };
  }
}

/** A run in one word: the worst of its hosts, or its exit code when it reached none. */
export function ofRun(run: RunHead): Sign & { word: string } {
  if (run.damaged !== undefined) return { tone: "warn", icon: "question", word: "damaged" };
  const worst = HOST_STATUSES.find((status) => status !== "ok" && (run.counts[status] ?? 0) > 0);
  if (worst !== undefined) return { ...ofHost(worst), word: worst };
  if (run.exit === 99 || run.exit === 130) return { tone: "warn", icon: "pause", word: "stopped" };
  // A playbook that only looked says by its code that hosts differ.
  if (run.exit !== 0) return { tone: "bad", icon: "cross", word: "failed" };
  return { tone: "good", icon: "check", word: "ok" };
}

/** How many hosts went how, what needs a look first; statuses that we do not know at the end. */
export function countsOf(run: RunHead): { status: string; count: number; tone: Tone }[] {
  const known: readonly string[] = HOST_STATUSES;
  const others = Object.keys(run.counts).filter((status) => !known.includes(status));
  return [...known, ...others]
    .map((status) => ({ status, count: run.counts[status] ?? 0, tone: ofHost(status).tone }))
    .filter(({ count }) => count > 0);
}

export function ofAgent(state: string): Sign {
  switch (state) {
    case "well":
      return { tone: "good", icon: "check" };
    case "silent":
      return { tone: "bad", icon: "alert" };
    case "waited":
      return { tone: "info", icon: "clock" };
    default:
      return { tone: "idle", icon: "minus" };
  }
}

/** How a deployment stands. */
export function ofDeployment(status: string): Sign {
  switch (status) {
    case "done":
      return { tone: "good", icon: "check" };
    case "under_way":
      return { tone: "info", icon: "play" };
    case "rolled_back":
      return { tone: "warn", icon: "undo" };
    case "failed":
      return { tone: "bad", icon: "cross" };
    case "interrupted":
      return { tone: "warn", icon: "pause" };
    default:
      return { tone: "warn", icon: "question" };
  }
}

/** How far an order of an agent came. */
export function ofStage(stage: string, exit: number | null): Sign {
  if (stage === "ended") return exit === 0 ? { tone: "good", icon: "check" } : { tone: "bad", icon: "cross" };
  if (stage === "refused" || stage === "stopped") return { tone: "warn", icon: "pause" };
  if (stage === "unknown") return { tone: "warn", icon: "question" };
  return { tone: "info", icon: "clock" };
}

/** Arguments as one line that a shell would take apart into the same arguments. */
export function commandLine(parts: readonly string[]): string {
  return parts.map((part) => (/^[\w@%+=:,./~-]+$/u.test(part) ? part : `'${part.replaceAll("'", "'\\''")}'`)).join(" ");
}

/** The list with a fresh first page: what the page covers is as it says, what lies before it stays. */
export function mergeRuns(known: readonly RunHead[], fresh: Runs): RunHead[] {
  const oldest = fresh.runs.at(-1);
  if (oldest === undefined || fresh.next === null) return fresh.runs;
  return [...fresh.runs, ...known.filter((run) => isBefore(run.id, oldest.id))];
}

/** Ids begin with the time, in as many digits. */
function isBefore(a: string, b: string): boolean {
  return a < b;
}

/** Lines of an output, harmless to read: tabs stay, everything else that could mislead is shown as what it is. */
export function outputLines(text: string): string[] {
  if (text === "") return [];
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines.map((line) => line.replace(/\r$/u, "").split("\t").map(visible).join("\t"));
}

export interface FleetState {
  tab: FleetTab;
  kind: string;
  host: string;
}
export const FLEET_TABS = ["runs", "agents", "deployments"] as const;
export type FleetTab = (typeof FLEET_TABS)[number];
/** The server's own bound. */
const HOST_MAX = 255;

/** The page's state of a query string. What makes no sense is as if it were not there. */
export function fromFleetSearch(search: string): FleetState {
  const args = new URLSearchParams(search);
  return {
    tab: FLEET_TABS.find((one) => one === args.get("tab")) ?? "runs",
    kind: RUN_KINDS.find((one) => one === args.get("kind")) ?? "",
    host: (args.get("host") ?? "").slice(0, HOST_MAX),
  };
}

export function toFleetSearch({ tab, kind, host }: FleetState): string {
  const args = new URLSearchParams();
  if (tab !== "runs") args.set("tab", tab);
  if (kind !== "") args.set("kind", kind);
  if (host.trim() !== "") args.set("host", host.trim());
  return args.toString();
}

/** Hosts that fit a status and a name; what needs a look first, then by name as they came. */
export function chooseHosts(hosts: readonly HostResult[], status: string, search: string): HostResult[] {
  const wanted = search.trim().toLowerCase();
  const known: readonly string[] = HOST_STATUSES;
  const rank = (one: HostResult) => (known.includes(one.status) ? known.indexOf(one.status) : 2);
  return hosts
    .filter((one) => (status === "all" || one.status === status) && (wanted === "" || one.host.toLowerCase().includes(wanted)))
    .sort((a, b) => rank(a) - rank(b));
}
