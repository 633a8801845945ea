//! What the drill, the console and people read and send.
#![allow(clippy::unwrap_used, reason = "this is test code, outside of test functions")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use common::*;
use serde_json::{Value, json};
use wellkept_model::{Change, ChangeId, ChangeKind, IncidentStatus, Moment, MomentKind, Text};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Asserts that an object has exactly these keys, in any order.
fn has_exactly(value: &Value, expected: &str) {
    let mut expected: Vec<_> = expected.split_whitespace().collect();
    expected.sort_unstable();
    let mut found = keys(value);
    found.sort_unstable();
    assert_eq!(found, expected);
}

const HEAD: &str = "id title status severity began_at opened_at updated_at resolved_at component entity active \
                    plan_waiting times causes actions";

#[tokio::test]
async fn the_list_has_the_shape_that_the_drill_reads() {
    let (status, body) = get(&World::new().router(), "/api/v1/incidents").await;
    assert_eq!(status, StatusCode::OK);
    has_exactly(&body, "incidents");
    let incident = &body["incidents"][0];
    has_exactly(incident, HEAD);
    assert_eq!(incident["id"], "12");
    assert_eq!(incident["title"], "Critical");
    assert_eq!(incident["status"], "recovering");
    assert_eq!(incident["opened_at"], 2);
    assert_eq!(incident["resolved_at"], Value::Null);
    let cause = json!({"component": "app", "entity": "service:app", "kind": "bad_setting", "kind_text": "Bad setting",
        "detail": "Critical", "score": 0.93});
    assert_eq!(incident["causes"], json!([cause]));
    let action = json!({"id": "12-1", "kind": "rollback", "kind_text": "Roll back", "target": "app",
        "entity": "service:app", "subject": "/srv/x", "status": "succeeded", "started_at": NOW.0,
        "finished_at": null, "automatic": true});
    assert_eq!(incident["actions"], json!([action]));
}

#[tokio::test]
async fn a_plan_waits_only_where_approving_would_be_followed() {
    let world = World::new();
    for (status, automatic, waits) in [
        (IncidentStatus::Diagnosing, false, true),
        (IncidentStatus::Escalated, false, true),
        (IncidentStatus::Diagnosing, true, false),
        (IncidentStatus::Open, false, false),
        (IncidentStatus::Recovering, false, false),
        (IncidentStatus::Resolved, false, false),
    ] {
        let mut incident = incident(12);
        incident.status = status;
        incident.plan.as_mut().unwrap().automatic = automatic;
        world.incidents.send_replace(Arc::new(vec![incident]));
        let (_, list) = get(&world.router(), "/api/v1/incidents").await;
        assert_eq!(list["incidents"][0]["plan_waiting"], waits, "{status:?} {automatic}");
        let (_, detail) = get(&world.router(), "/api/v1/incidents/12").await;
        assert_eq!(detail["plan_waiting"], waits, "{status:?} {automatic}");
    }
}

#[tokio::test]
async fn the_time_line_says_where_an_incident_begins_again() {
    let world = World::new();
    let mut incident = incident(12);
    incident.timeline.push(moment(MomentKind::Status, "moment.reopened"));
    world.incidents.send_replace(Arc::new(vec![incident]));
    let (_, body) = get(&world.router(), "/api/v1/incidents/12").await;
    assert_eq!(body["timeline"][0]["reopened"], false);
    assert_eq!(body["timeline"][1]["reopened"], true);
}

#[tokio::test]
async fn the_time_line_tells_good_news_from_bad() {
    let world = World::new();
    let mut incident = incident(12);
    incident.timeline = vec![
        moment(MomentKind::Seen, "finding.process_gone"),
        moment(MomentKind::Seen, "finding.process_gone.over"),
        moment(MomentKind::Verified, "moment.did_not_help"),
        moment(MomentKind::Verified, "moment.verified"),
        moment(MomentKind::Planned, "moment.approved"),
    ];
    world.incidents.send_replace(Arc::new(vec![incident]));
    let (_, body) = get(&world.router(), "/api/v1/incidents/12").await;
    let good: Vec<_> = body["timeline"].as_array().unwrap().iter().map(|m| m["good"].as_bool()).collect();
    assert_eq!(good, [Some(false), Some(true), Some(false), Some(true), None]);
}

fn moment(kind: MomentKind, key: &str) -> Moment {
    Moment { at: NOW, kind, text: Text::new(key) }
}

#[tokio::test]
async fn the_detail_shows_evidence_plan_and_time_line() {
    let (_, body) = get(&World::new().router(), "/api/v1/incidents/12").await;
    has_exactly(&body, &format!("{HEAD} findings plan timeline prevention"));
    has_exactly(
        &body["findings"][0],
        "entity component kind kind_text subject severity text since at active evidence",
    );
    assert_eq!(body["findings"][0]["active"], false);
    assert_eq!(body["findings"][1]["active"], true);
    let evidence = json!([{"at": NOW.0, "text": "Critical", "query": "up == 0"}]);
    assert_eq!(body["findings"][0]["evidence"], evidence);
    assert_eq!(body["causes"][0]["evidence"], evidence);
    assert_eq!(body["actions"][0]["undo"], "put_back");
    assert_eq!(body["actions"][0]["undoable"], true);
    assert_eq!(body["actions"][0]["outcome"], Value::Null);
    has_exactly(&body["plan"], "generation made_at expires_at automatic withheld steps");
    has_exactly(&body["plan"]["steps"][0], "kind kind_text target subject reason undo");
    assert_eq!(
        body["timeline"],
        json!([{"at": NOW.0, "kind": "seen", "text": "Critical", "good": false, "reopened": false}])
    );
}

#[tokio::test]
async fn the_overview_has_every_field_and_counts_open_incidents() {
    let (_, body) = get(&World::new().router(), "/api/v1/overview").await;
    has_exactly(
        &body,
        "host version started_at now last_sample_at mode frozen keep_file series well worst services filesystems \
         incidents_open",
    );
    has_exactly(&body["services"][0], "name state pid since healthy checks cpu rss_bytes depends_on");
    assert_eq!((&body["well"], &body["incidents_open"]), (&json!(false), &json!(1)));
    assert_eq!((&body["services"][0]["healthy"], &body["services"][0]["checks"]), (&json!(2), &json!(3)));
}

#[tokio::test]
async fn texts_come_in_the_readers_language() {
    let router = World::new().router();
    let title = |body: Value| body["incidents"][0]["title"].clone();
    assert_eq!(title(get(&router, "/api/v1/incidents?lang=zh-CN").await.1), "严重");
    let chinese = || request("GET", "/api/v1/incidents").header("accept-language", "zh-CN,zh;q=0.9,en;q=0.8");
    assert_eq!(title(answer(send(&router, chinese().body(Body::empty()).unwrap()).await).await.1), "严重");
    let asked = request("GET", "/api/v1/incidents?lang=en").header("accept-language", "zh");
    assert_eq!(title(answer(send(&router, asked.body(Body::empty()).unwrap()).await).await.1), "Critical");
    let (_, error) = get(&router, "/api/v1/incidents/9?lang=zh-CN").await;
    assert_eq!(error["error"], "没有编号为 9 的事件。");
}

#[tokio::test]
async fn an_unknown_incident_is_not_found() {
    let router = World::new().router();
    for id in ["99", "abc", "-1", "99999999999999999999999", "12%00", "%F0%9F%91%A9"] {
        let (status, body) = get(&router, &format!("/api/v1/incidents/{id}")).await;
        assert_eq!((status, &body["errorType"]), (StatusCode::NOT_FOUND, &json!("not_found")), "{id}");
    }
}

#[tokio::test]
async fn the_engines_no_becomes_a_status_and_a_text() {
    let mut world = World::new();
    world.engine();
    let router = world.router();
    for (path, status, kind) in [
        ("/api/v1/incidents/12/approve", StatusCode::CONFLICT, "conflict"),
        ("/api/v1/incidents/404/approve", StatusCode::NOT_FOUND, "not_found"),
    ] {
        let got = answer(send(&router, act(path, r#"{"generation":1}"#)).await).await;
        assert_eq!((got.0, &got.1["errorType"]), (status, &json!(kind)), "{path}");
        assert_eq!(got.1["error"], "test.refused: why={x}");
    }
}

#[tokio::test]
async fn bodies_that_make_no_sense_are_refused_before_the_engine() {
    let mut world = World::new();
    let commands = world.engine();
    let router = world.router();
    let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(501));
    let huge = format!(r#"{{"reason":"{}"}}"#, "x".repeat(70_000));
    for (path, body, status) in [
        ("/api/v1/incidents/12/approve", "{}", 400),
        ("/api/v1/incidents/12/approve", "", 400),
        ("/api/v1/incidents/12/approve", r#"{"generation":-1}"#, 400),
        ("/api/v1/incidents/12/approve", r#"{"generation":2,"force":true}"#, 400),
        ("/api/v1/incidents/12/approve", "[[[[", 400),
        ("/api/v1/incidents/x/escalate", "", 404),
        ("/api/v1/incidents/12/undo", r#"{"action":"13-1"}"#, 400),
        ("/api/v1/freeze", &long, 400),
        ("/api/v1/freeze", &huge, 413),
        ("/api/v1/changes", r#"{"kind":"planet","what":"x","who":"y"}"#, 400),
        ("/api/v1/changes", r#"{"kind":"config","what":" ","who":"y"}"#, 400),
        ("/api/v1/changes", r#"{"kind":"secret","what":"k","who":"y","after":"hunter2"}"#, 400),
    ] {
        let (got, json) = answer(send(&router, act(path, body)).await).await;
        assert_eq!(got.as_u16(), status, "{path} {json}");
        assert_eq!(json["status"], "error", "{path}");
        assert!(!json.to_string().contains("hunter2"), "{json}");
    }
    assert!(commands.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_does_not_answer_is_not_waited_for_for_ever() {
    let world = World::new();
    let router = world.router();
    let (status, body) = answer(send(&router, act("/api/v1/unfreeze", "")).await).await;
    assert_eq!((status, &body["errorType"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("timeout")));
}

#[tokio::test]
async fn an_engine_that_is_busy_or_gone_refuses_acts() {
    let mut world = World::new();
    world.shared.limits.reply_time = Duration::from_millis(1);
    let router = world.router();
    for _ in 0..8 {
        send(&router, act("/api/v1/unfreeze", "")).await;
    }
    let (status, body) = answer(send(&router, act("/api/v1/unfreeze", "")).await).await;
    assert_eq!((status, &body["errorType"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")));
    world.commands = None;
    let (status, _) = answer(send(&router, act("/api/v1/unfreeze", "")).await).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn changes_are_listed() {
    let world = World::new();
    world.changes.send_replace(Arc::new(vec![Change {
        id: ChangeId("c1".into()),
        at: NOW,
        who: "ann".into(),
        kind: ChangeKind::Setting,
        what: "/srv/x".into(),
        before: "a".into(),
        after: "b".into(),
    }]));
    let (_, body) = get(&world.router(), "/api/v1/changes").await;
    let change = json!({"id": "c1", "at": NOW.0, "who": "ann", "kind": "setting", "what": "/srv/x", "before": "a",
        "after": "b"});
    assert_eq!(body, json!({"changes": [change]}));
}

#[tokio::test]
async fn ready_follows_the_first_round() {
    let world = World::new();
    let router = world.router();
    let status =
        async |path: &str| send(&router, request("GET", path).body(Body::empty()).unwrap()).await.status();
    assert_eq!(status("/-/healthy").await, StatusCode::OK);
    assert_eq!(status("/-/ready").await, StatusCode::SERVICE_UNAVAILABLE);
    world.ready.send_replace(true);
    assert_eq!(status("/-/ready").await, StatusCode::OK);
}

#[tokio::test]
async fn other_methods_and_addresses_are_answered_in_json() {
    let router = World::new().router();
    let wrong = request("DELETE", "/api/v1/incidents").body(Body::empty()).unwrap();
    let (status, body) = answer(send(&router, wrong).await).await;
    assert_eq!((status, &body["status"]), (StatusCode::METHOD_NOT_ALLOWED, &json!("error")));
    let (status, body) = get(&router, "/api/v2/incidents").await;
    assert_eq!((status, &body["errorType"]), (StatusCode::NOT_FOUND, &json!("not_found")));
}

#[tokio::test]
async fn recurrence_and_what_could_prevent_it_are_told() {
    let (_, body) = get(&World::new().router(), "/api/v1/incidents/12").await;
    assert_eq!(body["times"], 3);
    assert_eq!(
        body["prevention"],
        json!({"kind": "check", "kind_text": "Check", "text": "Critical",
            "patch": "services:\n  app:\n    health: [{ tcp: 127.0.0.1:1 }]\n"})
    );
}

#[tokio::test]
async fn what_was_learned_is_told_and_forgetting_goes_to_the_engine() {
    use wellkept_model::{ActionKind, Beliefs, CauseKind, Outcome};
    let mut world = World::new();
    let mut beliefs = Beliefs::default();
    beliefs.take(CauseKind::BadSetting, ActionKind::Rollback, Outcome::Helped);
    beliefs.take(CauseKind::BadSetting, ActionKind::Rollback, Outcome::Undone);
    world.beliefs.send_replace(Arc::new(beliefs.clone()));
    let (status, body) = get(&world.router(), "/api/v1/learned").await;
    assert_eq!(status, StatusCode::OK);
    has_exactly(&body["learned"][0], "cause cause_text action action_text helped failed undone expected");
    let expected = beliefs.of(CauseKind::BadSetting, ActionKind::Rollback).mean();
    assert_eq!(
        body["learned"][0],
        json!({"cause": "bad_setting", "cause_text": "Bad setting", "action": "rollback",
            "action_text": "Roll back", "helped": 1, "failed": 0, "undone": 1, "expected": expected})
    );
    let log = world.engine();
    let router = world.router();
    let reset = "/api/v1/learned/reset";
    for (body, status) in [
        ("{}", StatusCode::OK),
        (r#"{"cause":"bad_setting","action":"rollback"}"#, StatusCode::OK),
        (r#"{"cause":"gremlins"}"#, StatusCode::BAD_REQUEST),
        (r#"{"cause":"bad_setting","action":"exorcise"}"#, StatusCode::BAD_REQUEST),
        (r#"{"kind":"bad_setting"}"#, StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(send(&router, act(reset, body)).await.status(), status, "{body}");
    }
    let seen = log.lock().unwrap().clone();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen[0].contains("cause: None, action: None"), "{seen:?}");
    assert!(seen[1].contains("Some(BadSetting), action: Some(Rollback)"), "{seen:?}");
}
