//! Syslog from the network: UDP, TCP and TLS, each source with its own share.
//!
//! Messages of all sockets go into one batch, which is committed while the next one fills. When the store cannot keep up,
//! streams are made to wait and datagrams are dropped and counted. Every source (an address, or a network of 64 bits in
//! IPv6) has a token bucket and a number of connections, so that one that floods costs the others nothing. What a
//! message says of its host is a label; the address from which it came is kept beside it, and the door's own label
//! tells through which socket, so that nobody takes a datagram for more than it is.

mod stream;
mod tls;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wellkept_logintake::mapping::{Mapped, Mapping};
use wellkept_logintake::rate::{Limiter, Rate};
use wellkept_logintake::{Arrival, Limits, Zone, syslog};

use crate::batch::{Batch, Outlet};
use crate::source::{Clock, GATHER, commit};
pub use tls::{TlsError, server_config};
pub use tokio_rustls::rustls::ServerConfig;

/// Longest datagram.
const DATAGRAM_BYTES: usize = 65_535;

/// How syslog is heard.
#[derive(Debug, Clone)]
pub struct SyslogConfig {
    /// Bounds of lines.
    pub limits: Limits,
    /// Longest message of a stream; longer ones are cut and counted.
    pub message_bytes: usize,
    /// Messages of one source; no limit when it is left out.
    pub rate: Option<Rate>,
    /// Sources with a share of their own; those beyond have one together.
    pub sources_max: usize,
    /// Connections at once.
    pub connections_max: usize,
    /// Connections of one source.
    pub connections_per_source: usize,
    /// How long a connection may say nothing.
    pub idle: Duration,
    /// Bytes that wait for the store.
    pub pending_bytes: usize,
    /// How time stamps without a zone are read.
    pub zone: Arc<Zone>,
    /// Which entity a message belongs to.
    pub mapping: Arc<Mapping>,
}

impl Default for SyslogConfig {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            message_bytes: 64 << 10,
            rate: Some(Rate { per_second: 10_000.0, burst: 20_000.0 }),
            sources_max: 10_000,
            connections_max: 512,
            connections_per_source: 64,
            idle: Duration::from_secs(3600),
            pending_bytes: 8 << 20,
            zone: Arc::new(Zone::utc()),
            mapping: Arc::new(Mapping::default()),
        }
    }
}

/// What was counted.
#[derive(Debug, Default)]
pub struct SyslogCounts {
    /// Messages handed on.
    pub messages: AtomicU64,
    /// Messages that were dropped because their source brought too many.
    pub dropped_rate: AtomicU64,
    /// Datagrams that were dropped because the store could not keep up.
    pub dropped_full: AtomicU64,
    /// Messages that were cut.
    pub cut: AtomicU64,
    /// Connections that were refused because there were too many.
    pub refused: AtomicU64,
    /// Connections whose TLS handshake failed.
    pub handshakes_failed: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Where syslog comes in. Ends when it is dropped; what was heard and not committed by then is lost, as with every
/// syslog.
#[derive(Debug)]
pub struct Syslog {
    shared: Arc<Shared>,
    committing: JoinHandle<()>,
}

/// What the sockets share.
struct Shared {
    config: SyslogConfig,
    clock: Clock,
    state: Mutex<State>,
    /// Something is to be committed.
    filled: Notify,
    /// So much is to be committed that it must not wait.
    crowded: Notify,
    /// Something was committed.
    drained: Notify,
    connections: Arc<Semaphore>,
    per_source: Mutex<HashMap<IpAddr, usize>>,
    counts: SyslogCounts,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("counts", &self.counts).finish_non_exhaustive()
    }
}

struct State {
    limiter: Option<Limiter<IpAddr>>,
    decoder: syslog::Decoder,
    pending: Batch,
}

impl Syslog {
    /// Begins to commit what is heard. To be called within a runtime.
    #[must_use]
    pub fn new(config: SyslogConfig, outlet: Arc<dyn Outlet>, clock: Clock) -> Self {
        let state = State {
            limiter: config.rate.map(|rate| Limiter::new(rate, config.sources_max)),
            decoder: syslog::Decoder::new(config.limits),
            pending: Batch::default(),
        };
        let shared = Arc::new(Shared {
            connections: Arc::new(Semaphore::new(config.connections_max)),
            config,
            clock,
            state: Mutex::new(state),
            filled: Notify::new(),
            crowded: Notify::new(),
            drained: Notify::new(),
            per_source: Mutex::default(),
            counts: SyslogCounts::default(),
        });
        let committing = tokio::spawn(commit_for_ever(Arc::clone(&shared), outlet));
        Self { shared, committing }
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> &SyslogCounts {
        &self.shared.counts
    }

    /// Sources whose messages were dropped since the last call, with how many; `None` is all those without a share of
    /// their own.
    #[must_use]
    pub fn take_dropped(&self) -> Vec<(Option<IpAddr>, u64)> {
        self.shared.state().limiter.as_mut().map(Limiter::take_dropped).unwrap_or_default()
    }

    /// Hears datagrams for ever.
    ///
    /// # Errors
    /// When the socket is of no more use.
    pub async fn udp(&self, socket: UdpSocket) -> std::io::Result<()> {
        let mut buffer = vec![0; DATAGRAM_BYTES];
        loop {
            let (length, from) = match socket.recv_from(&mut buffer).await {
                Ok(received) => received,
                // Somebody else's refusal of an answer that we never sent.
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => continue,
                Err(e) => return Err(e),
            };
            let datagram = buffer.get(..length).unwrap_or_default();
            if !self.shared.take(datagram, from.ip(), "syslog_udp") {
                count(&self.shared.counts.dropped_full);
            }
        }
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        self.committing.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one message. False, and nothing done, when too much waits for the store.
    fn take(&self, message: &[u8], from: IpAddr, door: &str) -> bool {
        let now_ns = (self.clock)();
        let mut state = self.state();
        let state = &mut *state;
        let bytes = state.pending.bytes() + message.len();
        if bytes > self.config.pending_bytes / 4 {
            self.crowded.notify_one();
        }
        if bytes > self.config.pending_bytes {
            return false;
        }
        if state.limiter.as_mut().is_some_and(|l| !l.allows(&source_of(from), 1, now_ns)) {
            count(&self.counts.dropped_rate);
            return true;
        }
        let arrival = Arrival { now_ns, zone: &self.config.zone, labels: &[("door", door)] };
        let mut sink = Mapped::new(&self.config.mapping, &mut state.pending);
        let peer = from.to_canonical().to_string();
        if let Ok(tally) = state.decoder.decode(message, &peer, &arrival, &mut sink) {
            self.counts.messages.fetch_add(tally.accepted, Ordering::Relaxed);
        }
        self.filled.notify_one();
        true
    }

    /// Takes one message, as soon as there is room for it.
    async fn take_in_time(&self, message: &[u8], from: IpAddr, door: &str) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            // Listened for before looking, so that no room is missed.
            drained.as_mut().enable();
            if self.take(message, from, door) {
                return;
            }
            drained.await;
        }
    }
}

/// Who is counted as one source.
fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

async fn commit_for_ever(shared: Arc<Shared>, outlet: Arc<dyn Outlet>) {
    let mut spare = Batch::default();
    loop {
        shared.filled.notified().await;
        let batch = std::mem::replace(&mut shared.state().pending, spare);
        spare = if batch.is_empty() { batch } else { commit(&outlet, batch).await };
        shared.drained.notify_waiters();
        if !outlet.hurries() {
            let _ = timeout(GATHER, shared.crowded.notified()).await;
        }
    }
}

#[cfg(test)]
mod tests;
