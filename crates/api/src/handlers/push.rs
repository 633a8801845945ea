//! Pushed samples: the body within its bounds, a thread that may wait for the disk, the door's answer.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use tokio::sync::OwnedSemaphorePermit;
use wellkept_model::Text;

use crate::app::{App, count};
use crate::body::{ActBody, read};
use crate::doors::{Door, Push, PushReply};
use crate::error::ApiError;
use crate::gate::{ActGrant, Peer};

/// Parts in which an import is taken: large enough to be cheap, small enough to be many at once.
const PART: usize = 1 << 20;
/// Longest line of an import. A line without end would otherwise be kept for ever.
const LINE_MAX: usize = 256 << 10;

pub(crate) async fn remote_write(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    whole(app, request, Door::RemoteWrite).await
}

pub(crate) async fn otlp(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    whole(app, request, Door::Otlp).await
}

pub(crate) async fn influx(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    if encoding(request.headers()).is_empty() {
        return lines(app, request, Door::Influx).await;
    }
    whole(app, request, Door::Influx).await
}

pub(crate) async fn import(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    if encoding(request.headers()).is_empty() {
        return lines(app, request, Door::Import).await;
    }
    whole(app, request, Door::Import).await
}

/// Everything to its final form on disk. An administrator's tool; harmless, since nothing is lost by it.
pub(crate) async fn flush(State(app): State<App>) -> Result<Response, ApiError> {
    let _place = place(&app).await?;
    blocking(move || app.doors.flush()).await??;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(crate) async fn snapshot(State(app): State<App>, _: ActGrant) -> Result<Response, ApiError> {
    let _place = place(&app).await?;
    let name = blocking(move || app.doors.snapshot()).await??;
    let data = serde_json::json!({"status": "success", "data": {"name": name}});
    Ok(axum::Json(data).into_response())
}

/// Which snapshot an act is about.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    name: String,
}

pub(crate) async fn restore(
    State(app): State<App>,
    _: ActGrant,
    ActBody(named): ActBody<Named>,
) -> Result<Response, ApiError> {
    let _place = place(&app).await?;
    let (samples, refused) = blocking(move || app.doors.restore(&named.name)).await??;
    let data = serde_json::json!({"status": "success", "data": {"samples": samples, "refused": refused}});
    Ok(axum::Json(data).into_response())
}

pub(crate) async fn remove_snapshot(
    State(app): State<App>,
    _: ActGrant,
    ActBody(named): ActBody<Named>,
) -> Result<Response, ApiError> {
    blocking(move || app.doors.remove_snapshot(&named.name)).await??;
    Ok(axum::Json(serde_json::json!({"status": "success"})).into_response())
}

/// Influx clients ask this first.
pub(crate) async fn ping() -> Response {
    (StatusCode::NO_CONTENT, [(HeaderName::from_static("x-influxdb-version"), "1.8.0")]).into_response()
}

/// A body that is taken as a whole.
async fn whole(app: App, request: Request, door: Door) -> Result<Response, ApiError> {
    let _place = place(&app).await?;
    let (head, body) = request.into_parts();
    let body = read(body, app.limits.push_bytes, app.limits.body_time).await?;
    let push = push_of(&app, door, &head, body.into());
    blocking(move || app.doors.push(push)).await.map(answer)
}

/// A body of any length, taken in parts of whole lines. Lines that are left out of a part (400) do not end it, and the
/// client is told of the first; a part that cannot be stored ends it: what came before is stored, as with any client
/// that breaks off.
async fn lines(app: App, request: Request, door: Door) -> Result<Response, ApiError> {
    let _place = place(&app).await?;
    let (head, body) = request.into_parts();
    let mut parts = Parts::new(body);
    let mut told = PushReply { status: 204, ..PushReply::default() };
    while let Some(part) = parts.next(&app).await? {
        let push = push_of(&app, door, &head, part);
        let door = app.clone();
        let reply = blocking(move || door.doors.push(push)).await?;
        match reply.status {
            200..300 => {}
            400 if told.status == 400 => {}
            400 => told = reply,
            _ => return Ok(answer(reply)),
        }
    }
    Ok(answer(told))
}

/// Cuts a stream at line ends.
struct Parts {
    stream: axum::body::BodyDataStream,
    rest: Vec<u8>,
    ended: bool,
}

impl Parts {
    fn new(body: Body) -> Self {
        Self { stream: body.into_data_stream(), rest: Vec::new(), ended: false }
    }

    async fn next(&mut self, app: &App) -> Result<Option<Bytes>, ApiError> {
        while !self.ended {
            let chunk = tokio::time::timeout(app.limits.body_time, self.stream.next()).await;
            match chunk.map_err(|_| ApiError::timeout(Text::new("api.body_slow")))? {
                None => self.ended = true,
                Some(Err(_)) => return Err(ApiError::bad_data(Text::new("api.body_broken"))),
                Some(Ok(bytes)) => self.rest.extend_from_slice(&bytes),
            }
            if self.rest.len() >= PART
                && let Some(end) = self.rest.iter().rposition(|b| *b == b'\n')
            {
                let later = self.rest.split_off(end + 1);
                return Ok(Some(std::mem::replace(&mut self.rest, later).into()));
            }
            if self.rest.len() >= PART + LINE_MAX {
                return Err(ApiError::too_large(LINE_MAX));
            }
        }
        Ok((!self.rest.is_empty()).then(|| std::mem::take(&mut self.rest).into()))
    }
}

/// A place among those who push; a sender that finds none tries again, as its protocol says.
pub(crate) async fn place(app: &App) -> Result<OwnedSemaphorePermit, ApiError> {
    let wait = tokio::time::timeout(app.limits.body_time, app.inner().pushes.clone().acquire_owned());
    match wait.await {
        Ok(Ok(place)) => Ok(place),
        _ => {
            count(&app.inner().counters.busy_pushes);
            Err(ApiError::unavailable(Text::new("api.too_many_pushes").with("limit", app.limits.pushes)))
        }
    }
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a push broke off");
        ApiError::internal(Text::new("api.internal"))
    })
}

fn push_of(app: &App, door: Door, head: &axum::http::request::Parts, body: Bytes) -> Push {
    let query = head.uri.query().unwrap_or_default();
    let peer = head.extensions.get::<Peer>();
    Push {
        door,
        source: peer.map(|p| p.0.ip().to_string()).unwrap_or_default(),
        content_type: text(&head.headers, &CONTENT_TYPE),
        content_encoding: encoding(&head.headers),
        parameters: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        body,
        now: (app.clock)(),
    }
}

pub(crate) fn encoding(headers: &HeaderMap) -> String {
    let name = text(headers, &CONTENT_ENCODING).to_ascii_lowercase();
    if name == "identity" { String::new() } else { name }
}

pub(crate) fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
}

pub(crate) fn answer(reply: PushReply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, reply.body).into_response();
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    if !reply.content_type.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    }
    for (name, value) in reply.headers {
        // Protocols write their names with capitals, which `HeaderName::from_static` does not take.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(&value)) {
            headers.insert(name, value);
        }
    }
    response
}
