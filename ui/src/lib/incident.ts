// What pages need to know about an incident, computed once and tested here.

import { around } from "./logshare";
import type { Range } from "./share";
import type { Action, Incident, IncidentStatus, IncidentSummary } from "./types";

/** The stations of an incident's life, in order; `escalated` leaves the road. */
export const STATIONS: readonly IncidentStatus[] = ["open", "diagnosing", "recovering", "verifying", "resolved"];

export function isOpen(incident: Pick<IncidentSummary, "status">): boolean {
  return incident.status !== "resolved";
}

/** How each station looks while an incident stands at `status`. */
export function station(at: IncidentStatus, status: IncidentStatus): "done" | "here" | "ahead" {
  if (status === "escalated") return at === "open" || at === "diagnosing" ? "done" : "ahead";
  const here = STATIONS.indexOf(status);
  const there = STATIONS.indexOf(at);
  if (there < here || status === "resolved") return "done";
  return there === here ? "here" : "ahead";
}

/** What is being done now, or was done last; `null` when nothing was. */
export function currentAction(actions: readonly Action[]): Action | null {
  return actions.find((action) => action.status === "running") ?? actions.findLast((action) => action.status !== "planned") ?? null;
}

/** True when a person can let the plan run now. */
export function canApprove(incident: Pick<Incident, "plan_waiting" | "plan">, now: number): boolean {
  return incident.plan_waiting && incident.plan !== null && incident.plan.expires_at > now;
}

/** Newest first by opening, as the list shows them; the same incident only once, the later version wins. */
export function merge(list: readonly IncidentSummary[], fresh: IncidentSummary): IncidentSummary[] {
  const known = list.find((one) => one.id === fresh.id);
  if (known !== undefined && known.updated_at > fresh.updated_at) return [...list];
  return [fresh, ...list.filter((one) => one.id !== fresh.id)].sort((a, b) => b.opened_at - a.opened_at);
}

/** A guard against data that is not what it should be: only ids that make a safe path. */
export function isId(id: string): boolean {
  return /^\d{1,20}$/.test(id);
}

/** Most services whose lines an incident leads to. */
const SERVICES_MAX = 5;

/** Whose lines, and of which time, tell more of an incident: of the services that it names, the likeliest cause first. */
export function logTimes(incident: Incident, now: number): { services: string[]; range: Range } {
  const entities = [...incident.causes.map((one) => one.entity), incident.entity, ...incident.findings.map((one) => one.entity)];
  const services = entities.filter((one) => one.startsWith("service:")).map((one) => one.slice("service:".length));
  // To the full minute while it goes on, so that the links do not change under the pointer each second.
  const end = incident.resolved_at ?? Math.ceil(now / 60_000) * 60_000;
  return { services: [...new Set(services)].filter((one) => one !== "").slice(0, SERVICES_MAX), range: around(incident.began_at, end, Math.max(end, now)) };
}
