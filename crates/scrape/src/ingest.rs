//! From the lines of one answer to a batch: labels of the target, relabeling, limits, stale markers.
//!
//! Pure. A target has one [`Cache`] that outlives its scrapes. It knows a series by the very bytes of its line, so that
//! a line that was seen before costs one look-up and is not relabeled again. A scrape that fails counts as one that
//! gave nothing: all that its target gave before ends with stale markers.

mod cache;
mod labels;

use std::collections::HashMap;
use std::sync::Arc;

use wellkept_model::{
    Exemplar, Histogram, HistogramSample, Labels, METRIC_NAME, Metadata, Sample, Sink, TimestampMs,
    stale_marker,
};

use crate::config::Limits;
use crate::relabel::Rule;
use crate::seam::Scraped;
use cache::{Known, Slot};

pub(crate) use cache::Cache;

/// Most samples of one scrape, whatever the configuration allows.
const SAMPLES_MAX: u64 = 4_000_000;
/// Most exemplars that are taken from one scrape; further ones are left out.
const EXEMPLARS_MAX: usize = 10_000;
/// Most metric families that are described for one target; further ones are left out.
const FAMILIES_MAX: usize = 20_000;

/// What holds for all samples of a target.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) honor_labels: bool,
    pub(crate) honor_timestamps: bool,
    pub(crate) track_timestamps_staleness: bool,
    pub(crate) rules: Vec<Rule>,
    pub(crate) limits: Limits,
}

/// How many samples a scrape had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// On the wire.
    pub(crate) scraped: u64,
    /// After relabeling.
    pub(crate) kept: u64,
    /// Of series that the scrape before did not have.
    pub(crate) added: u64,
    /// Left out because their series had one already.
    pub(crate) repeated: u64,
}

/// How the scrape went, for the automatic series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Report {
    pub(crate) up: bool,
    /// Seconds.
    pub(crate) duration: f64,
    pub(crate) counts: Counts,
}

/// One scrape under way.
pub(crate) struct Round<'a> {
    cache: &'a mut Cache,
    settings: &'a Settings,
    target: &'a Labels,
    at: TimestampMs,
    current: Option<u32>,
    /// Series with their value, or the place of their histogram.
    floats: Vec<(u32, f64)>,
    histograms: Vec<(u32, Arc<Histogram>)>,
    stamped: Vec<(Labels, Sample)>,
    stamped_histograms: Vec<(Labels, HistogramSample)>,
    exemplars: Vec<Exemplar>,
    metadata: Vec<Metadata>,
    /// Series that get a stale marker when the next scrape does not have them.
    tracked: Vec<u32>,
    new_series: bool,
    counts: Counts,
    failure: Option<String>,
    /// After a failure nothing is counted any more.
    stopped: bool,
}

impl<'a> Round<'a> {
    pub(crate) fn begin(
        cache: &'a mut Cache,
        settings: &'a Settings,
        target: &'a Labels,
        at: TimestampMs,
    ) -> Self {
        cache.round += 1;
        let expected = cache.tracked_len();
        Self {
            cache,
            settings,
            target,
            at,
            current: None,
            floats: Vec::with_capacity(expected),
            histograms: Vec::new(),
            stamped: Vec::new(),
            stamped_histograms: Vec::new(),
            exemplars: Vec::new(),
            metadata: Vec::new(),
            tracked: Vec::with_capacity(expected),
            new_series: false,
            counts: Counts::default(),
            failure: None,
            stopped: false,
        }
    }

    /// Ends a scrape whose answer was read to its end. `Err` when it broke a limit; it is then to be thrown away, and
    /// [`empty`] made in its place.
    pub(crate) fn finish(mut self) -> Result<(Scraped, Counts), (String, Counts)> {
        let limit = self.settings.limits.samples;
        if self.failure.is_none() && limit > 0 && self.counts.kept > limit {
            self.failure =
                Some(format!("sample limit exceeded ({} samples, limit {limit})", self.counts.kept));
        }
        if let Some(failure) = self.failure {
            return Err((failure, self.counts));
        }
        let mut scraped = Scraped {
            stamped: self.stamped,
            stamped_histograms: self.stamped_histograms,
            exemplars: self.exemplars,
            metadata: self.metadata,
            ..Scraped::default()
        };
        scraped.batch.at = self.at;
        scraped.batch.target = self.target.clone();
        let labels = |slot: u32| self.cache.labels(slot);
        scraped.batch.samples = self.floats.iter().filter_map(|(s, v)| Some((labels(*s)?, *v))).collect();
        scraped.batch.histograms =
            self.histograms.into_iter().filter_map(|(s, h)| Some((labels(s)?, h))).collect();
        self.cache.end(true, self.tracked, &mut scraped);
        Ok((scraped, self.counts))
    }

    /// Ends a scrape whose answer broke off; nothing of it is kept, and [`empty`] is to be made in its place.
    pub(crate) fn abandon(self) -> Counts {
        self.counts
    }

    /// Makes the series of a line that was not seen before; `None` when rules drop it or it breaks a limit.
    fn make(&mut self, labels: &[(&str, &str)]) -> Option<u32> {
        let mut set = labels::combine(labels, self.target, self.settings.honor_labels);
        if !set.relabel(&self.settings.rules) || set.iter().len() == 0 {
            return None;
        }
        if let Err(failure) = labels::check(&set, &self.settings.limits) {
            self.failure.get_or_insert(failure);
            return None;
        }
        Some(self.cache.slot(set.into_labels()))
    }

    /// Counts a sample of the current series; `Some` when it is to be kept, with whether its time is its own.
    fn take(&mut self, at: TimestampMs, is_histogram: bool) -> Option<(u32, bool)> {
        if self.stopped {
            return None;
        }
        self.counts.scraped += 1;
        if self.counts.scraped > SAMPLES_MAX {
            self.failure.get_or_insert_with(|| format!("more than {SAMPLES_MAX} samples"));
        }
        if self.failure.is_some() {
            // As in Prometheus, what comes behind a series that may not be is not even counted.
            self.stopped = true;
            return None;
        }
        let current = self.current?;
        self.counts.kept += 1;
        let limit = self.settings.limits.samples;
        if limit > 0 && self.counts.kept > limit {
            return None;
        }
        let own_time = self.settings.honor_timestamps && at != self.at;
        let round = self.cache.round;
        let slot: &mut Slot = self.cache.slot_mut(current)?;
        let repeated = slot.seen == round;
        slot.seen = round;
        slot.is_histogram = is_histogram;
        if repeated && !own_time {
            self.counts.repeated += 1;
            return None;
        }
        if self.new_series && !repeated {
            self.counts.added += 1;
        }
        if (!own_time || self.settings.track_timestamps_staleness) && slot.tracked != round {
            slot.tracked = round;
            self.tracked.push(current);
        }
        Some((current, own_time))
    }
}

impl Sink for Round<'_> {
    fn known(&mut self, wire: &[u8]) -> bool {
        let round = self.cache.round;
        let Some(known) = self.cache.wires.get_mut(wire) else { return false };
        if known.round != round {
            known.round = round;
            self.cache.wires_seen += 1;
        }
        self.current = known.slot;
        self.new_series = false;
        true
    }

    fn series(&mut self, wire: &[u8], labels: &[(&str, &str)]) {
        if !wire.is_empty() && self.known(wire) {
            return;
        }
        let known_before = self.cache.slots_used();
        self.current = self.make(labels);
        self.new_series = self.cache.slots_used() > known_before;
        if !wire.is_empty() && self.failure.is_none() {
            let known = Known { slot: self.current, round: self.cache.round };
            self.cache.remember(wire, known);
        }
    }

    fn float(&mut self, at: TimestampMs, value: f64) {
        let Some((slot, own_time)) = self.take(at, false) else { return };
        if !own_time {
            self.floats.push((slot, value));
        } else if let Some(labels) = self.cache.labels(slot) {
            self.stamped.push((labels, Sample { at, value }));
        }
    }

    fn histogram(&mut self, at: TimestampMs, histogram: Histogram) {
        let Some((slot, own_time)) = self.take(at, true) else { return };
        let histogram = Arc::new(histogram);
        if !own_time {
            self.histograms.push((slot, histogram));
        } else if let Some(labels) = self.cache.labels(slot) {
            self.stamped_histograms.push((labels, HistogramSample { at, histogram }));
        }
    }

    fn exemplar(&mut self, at: TimestampMs, value: f64, labels: &[(&str, &str)]) {
        let series = self.current.and_then(|s| self.cache.labels(s));
        if let Some(series) = series.filter(|_| self.exemplars.len() < EXEMPLARS_MAX) {
            let labels = Labels::new(labels.iter().copied());
            self.exemplars.push(Exemplar { series, labels, value, at });
        }
    }

    fn metadata(&mut self, metadata: Metadata) {
        let room = self.cache.families.len() < FAMILIES_MAX;
        match self.cache.families.get_mut(&metadata.family) {
            Some(known) if *known == metadata => {}
            Some(known) => {
                known.clone_from(&metadata);
                self.metadata.push(metadata);
            }
            None if room => {
                self.cache.families.insert(metadata.family.clone(), metadata.clone());
                self.metadata.push(metadata);
            }
            None => {}
        }
    }
}

/// A scrape that gave nothing: everything that the target had before ends.
pub(crate) fn empty(cache: &mut Cache, target: &Labels, at: TimestampMs) -> Scraped {
    let mut scraped = Scraped::default();
    scraped.batch.at = at;
    scraped.batch.target = target.clone();
    cache.round += 1;
    cache.end(false, Vec::new(), &mut scraped);
    scraped
}

/// Names of the automatic series.
const REPORT: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

/// The automatic series of one target, made once.
#[derive(Debug, Clone)]
pub(crate) struct ReportSeries([Labels; 5]);

impl ReportSeries {
    pub(crate) fn new(target: &Labels) -> Self {
        let with_name = |name| Labels::new(target.iter().chain([(METRIC_NAME, name)]));
        Self(REPORT.map(with_name))
    }

    /// Adds them with their values. A target that gave a series of such a name itself loses it: the automatic one
    /// would otherwise not be the only one.
    #[expect(clippy::cast_precision_loss, reason = "counts of samples stay far below 2^53")]
    pub(crate) fn add(&self, report: &Report, scraped: &mut Scraped) {
        let Report { up, duration, counts } = report;
        let values =
            [f64::from(*up), *duration, counts.scraped as f64, counts.kept as f64, counts.added as f64];
        self.put(values, scraped);
    }

    /// Ends them.
    pub(crate) fn end(&self, scraped: &mut Scraped) {
        self.put([stale_marker(); 5], scraped);
    }

    fn put(&self, values: [f64; 5], scraped: &mut Scraped) {
        scraped.batch.samples.retain(|(labels, _)| !self.0.contains(labels));
        scraped.batch.samples.extend(self.0.iter().cloned().zip(values));
    }
}

/// Used by the cache for the families of a target.
pub(crate) type Families = HashMap<String, Metadata>;

#[cfg(test)]
mod tests;
