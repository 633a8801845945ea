import { describe, expect, it } from "vitest";

import { request, troubleOf } from "./api";
import { canApprove, currentAction, logTimes, merge, station } from "./incident";
import { ofFill, ofService } from "./tone";
import type { Action, Incident, IncidentSummary, Plan } from "./types";

const summary = (id: string, opened_at: number, updated_at: number) => ({ id, opened_at, updated_at }) as IncidentSummary;
const plan = { expires_at: 100 } as Plan;

describe("an incident", () => {
  it("is put into the list newest first, and only once", () => {
    const list = [summary("2", 20, 20), summary("1", 10, 10)];
    expect(merge(list, summary("3", 30, 30)).map((one) => one.id)).toEqual(["3", "2", "1"]);
    expect(merge(list, summary("1", 10, 40)).map((one) => [one.id, one.updated_at])).toEqual([["2", 20], ["1", 40]]);
  });

  it("is not replaced by older news of itself", () => {
    expect(merge([summary("1", 10, 40)], summary("1", 10, 20))[0]?.updated_at).toBe(40);
  });

  it("leads to the lines of its services, the likeliest cause first, and of its time", () => {
    const entity = (name: string) => ({ entity: name });
    const incident = { entity: "service:app", causes: [entity("service:db"), entity("host:h")], findings: [entity("service:app"), entity("service:web"), entity("service:")], began_at: 10_000_000, resolved_at: 10_600_000 } as unknown as Incident;
    expect(logTimes(incident, 20_000_000)).toEqual({ services: ["db", "app", "web"], range: { kind: "fixed", from: 9_700_000, to: 10_900_000 } });
    expect(logTimes({ ...incident, resolved_at: null }, 10_070_001).range).toEqual(logTimes({ ...incident, resolved_at: null }, 10_079_999).range);
  });

  it("can be approved only while its plan is valid and waits for a person", () => {
    expect(canApprove({ plan_waiting: true, plan }, 50)).toBe(true);
    expect(canApprove({ plan_waiting: true, plan }, 100)).toBe(false);
    expect(canApprove({ plan_waiting: false, plan }, 50)).toBe(false);
    expect(canApprove({ plan_waiting: true, plan: null }, 50)).toBe(false);
  });

  it("shows the running action before the last one, and never a planned one", () => {
    const action = (id: string, status: Action["status"]) => ({ id, status }) as Action;
    expect(currentAction([action("1", "failed"), action("2", "running"), action("3", "planned")])?.id).toBe("2");
    expect(currentAction([action("1", "failed"), action("2", "succeeded")])?.id).toBe("2");
    expect(currentAction([action("1", "planned")])).toBeNull();
  });

  it("walks from station to station", () => {
    expect(station("open", "recovering")).toBe("done");
    expect(station("recovering", "recovering")).toBe("here");
    expect(station("resolved", "recovering")).toBe("ahead");
    expect(station("resolved", "resolved")).toBe("done");
  });
});

describe("signs", () => {
  it("a running service with a failing check is not well", () => {
    expect(ofService({ state: "running", healthy: 1, checks: 2 })).toMatchObject({ tone: "warn", word: "failing" });
    expect(ofService({ state: "running", healthy: 2, checks: 2 })).toMatchObject({ tone: "good", word: "running" });
  });

  it("a file system that fills soon is worse than one that is merely full of data", () => {
    expect(ofFill(0.5, null)).toBe("good");
    expect(ofFill(0.85, null)).toBe("warn");
    expect(ofFill(0.5, 1800)).toBe("bad");
    expect(ofFill(0.96, null)).toBe("bad");
  });
});

describe("acts", () => {
  it("go to their own address and cannot leave it", () => {
    expect(request({ what: "approve", incident: "12", generation: 3 })).toEqual({ path: "/api/v1/incidents/12/approve", body: { generation: 3 } });
    expect(request({ what: "escalate", incident: "../x" }).path).toBe("/api/v1/incidents/..%2Fx/escalate");
  });

  it("know what an answer means", () => {
    expect([401, 403, 404, 409, 504, 400, 500].map(troubleOf)).toEqual(["unauthorized", "unauthorized", "not_found", "conflict", "timeout", "refused", "refused"]);
  });
});
