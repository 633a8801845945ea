//! The store, the miner and what is learned, as one thing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wellkept_logintake::mapping::Mapping;
use wellkept_logintake::rate::{Limiter, Rate};
use wellkept_logintake::{Limits, Zone};
use wellkept_logmine::anomaly::stream::WatchConfig;
use wellkept_logmine::{Bounds, Miner};
use wellkept_logstore::{LogBatch, LogStats, LogStore, LogStoreConfig, LogStoreError};
use wellkept_model::{Labels, TemplateId, TimestampMs};
use wellkept_tsdb::Disk;

use crate::counts::Counts;
use crate::learned;
use crate::marks::{self, MARKS_MAX, Mark, MarkError, kind_of_word};
use crate::miner::SharedMiner;
use crate::oddities::Told;
use crate::watches::{Seen, Watches, service_of};

/// Sources with a share of their own.
const SOURCES_MAX: usize = 10_000;
/// Time between two saves of what was learned, while lines come.
const SAVE_EVERY_NS: i64 = 300 * 1_000_000_000;
/// After a start nothing is missed for so long: those who bring lines have to begin again, too.
const PATIENCE_NS: i64 = 60 * 1_000_000_000;
/// Sources whose dropped lines are remembered by name.
const DROPPED_MAX: usize = 1000;

const MINER: &str = "miner";

/// What can be set.
#[derive(Debug, Clone, Default)]
pub struct LogsConfig {
    /// The store's.
    pub store: LogStoreConfig,
    /// How much the miner may hold.
    pub bounds: Bounds,
    /// How to watch.
    pub watch: WatchConfig,
    /// How much one client may push; no limit when it is left out.
    pub rate: Option<Rate>,
    /// Bounds of what is decoded.
    pub limits: Limits,
    /// How time stamps without a zone are read.
    pub zone: Arc<Zone>,
    /// Which entity pushed lines belong to.
    pub mapping: Arc<Mapping>,
}

impl LogsConfig {
    /// How one host is kept that does other work besides: small when idle, and bounded.
    #[must_use]
    pub fn of_a_host() -> Self {
        let store = LogStoreConfig {
            // Larger segments shrink better and cost their size in memory while they fill: a million lines take 0.73 of
            // what zstd -19 makes of them with 32 MiB, 0.52 with 128 MiB. This is between.
            segment_bytes: 64 << 20,
            head_bytes_max: 192 << 20,
            pending_bytes_max: 96 << 20,
            cache_bytes: 32 << 20,
            bytes_max: 5_000_000_000,
            ..LogStoreConfig::default()
        };
        let watch = WatchConfig { templates: 2000, ..WatchConfig::default() };
        // One shipper that catches up may bring a million lines at once.
        let rate = Some(Rate { per_second: 50_000.0, burst: 1_000_000.0 });
        Self { store, watch, rate, ..Self::default() }
    }
}

/// Why the logs cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The store's.
    #[error(transparent)]
    Store(#[from] LogStoreError),
    /// What was learned or marked cannot be read.
    #[error("what was learned from logs cannot be read")]
    Learned(#[source] std::io::Error),
}

/// What there is and what came.
#[derive(Debug, Clone, Default)]
pub struct LogsStatus {
    /// The store's.
    pub store: LogStats,
    /// Templates.
    pub templates: usize,
    /// Lines that were dropped or refused because their source brought too many.
    pub dropped: Vec<(String, u64)>,
}

/// The logs of this host. Shared by reference between threads.
pub struct Logs {
    store: LogStore,
    disk: Arc<dyn Disk>,
    miner: SharedMiner,
    config: LogsConfig,
    learned: Mutex<Learned>,
    limiter: Option<Mutex<Limiter<String>>>,
    dropped: Mutex<BTreeMap<String, u64>>,
    upkeep: Mutex<Upkeep>,
}

impl std::fmt::Debug for Logs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logs").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What one line after the other teaches.
#[derive(Debug)]
struct Learned {
    watches: Watches,
    counts: Counts,
    marks: Vec<Mark>,
}

#[derive(Debug)]
struct Upkeep {
    opened_ns: i64,
    saved_ns: i64,
    /// Lines that the miner had seen when it was saved.
    saved_lines: u64,
    settled_lines: u64,
}

impl Logs {
    /// Opens what is there, or begins.
    ///
    /// # Errors
    /// The store's, and marks of a person that cannot be read.
    pub fn open(disk: Arc<dyn Disk>, config: LogsConfig, now_ns: i64) -> Result<Self, LogsError> {
        disk.make_dir("").map_err(LogsError::Learned)?;
        let marks = marks::read(disk.as_ref()).map_err(LogsError::Learned)?;
        let parts = read_learned(disk.as_ref()).map_err(LogsError::Learned)?;
        let miner = SharedMiner::new(miner_of(parts.as_deref(), config.bounds, now_ns));
        let (watches, failed) = Watches::load(parts.as_deref().unwrap_or_default(), config.watch, &marks);
        for (service, error) in failed {
            tracing::warn!(service, %error, "what is usual in a service's logs is learned anew");
        }
        let store = LogStore::open(Arc::clone(&disk), config.store.clone(), Box::new(miner.clone()))?;
        let saved_lines = miner.lock().counts().lines;
        Ok(Self {
            store,
            disk,
            miner,
            learned: Mutex::new(Learned { watches, counts: Counts::default(), marks }),
            limiter: config.rate.map(|rate| Mutex::new(Limiter::new(rate, SOURCES_MAX))),
            config,
            dropped: Mutex::default(),
            upkeep: Mutex::new(Upkeep { opened_ns: now_ns, saved_ns: now_ns, saved_lines, settled_lines: 0 }),
        })
    }

    /// The store, to search in.
    #[must_use]
    pub fn store(&self) -> &LogStore {
        &self.store
    }

    /// Takes a batch and returns when it is on disk.
    ///
    /// # Errors
    /// [`LogStoreError::Full`] before anything was taken. Later errors of the disk: the lines are visible and may become
    /// durable; giving them again gives them twice.
    pub fn commit(&self, batch: &LogBatch, now_ns: i64) -> Result<(), LogStoreError> {
        let ticket = self.append(batch, now_ns)?;
        self.store.wait_durable(ticket)
    }

    /// Takes a batch; [`LogStore::wait_durable`] tells when it is on disk.
    ///
    /// # Errors
    /// [`LogStoreError::Full`]: nothing was taken.
    pub fn append(
        &self,
        batch: &LogBatch,
        now_ns: i64,
    ) -> Result<wellkept_logstore::LogTicket, LogStoreError> {
        let mut learned = self.learned();
        let Learned { watches, counts, marks } = &mut *learned;
        let ticket = self.store.append_seen(batch, &mut |line, shape, params| {
            counts.add(service_of(line.labels), line.level, shape.template);
            watches.line(line, shape, params, marks, now_ns);
        })?;
        let mut miner = self.miner.lock();
        if miner.has_merges() {
            miner.take_merges().into_iter().for_each(|merge| watches.merged(merge));
        }
        Ok(ticket)
    }

    /// Whether a source may bring so many lines now; those that it may not are counted.
    pub(crate) fn allows(&self, source: &str, lines: u64, now_ns: i64) -> bool {
        let Some(limiter) = &self.limiter else { return true };
        limiter.lock().unwrap_or_else(PoisonError::into_inner).allows(source, lines, now_ns)
    }

    /// Lines that a source lost elsewhere, to be told with the others.
    pub fn note_dropped(&self, source: &str, lines: u64) {
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let name =
            if dropped.len() < DROPPED_MAX || dropped.contains_key(source) { source } else { "others" };
        *dropped.entry(name.to_owned()).or_default() += lines;
    }

    /// What is due: segments, retention, what is missing, saving. To be called every few seconds by one caller.
    pub fn upkeep(&self, now_ns: i64) {
        self.take_dropped();
        let opened_ns = self.upkeep_state().opened_ns;
        // Beats that were missed while nobody listened are no oddity.
        if now_ns.saturating_sub(opened_ns) >= PATIENCE_NS {
            let mut learned = self.learned();
            let Learned { watches, marks, .. } = &mut *learned;
            watches.tick(now_ns, marks);
        }
        self.settle();
        if let Err(error) = self.store.maintain_with(now_ns, &mut || self.save(now_ns)) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the log store could not be maintained");
        }
        let (saved_ns, saved_lines) = {
            let state = self.upkeep_state();
            (state.saved_ns, state.saved_lines)
        };
        let changed = self.miner.lock().counts().lines != saved_lines;
        if changed && now_ns.saturating_sub(saved_ns).saturating_abs() >= SAVE_EVERY_NS {
            self.save_or_tell(now_ns);
        }
    }

    /// Texts of templates as they are now.
    fn settle(&self) {
        let mut miner = self.miner.lock();
        let lines = miner.counts().lines;
        let mut state = self.upkeep_state();
        if state.settled_lines != lines {
            state.settled_lines = lines;
            miner.settle();
        }
    }

    /// Before the end: what is in hand is on disk when it returns.
    pub fn close(&self, now_ns: i64) {
        if let Err(error) = self.store.commit() {
            tracing::error!(error = &error as &dyn std::error::Error, "the last lines could not be stored");
        }
        self.save_or_tell(now_ns);
    }

    fn save_or_tell(&self, now_ns: i64) {
        if let Err(error) = self.save(now_ns) {
            tracing::warn!(%error, "what was learned from logs could not be stored");
        }
    }

    fn save(&self, now_ns: i64) -> std::io::Result<()> {
        // In the order in which `append` takes the locks.
        let learned = self.learned();
        let (miner, lines) = {
            let miner = self.miner.lock();
            (miner.save(), miner.counts().lines)
        };
        let mut parts = learned.watches.save();
        drop(learned);
        parts.push((MINER.to_owned(), miner));
        learned::write(self.disk.as_ref(), &parts)?;
        let mut state = self.upkeep_state();
        (state.saved_ns, state.saved_lines) = (now_ns, lines);
        Ok(())
    }

    fn take_dropped(&self) {
        let Some(limiter) = &self.limiter else { return };
        let dropped = limiter.lock().unwrap_or_else(PoisonError::into_inner).take_dropped();
        for (source, lines) in dropped {
            self.note_dropped(source.as_deref().unwrap_or("others"), lines);
        }
    }

    /// The series of `log_lines_total`.
    #[must_use]
    pub fn samples(&self) -> Vec<(Labels, f64)> {
        self.learned().counts.samples()
    }

    /// The id that stands for `id` now.
    #[must_use]
    pub fn resolve(&self, id: TemplateId) -> TemplateId {
        self.miner.lock().resolve(id)
    }

    /// All ids under which lines of this template stand in the store.
    #[must_use]
    pub fn aliases(&self, id: TemplateId) -> Vec<TemplateId> {
        self.miner.lock().aliases(id)
    }

    /// Text of a template in normal form.
    #[must_use]
    pub fn text(&self, id: TemplateId) -> Option<String> {
        let mut miner = self.miner.lock();
        let id = miner.resolve(id);
        if miner.text(id).is_none() {
            miner.settle();
        }
        miner.text(id).map(str::to_owned)
    }

    /// What is known of a template.
    #[must_use]
    pub fn seen(&self, id: TemplateId) -> Option<Seen> {
        self.learned().watches.seen(id)
    }

    /// What was odd, newest first.
    #[must_use]
    pub fn oddities(&self) -> Vec<Told> {
        self.learned().watches.oddities().list()
    }

    /// What is odd, grave, and goes on: with since when and until when, nanoseconds.
    #[must_use]
    pub fn lasting(&self) -> Vec<(Told, i64, i64)> {
        self.learned().watches.oddities().lasting()
    }

    /// What is marked as harmless.
    #[must_use]
    pub fn marks(&self) -> Vec<Mark> {
        self.learned().marks.clone()
    }

    /// Marks something as harmless, or takes the mark back. On disk when it returns.
    ///
    /// # Errors
    /// [`MarkError`]; nothing changed then.
    pub fn mark(
        &self,
        template: TemplateId,
        (word, parameter): (&str, Option<u8>),
        harmless: bool,
        (by, at): (&str, TimestampMs),
    ) -> Result<(), MarkError> {
        let kind = kind_of_word(word, parameter).ok_or_else(|| MarkError::Kind(word.to_owned()))?;
        let template = self.resolve(template);
        let text = self.text(template);
        let mut learned = self.learned();
        let mut marks = learned.marks.clone();
        let is_it = |m: &Mark| m.template == template && m.kind == word && m.parameter == parameter;
        if harmless {
            let text = text.ok_or_else(|| MarkError::Template(format!("{:016x}", template.0)))?;
            if marks.iter().any(is_it) {
                return Ok(());
            }
            if marks.len() >= MARKS_MAX {
                return Err(MarkError::TooMany);
            }
            marks.push(Mark { template, text, kind: word.to_owned(), parameter, by: by.to_owned(), at });
        } else {
            marks.retain(|m| !is_it(m));
        }
        marks::write(self.disk.as_ref(), &marks)?;
        learned.marks = marks;
        learned.watches.mark(template, kind, harmless);
        Ok(())
    }

    /// What there is and what came.
    #[must_use]
    pub fn status(&self) -> LogsStatus {
        let templates = self.miner.lock().forms();
        let dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = dropped.iter().map(|(source, lines)| (source.clone(), *lines)).collect();
        LogsStatus { store: self.store.stats(), templates, dropped }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.config.limits
    }

    pub(crate) fn zone(&self) -> &Zone {
        &self.config.zone
    }

    pub(crate) fn mapping(&self) -> &Mapping {
        &self.config.mapping
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn upkeep_state(&self) -> MutexGuard<'_, Upkeep> {
        self.upkeep.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_learned(disk: &dyn Disk) -> std::io::Result<Option<Vec<learned::Part>>> {
    match learned::read(disk)? {
        Ok(parts) => Ok(parts),
        Err(why) => {
            tracing::warn!(
                why,
                "what was learned from logs cannot be read and is set aside; it is learned anew"
            );
            learned::set_aside(disk)?;
            Ok(Some(Vec::new()))
        }
    }
}

/// The miner that was saved. When it is lost, ids go on from the present time in milliseconds: never so many were given,
/// so that old lines do not appear under new templates.
fn miner_of(parts: Option<&[learned::Part]>, bounds: Bounds, now_ns: i64) -> Miner {
    let Some(parts) = parts else { return Miner::new(bounds) };
    let beyond = TemplateId(u64::try_from(now_ns / 1_000_000).unwrap_or(1));
    let Some((_, bytes)) = parts.iter().find(|(name, _)| name == MINER) else {
        return Miner::starting_at(bounds, beyond);
    };
    Miner::load(bytes, bounds).unwrap_or_else(|error| {
        tracing::warn!(%error, "the templates of logs are learned anew");
        Miner::starting_at(bounds, beyond)
    })
}
