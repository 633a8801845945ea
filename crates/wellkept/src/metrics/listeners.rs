//! Graphite over TCP and UDP, StatsD over UDP.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use wellkept_doors::{Doors, Format, From};
use wellkept_intake::{Limits, Names, graphite, statsd};
use wellkept_model::keep::Metrics;

use crate::clock::now;
use crate::exit::{ADDRESS, Failure};

/// Connections of Graphite senders at once.
const CONNECTIONS_MAX: usize = 256;
/// Bytes that are decoded together.
const PART: usize = 64 << 10;
/// A connection that says nothing for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// Time between two moments at which StatsD's sums become samples.
const FLUSH_EVERY: Duration = Duration::from_secs(10);
/// Largest datagram.
const DATAGRAM_MAX: usize = 65_535;

/// Longest time in which what is in hand is stored at the end.
const END_MAX: Duration = Duration::from_secs(5);

/// The tasks that listen; they end when this is dropped.
pub(crate) struct Listeners {
    tasks: JoinSet<()>,
    /// Gone once the end has come.
    end: Option<watch::Sender<()>>,
}

/// Whether the end has come: the sender is gone then.
type End = watch::Receiver<()>;

/// The sockets, taken before anything listens to them.
pub(crate) struct Sockets {
    graphite: Option<(TcpListener, UdpSocket)>,
    statsd: Option<UdpSocket>,
}

impl Sockets {
    /// Takes the addresses that the keep file says.
    ///
    /// # Errors
    /// When an address cannot be listened on, with an exit code of its own.
    pub(crate) async fn bind(metrics: &Metrics) -> anyhow::Result<Self> {
        let told = |key: &str, address: SocketAddr, e: std::io::Error| {
            Failure::new(ADDRESS, format!("metrics.{key}: {address} cannot be listened on: {e}"))
        };
        let mut sockets = Self { graphite: None, statsd: None };
        if let Some(address) = metrics.graphite {
            let tcp = TcpListener::bind(address).await.map_err(|e| told("graphite", address, e))?;
            let udp = UdpSocket::bind(address).await.map_err(|e| told("graphite", address, e))?;
            sockets.graphite = Some((tcp, udp));
        }
        if let Some(address) = metrics.statsd {
            sockets.statsd = Some(UdpSocket::bind(address).await.map_err(|e| told("statsd", address, e))?);
        }
        Ok(sockets)
    }
}

impl Listeners {
    /// Listens to the sockets.
    pub(crate) fn start(sockets: Sockets, doors: &Arc<Doors>) -> Self {
        let mut tasks = JoinSet::new();
        let (end, ended) = watch::channel(());
        if let Some((tcp, udp)) = sockets.graphite {
            tasks.spawn(graphite_tcp(tcp, Arc::clone(doors), ended.clone()));
            tasks.spawn(graphite_udp(udp, Arc::clone(doors), ended.clone()));
        }
        if let Some(udp) = sockets.statsd {
            tasks.spawn(statsd_udp(udp, Arc::clone(doors), ended));
        }
        Self { tasks, end: Some(end) }
    }

    /// Ends them; what has come so far is stored.
    pub(crate) async fn end(&mut self) {
        self.end = None;
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(END_MAX, all).await.is_err() {
            tracing::warn!("not all that Graphite and StatsD clients sent was stored in time");
            self.tasks.shutdown().await;
        }
    }
}

async fn graphite_tcp(listener: TcpListener, doors: Arc<Doors>, mut end: End) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            _ = end.changed() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (doors, end) = (Arc::clone(&doors), end.clone());
                connections.spawn(async move {
                    graphite_stream(stream, peer, doors, end).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a Graphite connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    while connections.join_next().await.is_some() {}
}

async fn graphite_stream(mut stream: TcpStream, peer: SocketAddr, doors: Arc<Doors>, mut end: End) {
    let mut buffer = Vec::with_capacity(PART);
    loop {
        // What has come already is read first, also at the end.
        let ended = tokio::select! {
            biased;
            read = stream.read_buf(&mut buffer) => !matches!(read, Ok(1..)),
            _ = end.changed() => true,
            () = tokio::time::sleep(IDLE_MAX) => true,
        };
        let whole =
            if ended { Some(buffer.len()) } else { buffer.iter().rposition(|b| *b == b'\n').map(|n| n + 1) };
        match whole {
            Some(end) => {
                let rest = buffer.split_off(end);
                let lines = std::mem::replace(&mut buffer, rest);
                store(&doors, peer, lines).await;
            }
            None if buffer.len() > PART * 4 => {
                tracing::warn!(%peer, "a Graphite connection was closed: its line has no end");
                return;
            }
            None => {}
        }
        if ended {
            return;
        }
        buffer.reserve(PART);
    }
}

async fn graphite_udp(socket: UdpSocket, doors: Arc<Doors>, mut end: End) {
    let mut buffer = vec![0; DATAGRAM_MAX];
    while let Some((datagram, peer)) = receive(&socket, &mut buffer, &mut end).await {
        store(&doors, peer, datagram).await;
    }
}

async fn statsd_udp(socket: UdpSocket, doors: Arc<Doors>, mut end: End) {
    let sums = Arc::new(Mutex::new(statsd::Aggregator::new(Limits::default(), statsd::Options::default())));
    let mut ticks = tokio::time::interval(FLUSH_EVERY);
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        tokio::select! {
            datagram = receive(&socket, &mut buffer, &mut end) => match datagram {
                Some((datagram, _)) => {
                    sums.lock().unwrap_or_else(PoisonError::into_inner).add(&datagram);
                }
                None => return flush(&sums, &doors).await,
            },
            _ = ticks.tick() => flush(&sums, &doors).await,
        }
    }
}

/// Makes samples of StatsD's sums.
async fn flush(sums: &Arc<Mutex<statsd::Aggregator>>, doors: &Arc<Doors>) {
    let (sums, doors) = (Arc::clone(sums), Arc::clone(doors));
    let flushed = tokio::task::spawn_blocking(move || {
        let from = From { format: Format::Statsd, source: "statsd", now: now() };
        doors.take(&from, |sink| {
            sums.lock().unwrap_or_else(PoisonError::into_inner).flush(from.now, sink);
        })
    });
    if let Ok(Err(error)) = flushed.await {
        tracing::warn!(%error, "what StatsD clients sent could not be stored");
    }
}

/// The next datagram; `None` when the socket is gone for good, or when the end has come and none waits.
async fn receive(socket: &UdpSocket, buffer: &mut [u8], end: &mut End) -> Option<(Vec<u8>, SocketAddr)> {
    loop {
        let received = tokio::select! {
            biased;
            received = socket.recv_from(buffer) => received,
            _ = end.changed() => return None,
        };
        match received {
            Ok((length, peer)) => return buffer.get(..length).map(|d| (d.to_vec(), peer)),
            // An answer from a peer that is gone; the next datagram is another's.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
            Err(error) => {
                tracing::error!(%error, "datagrams cannot be received any more");
                return None;
            }
        }
    }
}

async fn store(doors: &Arc<Doors>, peer: SocketAddr, lines: Vec<u8>) {
    let doors = Arc::clone(doors);
    let stored = tokio::task::spawn_blocking(move || {
        let mut decoder = graphite::Decoder::new(Limits::default(), Names::AsSent);
        let source = peer.ip().to_string();
        let from = From { format: Format::Graphite, source: &source, now: now() };
        doors.take(&from, |sink| {
            decoder.decode(&lines, now(), sink);
        })
    });
    if let Ok(Err(error)) = stored.await {
        tracing::warn!(%error, "what Graphite clients sent could not be stored");
    }
}
