//! What is kept for how long: by age, by rules for some series, and by size.
//!
//! Removing is always removing a file, or writing a block anew without what has expired: so space is really given back.

use std::collections::HashSet;
use std::time::Duration;

use wellkept_model::{Labels, Matcher, TimestampMs};

use crate::block::{self, SharedBlock};
use crate::error::StoreError;
use crate::maintain::Upkeep;
use crate::merge::millis;
use crate::store::Store;

/// Old samples as one row for each stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consolidation {
    /// Length of a stretch.
    pub every: Duration,
    /// How long the rows are kept, by their own time.
    pub keep: Duration,
}

/// Another time of keeping for some series. Of several rules the first that matches holds.
#[derive(Debug, Clone)]
pub struct RetentionRule {
    /// All must match.
    pub matchers: Vec<Matcher>,
    /// How long samples are kept.
    pub raw: Duration,
    /// How long the rows of each [`crate::StoreConfig::consolidate`] are kept, in the same order; those that are not
    /// named are kept as long as there.
    pub consolidated: Vec<Duration>,
}

/// Where rows are made of samples, samples are kept at least as long as that may take.
const SAMPLES_LEAST: Duration = Duration::from_secs(2 * 86_400);

impl Store {
    /// Times before this one have expired for a series. Without `now` nothing has.
    pub(crate) fn oldest_kept(&self, labels: &Labels, resolution: i64, now: Option<TimestampMs>) -> i64 {
        let Some(now) = now else { return i64::MIN };
        (now - self.kept(Some(labels), resolution)).0
    }

    /// How long rows of a resolution are kept: of one series, or at most.
    fn kept(&self, labels: Option<&Labels>, resolution: i64) -> Duration {
        let config = &self.config;
        let level = config.consolidate.iter().position(|c| millis(c.every) == resolution);
        let usual = match (resolution, level.and_then(|l| config.consolidate.get(l))) {
            (0, _) => config.retention,
            (_, Some(level)) => level.keep,
            // Rows of a resolution that is no longer made: as long as the longest.
            (_, None) => config.consolidate.iter().map(|c| c.keep).max().unwrap_or(config.retention),
        };
        let of_rule = |rule: &RetentionRule| match (resolution, level) {
            (0, _) => rule.raw,
            (_, Some(level)) => rule.consolidated.get(level).copied().unwrap_or(usual),
            (_, None) => usual,
        };
        let kept = match labels {
            Some(labels) => config.rules.iter().find(|r| r.holds_for(labels)).map_or(usual, of_rule),
            None => config.rules.iter().map(of_rule).fold(usual, Duration::max),
        };
        if resolution == 0 && !config.consolidate.is_empty() { kept.max(SAMPLES_LEAST) } else { kept }
    }

    /// Removes blocks of which everything has expired, then the oldest while all of them are too large.
    pub(crate) fn remove_old(&self, now: TimestampMs) -> Result<Vec<String>, StoreError> {
        let expired = |b: &SharedBlock| b.header.max < (now - self.kept(None, b.header.resolution)).0;
        let mut removed = self.remove_blocks(expired)?;
        if let Some(size_max) = self.config.size_max {
            loop {
                let (size, oldest) = {
                    let state = self.state();
                    let size: u64 = state.blocks.iter().map(|b| b.bytes).sum();
                    // The newest block stays, whatever its size.
                    let oldest =
                        state.blocks.iter().min_by_key(|b| b.header.max).filter(|_| state.blocks.len() > 1);
                    (size, oldest.cloned())
                };
                let Some(oldest) = oldest.filter(|_| size > size_max) else { break };
                removed.extend(self.remove_blocks(|b| std::sync::Arc::ptr_eq(b, &oldest))?);
            }
        }
        Ok(removed)
    }

    fn remove_blocks(&self, gone: impl Fn(&SharedBlock) -> bool) -> Result<Vec<String>, StoreError> {
        let old: Vec<SharedBlock> = {
            let mut state = self.state_mut();
            let state = &mut *state;
            let (old, kept) = std::mem::take(&mut state.blocks).into_iter().partition(&gone);
            state.blocks = kept;
            let old: Vec<SharedBlock> = old;
            for block in &old {
                block.release(&mut state.registry);
            }
            old
        };
        for block in &old {
            self.disk.remove(&block.name).map_err(StoreError::io("remove", &block.name))?;
        }
        if !old.is_empty() {
            self.disk.sync_dir(block::DIR).map_err(StoreError::io("sync folder", block::DIR))?;
        }
        Ok(old.iter().map(|b| b.name.clone()).collect())
    }

    /// Writes one block anew, of which some series have expired by a rule while others have not.
    pub(crate) fn trim_once(
        &self,
        upkeep: &mut Upkeep,
        looked_at: &mut HashSet<(u64, usize)>,
        now: TimestampMs,
    ) -> Result<Option<String>, StoreError> {
        let blocks: Vec<SharedBlock> = self.state().blocks.clone();
        for block in blocks {
            for (number, rule) in self.config.rules.iter().enumerate() {
                let least = if self.config.consolidate.is_empty() { Duration::ZERO } else { SAMPLES_LEAST };
                let kept = (block.header.resolution == 0).then_some(rule.raw.max(least));
                let expired = kept.is_some_and(|kept| block.header.max < (now - kept).0);
                if !expired || !looked_at.insert((block.header.number, number)) {
                    continue;
                }
                let has = {
                    let state = self.state();
                    let mut labels = block.all_series().iter().filter_map(|s| state.registry.labels(s.id));
                    labels.any(|l| self.oldest_kept(l, block.header.resolution, Some(now)) > block.header.max)
                };
                if has {
                    return self.merge(upkeep, &[block], Some(now)).map(Some);
                }
            }
        }
        Ok(None)
    }
}

impl RetentionRule {
    fn holds_for(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|m| m.matches(labels.get(m.name())))
    }
}
