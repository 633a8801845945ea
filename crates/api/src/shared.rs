//! What the API shares with the engine and the binary that wires them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use wellkept_model::{Beliefs, Change, Incident, Overview, SeriesSource, TimestampMs};

use crate::Command;
use crate::doors::Doors;
use crate::fleet::FleetViews;
use crate::logs::LogViews;
use crate::prom::views::PrometheusViews;

/// Everything that the API reads from and sends to; the engine owns the other ends. Cheap to clone.
#[derive(Clone)]
pub struct Shared {
    /// The one-page answer, replaced each round.
    pub overview: watch::Receiver<Arc<Overview>>,
    /// Incidents, newest first.
    pub incidents: watch::Receiver<Arc<Vec<Incident>>>,
    /// Recorded changes, newest first.
    pub changes: watch::Receiver<Arc<Vec<Change>>>,
    /// What is believed to help against what.
    pub beliefs: watch::Receiver<Arc<Beliefs>>,
    /// True once the first round was stored.
    pub ready: watch::Receiver<bool>,
    /// Where acts go. A full queue refuses the act.
    pub commands: mpsc::Sender<Command>,
    /// Where queries read from.
    pub source: Arc<dyn SeriesSource>,
    /// What Prometheus' API tells besides series.
    pub views: Arc<dyn PrometheusViews>,
    /// Where pushed samples go.
    pub doors: Arc<dyn Doors>,
    /// Lines of logs.
    pub logs: Arc<dyn LogViews>,
    /// Runs over many hosts, agents, deployments.
    pub fleet: Arc<dyn FleetViews>,
    /// Metrics of the process in Prometheus' text format; the API adds its own.
    pub own_metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// A file of the console by its path without leading slash; `index.html` is the page itself.
    pub console: fn(&str) -> Option<StaticFile>,
    /// SHA-256 of the token that acts need.
    pub token_sha256: [u8; 32],
    /// True when reading needs the token too: always when listening beyond loopback.
    pub reading_needs_token: bool,
    /// Values of `Host` that acts and streams accept, in lower case with port; see [`crate::allowed_hosts`].
    pub hosts: Vec<String>,
    /// Version of the program.
    pub version: &'static str,
    /// Bounds of what one client may cost.
    pub limits: Limits,
    /// The present instant.
    pub clock: fn() -> TimestampMs,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("hosts", &self.hosts)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Bounds of what clients may cost.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Event streams open at once. One operator has a handful of tabs.
    pub streams: usize,
    /// PromQL evaluations at once; each holds one thread that may block.
    pub evaluations: usize,
    /// Clients that push at once; each may hold one body and what it unpacks to.
    pub pushes: usize,
    /// Longest body that is taken as a whole, bytes, as it comes over the wire.
    pub push_bytes: usize,
    /// Longest time of one evaluation.
    pub evaluation_time: Duration,
    /// Longest time for a client to send its body.
    pub body_time: Duration,
    /// Longest time that an act waits for the engine's answer.
    pub reply_time: Duration,
    /// Bounds of one query.
    pub promql: wellkept_promql::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams: 64,
            evaluations: 16,
            pushes: 16,
            push_bytes: 32 << 20,
            evaluation_time: Duration::from_secs(60),
            body_time: Duration::from_secs(10),
            reply_time: Duration::from_secs(30),
            promql: wellkept_promql::Limits::default(),
        }
    }
}

/// One embedded file of the console.
#[derive(Debug, Clone, Copy)]
pub struct StaticFile {
    /// Media type, with charset where it is text.
    pub mime: &'static str,
    /// The content.
    pub body: &'static [u8],
    /// Entity tag with its quotes.
    pub etag: &'static str,
    /// True when the name carries a hash of the content, so that it may be kept for ever.
    pub immutable: bool,
}
