//! Errors as Prometheus' HTTP API writes them: `{"status":"error","errorType":"…","error":"…"}`.
//!
//! An error is made without knowing the reader's language. It travels as an extension of the response, and
//! `finish` renders it, so that no handler can forget to.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use wellkept_catalogue::{Language, render};
use wellkept_model::Text;

use crate::{Refusal, RefusalKind};

/// A request that failed.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    kind: &'static str,
    message: Message,
}

#[derive(Debug, Clone)]
enum Message {
    /// From the catalogue.
    Text(Text),
    /// Prometheus' or the query's own words, in English.
    Plain(String),
}

#[derive(Serialize)]
struct Body<'a> {
    status: &'static str,
    #[serde(rename = "errorType")]
    error_type: &'static str,
    error: &'a str,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, text: Text) -> Self {
        Self { status, kind, message: Message::Text(text) }
    }

    pub(crate) fn bad_data(text: Text) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_data", text)
    }

    /// Words of Prometheus' own API, which clients compare.
    pub(crate) fn plain(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: Message::Plain(message.into()) }
    }

    pub(crate) fn bad_parameter(message: impl Into<String>) -> Self {
        Self::plain(StatusCode::BAD_REQUEST, "bad_data", message)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let text = Text::new("api.body_too_large").with("limit", limit);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "bad_data", text)
    }

    pub(crate) fn media_type(text: Text) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad_data", text)
    }

    pub(crate) fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "bad_data", Text::new("api.method"))
    }

    pub(crate) fn not_found(text: Text) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", text)
    }

    pub(crate) fn unauthorized(text: Text) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", text)
    }

    pub(crate) fn forbidden(text: Text) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", text)
    }

    pub(crate) fn unavailable(text: Text) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text)
    }

    pub(crate) fn timeout(text: Text) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", text)
    }

    pub(crate) fn internal(text: Text) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", text)
    }

    /// The body for a reader.
    pub(crate) fn body(&self, language: Language) -> String {
        let rendered;
        let error = match &self.message {
            Message::Text(text) => {
                rendered = render(language, text);
                &rendered
            }
            Message::Plain(message) => message,
        };
        serde_json::to_string(&Body { status: "error", error_type: self.kind, error })
            .unwrap_or_else(|_| String::from(r#"{"status":"error","errorType":"internal","error":""}"#))
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let (status, kind) = match refusal.kind {
            RefusalKind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            RefusalKind::Conflict => (StatusCode::CONFLICT, "conflict"),
            RefusalKind::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            RefusalKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            RefusalKind::BadData => (StatusCode::BAD_REQUEST, "bad_data"),
        };
        Self::new(status, kind, refusal.text)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
