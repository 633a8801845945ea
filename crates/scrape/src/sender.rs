//! Sends samples on by remote write, through a queue on disk.
//!
//! What is offered is relabeled, written to the queue, and synced within a second; from there it is sent in order, at
//! least once. A receiver that is away costs disk up to a bound, then the oldest samples, which are counted. What a receiver refuses
//! for good (4xx) is dropped and counted, because sending it again would block everything behind it for ever.
//! One connection sends in order: receivers want the samples of a series so.

mod outgoing;
mod push;
mod queue;
mod record;
mod senders;
mod stats;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wellkept_model::Labels;

use crate::config::RemoteWrite;
use crate::seam::{Encoder, Outgoing, Scraped};
use outgoing::{Relabeler, samples_of};
use queue::Queue;

pub use senders::Senders;
pub use stats::SenderStats;

/// Most offers that wait to be written to the queue; further ones are dropped and counted.
const OFFERS_MAX: usize = 1024;
/// Most offers that are written in one go.
const OFFERS_AT_ONCE: usize = 64;
/// How long what was written may be lost to a power cut. A kill of the process loses nothing that was written.
const SYNC_AFTER: Duration = Duration::from_secs(1);
/// How long stopping waits for what is in hand.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Why a sender cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    /// The folder of its queue cannot be used.
    #[error("the queue in {dir} cannot be opened")]
    Queue {
        /// The folder.
        dir: PathBuf,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// The address cannot be used.
    #[error("the address of {name} cannot be used")]
    Url {
        /// The receiver.
        name: String,
    },
}

/// What all parts of a sender share.
struct State {
    config: RemoteWrite,
    queue: Mutex<Queue>,
    stats: Mutex<SenderStats>,
    /// Something was added to the queue.
    added: Notify,
}

impl State {
    fn stats(&self) -> MutexGuard<'_, SenderStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the queue where blocking harms nobody.
    async fn with_queue<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Queue) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let state = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&mut state.queue())).await;
        done.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
    }
}

/// One offer; what is in it is shared among all receivers.
#[derive(Clone)]
enum Offer {
    Scraped { scraped: Arc<Scraped>, _held: Held },
    Series(Arc<Vec<Outgoing>>),
}

impl Offer {
    fn samples(&self) -> u64 {
        match self {
            Self::Scraped { scraped, .. } => scraped.samples() as u64,
            Self::Series(series) => samples_of(series),
        }
    }
}

/// What an offer holds until it is written; see [`Queued`].
#[derive(Debug, Clone)]
struct Held {
    _open: mpsc::Sender<()>,
}

/// Tells when what was offered is in the queues of all receivers that took it.
#[derive(Debug)]
pub struct Queued(mpsc::Receiver<()>);

impl Queued {
    /// The other end is held by each offer until it is written.
    fn new() -> (Held, Self) {
        let (open, queued) = mpsc::channel(1);
        (Held { _open: open }, Self(queued))
    }

    /// Waits for it, at most so long.
    pub async fn within(mut self, longest: Duration) {
        // Nothing is ever sent: it ends when nobody could send any more.
        let _ = tokio::time::timeout(longest, self.0.recv()).await;
    }
}

/// Sends samples on to one receiver.
pub struct Sender {
    state: Arc<State>,
    offers: mpsc::Sender<Offer>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Sender {
    /// Opens the queue in `dir` (at most `queue_bytes` on disk) and begins to send what is in it. Blocks while files are
    /// looked through; must be called inside a tokio runtime. `external`: labels for all series that lack them.
    ///
    /// # Errors
    /// When the queue's folder cannot be used.
    pub fn open(
        config: &RemoteWrite,
        external: &Labels,
        dir: &Path,
        queue_bytes: u64,
        encoder: Box<dyn Encoder>,
    ) -> Result<Self, SenderError> {
        let queue = Queue::open(dir, queue_bytes)
            .map_err(|source| SenderError::Queue { dir: dir.to_owned(), source })?;
        let url = crate::url::Url::parse(&config.url)
            .map_err(|_| SenderError::Url { name: config.name.clone() })?;
        let stats = SenderStats { name: config.name.clone(), ..SenderStats::default() };
        let state = Arc::new(State {
            config: config.clone(),
            queue: Mutex::new(queue),
            stats: Mutex::new(stats),
            added: Notify::new(),
        });
        let (offers, inbox) = mpsc::channel(OFFERS_MAX);
        let (stop, stopped) = watch::channel(false);
        let relabeler = Relabeler::new(external, &config.relabel, config.histograms);
        let tasks = vec![
            tokio::spawn(write(Arc::clone(&state), inbox, relabeler, stopped.clone())),
            tokio::spawn(push::run(Arc::clone(&state), url, encoder, stopped)),
        ];
        Ok(Self { state, offers, stop, tasks })
    }

    /// Takes what was scraped. Never waits; false when it had to be dropped because the disk does not keep up.
    pub fn offer(&self, scraped: &Arc<Scraped>) -> bool {
        self.take(Offer::Scraped { scraped: Arc::clone(scraped), _held: Queued::new().0 })
    }

    /// The same for series from elsewhere: rules, pushed samples.
    pub fn offer_series(&self, series: &Arc<Vec<Outgoing>>) -> bool {
        self.take(Offer::Series(Arc::clone(series)))
    }

    fn take(&self, offer: Offer) -> bool {
        let samples = offer.samples();
        self.state.stats().samples_offered += samples;
        let taken = self.offers.try_send(offer).is_ok();
        if !taken {
            self.state.stats().dropped_busy += samples;
        }
        taken
    }

    /// How it goes.
    #[must_use]
    pub fn stats(&self) -> SenderStats {
        // The queue may be busy with the disk; what is known of it is then a little older.
        if let Ok(queue) = self.state.queue.try_lock() {
            self.state.stats().see(queue.counts());
        }
        self.state.stats().clone()
    }

    /// Writes what was offered to the queue, notes how far it was sent, and ends (within 10 s).
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut self.tasks);
        let all = async {
            for task in &mut tasks {
                // A task that panicked has ended, too.
                let _ = task.await;
            }
        };
        if tokio::time::timeout(STOP_PATIENCE, all).await.is_err() {
            tasks.iter().for_each(JoinHandle::abort);
        }
        let _ = self.state.with_queue(|queue| queue.save_position()).await;
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Moves offers to the queue.
async fn write(
    state: Arc<State>,
    mut inbox: mpsc::Receiver<Offer>,
    relabeler: Relabeler,
    mut stopped: watch::Receiver<bool>,
) {
    let relabeler = Arc::new(Mutex::new(relabeler));
    let mut offers = Vec::new();
    // When what was written has to be synced.
    let mut sync_at: Option<Instant> = None;
    loop {
        let due = sync_at.unwrap_or_else(Instant::now);
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(due), if sync_at.is_some() => {
                sync(&state).await;
                sync_at = None;
                continue;
            }
            count = inbox.recv_many(&mut offers, OFFERS_AT_ONCE) => if count == 0 { break },
            // Only when nothing is left to be written.
            () = told_to_stop(&mut stopped) => break,
        }
        let (offers, shared) = (std::mem::take(&mut offers), Arc::clone(&state));
        let relabeler = Arc::clone(&relabeler);
        let work = move || {
            let mut relabeler = relabeler.lock().unwrap_or_else(PoisonError::into_inner);
            append(&shared, &offers, &mut relabeler);
        };
        // It panics only when the disk's layer does; then there is nothing to be done here.
        let _ = tokio::task::spawn_blocking(work).await;
        sync_at.get_or_insert_with(|| Instant::now() + SYNC_AFTER);
        state.added.notify_one();
    }
    sync(&state).await;
}

/// Returns when it is time to end, also when nobody is left to say so.
async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn sync(state: &Arc<State>) {
    if let Err(error) = state.with_queue(Queue::sync).await {
        state.stats().last_error = format!("queue: {error}");
    }
}

/// Writes offers to the queue; blocks.
fn append(state: &State, offers: &[Offer], relabeler: &mut Relabeler) {
    let mut series = Vec::new();
    let mut left_out = 0;
    for offer in offers {
        left_out += match offer {
            Offer::Scraped { scraped, .. } => relabeler.scraped(scraped, &mut series),
            Offer::Series(given) => relabeler.series(given, &mut series),
        };
    }
    let mut written = 0;
    let mut lost = 0;
    let mut problem = None;
    let mut queue = state.queue();
    for chunk in outgoing::chunks(series, state.config.queue.samples_per_send) {
        let samples = samples_of(&chunk);
        let payload = record::encode(&chunk);
        let count = u32::try_from(samples).unwrap_or(u32::MAX);
        let result = queue.append(&payload, count).or_else(|_| {
            // The disk may be full: the oldest samples make room, once.
            queue.drop_oldest()?;
            queue.append(&payload, count)
        });
        match result {
            Ok(()) => written += samples,
            Err(error) => {
                lost += samples;
                problem = Some(error.to_string());
            }
        }
    }
    let counts = queue.counts();
    drop(queue);
    let mut stats = state.stats();
    stats.see(counts);
    stats.samples_queued += written;
    stats.dropped_disk += lost;
    stats.dropped_relabel += left_out;
    if let Some(problem) = problem {
        stats.last_error = format!("queue: {problem}");
    }
}
