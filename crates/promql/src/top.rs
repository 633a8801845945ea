//! Aggregations that pick series and keep them as they are: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use std::cmp::Ordering;
use std::hash::Hasher;

use crate::QueryError;
use crate::aggregate::Group;
use crate::column::{Column, Grid};
use crate::eval::Evaluator;
use crate::names::Names;
use crate::stats;
use crate::syntax::number::{format_general, format_number};
use crate::syntax::token::Span;
use crate::syntax::tree::{Aggregate, AggregateOp};

impl Evaluator<'_> {
    /// Keeps values at the steps at which their series is picked. At a single step ranked series are also put in
    /// order.
    pub(crate) fn pick(
        &self,
        groups: Vec<Group>,
        aggregate: &Aggregate,
        params: &[f64],
        grid: Grid,
    ) -> Result<Vec<Column>, QueryError> {
        let op = aggregate.op;
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let ratio = op == AggregateOp::LimitRatio;
        if ratio {
            self.tell_of_ratios(params, aggregate.param.as_ref().map_or(Span::default(), |p| p.span()));
        }
        let mut out = Vec::new();
        for mut group in groups {
            let shares: Vec<f64> =
                if ratio { group.columns.iter().map(|c| share(self.names(c))).collect() } else { Vec::new() };
            let mut order = Vec::new();
            for step in 0..grid.count {
                let param = params.get(step).copied().unwrap_or(f64::NAN);
                self.work(group.columns.len() + 1)?;
                if ratio {
                    keep_share(&mut group.columns, &shares, step, param)?;
                    continue;
                }
                let most = how_many(param)?;
                order = if op == AggregateOp::LimitK {
                    keep_first(&mut group.columns, step, most)
                } else {
                    self.keep_best(&mut group.columns, aggregate, step, most)
                };
            }
            if grid.count == 1 && matches!(op, AggregateOp::TopK | AggregateOp::BottomK) {
                put_in_order(&mut group.columns, &order);
            }
            out.extend(group.columns.into_iter().filter(|c| !c.is_empty()));
        }
        Ok(out)
    }

    /// Keeps the best `most` floats; gives all places from best to worst. Histograms have no rank.
    fn keep_best(
        &self,
        columns: &mut [Column],
        aggregate: &Aggregate,
        step: usize,
        most: usize,
    ) -> Vec<usize> {
        let there = columns.iter().enumerate();
        let mut ranked: Vec<(usize, f64)> = there.filter_map(|(i, c)| Some((i, c.float(step)?))).collect();
        let best = |a: &(usize, f64), b: &(usize, f64)| rank(aggregate.op, a.1, b.1).then(a.0.cmp(&b.0));
        ranked.sort_unstable_by(best);
        for column in columns.iter_mut().filter(|c| c.histogram(step).is_some()) {
            self.notes.ignored_in_aggregation(aggregate.op.name(), aggregate.span);
            column.clear(step);
        }
        for (place, _) in ranked.iter().skip(most) {
            if let Some(column) = columns.get_mut(*place) {
                column.clear(step);
            }
        }
        ranked.into_iter().map(|(place, _)| place).collect()
    }

    fn tell_of_ratios(&self, params: &[f64], span: Span) {
        let most = params.iter().copied().filter(|r| *r > 1.0).fold(f64::NAN, f64::max);
        let least = params.iter().copied().filter(|r| *r < -1.0).fold(f64::NAN, f64::min);
        for (bad, cap) in [(most, 1), (least, -1)] {
            if !bad.is_nan() {
                self.notes.warn(
                    span,
                    &format!(
                        "ratio value should be between -1 and 1, got {}, capping to {cap}",
                        format_general(bad)
                    ),
                );
            }
        }
    }
}

/// Keeps the first `most` series that have a value.
fn keep_first(columns: &mut [Column], step: usize, most: usize) -> Vec<usize> {
    let mut kept = 0;
    for column in columns.iter_mut().filter(|c| c.has(step)) {
        kept += 1;
        if kept > most {
            column.clear(step);
        }
    }
    Vec::new()
}

/// Keeps the series whose share lies below the ratio; with a negative one, those that its complement would not keep.
fn keep_share(columns: &mut [Column], shares: &[f64], step: usize, ratio: f64) -> Result<(), QueryError> {
    let any = columns.iter().any(|c| c.has(step));
    if ratio.is_nan() && any {
        return Err(QueryError::failed("Ratio value NaN is NaN"));
    }
    let ratio = ratio.clamp(-1.0, 1.0);
    for (column, share) in columns.iter_mut().zip(shares) {
        let kept = if ratio >= 0.0 { *share < ratio } else { *share >= 1.0 + ratio };
        if !kept || ratio == 0.0 {
            column.clear(step);
        }
    }
    Ok(())
}

/// A number in `[0, 1)` that a series always has, and that says nothing else about it.
fn share(names: Names<'_>) -> f64 {
    let mut hasher = Fnv::default();
    for (name, value) in names.iter() {
        hasher.write(name.as_bytes());
        hasher.write(&[0xff]);
        hasher.write(value.as_bytes());
        hasher.write(&[0xff]);
    }
    #[expect(clippy::cast_precision_loss, reason = "53 bits of a hash are enough for a share")]
    {
        (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// FNV-1a with a last mixing step: the same in every process, so that a ratio picks the same series each time.
///
/// Source: Fowler, Noll, Vo; the mixing is that of MurmurHash3.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        let mut h = self.0;
        h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        h ^ (h >> 33)
    }
}

fn put_in_order(columns: &mut Vec<Column>, order: &[usize]) {
    let mut place = vec![usize::MAX; columns.len()];
    for (rank, i) in order.iter().enumerate() {
        if let Some(place) = place.get_mut(*i) {
            *place = rank;
        }
    }
    let mut placed: Vec<_> = place.into_iter().zip(std::mem::take(columns)).collect();
    placed.sort_by_key(|(place, _)| *place);
    columns.extend(placed.into_iter().map(|(_, c)| c));
}

/// Best first; NaN is never best.
fn rank(op: AggregateOp, a: f64, b: f64) -> Ordering {
    let by_value = if op == AggregateOp::TopK { stats::ascending(b, a) } else { stats::ascending(a, b) };
    a.is_nan().cmp(&b.is_nan()).then(by_value)
}

/// The `k` of `topk`.
fn how_many(param: f64) -> Result<usize, QueryError> {
    // The first number that a signed 64-bit integer cannot hold.
    const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;
    if !param.is_finite() || param.abs() >= TOO_LARGE {
        return Err(QueryError::failed(format!("Scalar value {} overflows int64", format_number(param))));
    }
    #[expect(clippy::cast_sign_loss, reason = "what is below 1 becomes 0")]
    Ok(param.max(0.0) as usize)
}
