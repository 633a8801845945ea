// The one place that talks to the server. Every failure becomes an `ApiError` with a kind that a page can act on.

import type { Language } from "./i18n";
import type { IncidentStory, LineNumbers } from "./logs";
import type { Answer } from "./prom";
import type { Shape } from "./results";
import type { Incident, IncidentSummary, MatrixSeries, Overview } from "./types";

/** No answer within this time counts as none. */
const TIMEOUT_MS = 10_000;
/** Questions that a person wrote may take longer; the server's own limit speaks before this one. */
const QUERY_TIMEOUT_MS = 150_000;

export type Trouble = "network" | "timeout" | "unauthorized" | "not_found" | "conflict" | "refused";

export class ApiError extends Error {
  constructor(
    readonly trouble: Trouble,
    message: string,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

/** Which kind of trouble an HTTP status is. */
export function troubleOf(status: number): Trouble {
  if (status === 401 || status === 403) return "unauthorized";
  if (status === 404) return "not_found";
  if (status === 409) return "conflict";
  if (status === 408 || status === 504) return "timeout";
  return "refused";
}

export interface Context {
  language: Language;
  token: string | null;
}

/** Acts on the server; each needs a token. */
export type Act =
  | { what: "approve"; incident: string; generation: number }
  | { what: "undo"; incident: string; action: string }
  | { what: "escalate"; incident: string }
  | { what: "freeze"; reason: string }
  | { what: "unfreeze" }
  | { what: "mark" | "unmark"; template: string; kind: string; parameter: number | null };

/** Where an act is sent and with which body. */
export function request(act: Act): { path: string; body: unknown } {
  switch (act.what) {
    case "approve":
      return { path: `/api/v1/incidents/${encodeURIComponent(act.incident)}/approve`, body: { generation: act.generation } };
    case "undo":
      return { path: `/api/v1/incidents/${encodeURIComponent(act.incident)}/undo`, body: { action: act.action } };
    case "escalate":
      return { path: `/api/v1/incidents/${encodeURIComponent(act.incident)}/escalate`, body: {} };
    case "freeze":
      return { path: "/api/v1/freeze", body: { reason: act.reason } };
    case "unfreeze":
      return { path: "/api/v1/unfreeze", body: {} };
    case "mark":
    case "unmark": {
      const { template, kind, parameter } = act;
      return { path: "/api/v1/logs/harmless", body: { template, kind, parameter, harmless: act.what === "mark" } };
    }
  }
}

export class Api {
  constructor(private readonly context: () => Context) {}

  headers(): Record<string, string> {
    const { token } = this.context();
    return token === null ? {} : { Authorization: `Bearer ${token}` };
  }

  /** `path` with the language that texts should come in. */
  url(path: string): string {
    return `${path}${path.includes("?") ? "&" : "?"}lang=${this.context().language}`;
  }

  overview(signal?: AbortSignal): Promise<Overview> {
    return this.#send<Overview>(this.url("/api/v1/overview"), {}, signal);
  }

  async incidents(signal?: AbortSignal): Promise<IncidentSummary[]> {
    return (await this.#send<{ incidents: IncidentSummary[] }>(this.url("/api/v1/incidents"), {}, signal)).incidents;
  }

  incident(id: string, signal?: AbortSignal): Promise<Incident> {
    return this.#send<Incident>(this.url(`/api/v1/incidents/${encodeURIComponent(id)}`), {}, signal);
  }

  /** A range query; times in milliseconds, `step` in seconds. */
  async range(query: string, start: number, end: number, step: number, signal?: AbortSignal): Promise<MatrixSeries[]> {
    const args = new URLSearchParams({
      query,
      start: (start / 1000).toFixed(3),
      end: (end / 1000).toFixed(3),
      step: String(step),
    });
    const answer = await this.#send<{ data: { result: MatrixSeries[] } }>(`/api/v1/query_range?${args.toString()}`, {}, signal);
    return answer.data.result;
  }

  /** An answer of Prometheus' API at `/api/v1/` and `path`. */
  async prom<T>(path: string, args: Record<string, string | string[]> = {}, signal?: AbortSignal): Promise<Answer<T>> {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(args)) for (const one of [value].flat()) search.append(name, one);
    const asked = search.size === 0 ? "" : `?${search.toString()}`;
    const answer = await this.#send<Partial<Answer<T>>>(`/api/v1/${path}${asked}`, {}, signal, QUERY_TIMEOUT_MS);
    if (answer.data === undefined) throw new ApiError("refused", "the answer has no data");
    return { data: answer.data, warnings: answer.warnings ?? [], infos: answer.infos ?? [] };
  }

  /** The path of the logs' API with its arguments and the language. */
  logsPath(path: string, args: Record<string, string> = {}): string {
    return this.url(`/api/v1/logs/${path}?${new URLSearchParams(args).toString()}`);
  }

  /** An answer of the logs' API. */
  async logs<T>(path: string, args: Record<string, string>, signal?: AbortSignal): Promise<T> {
    const { data } = await this.#send<{ data?: T }>(this.logsPath(path, args), {}, signal, QUERY_TIMEOUT_MS);
    if (data === undefined) throw new ApiError("refused", "the answer has no data");
    return data;
  }

  /** Numbers over time, counted from lines; times in seconds. */
  async lineNumbers(query: string, shape: Shape, signal?: AbortSignal): Promise<LineNumbers> {
    const args = new URLSearchParams({ query, start: String(shape.start), end: String(shape.start + (shape.length - 1) * shape.step), step: String(shape.step) });
    const { data } = await this.#send<{ data?: LineNumbers }>(`/loki/api/v1/query_range?${args.toString()}`, {}, signal, QUERY_TIMEOUT_MS);
    if (data === undefined) throw new ApiError("refused", "the answer has no data");
    return data;
  }

  async incidentStory(id: string, signal?: AbortSignal): Promise<IncidentStory> {
    const path = this.url(`/api/v1/incidents/${encodeURIComponent(id)}/logs`);
    const { data } = await this.#send<{ data?: IncidentStory }>(path, {}, signal, QUERY_TIMEOUT_MS);
    if (data === undefined) throw new ApiError("refused", "the answer has no data");
    return data;
  }

  async act(act: Act): Promise<void> {
    const { path, body } = request(act);
    await this.#send(this.url(path), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  }

  async #send<T>(url: string, init: RequestInit, signal?: AbortSignal, timeout = TIMEOUT_MS): Promise<T> {
    const limit = AbortSignal.timeout(timeout);
    let answer: Response;
    let body: unknown;
    try {
      answer = await fetch(url, {
        ...init,
        cache: "no-store",
        headers: { Accept: "application/json", ...this.headers(), ...init.headers },
        signal: signal === undefined ? limit : AbortSignal.any([limit, signal]),
      });
      body = await answer.json().catch(() => null);
    } catch (error) {
      if (signal?.aborted === true) throw error;
      throw new ApiError(limit.aborted ? "timeout" : "network", error instanceof Error ? error.message : String(error));
    }
    if (!answer.ok) throw new ApiError(troubleOf(answer.status), errorText(body) ?? `${answer.status} ${answer.statusText}`);
    if (body === null || typeof body !== "object") throw new ApiError("refused", "the answer is not JSON");
    return body as T;
  }
}

function errorText(body: unknown): string | null {
  if (typeof body === "object" && body !== null && "error" in body && typeof body.error === "string") return body.error;
  return null;
}
