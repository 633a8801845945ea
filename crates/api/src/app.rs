//! State of the API itself: what it shares with the engine, and what it counts.

use std::fmt::Write as _;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Semaphore, mpsc, oneshot};
use wellkept_model::Text;

use crate::error::ApiError;
use crate::gate::ActGrant;
use crate::{Command, Reply, Shared};

/// State of every handler. Reads go through [`Deref`] to [`Shared`].
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

pub(crate) struct Inner {
    shared: Shared,
    /// One permit for each open stream.
    pub(crate) streams: Arc<Semaphore>,
    /// One permit for each running evaluation.
    pub(crate) evaluations: Arc<Semaphore>,
    /// One permit for each client that pushes.
    pub(crate) pushes: Arc<Semaphore>,
    pub(crate) counters: Counters,
}

/// Events since start.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) refused_host: AtomicU64,
    pub(crate) refused_origin: AtomicU64,
    pub(crate) refused_token: AtomicU64,
    pub(crate) refused_type: AtomicU64,
    pub(crate) busy_streams: AtomicU64,
    pub(crate) busy_evaluations: AtomicU64,
    pub(crate) busy_pushes: AtomicU64,
    pub(crate) changes: AtomicU64,
}

/// Adds one; the value before it.
pub(crate) fn count(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed)
}

impl App {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(Inner {
            streams: Arc::new(Semaphore::new(shared.limits.streams)),
            evaluations: Arc::new(Semaphore::new(shared.limits.evaluations)),
            pushes: Arc::new(Semaphore::new(shared.limits.pushes)),
            counters: Counters::default(),
            shared,
        }))
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Sends an act to the engine and waits for its answer. Only who holds a grant of the gate can call it; the
    /// queue itself is not reachable from handlers.
    pub(crate) async fn act(
        &self,
        grant: &ActGrant,
        make: impl FnOnce(String, Reply) -> Command,
    ) -> Result<(), ApiError> {
        let (reply, answer) = oneshot::channel();
        let command = make(grant.who().to_owned(), reply);
        self.0.shared.commands.try_send(command).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => ApiError::unavailable(Text::new("api.queue_full")),
            mpsc::error::TrySendError::Closed(_) => ApiError::unavailable(Text::new("api.engine_gone")),
        })?;
        match tokio::time::timeout(self.limits.reply_time, answer).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(refusal))) => Err(refusal.into()),
            Ok(Err(_)) => Err(ApiError::unavailable(Text::new("api.engine_gone"))),
            Err(_) => Err(ApiError::timeout(Text::new("api.no_answer_yet"))),
        }
    }

    /// The API's own metrics in Prometheus' text format.
    pub(crate) fn metrics(&self) -> String {
        let (limits, inner) = (&self.limits, &self.0);
        let streams = limits.streams.saturating_sub(inner.streams.available_permits());
        let evaluations = limits.evaluations.saturating_sub(inner.evaluations.available_permits());
        let c = &inner.counters;
        let mut out = String::new();
        gauge(&mut out, "wellkept_api_streams", "Event streams open now.", streams);
        gauge(&mut out, "wellkept_api_evaluations", "PromQL evaluations running now.", evaluations);
        let refused = [
            ("host", &c.refused_host),
            ("origin", &c.refused_origin),
            ("token", &c.refused_token),
            ("content_type", &c.refused_type),
            ("streams", &c.busy_streams),
            ("evaluations", &c.busy_evaluations),
            ("pushes", &c.busy_pushes),
        ];
        out.push_str("# HELP wellkept_api_refused_total Requests refused, by reason.\n");
        out.push_str("# TYPE wellkept_api_refused_total counter\n");
        for (reason, counter) in refused {
            let n = counter.load(Ordering::Relaxed);
            // Writing to a String cannot fail.
            let _ = writeln!(out, "wellkept_api_refused_total{{reason=\"{reason}\"}} {n}");
        }
        out
    }
}

fn gauge(out: &mut String, name: &str, help: &str, value: usize) {
    // Writing to a String cannot fail.
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
}

impl Deref for App {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0.shared
    }
}
