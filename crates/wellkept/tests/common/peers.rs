//! Other people's programs, from their Debian packages: the real Prometheus, VictoriaMetrics and node_exporter.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::http::Call;
use super::{Home, wait_for};

/// Ports below those that the kernel gives to outgoing connections, so that none of these takes ours.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A program that listens, and ends with the test.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts a program and waits until it answers at `ready`; `None` when it is not installed.
    #[track_caller]
    pub fn start(
        program: &str,
        address: SocketAddr,
        ready: &str,
        arguments: &[String],
        log: &Path,
    ) -> Option<Self> {
        let file = std::fs::File::create(log).unwrap();
        let child = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(file).spawn().ok()?;
        let mut server = Self { child, address };
        wait_for(program, || {
            let status = server.child.try_wait().unwrap();
            assert!(status.is_none(), "{program} ended: {}", std::fs::read_to_string(log).unwrap());
            // Whoever wants a password or TLS is there as well.
            (Call::new(address, "GET", ready).try_send()?.status < 500).then_some(())
        });
        Some(server)
    }

    /// Prometheus with this configuration. `name`: of its folder in the home.
    #[track_caller]
    pub fn prometheus(home: &Home, name: &str, config: &str, more: &[&str]) -> Option<Self> {
        Self::prometheus_at(home, name, free_address(), config, more)
    }

    #[track_caller]
    pub fn prometheus_at(
        home: &Home,
        name: &str,
        address: SocketAddr,
        config: &str,
        more: &[&str],
    ) -> Option<Self> {
        let path = home.path(&format!("{name}.yml"));
        std::fs::write(&path, config).unwrap();
        let mut arguments = vec![
            format!("--config.file={}", path.display()),
            format!("--storage.tsdb.path={}", home.path(name).display()),
            format!("--web.listen-address={address}"),
        ];
        arguments.extend(more.iter().map(|&m| m.to_owned()));
        Self::start("prometheus", address, "/-/ready", &arguments, &home.path(&format!("{name}.log")))
    }

    /// VictoriaMetrics, empty.
    #[track_caller]
    pub fn victoria(home: &Home) -> Option<Self> {
        let address = free_address();
        let arguments = [
            format!("-storageDataPath={}", home.path("victoria").display()),
            format!("-httpListenAddr={address}"),
            "-search.latencyOffset=0s".to_owned(),
        ];
        Self::start("victoria-metrics", address, "/health", &arguments, &home.path("victoria.log"))
    }

    /// Has VictoriaMetrics show at once what it was sent; by itself it takes some seconds.
    pub fn show_now(&self) {
        let _ = Call::new(self.address, "GET", "/internal/force_flush").try_send();
    }

    /// The `data` of an instant query.
    #[track_caller]
    pub fn query(&self, query: &str, time: &str) -> Value {
        query_at(self.address, query, time)
    }
}

/// The `data` of an instant query to any server that speaks Prometheus' API.
#[track_caller]
pub fn query_at(address: SocketAddr, query: &str, time: &str) -> Value {
    // VictoriaMetrics would answer from its cache.
    let form = [("query", query), ("time", time), ("nocache", "1")];
    let answer = Call::new(address, "POST", "/api/v1/query").form(&form).send();
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    answer.json["data"].clone()
}

/// The value of the only series or of the scalar that a query gives; `None` when there is nothing, or more.
#[track_caller]
pub fn query_value(address: SocketAddr, query: &str, time: &str) -> Option<String> {
    let data = query_at(address, query, time);
    match data["result"].as_array()?.as_slice() {
        [one] => Some(one["value"][1].as_str()?.to_owned()),
        _ => None,
    }
}

/// Label sets with values, in order: servers order as they like.
pub fn rows(data: &Value) -> Vec<String> {
    let mut rows: Vec<String> =
        data["result"].as_array().into_iter().flatten().map(Value::to_string).collect();
    rows.sort();
    rows
}

/// An address at which nobody listens. Tests run as processes of their own, so the first one to try differs.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let span = PORTS.end - PORTS.start;
    let first = (std::process::id().wrapping_mul(37) % u32::from(span)) as u16;
    (0..span)
        .map(|_| PORTS.start + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % span)
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("a free port")
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// An instant as Prometheus' API takes it.
pub fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}
