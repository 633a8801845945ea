//! The outermost layer: finds the reader's language, renders errors in it, and sets the headers that every answer
//! has, those for 404 and 405 included.

use axum::extract::Request;
use axum::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, VARY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use wellkept_catalogue::Language;

use crate::error::ApiError;

/// Only our own files, nothing inline, no frames.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                   font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const FIXED: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, CSP),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Runs the request with its language as an extension and finishes the response.
pub(crate) async fn finish(mut request: Request, next: Next) -> Response {
    let language = language_of(&request);
    request.extensions_mut().insert(language);
    let mut response = next.run(request).await;
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        response = rendered(&error, language);
    }
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("accept-language"));
    response
}

fn rendered(error: &ApiError, language: Language) -> Response {
    let mut response = (error.status, error.body(language)).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if error.status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// `?lang=`, else `Accept-Language`, else English.
fn language_of(request: &Request) -> Language {
    asked_for(request.uri()).unwrap_or_else(|| {
        let header = request.headers().get(ACCEPT_LANGUAGE).and_then(|h| h.to_str().ok());
        Language::from_accept_language(header.unwrap_or_default())
    })
}

fn asked_for(uri: &Uri) -> Option<Language> {
    let pairs = form_urlencoded::parse(uri.query()?.as_bytes());
    pairs.into_iter().find(|(name, _)| name == "lang").and_then(|(_, value)| value.parse().ok())
}
