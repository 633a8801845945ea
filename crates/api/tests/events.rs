//! Server-sent events, on paused time.
#![allow(clippy::unwrap_used, reason = "this is test code, outside of test functions")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::StatusCode;
use common::*;
use futures_util::StreamExt;
use serde_json::Value;
use tokio::time::{Instant, timeout};
use wellkept_model::{IncidentStatus, Overview, TimestampMs};

/// A reader of one stream.
struct Reader {
    body: BodyDataStream,
    buffer: String,
}

impl Reader {
    async fn open(router: &Router, last_event_id: Option<&str>) -> Self {
        let mut request = request("GET", "/api/v1/events");
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = send(router, request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), buffer: String::new() }
    }

    /// The next block of lines; `None` at the end of the stream.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.buffer = rest;
                return Some(block);
            }
            let chunk = self.body.next().await?.unwrap();
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// Name and data of the next event that is no comment.
    async fn event(&mut self) -> (String, Value) {
        loop {
            let block = self.block().await.expect("the stream goes on");
            let field = |name: &str| block.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
            if let (Some(event), Some(data)) = (field("event:"), field("data:")) {
                return (event.to_owned(), serde_json::from_str(data).unwrap());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_begins_with_the_overview_and_tells_of_a_changed_incident() {
    let world = World::new();
    let mut reader = Reader::open(&world.router(), None).await;
    let (name, data) = reader.event().await;
    assert_eq!((name.as_str(), &data["host"]), ("overview", &"web-1".into()));

    let mut changed = incident(12);
    changed.status = IncidentStatus::Resolved;
    changed.updated_at = TimestampMs(NOW.0 + 1);
    world.incidents.send_replace(Arc::new(vec![incident(13), changed]));
    let (name, data) = reader.event().await;
    assert_eq!((name.as_str(), &data["id"], &data["status"]), ("incident", &"12".into(), &"resolved".into()));
    let (name, data) = reader.event().await;
    assert_eq!((name.as_str(), &data["id"]), ("incident", &"13".into()));

    world.incidents.send_modify(|_| ());
    world.overview.send_replace(Arc::new(Overview::default()));
    assert_eq!(reader.event().await.0, "overview", "an incident that did not change is not sent again");
}

#[tokio::test(start_paused = true)]
async fn the_overview_comes_at_most_once_a_second_and_in_its_latest_form() {
    let world = World::new();
    let mut reader = Reader::open(&world.router(), None).await;
    reader.event().await;
    let start = Instant::now();
    for series in 1..=50 {
        world.overview.send_replace(Arc::new(Overview { series, ..Overview::default() }));
        tokio::task::yield_now().await;
    }
    let (_, data) = reader.event().await;
    assert_eq!(data["series"], 50);
    assert!(start.elapsed() >= Duration::from_millis(999), "{:?}", start.elapsed());
    assert!(timeout(Duration::from_secs(5), reader.event()).await.is_err(), "one event for fifty changes");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_is_kept_alive_by_comments() {
    let world = World::new();
    let mut reader = Reader::open(&world.router(), None).await;
    reader.event().await;
    let start = Instant::now();
    assert!(reader.block().await.unwrap().starts_with(':'));
    assert_eq!(start.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_comes_back_gets_what_it_missed() {
    let world = World::new();
    let mut old = incident(11);
    old.updated_at = TimestampMs(5);
    world.incidents.send_replace(Arc::new(vec![incident(12), old]));
    let mut reader = Reader::open(&world.router(), Some("6")).await;
    let (name, data) = reader.event().await;
    assert_eq!((name.as_str(), &data["id"]), ("incident", &"12".into()));
    assert_eq!(reader.event().await.0, "overview");
}

#[tokio::test(start_paused = true)]
async fn streams_are_limited_and_a_place_is_free_again_when_one_ends() {
    let mut world = World::new();
    world.shared.limits.streams = 2;
    let router = world.router();
    let first = Reader::open(&router, None).await;
    let _second = Reader::open(&router, None).await;
    let (status, body) = get(&router, "/api/v1/events").await;
    assert_eq!((status, &body["errorType"]), (StatusCode::SERVICE_UNAVAILABLE, &"unavailable".into()));
    drop(first);
    Reader::open(&router, None).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_the_engine() {
    let World { shared, overview, incidents, .. } = World::new();
    let router = wellkept_api::router(shared);
    let mut reader = Reader::open(&router, None).await;
    reader.event().await;
    drop((overview, incidents));
    assert_eq!(reader.block().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_leaves_no_backlog() {
    let world = World::new();
    let mut reader = Reader::open(&world.router(), None).await;
    reader.event().await;
    for n in 1..=10_000 {
        let mut changed = incident(12);
        changed.updated_at = TimestampMs(NOW.0 + n);
        world.incidents.send_replace(Arc::new(vec![changed]));
    }
    let (_, data) = reader.event().await;
    assert_eq!(data["updated_at"], NOW.0 + 10_000);
    assert!(timeout(Duration::from_secs(5), reader.event()).await.is_err(), "one event for all changes");
}
