//! Connections: accepted while there is room, framed, ended when they say nothing for too long.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use wellkept_logintake::syslog::Framer;

use super::{Shared, Syslog, count, source_of};

/// Bytes read in one go.
const READ_BYTES: usize = 16 << 10;
/// How long a greeting may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Pause when the system has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Syslog {
    /// Hears connections for ever. Those that are open end when the future is dropped.
    pub async fn tcp(&self, listener: TcpListener) {
        self.listen(listener, None).await;
    }

    /// Hears encrypted connections for ever. The newest value of `config` counts for each new connection, so that
    /// certificates can be renewed.
    pub async fn tls(&self, listener: TcpListener, config: watch::Receiver<Arc<ServerConfig>>) {
        self.listen(listener, Some(config)).await;
    }

    async fn listen(&self, listener: TcpListener, tls: Option<watch::Receiver<Arc<ServerConfig>>>) {
        let mut open = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = open.join_next() => continue,
            };
            let Ok((stream, from)) = accepted else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let Some(place) = Place::take(&self.shared, from) else {
                count(&self.shared.counts.refused);
                continue;
            };
            let tls = tls.as_ref().map(|config| TlsAcceptor::from(Arc::clone(&config.borrow())));
            open.spawn(serve(stream, place, tls));
        }
    }
}

/// A connection's place; given back when it ends.
struct Place {
    shared: Arc<Shared>,
    from: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// Nothing when all places, or all those of the source, are taken.
    fn take(shared: &Arc<Shared>, from: SocketAddr) -> Option<Self> {
        let permit = Arc::clone(&shared.connections).try_acquire_owned().ok()?;
        let mut sources = shared.per_source.lock().unwrap_or_else(PoisonError::into_inner);
        let open = sources.entry(source_of(from.ip())).or_default();
        if *open >= shared.config.connections_per_source {
            return None;
        }
        *open += 1;
        Some(Self { shared: Arc::clone(shared), from: from.ip(), _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut sources = self.shared.per_source.lock().unwrap_or_else(PoisonError::into_inner);
        let source = source_of(self.from);
        if let Some(open) = sources.get_mut(&source) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                sources.remove(&source);
            }
        }
    }
}

async fn serve(stream: TcpStream, place: Place, tls: Option<TlsAcceptor>) {
    let Some(tls) = tls else { return read(stream, &place, "syslog_tcp").await };
    match timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => read(stream, &place, "syslog_tls").await,
        _ => count(&place.shared.counts.handshakes_failed),
    }
}

/// Reads messages to the end of a connection.
async fn read<R: AsyncRead + Unpin>(mut stream: R, place: &Place, door: &str) {
    let shared = &place.shared;
    let mut framer = Framer::new(shared.config.message_bytes);
    let mut buffer = vec![0; READ_BYTES];
    while let Ok(Ok(read @ 1..)) = timeout(shared.config.idle, stream.read(&mut buffer)).await {
        framer.push(buffer.get(..read).unwrap_or_default());
        while let Some(frame) = framer.next() {
            if frame.cut {
                count(&shared.counts.cut);
            }
            shared.take_in_time(frame.bytes, place.from, door).await;
        }
    }
    if let Some(rest) = framer.rest() {
        shared.take_in_time(&rest, place.from, door).await;
    }
}
