//! What the tests share: a real HTTP server on loopback, a parser for simple lines, and an outlet that remembers.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is test code, outside of test functions")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use wellkept_model::{Labels, METRIC_NAME, Sink, TimestampMs, is_stale};
use wellkept_scrape::config::{Config, parse};
use wellkept_scrape::{Outlet, Page, Parser, Pending, Scraped};

/// How long a test waits for something that is to happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Number of the connection, from 0.
    pub connection: usize,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

pub type Reply = Response<Full<Bytes>>;
pub type Handler = Arc<dyn Fn(&Seen) -> Option<Reply> + Send + Sync>;

/// A server whose answers a test decides; `None` never answers.
pub struct Server {
    pub address: SocketAddr,
    seen: watch::Receiver<Vec<Seen>>,
    _task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self._task.abort();
    }
}

impl Server {
    pub async fn start(handler: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", None, handler).await
    }

    pub async fn start_at(
        address: &str,
        tls: Option<tokio_rustls::TlsAcceptor>,
        handler: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let socket = TcpListener::bind(address).await.unwrap();
        let address = socket.local_addr().unwrap();
        let (tell, seen) = watch::channel(Vec::new());
        let (tell, handler): (_, Handler) = (Arc::new(tell), Arc::new(handler));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            for number in 0.. {
                let (stream, _) = socket.accept().await.unwrap();
                let (tell, handler, tls) = (Arc::clone(&tell), Arc::clone(&handler), tls.clone());
                connections.spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, number, tell, handler).await;
                            }
                        }
                        None => serve(stream, number, tell, handler).await,
                    }
                });
            }
        });
        Self { address, seen, _task: task }
    }

    /// Always the same text of metrics.
    pub async fn metrics(text: &'static str) -> Self {
        Self::start(move |_| Some(metrics(text))).await
    }

    /// Requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// Waits until so many requests have come.
    pub async fn wait(&self, requests: usize) -> Vec<Seen> {
        let mut seen = self.seen.clone();
        let all = tokio::time::timeout(PATIENCE, seen.wait_for(|s| s.len() >= requests)).await;
        all.expect("requests come in time").unwrap().clone()
    }
}

async fn serve<S>(stream: S, connection: usize, tell: Arc<watch::Sender<Vec<Seen>>>, handler: Handler)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (tell, handler) = (Arc::clone(&tell), Arc::clone(&handler));
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
            let path = head.uri.to_string();
            let seen =
                Seen { method: head.method.to_string(), path, headers: head.headers, body, connection };
            let reply = handler(&seen);
            tell.send_modify(|all| all.push(seen));
            match reply {
                Some(reply) => Ok::<_, Infallible>(reply),
                None => std::future::pending().await,
            }
        }
    });
    // A client may hang up at any time.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

pub fn metrics(text: &str) -> Reply {
    Response::builder()
        .header("content-type", "text/plain; version=0.0.4")
        .body(Full::from(text.to_owned()))
        .unwrap()
}

pub fn status(status: u16) -> Reply {
    Response::builder().status(status).body(Full::default()).unwrap()
}

pub fn redirect(to: &str) -> Reply {
    Response::builder().status(302).header("location", to).body(Full::default()).unwrap()
}

/// Reads lines such as `name{a="b"} 1 1700000000000`; enough for what the tests and node_exporter write.
pub struct Lines;

impl Parser for Lines {
    fn parse(&mut self, page: &Page<'_>, sink: &mut dyn Sink) -> Result<(), String> {
        let text = std::str::from_utf8(page.body).map_err(|e| e.to_string())?;
        for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
            one(line, page.at, sink).ok_or_else(|| format!("no sample: {line:?}"))?;
        }
        Ok(())
    }
}

fn one(line: &str, at: TimestampMs, sink: &mut dyn Sink) -> Option<()> {
    let end = line.rfind('}').map_or_else(|| line.find(' '), |brace| Some(brace + 1))?;
    let (wire, rest) = line.split_at(end);
    let mut rest = rest.split_whitespace();
    let value: f64 = rest.next()?.parse().ok()?;
    let at = match rest.next() {
        Some(own) => TimestampMs(own.parse().ok()?),
        None => at,
    };
    if !sink.known(wire.as_bytes()) {
        let (name, inner) = wire.split_once('{').unwrap_or((wire, "}"));
        let mut labels = vec![(METRIC_NAME, name)];
        let mut inner = inner.strip_suffix('}')?;
        while let Some((label, after)) = inner.split_once("=\"") {
            let close = after.match_indices('"').find(|(i, _)| !after[..*i].ends_with('\\'))?.0;
            labels.push((label.trim_start_matches([',', ' ']), &after[..close]));
            inner = &after[close + 1..];
        }
        sink.series(wire.as_bytes(), &labels);
    }
    sink.float(at, value);
    Some(())
}

/// Remembers everything that was scraped.
pub struct Memory {
    all: watch::Sender<Vec<Scraped>>,
}

impl Memory {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { all: watch::Sender::new(Vec::new()) })
    }

    pub fn all(&self) -> Vec<Scraped> {
        self.all.borrow().clone()
    }

    /// Waits until what was scraped so far is as wanted.
    pub async fn wait(&self, what: &str, mut wanted: impl FnMut(&[Scraped]) -> bool) -> Vec<Scraped> {
        let mut all = self.all.subscribe();
        match tokio::time::timeout(PATIENCE, all.wait_for(|all| wanted(all))).await {
            Ok(all) => all.unwrap().clone(),
            Err(_) => panic!("{what}: not in time; last: {:#?}", self.all().last()),
        }
    }

    pub async fn scrapes(&self, count: usize) -> Vec<Scraped> {
        self.wait(&format!("{count} scrapes"), |all| all.len() >= count).await
    }
}

impl Outlet for Memory {
    fn put(&self, scraped: Scraped) -> Pending<'_, Result<(), String>> {
        self.all.send_modify(|all| all.push(scraped));
        Box::pin(std::future::ready(Ok(())))
    }
}

/// The value of the series that has this name, and these labels among its own; a stale marker is `None` inside.
pub fn value(scraped: &Scraped, name: &str, labels: &[(&str, &str)]) -> Option<Option<f64>> {
    let fits = |l: &Labels| l.name() == name && labels.iter().all(|(n, v)| l.get(n) == *v);
    let found = scraped.batch.samples.iter().find(|(l, _)| fits(l));
    found.map(|(_, v)| (!is_stale(*v)).then_some(*v))
}

pub fn up(scraped: &Scraped) -> Option<f64> {
    value(scraped, "up", &[]).flatten()
}

pub fn config(text: &str) -> Config {
    parse("prometheus.yml", text, Path::new("/"), &|_| None).unwrap_or_else(|e| panic!("{e}"))
}

/// One job that scrapes this address every 100 ms.
pub fn job(address: SocketAddr, keys: &str) -> Config {
    config(&format!(
        "scrape_configs:\n  - job_name: j\n    scrape_interval: 100ms\n    scrape_timeout: 100ms\n    \
         static_configs: [{{ targets: ['{address}'] }}]\n{keys}"
    ))
}

/// Says why a test does not run, in a form that a reader of the log finds.
pub fn skipped(why: &str) {
    println!("SKIPPED: {why}");
}
