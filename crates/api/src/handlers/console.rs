//! The console's files. They are looked up by name in the embedded table; no path is ever joined.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use wellkept_model::Text;

use crate::StaticFile;
use crate::app::App;
use crate::error::ApiError;

/// The console's page for each of its deep links.
pub(crate) async fn page(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    let file = (app.console)("index.html").ok_or_else(|| ApiError::not_found(Text::new("api.no_console")))?;
    Ok(answer(file, &headers))
}

/// A script, style, font or picture.
pub(crate) async fn file(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, ApiError> {
    let path = uri.path().trim_start_matches('/');
    let file = (app.console)(path).ok_or_else(|| ApiError::not_found(Text::new("api.no_route")))?;
    Ok(answer(file, &headers))
}

fn answer(file: StaticFile, headers: &HeaderMap) -> Response {
    let cache = if file.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    let common = [(ETAG, file.etag), (CACHE_CONTROL, cache)];
    let known = headers
        .get(IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(',').any(|tag| tag.trim().trim_start_matches("W/") == file.etag));
    if known {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    (common, [(CONTENT_TYPE, file.mime)], file.body).into_response()
}
