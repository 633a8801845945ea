//! Connections and routes. Every bound on what a stranger may send is here.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use wellkept_sign::{Digest, digest};

use super::take::Said;
use super::{NotTaken, Server};
use crate::registry::Refusal;
use crate::wire::{JoinAnswer, JoinRequest, PUSH_MAX, SMALL_MAX, proven};
use crate::{authority, tls};

/// Connections at once.
const CONNECTIONS_MAX: usize = 2000;
/// Time for a handshake, and for the head of a request.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
const HEAD_TIME_MAX: Duration = Duration::from_secs(60);
/// Time for a body.
const BODY_TIME_MAX: Duration = Duration::from_secs(60);
/// A connection is closed after so long; an agent makes a new one.
const CONNECTION_MAX: Duration = Duration::from_secs(3600);
/// A fresh certificate for ourselves.
const FRESH_EVERY: Duration = Duration::from_secs(86_400);
/// Longest head of a request, bytes.
const HEAD_MAX: usize = 16 << 10;

pub(super) async fn serve(server: Arc<Server>, listener: TcpListener, mut end: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let mut config: Option<(Arc<ServerConfig>, Instant)> = None;
    while !*end.borrow() {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            changed = end.changed() => match changed {
                Ok(()) => continue,
                Err(_) => break,
            },
        };
        while connections.try_join_next().is_some() {}
        let (place, stream) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection of an agent could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if config.as_ref().is_none_or(|(_, made)| made.elapsed() > FRESH_EVERY) {
            match tls::server(&server.authority, (server.clock)()) {
                Ok(fresh) => config = Some((fresh, Instant::now())),
                Err(error) => tracing::error!(%error, "no certificate for agents' connections can be made"),
            }
        }
        let Some((config, _)) = &config else { continue };
        let (server, acceptor) = (Arc::clone(&server), TlsAcceptor::from(Arc::clone(config)));
        connections.spawn(async move {
            // A connection that lives too long, breaks or says nothing ends; its agent makes another.
            let _ = timeout(CONNECTION_MAX, connection(server, acceptor, stream)).await;
            drop(place);
        });
    }
    connections.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(tokio::sync::OwnedSemaphorePermit, TcpStream)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((place, stream))
}

async fn connection(server: Arc<Server>, acceptor: TlsAcceptor, stream: TcpStream) {
    // A head that does not come quickly is no reason to lose words about.
    let _ = stream.set_nodelay(true);
    let stream = match timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "a handshake with an agent failed"),
        Err(_) => return,
    };
    let shown = stream.get_ref().1.peer_certificates().and_then(|c| c.first()).map(|c| digest(c.as_ref()));
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(answer(&server, shown, request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of an agent ended early");
    }
}

type Answer = Response<Full<Bytes>>;

async fn answer(server: &Arc<Server>, shown: Option<Digest>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    if (&head.method, path.as_str()) == (&Method::POST, "/v1/join") {
        return match read(body, SMALL_MAX).await {
            Ok(body) => blocking(server, move |server| join(server, &body)).await,
            Err(refused) => refused,
        };
    }
    // Everything else is for agents only; which one, the certificate says, and the registry is asked each time.
    let Some(shown) = shown else { return plain(401, "a certificate is needed") };
    let max = if path == "/v1/push" { PUSH_MAX } else { SMALL_MAX };
    let body = match read(body, max).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    blocking(server, move |server| {
        let name = match server.registry.who(shown, (server.clock)()) {
            Ok(name) => name,
            Err(refusal) => return refused(&refusal),
        };
        match (&head.method, path.as_str()) {
            (&Method::POST, "/v1/push") => push(server, &name, &head.headers, &body),
            (&Method::POST, "/v1/renew") => renew(server, &name, &body),
            (&Method::GET, path) => order(server, &name, path),
            _ => plain(404, "not here"),
        }
    })
    .await
}

async fn read(body: Incoming, max: usize) -> Result<Bytes, Answer> {
    match timeout(BODY_TIME_MAX, Limited::new(body, max).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(plain(413, "the body is too long, or broke off")),
        Err(_) => Err(plain(408, "the body did not come in time")),
    }
}

async fn blocking(server: &Arc<Server>, work: impl FnOnce(&Server) -> Answer + Send + 'static) -> Answer {
    let server = Arc::clone(server);
    let done = tokio::task::spawn_blocking(move || work(&server)).await;
    done.unwrap_or_else(|_| plain(500, "the server could not do that"))
}

fn push(server: &Server, name: &str, headers: &HeaderMap, body: &[u8]) -> Answer {
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let said = Said {
        queue: text("x-queue"),
        dropped: text("x-dropped").parse().unwrap_or_default(),
        waiting: text("x-waiting").parse().unwrap_or_default(),
        version: text("x-version"),
    };
    match server.take(name, &said, body) {
        Ok(taken) => json(&taken),
        Err(NotTaken::Later(why)) => {
            tracing::warn!(agent = name, why, "what an agent sent cannot be stored now");
            plain(503, "it cannot be stored now; send it again")
        }
        Err(NotTaken::Never(why)) => plain(400, &why),
    }
}

fn order(server: &Server, name: &str, path: &str) -> Answer {
    if server.is_frozen() {
        return plain(503, "the stop switch is on; nothing is handed on");
    }
    let id = path.strip_prefix("/v1/order/").unwrap_or_default();
    let before = |order: &crate::OrderView, stage| server.record(name, order, stage);
    match server.orders.take(name, id, (server.clock)(), &before) {
        Ok(Some(bundle)) => Response::new(Full::new(Bytes::from(bundle))),
        Ok(None) => plain(404, "there is no such order"),
        Err(error) => {
            tracing::warn!(agent = name, %error, "an order cannot be read");
            plain(503, "the order cannot be read now")
        }
    }
}

fn join(server: &Server, body: &[u8]) -> Answer {
    let request = match proven_request(server, body) {
        Ok(request) => request,
        Err(refused) => return *refused,
    };
    let now = (server.clock)();
    let issue = |name: &str, key: &_| {
        server.house.audit(name, "agent joined", &format!("with the key {key}"))?;
        server.authority.agent(name, key, now)
    };
    match server.registry.join(&request, now, issue) {
        Ok((name, issued)) => {
            server.joined(&name, now);
            tracing::info!(agent = name, "an agent has joined");
            certificate(name, &issued, now)
        }
        Err(refusal) => {
            tracing::warn!(%refusal, "somebody could not join as an agent");
            refused(&refusal)
        }
    }
}

fn renew(server: &Server, name: &str, body: &[u8]) -> Answer {
    let request = match proven_request(server, body) {
        Ok(request) => request,
        Err(refused) => return *refused,
    };
    let now = (server.clock)();
    let issue = |name: &str, key: &_| server.authority.agent(name, key, now);
    match server.registry.renew(name, &request.key, now, issue) {
        Ok(issued) => certificate(name.to_owned(), &issued, now),
        Err(refusal) => refused(&refusal),
    }
}

fn proven_request(server: &Server, body: &[u8]) -> Result<JoinRequest, Box<Answer>> {
    let request: JoinRequest = serde_json::from_slice(body)
        .map_err(|_| Box::new(plain(400, "this is no request for a certificate")))?;
    let proof = STANDARD.decode(&request.proof).unwrap_or_default();
    if !proven(&request.key, &request.token, server.authority.fingerprint(), &proof) {
        return Err(Box::new(refused(&Refusal::NotProven)));
    }
    Ok(request)
}

fn certificate(name: String, issued: &authority::Issued, now_ms: i64) -> Answer {
    let renew_ms = now_ms + (issued.expires_ms - now_ms) / 3;
    let certificate = STANDARD.encode(&issued.certificate);
    json(&JoinAnswer { name, certificate, expires_ms: issued.expires_ms, renew_ms })
}

fn refused(refusal: &Refusal) -> Answer {
    plain(refusal.status(), &refusal.told())
}

fn json(value: &impl serde::Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(bytes) => Response::new(Full::new(Bytes::from(bytes))),
        Err(_) => plain(500, "the answer cannot be written"),
    }
}

fn plain(status: u16, text: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(format!("{text}\n"))));
    *answer.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    answer
}
