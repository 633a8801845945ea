//! What can be set about a store, and what it says about itself.

use std::time::Duration;

use wellkept_model::TimestampMs;

use crate::error::Quarantined;
use crate::retention::{Consolidation, RetentionRule};
use crate::wal_record::GROUP_SERIES_MAX;

/// What can be set. The default is meant for one host up to some thousand series.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// How much time is gathered in the head before it becomes a block.
    pub block_span: Duration,
    /// Lengths of time to which blocks are merged, rising.
    pub merge_spans: Vec<Duration>,
    /// How long samples are kept, by their own time; at least two days where [`Self::consolidate`] has anything.
    pub retention: Duration,
    /// What is kept of samples for longer, finest first.
    pub consolidate: Vec<Consolidation>,
    /// Other times of keeping for some series.
    pub rules: Vec<RetentionRule>,
    /// Bytes of blocks beyond which the oldest are removed, whatever their age.
    pub size_max: Option<u64>,
    /// How much older than the newest sample of its target a pushed sample may be.
    pub out_of_order: Duration,
    /// The same for whole batches ([`Store::append`]): those were measured now, by whatever the clock says. The default
    /// of 25 h lets a clock that was a day ahead come back without loss.
    pub clock_step: Duration,
    /// Labels that say which target a pushed series belongs to: those that are there name its group.
    pub identity: Vec<String>,
    /// Series in head and blocks beyond which a push makes no new ones.
    pub series_max: usize,
    /// Series of one target beyond which a push makes no new ones for it.
    pub target_series_max: usize,
    /// New series that one source may push between two blocks.
    pub source_series_max: usize,
    /// Length at which a log segment is ended, bytes.
    pub segment_bytes: u64,
    /// Samples that may wait in memory for a disk that does not take them.
    pub pending_max: usize,
    /// Samples in the head beyond which nothing is taken until a block could be written.
    pub head_samples_max: usize,
    /// Whether every column of every block is checked at start, or only when it is read.
    pub verify_on_open: bool,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            block_span: Duration::from_secs(2 * 3600),
            merge_spans: vec![Duration::from_secs(8 * 3600), Duration::from_secs(86_400)],
            retention: Duration::from_secs(15 * 86_400),
            consolidate: vec![
                Consolidation { every: Duration::from_secs(300), keep: Duration::from_secs(90 * 86_400) },
                Consolidation { every: Duration::from_secs(3600), keep: Duration::from_secs(730 * 86_400) },
            ],
            rules: Vec::new(),
            size_max: None,
            out_of_order: Duration::from_secs(3600),
            clock_step: Duration::from_secs(25 * 3600),
            identity: vec!["instance".to_owned(), "job".to_owned()],
            series_max: 10_000_000,
            target_series_max: GROUP_SERIES_MAX,
            source_series_max: 2_000_000,
            segment_bytes: 16 << 20,
            pending_max: 1 << 20,
            head_samples_max: 100_000_000,
            verify_on_open: true,
        }
    }
}

/// What the store knows about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Series in head and blocks.
    pub series: usize,
    /// Samples in the head, overwritten ones included.
    pub head_samples: usize,
    /// Packed chunks in the head.
    pub head_chunks: usize,
    /// Memory of the head's samples, bytes.
    pub head_bytes: usize,
    /// Samples that are in memory only.
    pub pending_samples: usize,
    /// Samples in blocks.
    pub block_samples: u64,
    /// Blocks.
    pub blocks: usize,
    /// Log segments.
    pub segments: usize,
    /// Bytes of blocks on disk.
    pub block_bytes: u64,
    /// Bytes of log segments on disk.
    pub log_bytes: u64,
    /// Earliest and latest time of any sample.
    pub range: Option<(TimestampMs, TimestampMs)>,
    /// Samples taken since the start.
    pub appended_total: u64,
    /// Samples refused because their batch was out of order.
    pub out_of_order_total: u64,
    /// Samples refused because there was no room.
    pub full_total: u64,
    /// Samples refused because their labels or their shape were wrong.
    pub invalid_total: u64,
    /// Samples refused because their series would have been one too many.
    pub over_limit_total: u64,
    /// Sources that met their limit, with how many series were refused to each.
    pub limited: Vec<(String, u64)>,
    /// Damage found since the start; the first thousand by name.
    pub quarantined: Vec<Quarantined>,
    /// How many were found in all.
    pub quarantined_total: u64,
    /// Log ends that were cut at start because a write had not been finished.
    pub torn: Vec<Quarantined>,
}
