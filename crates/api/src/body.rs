//! Reads request bodies within bounds of size and time.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use wellkept_model::Text;

use crate::app::App;
use crate::error::ApiError;

/// Longest body of an act. A change record with full `before` and `after` is near 20 KiB.
const ACT_BODY_MAX: usize = 64 << 10;
/// Longest form of a query. The query inside has a smaller limit of its own.
const FORM_BODY_MAX: usize = 1 << 20;
/// How much of a body that is too long is read and thrown away, so that the client gets to read the answer
/// instead of a reset connection.
const DRAIN_MAX: usize = 8 << 20;

/// The JSON body of an act.
pub(crate) struct ActBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for ActBody<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let bytes = read(request.into_body(), ACT_BODY_MAX, app.limits.body_time).await?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|e| ApiError::bad_data(Text::new("api.body").with("error", e)))
    }
}

/// Parameters of the URL and, for a POST, of the form; those of the form come first, as in Prometheus.
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// The first value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// All values of a name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

impl FromRequest<App> for Params {
    type Rejection = ApiError;
    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = read(body, FORM_BODY_MAX, app.limits.body_time).await?;
        let mut pairs = Vec::new();
        if !bytes.is_empty() {
            let mime = parts.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
            let mime = mime.split(';').next().unwrap_or_default().trim();
            if !mime.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
                return Err(ApiError::media_type(Text::new("api.form_only")));
            }
            pairs.extend(form_urlencoded::parse(&bytes).into_owned());
        }
        let query = parts.uri.query().unwrap_or_default();
        pairs.extend(form_urlencoded::parse(query.as_bytes()).into_owned());
        Ok(Self(pairs))
    }
}

pub(crate) async fn read(body: Body, max: usize, time: Duration) -> Result<Vec<u8>, ApiError> {
    match tokio::time::timeout(time, collect(body, max)).await {
        Ok(result) => result,
        Err(_) => Err(ApiError::timeout(Text::new("api.body_slow"))),
    }
}

async fn collect(body: Body, max: usize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    let mut seen = 0usize;
    let mut stream = body.into_data_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| ApiError::bad_data(Text::new("api.body_broken")))?;
        seen = seen.saturating_add(chunk.len());
        if seen <= max {
            bytes.extend_from_slice(&chunk);
        } else {
            bytes = Vec::new();
        }
        if seen > max.saturating_add(DRAIN_MAX) {
            break;
        }
    }
    if seen > max { Err(ApiError::too_large(max)) } else { Ok(bytes) }
}
