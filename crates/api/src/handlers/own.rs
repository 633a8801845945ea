//! About ourselves: alive, ready, metrics, overview.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::incidents::json;
use crate::app::App;
use crate::views::overview::OverviewView;

pub(crate) async fn healthy() -> &'static str {
    "Wellkept is healthy.\n"
}

pub(crate) async fn ready(State(app): State<App>) -> (StatusCode, &'static str) {
    if *app.ready.borrow() {
        (StatusCode::OK, "Wellkept is ready.\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "Wellkept is not ready: the first round was not stored yet.\n")
    }
}

pub(crate) async fn metrics(State(app): State<App>) -> Response {
    let mut text = (app.own_metrics)();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&app.metrics());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

pub(crate) async fn overview(State(app): State<App>) -> Response {
    let overview = app.overview.borrow().clone();
    let incidents = app.incidents.borrow().clone();
    json(&OverviewView::new(&overview, &incidents, app.version, (app.clock)()))
}
