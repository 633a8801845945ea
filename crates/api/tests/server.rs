//! Over a real socket: slow clients, clients that leave, many connections, the end.
#![allow(clippy::unwrap_used, reason = "this is test code, outside of test functions")]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wellkept_api::{ServeLimits, allowed_hosts, router, serve_with};
use wellkept_model::*;

/// Far longer than any of the tests needs; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(world: &World, limits: ServeLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut shared = world.shared.clone();
        shared.hosts = allowed_hosts(address, &[]);
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let task = tokio::spawn(serve_with(listener, router(shared), shutdown, limits));
        Self { address, stop: Some(stop), task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    fn get(&self, path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address)
    }

    /// The whole answer to one request.
    async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        read_to_end(&mut stream).await
    }
}

/// Reads until the server closes; a reset counts as closed.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the server closes");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until `wanted` has come.
async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(wanted) {
        let n = timeout(PATIENCE, stream.read(&mut buffer)).await.expect("an answer comes").unwrap();
        assert!(n > 0, "closed after {text:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    text
}

#[tokio::test]
async fn a_client_that_sends_its_head_too_slowly_or_nothing_at_all_is_cut() {
    let limits = ServeLimits { head_time: Duration::from_millis(200), ..ServeLimits::default() };
    let server = Server::start(&World::new(), limits).await;
    let mut silent = server.connect().await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
    assert!(!read_to_end(&mut silent).await.contains("200 OK"));
    assert!(!read_to_end(&mut slow).await.contains("200 OK"));
    assert!(server.ask(&server.get("/-/healthy")).await.contains("200 OK"));
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_answer() {
    let limits = ServeLimits { head_time: Duration::from_millis(200), ..ServeLimits::default() };
    let server = Server::start(&World::new(), limits).await;
    let mut stream = server.connect().await;
    stream
        .write_all(format!("GET /-/healthy HTTP/1.1\r\nhost: {}\r\n\r\n", server.address).as_bytes())
        .await
        .unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.contains("200 OK") && answer.ends_with("healthy.\n"), "{answer}");
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_refused() {
    let mut world = World::new();
    world.shared.limits.body_time = Duration::from_millis(100);
    let server = Server::start(&world, ServeLimits::default()).await;
    let head = format!(
        "POST /api/v1/query HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: 1000\r\nconnection: close\r\n\r\nquery=",
        server.address
    );
    let answer = server.ask(&head).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("too slowly"), "{answer}");
}

#[tokio::test]
async fn a_mebibyte_of_query_gets_a_json_answer() {
    let server = Server::start(&World::new(), ServeLimits::default()).await;
    let body = format!("query={}", "1%2B".repeat((1 << 20) / 4));
    let request = format!(
        "POST /api/v1/query HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        server.address,
        body.len()
    );
    let answer = server.ask(&request).await;
    assert!(answer.contains(r#"{"status":"error","errorType":"bad_data""#), "{answer}");
    let answer = server.ask(&server.get(&format!("/api/v1/query?query={}", "1%2B".repeat(1 << 18)))).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert!(server.ask(&server.get("/-/healthy")).await.contains("200 OK"));
}

#[tokio::test]
async fn an_act_is_recorded_with_the_address_it_came_from() {
    let mut world = World::new();
    let commands = world.engine();
    let server = Server::start(&world, ServeLimits::default()).await;
    let request = format!(
        "POST /api/v1/unfreeze HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\
         x-forwarded-for: 10.9.9.9\r\n\r\n",
        server.address
    );
    assert!(server.ask(&request).await.contains(r#"{"status":"success"}"#));
    assert!(commands.lock().unwrap()[0].contains("operator@127.0.0.1"), "{commands:?}");
}

/// A source that answers only when it is told to, and says when it is asked.
struct Waiting {
    asked: AtomicBool,
    go: AtomicBool,
}

impl SeriesSource for Waiting {
    fn select(
        &self,
        _: &[Matcher],
        _: TimestampMs,
        _: TimestampMs,
        _: &SourceLimits,
    ) -> Result<Vec<SeriesData>, SourceError> {
        self.asked.store(true, Ordering::Relaxed);
        while !self.go.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        Ok(Vec::new())
    }

    fn series(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<Labels>, SourceError> {
        self.select(matchers, from, to, limits).map(|_| Vec::new())
    }
}

/// Lets the source answer, at the latest when the test ends: a thread that waits would hold the runtime.
struct LetGo(Arc<Waiting>);

impl Drop for LetGo {
    fn drop(&mut self) {
        self.0.go.store(true, Ordering::Relaxed);
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}

#[tokio::test]
async fn a_query_whose_client_left_gives_its_place_back_and_looks_at_no_further_selector() {
    let source = Arc::new(Waiting { asked: AtomicBool::new(false), go: AtomicBool::new(false) });
    let let_go = LetGo(source.clone());
    let mut world = World::new();
    world.shared.source = source.clone();
    world.shared.limits.evaluations = 1;
    let server = Server::start(&world, ServeLimits::default()).await;
    let mut client = server.connect().await;
    // The second selector would ask the source again.
    let path = "/api/v1/series?match[]=up&match[]=down";
    client.write_all(server.get(path).as_bytes()).await.unwrap();
    until("the query runs", || source.asked.load(Ordering::Relaxed)).await;
    drop(client);
    let before = server.ask(&server.get("/metrics")).await;
    assert!(before.contains("wellkept_api_evaluations 1"), "the place is held until the work ends: {before}");
    source.asked.store(false, Ordering::Relaxed);
    drop(let_go);
    let mut metrics = String::new();
    while !metrics.contains("wellkept_api_evaluations 0") {
        metrics = timeout(PATIENCE, server.ask(&server.get("/metrics"))).await.unwrap();
    }
    assert!(!source.asked.load(Ordering::Relaxed), "nobody waits for the second selector");
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_answered_with_a_timeout() {
    let source = Arc::new(Waiting { asked: AtomicBool::new(false), go: AtomicBool::new(false) });
    let let_go = LetGo(source.clone());
    let mut world = World::new();
    world.shared.source = source.clone();
    let server = Server::start(&world, ServeLimits::default()).await;
    let answer = server.ask(&server.get("/api/v1/query?query=up&timeout=50ms")).await;
    drop(let_go);
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains(r#""errorType":"timeout""#), "{answer}");
}

#[tokio::test]
async fn no_more_connections_than_allowed_are_served_at_once() {
    let limits = ServeLimits { connections: 1, ..ServeLimits::default() };
    let server = Server::start(&World::new(), limits).await;
    let mut first = server.connect().await;
    first
        .write_all(format!("GET /-/healthy HTTP/1.1\r\nhost: {}\r\n\r\n", server.address).as_bytes())
        .await
        .unwrap();
    read_until(&mut first, "healthy.\n").await;
    let mut second = server.connect().await;
    second.write_all(server.get("/-/healthy").as_bytes()).await.unwrap();
    let mut buffer = [0; 16];
    let early = timeout(Duration::from_millis(100), second.read(&mut buffer)).await;
    assert!(early.is_err(), "the second waits for the place of the first");
    drop(first);
    read_until(&mut second, "healthy.\n").await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut() {
    let mut world = World::new();
    world.shared.own_metrics = Arc::new(|| "x".repeat(64 << 20));
    world.shared.limits.streams = 1;
    let limits =
        ServeLimits { connections: 1, stall_time: Duration::from_millis(200), ..ServeLimits::default() };
    let server = Server::start(&world, limits).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut greedy = socket.connect(server.address).await.unwrap();
    greedy.write_all(server.get("/metrics").as_bytes()).await.unwrap();
    // The only place is free again although `greedy` is still there.
    assert!(server.ask(&server.get("/-/healthy")).await.contains("200 OK"));
    drop(greedy);
}

#[tokio::test]
async fn the_end_closes_streams_at_once_and_lets_answers_finish() {
    let server_world = World::new();
    let mut server =
        Server::start(&server_world, ServeLimits { grace: PATIENCE, ..ServeLimits::default() }).await;
    let mut stream = server.connect().await;
    stream.write_all(server.get("/api/v1/events").as_bytes()).await.unwrap();
    read_until(&mut stream, "event: overview").await;
    server.stop.take().unwrap().send(()).unwrap();
    read_to_end(&mut stream).await;
    timeout(PATIENCE / 2, &mut server.task).await.expect("the server ends long before its grace").unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}
