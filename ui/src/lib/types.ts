// The shapes of the HTTP API, as the server writes them. Times are milliseconds since 1970.

export type Severity = "info" | "warning" | "critical";
export type IncidentStatus = "open" | "diagnosing" | "recovering" | "verifying" | "resolved" | "escalated";
export type ActionStatus = "planned" | "running" | "succeeded" | "failed" | "rolled_back" | "skipped" | "unknown";
export type ServiceState = "running" | "stopped" | "down" | "unknown";
export type Mode = "watch" | "propose" | "act";
export type MomentKind = "seen" | "thought" | "planned" | "done" | "verified" | "status";

export interface Service {
  name: string;
  state: ServiceState;
  pid: number | null;
  since: number | null;
  healthy: number;
  checks: number;
  cpu: number;
  rss_bytes: number;
  depends_on: string[];
}

export interface Filesystem {
  mountpoint: string;
  size_bytes: number;
  avail_bytes: number;
  full_in_seconds: number | null;
}

export interface Overview {
  host: string;
  version: string;
  started_at: number;
  now: number;
  last_sample_at: number | null;
  mode: Mode;
  frozen: string | null;
  keep_file: string | null;
  series: number;
  well: boolean;
  worst: Severity | null;
  services: Service[];
  filesystems: Filesystem[];
  incidents_open: number;
}

export interface Evidence {
  at: number;
  text: string;
  query: string | null;
}

export interface Cause {
  component: string;
  entity: string;
  kind: string;
  kind_text: string;
  detail: string;
  score: number;
  /** Only in the answer for one incident. */
  evidence?: Evidence[];
}

export interface Action {
  id: string;
  kind: string;
  kind_text: string;
  target: string;
  entity: string;
  subject: string;
  status: ActionStatus;
  started_at: number | null;
  finished_at: number | null;
  automatic: boolean;
  /** These only in the answer for one incident. */
  reason?: string;
  outcome?: string | null;
  undo?: "irreversible" | "put_back" | "stop" | "release" | "unblock" | "renice" | "means" | "means";
  undoable?: boolean;
}

export interface IncidentSummary {
  id: string;
  title: string;
  status: IncidentStatus;
  severity: Severity;
  began_at: number;
  opened_at: number;
  updated_at: number;
  resolved_at: number | null;
  component: string;
  entity: string;
  active: number;
  /** A plan waits for a person; approving it would be followed. */
  plan_waiting: boolean;
  /** Incidents with this root within a week, this one included; 0 while no root is known. */
  times: number;
  causes: Cause[];
  actions: Action[];
}

export interface Finding {
  entity: string;
  component: string;
  kind: string;
  kind_text: string;
  subject: string;
  severity: Severity;
  text: string;
  since: number;
  at: number;
  active: boolean;
  evidence: Evidence[];
}

export interface PlanStep {
  kind: string;
  kind_text: string;
  target: string;
  subject: string;
  reason: string;
  undo: "irreversible" | "put_back" | "stop" | "release" | "unblock" | "renice" | "means" | "means";
}

export interface Plan {
  generation: number;
  made_at: number;
  expires_at: number;
  automatic: boolean;
  withheld: string | null;
  steps: PlanStep[];
}

export interface Moment {
  at: number;
  kind: MomentKind;
  text: string;
  /** Whether it is good news; `null` where it is neither. */
  good: boolean | null;
  /** The incident was resolved before and begins again here. */
  reopened: boolean;
}

/** What could be declared so that it does not come again. */
export interface Prevention {
  kind: string;
  kind_text: string;
  text: string;
  /** YAML for the keep file. */
  patch: string;
}

export interface Incident extends IncidentSummary {
  findings: Finding[];
  plan: Plan | null;
  timeline: Moment[];
  prevention: Prevention | null;
}

/** One series of a Prometheus range answer: seconds and values as text. */
export interface MatrixSeries {
  metric: Record<string, string>;
  values: [number, string][];
}
