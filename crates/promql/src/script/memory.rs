//! Series in memory: what scripts load and tests ask.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use wellkept_model::{
    CUSTOM_BUCKETS_SCHEMA, Histogram, HistogramSample, Labels, METRIC_NAME, Matcher, ResetHint, Sample,
    SeriesData, SeriesSource, SourceError, SourceLimits, Span, TimestampMs, is_stale,
};

use super::command::Load;
use super::notation::SeriesValue;
use crate::Limits;
use crate::native::is_reset;

/// A source whose series were written down.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    series: BTreeMap<Labels, SeriesData>,
    samples: usize,
}

impl Memory {
    /// Adds the values of a series, the first at the epoch, each `interval` after the one before. A value at an
    /// instant that has one already replaces it.
    pub fn add(&mut self, labels: &Labels, values: Vec<SeriesValue>, interval: Duration) {
        let values = values.into_iter().enumerate();
        self.merge(labels, values.map(|(i, value)| (instant(interval, i), value)).collect());
    }

    /// Adds values in order of time; all at once, so that a long series does not move for each of them.
    fn merge(&mut self, labels: &Labels, mut values: Vec<(TimestampMs, SeriesValue)>) {
        values.retain(|(_, value)| *value != SeriesValue::Gap);
        if values.is_empty() {
            return;
        }
        self.samples += values.len();
        let fresh = || SeriesData { labels: labels.clone(), ..SeriesData::default() };
        let series = self.series.entry(labels.clone()).or_insert_with(fresh);
        let kept = |at: TimestampMs| values.binary_search_by_key(&at, |(at, _)| *at).is_err();
        series.samples.retain(|s| kept(s.at));
        series.histograms.retain(|h| kept(h.at));
        for (at, value) in values {
            match value {
                SeriesValue::Gap => {}
                SeriesValue::Float(value) => series.samples.push(Sample { at, value }),
                SeriesValue::Histogram(histogram) => {
                    series.histograms.push(HistogramSample { at, histogram })
                }
            }
        }
        series.samples.sort_by_key(|s| s.at);
        series.histograms.sort_by_key(|h| h.at);
    }

    pub(super) fn load(&mut self, load: &Load, limits: &Limits) -> Result<(), String> {
        let more: usize = load.series.iter().map(|(_, values)| values.len()).sum();
        if self.samples.saturating_add(more) > limits.samples {
            return Err(format!("a script may load at most {} samples", limits.samples));
        }
        for (labels, values) in &load.series {
            self.add(labels, values.clone(), load.interval);
        }
        if load.with_custom_buckets {
            self.add_custom_buckets(load)?;
        }
        Ok(())
    }

    /// Makes native histograms with custom buckets of the classic ones that were loaded.
    fn add_custom_buckets(&mut self, load: &Load) -> Result<(), String> {
        let mut classic: BTreeMap<(Labels, usize), Classic> = BTreeMap::new();
        for (labels, values) in &load.series {
            let name = labels.name();
            let suffix = ["_bucket", "_count", "_sum"].into_iter().find(|s| name.ends_with(s));
            let Some((base, suffix)) = suffix.and_then(|s| Some((name.strip_suffix(s)?, s))) else {
                continue;
            };
            let bound = labels.get("le").parse::<f64>();
            let others = labels.iter().filter(|(n, _)| *n != "le" && *n != METRIC_NAME);
            let target = Labels::new(others.chain([(METRIC_NAME, base)]));
            for (i, value) in values.iter().enumerate() {
                let SeriesValue::Float(value) = value else { continue };
                let at = classic.entry((target.clone(), i)).or_default();
                match suffix {
                    "_count" => at.count = Some(*value),
                    "_sum" => at.sum = *value,
                    _ => at.buckets.extend(bound.clone().ok().filter(|b| !b.is_nan()).map(|b| (b, *value))),
                }
            }
        }
        let mut made: BTreeMap<Labels, Vec<(TimestampMs, SeriesValue)>> = BTreeMap::new();
        for ((labels, i), classic) in classic {
            let histogram = classic.convert().map_err(|why| format!("{labels}: {why}"))?;
            let value = SeriesValue::Histogram(Arc::new(histogram));
            made.entry(labels).or_default().push((instant(load.interval, i), value));
        }
        for (labels, values) in made {
            self.merge(&labels, values);
        }
        Ok(())
    }
}

/// When the value number `i` of a series holds.
fn instant(interval: Duration, i: usize) -> TimestampMs {
    let interval = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
    TimestampMs(interval.saturating_mul(i64::try_from(i).unwrap_or(i64::MAX)))
}

/// The parts of a classic histogram at one instant.
#[derive(Default)]
struct Classic {
    /// Upper bound and how many observations lie at or below it.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

impl Classic {
    fn convert(mut self) -> Result<Histogram, String> {
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let highest = self.buckets.last().map_or(0.0, |b| b.1);
        let count = self.count.unwrap_or(highest);
        if self.buckets.last().is_none_or(|b| b.0 != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        let mut below = 0.0;
        let mut counts = Vec::with_capacity(self.buckets.len());
        for (bound, at_or_below) in &self.buckets {
            if *at_or_below < below {
                return Err(format!("count is not cumulative: {at_or_below} < {below} at le {bound}"));
            }
            counts.push(at_or_below - below);
            below = *at_or_below;
        }
        #[expect(clippy::float_cmp, reason = "both were written down")]
        if below != count {
            return Err(format!("count mismatch: {count} in all, {below} in the buckets"));
        }
        self.buckets.pop();
        Ok(Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count,
            sum: self.sum,
            positive_spans: vec![Span { offset: 0, length: u32::try_from(counts.len()).unwrap_or(u32::MAX) }],
            positive: counts,
            custom_values: self.buckets.into_iter().map(|b| b.0).collect(),
            ..Histogram::default()
        })
    }
}

/// The histograms of a series with what a store would tell about resets: none since the one before, where it could
/// see that; nothing after a float, a reset, or at the start.
fn hinted(series: &SeriesData) -> impl Iterator<Item = HistogramSample> {
    let mut before: Option<&HistogramSample> = None;
    series.histograms.iter().map(move |now| {
        let old = before.replace(now);
        let follows = old.filter(|old| {
            let between = |s: &Sample| s.at > old.at && s.at < now.at;
            !series.samples.iter().any(between) && !is_stale(old.histogram.sum)
        });
        let unknown = now.histogram.reset_hint == ResetHint::Unknown && !is_stale(now.histogram.sum);
        let gauge = old.is_some_and(|old| old.histogram.reset_hint == ResetHint::Gauge);
        if unknown && !gauge && follows.is_some_and(|old| continues(&now.histogram, &old.histogram)) {
            let histogram = Histogram { reset_hint: ResetHint::NoReset, ..now.histogram.as_ref().clone() };
            return HistogramSample { at: now.at, histogram: Arc::new(histogram) };
        }
        now.clone()
    })
}

/// Whether a store would keep both in one chunk: only the buckets may differ, and none may have fallen.
fn continues(now: &Histogram, before: &Histogram) -> bool {
    now.schema == before.schema
        && now.zero_threshold == before.zero_threshold
        && now.custom_values == before.custom_values
        && !is_reset(now, before)
}

impl SeriesSource for Memory {
    fn select(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<SeriesData>, SourceError> {
        let wanted =
            self.series.values().filter(|s| matchers.iter().all(|m| m.matches(s.labels.get(m.name()))));
        let mut got = Vec::new();
        let mut samples = 0;
        for series in wanted {
            let inside = |at: TimestampMs| (from..=to).contains(&at);
            let one = SeriesData {
                labels: series.labels.clone(),
                samples: series.samples.iter().copied().filter(|s| inside(s.at)).collect(),
                histograms: hinted(series).filter(|h| inside(h.at)).collect(),
            };
            samples += one.samples.len() + one.histograms.len();
            if samples > limits.samples {
                return Err(SourceError::TooMuch { what: "samples", limit: limits.samples });
            }
            if !one.samples.is_empty() || !one.histograms.is_empty() {
                got.push(one);
            }
        }
        Ok(got)
    }

    fn series(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<Labels>, SourceError> {
        Ok(self.select(matchers, from, to, limits)?.into_iter().map(|s| s.labels).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_value_at_the_same_instant_replaces_the_earlier_one() {
        let mut memory = Memory::default();
        let labels = Labels::metric("a", []);
        let floats = |v: &[f64]| v.iter().map(|v| SeriesValue::Float(*v)).collect::<Vec<_>>();
        memory.add(&labels, floats(&[1.0, 2.0, 3.0]), Duration::from_secs(2));
        memory.add(&labels, vec![SeriesValue::Gap, SeriesValue::Float(9.0)], Duration::from_secs(1));
        memory.add(&labels, vec![SeriesValue::Histogram(Arc::default())], Duration::from_secs(1));
        let series = &memory.series[&labels];
        let at: Vec<_> = series.samples.iter().map(|s| (s.at.0, s.value)).collect();
        assert_eq!(at, [(1000, 9.0), (2000, 2.0), (4000, 3.0)]);
        assert_eq!(series.histograms.len(), 1);
    }
}
