//! A look into the store for its keeper: what is there, whether it is sound, and all of it out and in again.

use std::sync::PoisonError;

use wellkept_model::{Matcher, SeriesData, SeriesSource, Sink, SourceError, SourceLimits, TimestampMs};

use crate::appender::Refusals;
use crate::block::SharedBlock;
use crate::error::{Quarantined, StoreError};
use crate::open::QUARANTINE;
use crate::store::Store;

/// Series that are exported at once: bounds memory.
const EXPORT_SERIES: usize = 256;

/// Samples that an import gathers before it stores them.
const IMPORT_SAMPLES: usize = 1 << 16;

/// What a block is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockInfo {
    /// Its file, below the data directory.
    pub file: String,
    /// Its number.
    pub number: u64,
    /// Where two blocks have the same time, the one with the larger precedence holds.
    pub precedence: u64,
    /// Earliest and latest time.
    pub range: (TimestampMs, TimestampMs),
    /// 0: samples as they came; else milliseconds that one row stands for.
    pub resolution_ms: i64,
    /// Length of the file, bytes.
    pub bytes: u64,
    /// Columns: a series that is in two groups counts twice.
    pub series: usize,
    /// Samples or rows.
    pub samples: u64,
}

/// An export that did not reach its end.
#[derive(Debug, thiserror::Error)]
pub enum ExportError<E: std::error::Error + 'static> {
    /// The store could not be read.
    #[error("failed to read the store")]
    Read(#[source] SourceError),
    /// What took the series gave up.
    #[error("failed to write what was exported")]
    Write(#[source] E),
}

impl Store {
    /// All blocks, in order of precedence.
    #[must_use]
    pub fn blocks(&self) -> Vec<BlockInfo> {
        let info = |b: &SharedBlock| BlockInfo {
            file: b.name.clone(),
            number: b.header.number,
            precedence: b.header.precedence,
            range: (TimestampMs(b.header.min), TimestampMs(b.header.max)),
            resolution_ms: b.header.resolution,
            bytes: b.bytes,
            series: b.all_series().len(),
            samples: b.samples(),
        };
        self.state().blocks.iter().map(info).collect()
    }

    /// Names of the files that were set aside, now or earlier.
    ///
    /// # Errors
    /// As the disk gives them.
    pub fn set_aside_files(&self) -> Result<Vec<String>, StoreError> {
        self.disk.list(QUARANTINE).map_err(StoreError::io("list", QUARANTINE))
    }

    /// Reads every column of every block and compares its checksum. Gives what is damaged and was not known to be; it is
    /// set aside from now on.
    ///
    /// # Errors
    /// A disk that does not answer.
    pub fn verify(&self) -> Result<Vec<Quarantined>, StoreError> {
        let blocks = self.state().blocks.clone();
        let mut found = Vec::new();
        for block in blocks {
            found.extend(block.verify()?);
        }
        let mut state = self.state_mut();
        found.iter().for_each(|damage| state.counters.note(damage.clone()));
        Ok(found)
    }

    /// Writes blocks with damaged columns anew without them; the damaged files go to the quarantine folder. Gives the
    /// names of the new blocks. (Opening a store repairs everything else by itself.)
    ///
    /// # Errors
    /// [`StoreError`] of the disk. Nothing is lost then.
    pub fn repair(&self) -> Result<Vec<String>, StoreError> {
        self.verify()?;
        let mut upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let damaged: Vec<SharedBlock> =
            self.state().blocks.iter().filter(|b| b.has_damage()).cloned().collect();
        damaged.into_iter().map(|block| self.merge(&mut upkeep, &[block], None)).collect()
    }

    /// Hands all series that match to `take`, in order of their labels, some at a time so that memory stays small. Of what
    /// is there only in consolidated rows, the last sample of each.
    ///
    /// # Errors
    /// Damage that is met for the first time, and what `take` says.
    pub fn export<E: std::error::Error + 'static>(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        mut take: impl FnMut(SeriesData) -> Result<(), E>,
    ) -> Result<(), ExportError<E>> {
        let time = std::time::Duration::from_secs(86_400);
        let limits = SourceLimits { series: usize::MAX, samples: usize::MAX, time };
        let names = self.series(matchers, from, to, &limits).map_err(ExportError::Read)?;
        for names in names.chunks(EXPORT_SERIES) {
            for series in self.select_exactly(names, from, to, &limits).map_err(ExportError::Read)? {
                take(series).map_err(ExportError::Write)?;
            }
        }
        Ok(())
    }

    /// Takes series of any age, as [`Self::export`] gave them. Gives how many samples were taken, and what was refused.
    ///
    /// # Errors
    /// As [`Self::append`] and [`Self::maintain`].
    pub fn import(&self, all: impl IntoIterator<Item = SeriesData>) -> Result<(u64, Refusals), StoreError> {
        let (mut taken, mut refused) = (0, Refusals::default());
        let mut appender = self.appender(0, "import").of_any_age();
        for series in all {
            let labels: Vec<(&str, &str)> = series.labels.iter().collect();
            appender.series(&[], &labels);
            series.samples.iter().for_each(|s| appender.float(s.at, s.value));
            for sample in &series.histograms {
                appender.histogram(sample.at, (*sample.histogram).clone());
            }
            if appender.len() >= IMPORT_SAMPLES {
                let full = std::mem::replace(&mut appender, self.appender(0, "import").of_any_age());
                self.import_some(full, &mut taken, &mut refused)?;
            }
        }
        self.import_some(appender, &mut taken, &mut refused)?;
        Ok((taken, refused))
    }

    fn import_some(
        &self,
        appender: crate::Appender<'_>,
        taken: &mut u64,
        refused: &mut Refusals,
    ) -> Result<(), StoreError> {
        let accepted = appender.finish_durable()?;
        *taken += accepted.samples;
        refused.out_of_order += accepted.refused.out_of_order;
        refused.invalid += accepted.refused.invalid;
        refused.over_limit += accepted.refused.over_limit;
        refused.too_many_times += accepted.refused.too_many_times;
        if self.state().head.samples > self.config.head_samples_max / 2 {
            self.write_block()?;
        }
        Ok(())
    }
}
