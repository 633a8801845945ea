//! The one gate. It runs after routing, once per route, and decides on the route's permission.
//!
//! An act ends in a handler that asks for an [`ActGrant`]. Only this file can make one, and it does so only for a
//! route whose permission is `Act`: a handler that was put into the table with a lesser permission gets none and
//! fails, it never acts.

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;

use axum::body::HttpBody;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use wellkept_model::Text;

use crate::Permission;
use crate::app::{App, Counters, count};
use crate::error::ApiError;
use crate::host::is_loopback_name;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The address of the other end, as the server saw it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Proof that the gate let an act through.
#[derive(Debug, Clone)]
pub(crate) struct ActGrant {
    who: String,
}

impl ActGrant {
    /// Who acts, for the record.
    pub(crate) fn who(&self) -> &str {
        &self.who
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ActGrant {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.remove().ok_or_else(|| {
            tracing::error!(path = parts.uri.path(), "a route that acts lacks the permission to act");
            ApiError::internal(Text::new("api.internal"))
        })
    }
}

/// What the gate of one route knows.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) app: App,
    pub(crate) permission: Permission,
}

/// Lets the request through or answers it.
pub(crate) async fn gate(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    match check(&gate, &request) {
        Ok(()) => {
            if gate.permission == Permission::Act {
                let who = match request.extensions().get::<Peer>() {
                    Some(Peer(address)) => format!("operator@{}", address.ip()),
                    None => "operator".to_owned(),
                };
                request.extensions_mut().insert(ActGrant { who });
            }
            next.run(request).await
        }
        Err(No { counter, error }) => {
            count(counter(&gate.app.inner().counters));
            tracing::debug!(permission = ?gate.permission, error = ?error, "request refused");
            error.into_response()
        }
    }
}

/// A refusal and the counter that it belongs to.
struct No {
    counter: fn(&Counters) -> &AtomicU64,
    error: ApiError,
}

fn check(gate: &Gate, request: &Request) -> Result<(), No> {
    let headers = request.headers();
    let (exact, origin, token) = match gate.permission {
        Permission::Public => return Ok(()),
        Permission::Read => (false, false, gate.app.reading_needs_token),
        Permission::Private => (false, false, true),
        Permission::Push => (false, true, gate.app.reading_needs_token),
        Permission::Stream => (true, true, gate.app.reading_needs_token),
        Permission::Act => (true, true, true),
    };
    let host =
        host_of(request.uri(), headers).filter(|h| known(&gate.app.hosts, h, exact)).ok_or_else(|| No {
            counter: |c| &c.refused_host,
            error: ApiError::forbidden(Text::new("api.host")),
        })?;
    if origin && !same_origin(headers, &host) {
        let error = ApiError::forbidden(Text::new("api.origin"));
        return Err(No { counter: |c| &c.refused_origin, error });
    }
    if token {
        check_token(headers, &gate.app.token_sha256)
            .map_err(|error| No { counter: |c| &c.refused_token, error })?;
    }
    if gate.permission == Permission::Act && !request.body().is_end_stream() && !is_json(headers) {
        let error = ApiError::media_type(Text::new("api.json_only"));
        return Err(No { counter: |c| &c.refused_type, error });
    }
    Ok(())
}

/// The one host that the request names, in lower case; `None` when there is none or more than one.
fn host_of(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let host = single(headers, &HOST)?.to_ascii_lowercase();
    // A request in absolute form names the host twice; both must agree.
    let agrees = uri.authority().is_none_or(|a| a.as_str().eq_ignore_ascii_case(&host));
    agrees.then_some(host)
}

fn known(hosts: &[String], host: &str, exact: bool) -> bool {
    hosts.iter().any(|h| h == host) || (!exact && is_loopback_name(host))
}

/// No `Origin`, or our own; and the browser, if it says so, does not call it a request of another site. The second
/// test catches what carries no `Origin`, such as an image whose source is our event stream.
fn same_origin(headers: &HeaderMap, host: &str) -> bool {
    let origin_fits = !headers.contains_key(ORIGIN)
        || single(headers, &ORIGIN)
            .and_then(|o| o.strip_prefix("http://"))
            .is_some_and(|o| o.eq_ignore_ascii_case(host));
    let site_fits = !headers.contains_key(SEC_FETCH_SITE)
        || single(headers, &SEC_FETCH_SITE).is_some_and(|site| matches!(site, "same-origin" | "none"));
    origin_fits && site_fits
}

fn check_token(headers: &HeaderMap, expected: &[u8; 32]) -> Result<(), ApiError> {
    let given = single(headers, &AUTHORIZATION)
        .and_then(|value| value.split_once(' '))
        // Influx clients say `Token` where all others say `Bearer`.
        .filter(|(scheme, _)| ["bearer", "token"].iter().any(|s| scheme.eq_ignore_ascii_case(s)))
        .map(|(_, token)| token.trim());
    match given {
        None => Err(ApiError::unauthorized(Text::new("api.token_missing"))),
        Some(token) if same_digest(&Sha256::digest(token.as_bytes()).into(), expected) => Ok(()),
        Some(_) => Err(ApiError::unauthorized(Text::new("api.token_wrong"))),
    }
}

/// Compares all bytes whatever they are. The inputs are digests, so that even a timing difference would not tell
/// how much of a token is right.
fn same_digest(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let difference = a.iter().zip(b).fold(0u8, |d, (x, y)| std::hint::black_box(d | (x ^ y)));
    difference == 0
}

fn is_json(headers: &HeaderMap) -> bool {
    single(headers, &CONTENT_TYPE).is_some_and(|value| {
        value.split(';').next().is_some_and(|mime| mime.trim().eq_ignore_ascii_case("application/json"))
    })
}

/// The value of a header that stands exactly once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}
