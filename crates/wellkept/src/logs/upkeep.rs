//! The thread that keeps the log store well, and hands counts of lines to the store of samples.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use wellkept_logs::Logs;
use wellkept_model::{Batch, Incident, Labels};
use wellkept_tsdb::Store;

use super::Stories;
use crate::clock::{now, now_ns};

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(5);

/// The thread; ended by [`Upkeep::end`].
pub(crate) struct Upkeep {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Upkeep {
    /// Begins.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(
        logs: &Arc<Logs>,
        store: &Arc<Store>,
        identity: &Labels,
        stories: &Arc<Stories>,
        incidents: watch::Receiver<Arc<Vec<Incident>>>,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (logs, store, identity) = (Arc::clone(logs), Arc::clone(store), identity.clone());
        let stories = Arc::clone(stories);
        let ended = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("logs".to_owned()).spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                logs.upkeep(now_ns());
                count(&logs, &store, &identity);
                let over = Arc::clone(&incidents.borrow());
                stories.remember(&over, &|| ended.load(Ordering::Relaxed));
                std::thread::park_timeout(EVERY);
            }
            logs.close(now_ns());
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends it; what was learned is on disk when it returns.
    pub(crate) async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the upkeep of logs ended early");
        }
    }
}

/// Lines so far, as samples under this host's identity.
fn count(logs: &Logs, store: &Store, identity: &Labels) {
    let with = |labels: Labels| Labels::new(labels.iter().chain(identity.iter()));
    let samples: Vec<_> = logs.samples().into_iter().map(|(labels, value)| (with(labels), value)).collect();
    if samples.is_empty() {
        return;
    }
    let target = Labels::new(identity.iter().chain([("source", "logs")]));
    let batch = Batch { at: now(), target, samples, ..Batch::default() };
    if let Err(error) = store.append(&batch) {
        tracing::warn!(%error, "counts of log lines could not be stored");
    }
}
