//! The thread that writes samples: append, commit (one fsync a round), and maintenance now and then.
//!
//! It is a thread of its own, because an fsync may take as long as the disk likes and must never delay a
//! recovery. A full queue drops the round's samples and counts them; health checks and recovery go on.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use wellkept_model::keep::{Metrics, SeriesRetention};
use wellkept_model::{Batch, Matcher};
use wellkept_scrape::sender::Senders;
use wellkept_tsdb::{Consolidation, OsDisk, RetentionRule, Store, StoreConfig, StoreError};

use super::OwnMetrics;
use crate::clock::now;
use crate::metrics::send_on;

/// Rounds that may wait for a slow disk: a minute.
const QUEUE_MAX: usize = 60;
/// Rounds between two looks for work: blocks to cut, old ones to drop.
const MAINTAIN_EVERY: u64 = 30;

/// The sending end and the thread behind it.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Option<SyncSender<Batch>>,
    thread: Option<JoinHandle<()>>,
    metrics: Arc<OwnMetrics>,
}

/// Opens the store below the data directory.
pub(crate) fn open_store(data_dir: &Path, metrics: &Metrics) -> Result<Arc<Store>, StoreError> {
    let disk = OsDisk::new(data_dir.join("tsdb"));
    Ok(Arc::new(Store::open(Arc::new(disk), store_config(metrics))?))
}

/// What the keep file says, in the store's words.
pub(crate) fn store_config(metrics: &Metrics) -> StoreConfig {
    let (usual, kept) = (StoreConfig::default(), &metrics.retention);
    let levels: Vec<(Duration, Duration, Level)> = [
        (Duration::from_secs(300), kept.five_minutes, (|s| s.five_minutes) as Level),
        (Duration::from_secs(3600), kept.hours, |s| s.hours),
    ]
    .into_iter()
    .filter_map(|(every, keep, level)| Some((every, keep?, level)))
    .collect();
    let rule = |series: &SeriesRetention| {
        let matchers = series.matchers.iter().map(|(name, op, value)| Matcher::new(name, *op, value));
        Some(RetentionRule {
            // The reader of the keep file has compiled them once.
            matchers: matchers.collect::<Result<_, _>>().ok()?,
            raw: series.raw.unwrap_or(kept.raw),
            consolidated: levels.iter().map(|(_, keep, level)| level(series).unwrap_or(*keep)).collect(),
        })
    };
    StoreConfig {
        retention: kept.raw,
        consolidate: levels.iter().map(|&(every, keep, _)| Consolidation { every, keep }).collect(),
        rules: kept.series.iter().filter_map(rule).collect(),
        size_max: kept.size,
        out_of_order: metrics.out_of_order.unwrap_or(usual.out_of_order),
        series_max: limit(metrics.limits.series, usual.series_max),
        source_series_max: limit(metrics.limits.series_per_source, usual.source_series_max),
        ..usual
    }
}

fn limit(said: Option<u32>, usual: usize) -> usize {
    said.and_then(|n| usize::try_from(n).ok()).unwrap_or(usual)
}

/// What an entry of `series` says of one resolution.
type Level = fn(&SeriesRetention) -> Option<Duration>;

impl Writer {
    pub(crate) fn start(
        store: Arc<Store>,
        senders: Arc<Senders>,
        metrics: Arc<OwnMetrics>,
    ) -> std::io::Result<Self> {
        let (queue, inbox) = sync_channel(QUEUE_MAX);
        let counters = Arc::clone(&metrics);
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || work(&store, &senders, &inbox, &counters))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), metrics })
    }

    /// Hands a batch over; never waits.
    pub(crate) fn write(&self, batch: Batch) {
        let samples = batch.samples.len();
        let sent = self.queue.as_ref().map(|q| q.try_send(batch));
        match sent {
            Some(Ok(())) => OwnMetrics::add(&self.metrics.samples, samples),
            Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) | None => {
                OwnMetrics::add(&self.metrics.samples_dropped, samples);
            }
        }
    }

    /// Waits until everything handed over is on disk.
    pub(crate) async fn finish(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the writer of samples ended early");
            }
        }
    }
}

fn work(store: &Store, senders: &Senders, inbox: &Receiver<Batch>, metrics: &OwnMetrics) {
    let mut rounds: u64 = 0;
    let mut broken = false;
    while let Ok(batch) = inbox.recv() {
        let samples = batch.samples.len();
        match store.append_durable(&batch) {
            Ok(_) => {
                if std::mem::take(&mut broken) {
                    tracing::info!("samples are stored again");
                }
            }
            Err(error) => {
                OwnMetrics::add(&metrics.samples_dropped, samples);
                OwnMetrics::add(&metrics.commits_failed, 1);
                if !std::mem::replace(&mut broken, true) {
                    tracing::error!(error = %crate::exit::Failure::of(0, &error), "samples cannot be stored");
                }
            }
        }
        send_on(senders, &batch);
        rounds += 1;
        if rounds.is_multiple_of(MAINTAIN_EVERY) {
            maintain(store);
        }
    }
}

/// The store's day is that of its newest sample: a host that was off for a month, or old samples that are imported, lose
/// nothing because of the date.
fn maintain(store: &Store) {
    let today = store.stats().range.map_or_else(now, |(_, newest)| newest.min(now()));
    if let Err(error) = store.maintain(today) {
        tracing::error!(error = %crate::exit::Failure::of(0, &error), "the store could not be maintained");
    }
}
