//! `histogram_quantile` over classic buckets (`le`).

use std::collections::HashMap;

use wellkept_model::{Labels, METRIC_NAME};

use crate::QueryError;
use crate::column::{Column, Grid, is_absent};
use crate::eval::Evaluator;
use crate::stats;

/// The label that holds a bucket's upper bound.
const BOUND: &str = "le";

/// Relative differences of counts below this come from rounding, not from a decrease: Prometheus' value.
const ROUNDING: f64 = 1e-12;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    upper: f64,
    /// Observations at or below `upper`.
    count: f64,
}

impl Evaluator<'_> {
    /// The quantile of each histogram at each step.
    pub(crate) fn histogram_quantile(
        &self,
        quantiles: &[f64],
        columns: &[Column],
        grid: Grid,
    ) -> Result<Vec<Column>, QueryError> {
        if let Some(bad) = quantiles.iter().find(|q| !(0.0..=1.0).contains(*q)) {
            self.warn(format!("PromQL warning: quantile value should be between 0 and 1, got {bad}"));
        }
        let mut out = Vec::new();
        for (labels, bounds) in self.histograms(columns) {
            let mut column = self.column(labels, grid)?;
            let mut buckets = Vec::with_capacity(bounds.len());
            for (step, (value, q)) in column.values.iter_mut().zip(quantiles).enumerate() {
                buckets.clear();
                buckets.extend(bounds.iter().filter_map(|(upper, counts)| {
                    let count = counts.values.get(step).copied().filter(|c| !is_absent(*c))?;
                    Some(Bucket { upper: *upper, count })
                }));
                self.work(buckets.len() + 1)?;
                if !buckets.is_empty() {
                    *value = quantile(*q, &mut buckets);
                }
            }
            if !column.is_empty() {
                out.push(column);
            }
        }
        Ok(out)
    }

    /// Columns by histogram, with their upper bounds; those without a usable bound are left out with a warning.
    fn histograms<'a>(&self, columns: &'a [Column]) -> Vec<(Labels, Vec<(f64, &'a Column)>)> {
        let mut seen: HashMap<Labels, usize> = HashMap::new();
        let mut histograms: Vec<(Labels, Vec<(f64, &Column)>)> = Vec::new();
        for column in columns {
            let bound = column.labels.get(BOUND);
            let Ok(upper) = bound.parse::<f64>() else {
                self.warn(format!(
                    "PromQL warning: bucket label {BOUND:?} is missing or has a malformed value of {bound:?} for \
                     metric name {:?}",
                    column.labels.name()
                ));
                continue;
            };
            let labels = column.labels.filter(|n| n != BOUND && n != METRIC_NAME);
            let place = *seen.entry(labels.clone()).or_insert(histograms.len());
            match histograms.get_mut(place) {
                Some((_, bounds)) => bounds.push((upper, column)),
                None => histograms.push((labels, vec![(upper, column)])),
            }
        }
        histograms
    }
}

/// The quantile within cumulative buckets, linear inside a bucket; NaN where there is no `+Inf` bucket, fewer than
/// two buckets, or no observation.
fn quantile(q: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    buckets.sort_by(|a, b| stats::ascending(a.upper, b.upper));
    if buckets.last().is_none_or(|b| b.upper != f64::INFINITY) {
        return f64::NAN;
    }
    coalesce(buckets);
    level(buckets);
    let (Some(last), true) = (buckets.last().copied(), buckets.len() >= 2) else { return f64::NAN };
    if last.count == 0.0 || last.count.is_nan() {
        return f64::NAN;
    }
    let rank = q * last.count;
    let finite = buckets.len() - 1;
    let found = buckets.iter().take(finite).position(|b| b.count >= rank).unwrap_or(finite);
    let before = found.checked_sub(1).and_then(|i| buckets.get(i)).copied();
    let Some(bucket) = buckets.get(found).copied() else { return f64::NAN };
    match before {
        // In the unbounded bucket: its lower end is all that is known.
        Some(before) if found == finite => before.upper,
        None if bucket.upper <= 0.0 => bucket.upper,
        None => bucket.upper * (rank / bucket.count),
        Some(before) => {
            let share = (rank - before.count) / (bucket.count - before.count);
            before.upper + (bucket.upper - before.upper) * share
        }
    }
}

/// Adds up buckets with one bound. Wants them sorted.
fn coalesce(buckets: &mut Vec<Bucket>) {
    #[expect(clippy::float_cmp, reason = "bounds are equal when their texts are the same number")]
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
}

/// Makes counts rise: a scrape may catch buckets in the middle of an update, and sums of rates round.
fn level(buckets: &mut [Bucket]) {
    let mut highest = f64::NAN;
    for bucket in buckets {
        let rounding = (highest - bucket.count).abs() <= ROUNDING * (highest.abs() + bucket.count.abs());
        if rounding || bucket.count < highest {
            bucket.count = highest;
        } else {
            highest = bucket.count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(q: f64, buckets: &[(f64, f64)]) -> f64 {
        quantile(
            q,
            &mut buckets.iter().map(|(upper, count)| Bucket { upper: *upper, count: *count }).collect(),
        )
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn a_quantile_is_linear_inside_its_bucket() {
        let buckets = [(1.0, 10.0), (2.0, 30.0), (INF, 40.0)];
        assert_eq!(of(0.5, &buckets), 1.5);
        assert_eq!(of(0.125, &buckets), 0.5);
        assert_eq!(of(0.0, &buckets), 0.0);
    }

    #[test]
    fn beyond_the_last_bound_the_answer_is_that_bound() {
        assert_eq!(of(0.99, &[(1.0, 10.0), (2.0, 30.0), (INF, 40.0)]), 2.0);
    }

    #[test]
    fn a_first_bucket_below_zero_gives_its_bound() {
        assert_eq!(of(0.1, &[(-1.0, 10.0), (INF, 10.0)]), -1.0);
    }

    #[test]
    fn what_is_no_histogram_has_no_quantile() {
        assert!(of(0.5, &[(1.0, 10.0), (2.0, 30.0)]).is_nan(), "no +Inf bucket");
        assert!(of(0.5, &[(INF, 30.0)]).is_nan(), "one bucket");
        assert!(of(0.5, &[(1.0, 0.0), (INF, 0.0)]).is_nan(), "no observation");
        assert!(of(f64::NAN, &[(1.0, 1.0), (INF, 1.0)]).is_nan());
    }

    #[test]
    fn a_decreasing_count_is_levelled() {
        assert_eq!(of(0.5, &[(1.0, 10.0), (2.0, 8.0), (INF, 10.0)]), 0.5);
    }

    #[test]
    fn buckets_with_one_bound_are_added_up() {
        assert_eq!(of(0.5, &[(1.0, 5.0), (1.0, 5.0), (2.0, 20.0), (INF, 20.0)]), 1.0);
    }
}
