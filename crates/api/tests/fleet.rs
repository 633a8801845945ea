//! Runs, agents and deployments over HTTP: what is asked of the views, and what is refused before.
#![allow(clippy::unwrap_used, reason = "this is test code, outside of test functions")]

mod common;

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::StatusCode;
use common::*;
use serde_json::{Value, json};
use wellkept_api::{FleetViews, Refusal, RefusalKind, RunsAsked};
use wellkept_catalogue::Language;
use wellkept_model::{Text, TimestampMs};

/// Remembers what it was asked.
#[derive(Default)]
struct Asked(Mutex<Vec<String>>);

impl Asked {
    fn note(&self, what: String) -> Result<Value, Refusal> {
        self.0.lock().unwrap().push(what);
        Ok(json!({"there": true}))
    }
}

impl FleetViews for Asked {
    fn runs(&self, asked: &RunsAsked) -> Result<Value, Refusal> {
        let RunsAsked { kind, host, before, limit } = asked;
        self.note(format!("runs {kind:?} {host:?} {before:?} {limit}"))
    }

    fn run(&self, id: &str, host: Option<&str>) -> Result<Value, Refusal> {
        if id == "404-1" {
            return Err(Refusal {
                kind: RefusalKind::NotFound,
                text: Text::new("api.no_run").with("id", id),
            });
        }
        self.note(format!("run {id} {host:?}"))
    }

    fn agents(&self, now: TimestampMs) -> Result<Value, Refusal> {
        self.note(format!("agents {now}"))
    }

    fn deployments(&self, language: Language) -> Result<Value, Refusal> {
        self.note(format!("deployments {language:?}"))
    }
}

#[tokio::test]
async fn the_views_are_asked_for_what_the_address_says() {
    let asked = Arc::new(Asked::default());
    let mut world = World::new();
    world.shared.fleet = asked.clone();
    let router = world.router();
    for (path, expected) in [
        ("/api/v1/fleet/runs", "runs None None None 50".to_owned()),
        (
            "/api/v1/fleet/runs?limit=7&kind=play&host=web%201&before=12-3",
            r#"runs Some("play") Some("web 1") Some("12-3") 7"#.to_owned(),
        ),
        ("/api/v1/fleet/runs?kind=&limit=", "runs None None None 50".to_owned()),
        ("/api/v1/fleet/agents", format!("agents {NOW}")),
        ("/api/v1/fleet/deployments?lang=zh-CN", "deployments ZhCn".to_owned()),
    ] {
        let (status, body) = get(&router, path).await;
        assert_eq!((status, &body["data"]["there"]), (StatusCode::OK, &json!(true)), "{path}: {body}");
        let said = asked.0.lock().unwrap().pop().unwrap();
        assert_eq!(said, expected, "{path}");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_anything_is_read() {
    let asked = Arc::new(Asked::default());
    let mut world = World::new();
    world.shared.fleet = asked.clone();
    let router = world.router();
    let long = "x".repeat(256);
    for query in ["limit=0", "limit=201", "limit=many", &format!("host={long}"), &format!("before={long}")] {
        let (status, body) = get(&router, &format!("/api/v1/fleet/runs?{query}")).await;
        assert_eq!((status, &body["status"]), (StatusCode::BAD_REQUEST, &json!("error")), "{query}: {body}");
    }
    assert!(asked.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn one_run_is_told_to_who_has_the_token() {
    let asked = Arc::new(Asked::default());
    let mut world = World::new();
    world.shared.fleet = asked.clone();
    let router = world.router();
    let (status, _) = get(&router, "/api/v1/fleet/runs/12-3").await;
    assert!(status == StatusCode::UNAUTHORIZED && asked.0.lock().unwrap().is_empty(), "{status}");
    let with = |path: &str| {
        let request = request("GET", path).header("authorization", format!("Bearer {TOKEN}"));
        request.body(Body::empty()).unwrap()
    };
    let (status, _) = answer(send(&router, with("/api/v1/fleet/runs/12-3?host=web1")).await).await;
    let said = asked.0.lock().unwrap().pop().unwrap();
    assert_eq!((status, said.as_str()), (StatusCode::OK, r#"run 12-3 Some("web1")"#));
    let (status, body) = answer(send(&router, with("/api/v1/fleet/runs/404-1?lang=zh-CN")).await).await;
    assert_eq!((status, &body["errorType"]), (StatusCode::NOT_FOUND, &json!("not_found")));
    assert!(body["error"].as_str().unwrap().contains("404-1"), "{body}");
}
