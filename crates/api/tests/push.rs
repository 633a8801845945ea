//! Pushed samples: what reaches the doors, in which parts, and what the client is told.
#![allow(clippy::unwrap_used, reason = "this is test code, outside of test functions")]

mod common;

use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use common::{HOST, World, act, answer, send};
use wellkept_api::{Door, Doors, Push, PushReply, Refusal, RefusalKind};
use wellkept_model::Text;

/// Remembers what it was given; leaves lines out of parts that hold `bad`, and has no room for parts with `full`.
#[derive(Default)]
struct Notebook(Mutex<Vec<(Door, Bytes)>>);

impl Doors for Notebook {
    fn push(&self, push: Push) -> PushReply {
        let holds = |word: &[u8]| push.body.windows(word.len()).any(|w| w == word);
        let status = match (holds(b"full"), holds(b"bad")) {
            (true, _) => 503,
            (_, true) => 400,
            _ => 204,
        };
        self.0.lock().unwrap().push((push.door, push.body));
        let headers = vec![("X-Prometheus-Remote-Write-Samples-Written", "3".to_owned())];
        PushReply { status, headers, ..PushReply::default() }
    }

    fn flush(&self) -> Result<(), Refusal> {
        Ok(())
    }

    fn snapshot(&self) -> Result<String, Refusal> {
        Ok("20260101T000000Z-1".to_owned())
    }

    fn restore(&self, snapshot: &str) -> Result<(u64, u64), Refusal> {
        Ok((snapshot.len() as u64, 0))
    }

    fn remove_snapshot(&self, snapshot: &str) -> Result<(), Refusal> {
        let text = Text::new("refused.no_such_snapshot").with("name", snapshot);
        Err(Refusal { kind: RefusalKind::NotFound, text })
    }
}

fn world() -> (World, Arc<Notebook>) {
    let mut world = World::new();
    let doors = Arc::new(Notebook::default());
    world.shared.doors = doors.clone();
    (world, doors)
}

fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header("host", HOST).body(body.into()).unwrap()
}

#[tokio::test]
async fn a_remote_write_is_taken_whole_and_answered_with_its_counts() {
    let (world, doors) = world();
    let response = send(&world.router(), post("/api/v1/write", "x\ny")).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(response.headers()["x-prometheus-remote-write-samples-written"], "3");
    assert_eq!(*doors.0.lock().unwrap(), [(Door::RemoteWrite, Bytes::from("x\ny"))]);
}

#[tokio::test]
async fn a_long_import_comes_in_parts_of_whole_lines() {
    let (world, doors) = world();
    let line = format!("a{{b=\"{}\"}} 1 1000\n", "c".repeat(80));
    let text = line.repeat(40_000) + "last 1 1";
    let response = send(&world.router(), post("/api/v1/import/prometheus", text.clone())).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let parts = doors.0.lock().unwrap();
    assert!(parts.len() > 1, "{}", parts.len());
    assert!(parts.iter().rev().skip(1).all(|(_, p)| p.ends_with(b"\n")));
    let joined: Vec<u8> = parts.iter().flat_map(|(_, p)| p.to_vec()).collect();
    assert_eq!(joined, text.as_bytes());
}

#[tokio::test]
async fn lines_that_are_left_out_are_told_and_a_full_store_ends_an_import() {
    let line = format!("a{{b=\"{}\"}} 1 1000\n", "c".repeat(80));
    for (word, status, whole) in
        [("bad", StatusCode::BAD_REQUEST, true), ("full", StatusCode::SERVICE_UNAVAILABLE, false)]
    {
        let (world, doors) = world();
        let text = format!("{word}\n") + &line.repeat(40_000) + "last 1 1";
        let response = send(&world.router(), post("/api/v1/import/prometheus", text)).await;
        assert_eq!(response.status(), status);
        assert_eq!(doors.0.lock().unwrap().len() > 1, whole, "{word}");
    }
}

#[tokio::test]
async fn a_line_without_end_and_a_body_without_end_are_refused() {
    let (mut world, doors) = world();
    let text = "x".repeat(3 << 20);
    let response = send(&world.router(), post("/api/v1/import/prometheus", text.clone())).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    world.shared.limits.push_bytes = 1 << 20;
    let response = send(&world.router(), post("/api/v1/write", text)).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(doors.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_page_of_another_site_cannot_push() {
    let (world, doors) = world();
    let request = Request::post("/api/v1/write").header("host", HOST).header("origin", "http://evil.example");
    let response = send(&world.router(), request.body(Body::from("x")).unwrap()).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(doors.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn when_too_many_push_the_next_is_told_to_come_again() {
    let (mut world, _) = world();
    world.shared.limits.pushes = 0;
    world.shared.limits.body_time = std::time::Duration::from_millis(10);
    let response = send(&world.router(), post("/api/v1/write", "x")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn snapshots_are_made_restored_and_removed_with_the_token_only() {
    let (world, _) = world();
    let router = world.router();
    let paths = ["", "/restore", "/remove"].map(|p| format!("/api/v1/admin/tsdb/snapshot{p}"));
    for path in &paths {
        let refused = send(&router, post(path, "")).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    let (status, made) = answer(send(&router, act(&paths[0], "{}")).await).await;
    assert_eq!((status, &made["data"]["name"]), (StatusCode::OK, &"20260101T000000Z-1".into()));
    let (_, restored) = answer(send(&router, act(&paths[1], r#"{"name": "abc"}"#)).await).await;
    assert_eq!(restored["data"]["samples"], 3);
    let removed = send(&router, act(&paths[2], r#"{"name": "abc"}"#)).await;
    assert_eq!(removed.status(), StatusCode::NOT_FOUND);
    let unnamed = send(&router, act(&paths[2], "{}")).await;
    assert_eq!(unnamed.status(), StatusCode::BAD_REQUEST);
}
