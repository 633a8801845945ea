//! The server's end: who may speak, what they bring, what they are handed.
//!
//! A connection without a certificate can ask for one by a token, and nothing else. Everything that a stranger sends is
//! bounded in bytes and time, and so is the number of connections. Records are given to the [`House`] in order and once:
//! how far each agent's queue was stored is on disk before the agent is told.

mod heard;
mod http;
mod take;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::watch;

pub use heard::HeardView;

use crate::wire::{Lines, Stage, Told};
use crate::{Authority, Clock, OrderView, Orders, Registry};
use heard::Heard;

/// Why the house did not take something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotTaken {
    /// The disk, or too much at once: it may be sent again.
    Later(String),
    /// It is wrong in itself: sent again it would be wrong again. It is counted and left out.
    Never(String),
}

/// Where things go. Every method may block; what it took is on disk when it returns.
pub trait House: Send + Sync {
    /// Stores a remote write 1.0 request, packed with Snappy. Only series of this agent may be taken from it. The same one
    /// may come twice.
    ///
    /// # Errors
    /// See [`NotTaken`].
    fn samples(&self, agent: &str, packed: &[u8]) -> Result<(), NotTaken>;

    /// Stores lines together with the note that everything up to `seq` of this queue is stored.
    ///
    /// # Errors
    /// See [`NotTaken`].
    fn lines(&self, agent: &str, queue: &str, seq: u64, lines: &Lines) -> Result<(), NotTaken>;

    /// Puts it on record that an agent did, or was given, something: before it takes effect.
    ///
    /// # Errors
    /// It cannot be written; then nothing is done.
    fn audit(&self, agent: &str, what: &str, detail: &str) -> std::io::Result<()>;

    /// The note that was stored with lines last: queue and number.
    fn lines_noted(&self, agent: &str) -> Option<(String, u64)>;
}

/// The server of all agents.
pub struct Server {
    folder: PathBuf,
    /// While it is there, nothing is handed on.
    stop_switch: PathBuf,
    authority: Authority,
    registry: Registry,
    orders: Orders,
    house: Arc<dyn House>,
    clock: Clock,
    heard: Mutex<HashMap<String, Heard>>,
    told: Mutex<HashMap<String, Vec<Told>>>,
    /// One body of an agent at a time: a connection that was given up may still be at work.
    taking: Mutex<HashMap<String, Arc<Mutex<()>>>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// The folder of agents in a data directory.
#[must_use]
pub fn folder_of(data_dir: &Path) -> PathBuf {
    data_dir.join("agents")
}

impl Server {
    /// Opens what is known of agents below a data directory.
    ///
    /// # Errors
    /// The disk, or what is damaged.
    pub fn open(data_dir: &Path, house: Arc<dyn House>, clock: Clock) -> io::Result<Arc<Self>> {
        let folder = folder_of(data_dir);
        let authority = Authority::open(&folder, clock())?;
        let registry = Registry::open(&folder)?;
        let orders = Orders::open(&folder.join("orders"))?;
        let heard = heard::load(&folder, &registry)?;
        Ok(Arc::new(Self {
            stop_switch: data_dir.join("FREEZE"),
            folder,
            authority,
            registry,
            orders,
            house,
            clock,
            heard: Mutex::new(heard),
            told: Mutex::default(),
            taking: Mutex::default(),
        }))
    }

    /// Serves until `end` is gone or set.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, end: watch::Receiver<bool>) {
        http::serve(self, listener, end).await;
    }

    /// When each agent was heard last, those that were revoked left out.
    #[must_use]
    pub fn heard(&self) -> Vec<HeardView> {
        let revoked: Vec<String> = match self.registry.list() {
            Ok(agents) => agents.into_iter().filter(|a| a.revoked_ms.is_some()).map(|a| a.name).collect(),
            // What cannot be read hides nobody.
            Err(_) => Vec::new(),
        };
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> =
            heard.iter().filter(|(n, _)| !revoked.contains(n)).map(|(n, h)| h.view(n)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Whether nothing is handed on. When that cannot be told, nothing is.
    fn is_frozen(&self) -> bool {
        let looked = std::fs::symlink_metadata(&self.stop_switch);
        !matches!(looked, Err(e) if e.kind() == io::ErrorKind::NotFound)
    }

    /// That an order goes to its host, and how it ended, is on record before it is so.
    fn record(&self, agent: &str, order: &OrderView, stage: Stage) -> io::Result<()> {
        let what = match stage {
            Stage::Taken => "order taken",
            stage if stage.is_last() => "order over",
            _ => return Ok(()),
        };
        let detail = format!("{} {} of {}: {}", order.id, order.what, order.who, stage.word());
        self.house.audit(agent, what, &detail)
    }

    /// From now on it is missed when it says nothing.
    fn joined(&self, name: &str, now_ms: i64) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.entry(name.to_owned()).or_default().heard_ms = now_ms;
    }

    /// The findings that agents told last.
    #[must_use]
    pub fn told(&self) -> Vec<(String, Vec<Told>)> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = told.iter().map(|(name, told)| (name.clone(), told.clone())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

/// When each agent of a data directory was heard last; works beside a running server, too.
///
/// # Errors
/// The disk.
pub fn heard_of(data_dir: &Path) -> io::Result<Vec<HeardView>> {
    let folder = folder_of(data_dir);
    let registry = Registry::open(&folder)?;
    let mut all: Vec<_> = heard::load(&folder, &registry)?.iter().map(|(name, h)| h.view(name)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}
