// Which colour, and always which sign, a state has. Colour alone says nothing here.

import type { AlertState } from "./prom";
import type { ActionStatus, IncidentStatus, Moment, Service, Severity } from "./types";

export type Tone = "good" | "warn" | "bad" | "info" | "idle";
export type IconName =
  | "check" | "alert" | "cross" | "info" | "pause" | "question" | "eye" | "bulb" | "list" | "wrench" | "flag" | "person"
  | "undo" | "clock" | "gauge" | "bolt" | "sun" | "moon" | "system" | "keyboard" | "home" | "server" | "key" | "pulse"
  | "chart" | "plus" | "minus" | "play" | "link" | "search" | "target" | "layers" | "left" | "right" | "lines" | "copy" | "down" | "hosts";

export interface Sign {
  tone: Tone;
  icon: IconName;
}

export function ofSeverity(severity: Severity): Sign {
  switch (severity) {
    case "critical":
      return { tone: "bad", icon: "cross" };
    case "warning":
      return { tone: "warn", icon: "alert" };
    default:
      return { tone: "info", icon: "info" };
  }
}

/** A service's word: running with a failing check is not well. */
export function ofService(service: Pick<Service, "state" | "healthy" | "checks">): Sign & { word: string } {
  switch (service.state) {
    case "running":
      return service.healthy < service.checks
        ? { tone: "warn", icon: "alert", word: "failing" }
        : { tone: "good", icon: "check", word: "running" };
    case "stopped":
      return { tone: "warn", icon: "pause", word: "stopped" };
    case "down":
      return { tone: "bad", icon: "cross", word: "down" };
    default:
      return { tone: "idle", icon: "question", word: "unknown" };
  }
}

export function ofStatus(status: IncidentStatus): Sign {
  switch (status) {
    case "open":
      return { tone: "bad", icon: "alert" };
    case "diagnosing":
      return { tone: "warn", icon: "bulb" };
    case "recovering":
      return { tone: "info", icon: "wrench" };
    case "verifying":
      return { tone: "info", icon: "eye" };
    case "resolved":
      return { tone: "good", icon: "check" };
    case "escalated":
      return { tone: "bad", icon: "person" };
    default:
      return { tone: "idle", icon: "question" };
  }
}

export function ofAction(status: ActionStatus): Sign {
  switch (status) {
    case "succeeded":
      return { tone: "good", icon: "check" };
    case "running":
      return { tone: "info", icon: "wrench" };
    case "failed":
      return { tone: "bad", icon: "cross" };
    case "rolled_back":
      return { tone: "warn", icon: "undo" };
    case "unknown":
      return { tone: "warn", icon: "question" };
    default:
      return { tone: "idle", icon: "clock" };
  }
}

export function ofMoment({ kind, good }: Pick<Moment, "kind" | "good">): Sign {
  switch (kind) {
    case "seen":
      return { tone: good === true ? "good" : "bad", icon: "eye" };
    case "thought":
      return { tone: "warn", icon: "bulb" };
    case "planned":
      return { tone: "info", icon: "list" };
    case "done":
      return { tone: "info", icon: "wrench" };
    case "verified":
      return good === false ? { tone: "bad", icon: "cross" } : { tone: "good", icon: "check" };
    default:
      return { tone: "idle", icon: "flag" };
  }
}

/** How full a file system is, in words of tone: at 80 % it deserves a look, at 95 % it is nearly over. */
export function ofFill(share: number, fullInSeconds: number | null): Tone {
  if (share >= 0.95 || (fullInSeconds !== null && fullInSeconds < 3600)) return "bad";
  if (share >= 0.8 || (fullInSeconds !== null && fullInSeconds < 24 * 3600)) return "warn";
  return "good";
}

/** The state of an alerting rule or of one of its alerts. */
export function ofAlert(state: string): Sign & { word: AlertState | "unknown" } {
  switch (state) {
    case "firing":
      return { tone: "bad", icon: "alert", word: "firing" };
    case "pending":
      return { tone: "warn", icon: "clock", word: "pending" };
    case "inactive":
      return { tone: "good", icon: "check", word: "inactive" };
    default:
      return { tone: "idle", icon: "question", word: "unknown" };
  }
}

/** How a target answers. */
export function ofTarget(health: string): Sign & { word: "up" | "down" | "unknown" } {
  if (health === "up") return { tone: "good", icon: "check", word: "up" };
  if (health === "down") return { tone: "bad", icon: "cross", word: "down" };
  return { tone: "idle", icon: "question", word: "unknown" };
}
