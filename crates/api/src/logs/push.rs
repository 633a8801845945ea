//! Pushed lines: the body within its bounds, a thread that may wait for the disk, the answer of its protocol.

use axum::extract::{Path, Request, State};
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;

use super::{LogDoor, LogPush};
use crate::app::App;
use crate::body::read;
use crate::error::ApiError;
use crate::gate::Peer;
use crate::handlers::push::{answer, blocking, encoding, place, text};

pub(crate) async fn loki(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    taken(app, request, LogDoor::Loki).await
}

pub(crate) async fn otlp(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    taken(app, request, LogDoor::Otlp).await
}

/// `_bulk` at the root, for shippers that cannot be given a path (rsyslog).
pub(crate) async fn bulk(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    taken(app, request, LogDoor::Bulk(None)).await
}

/// `_bulk`, with or without an index; all else is a question of a shipper.
pub(crate) async fn elastic_write(
    State(app): State<App>,
    Path(path): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    match path.trim_end_matches('/').rsplit_once('/') {
        None if path.trim_end_matches('/') == "_bulk" => taken(app, request, LogDoor::Bulk(None)).await,
        Some((index, "_bulk")) if !index.contains('/') => {
            taken(app, request, LogDoor::Bulk(Some(index.to_owned()))).await
        }
        _ => {
            let method = request.method().clone();
            let _place = place(&app).await?;
            // What is sent with it (templates, policies) is read and not used.
            read(request.into_body(), app.limits.push_bytes, app.limits.body_time).await?;
            asked(app, method, path).await
        }
    }
}

/// What Elasticsearch's shippers ask before they send.
pub(crate) async fn elastic_root(State(app): State<App>, method: Method) -> Result<Response, ApiError> {
    asked(app, method, String::from("/")).await
}

pub(crate) async fn elastic(
    State(app): State<App>,
    method: Method,
    Path(path): Path<String>,
) -> Result<Response, ApiError> {
    asked(app, method, path).await
}

async fn asked(app: App, method: Method, path: String) -> Result<Response, ApiError> {
    let push = LogPush {
        door: LogDoor::Elastic(method.as_str().to_owned(), path),
        source: String::new(),
        content_type: String::new(),
        content_encoding: String::new(),
        body: axum::body::Bytes::new(),
    };
    blocking(move || app.logs.push(push)).await.map(answer)
}

async fn taken(app: App, request: Request, door: LogDoor) -> Result<Response, ApiError> {
    let _place = place(&app).await?;
    let (head, body) = request.into_parts();
    let body = read(body, app.limits.push_bytes, app.limits.body_time).await?;
    let push = LogPush {
        door,
        source: head.extensions.get::<Peer>().map(|p| p.0.ip().to_string()).unwrap_or_default(),
        content_type: text(&head.headers, &CONTENT_TYPE),
        content_encoding: encoding(&head.headers),
        body: body.into(),
    };
    blocking(move || app.logs.push(push)).await.map(answer)
}
