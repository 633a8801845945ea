//! Differences added up, so that they can be stored as cumulative series.

use std::collections::HashMap;

use wellkept_model::TimestampMs;

/// Why a difference could not be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeltaProblem {
    /// Not newer than what was added before: a repetition, or out of order.
    NotNewer,
    /// There is no place for another series.
    Full,
}

/// The running sums of series that come as differences. One for all requests; lost at a restart, which the series show
/// as a counter that starts again at 0.
#[derive(Debug)]
pub struct Deltas {
    series_max: usize,
    key_bytes_max: usize,
    key_bytes: usize,
    sums: HashMap<Box<[u8]>, Sum>,
}

#[derive(Debug, Clone, Copy)]
struct Sum {
    total: f64,
    last: TimestampMs,
}

impl Default for Deltas {
    fn default() -> Self {
        Self::new(100_000)
    }
}

impl Deltas {
    /// Bytes of key that a series may have on average.
    const KEY_BYTES: usize = 512;

    /// Sums for at most `series_max` series, of at most 512 bytes each on average.
    #[must_use]
    pub fn new(series_max: usize) -> Self {
        let key_bytes_max = series_max.saturating_mul(Self::KEY_BYTES);
        Self { series_max, key_bytes_max, key_bytes: 0, sums: HashMap::new() }
    }

    /// Series that are added up.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sums.len()
    }

    /// True when nothing is added up.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    /// Forgets series without news since `at`. To be called now and then, or the places run out.
    pub fn forget_before(&mut self, at: TimestampMs) {
        let bytes = &mut self.key_bytes;
        self.sums.retain(|key, sum| {
            let keep = sum.last >= at;
            if !keep {
                *bytes -= key.len();
            }
            keep
        });
    }

    /// Adds a difference and returns the sum.
    pub(super) fn add(&mut self, key: &[u8], at: TimestampMs, value: f64) -> Result<f64, DeltaProblem> {
        if let Some(sum) = self.sums.get_mut(key) {
            if at <= sum.last {
                return Err(DeltaProblem::NotNewer);
            }
            *sum = Sum { total: sum.total + value, last: at };
            return Ok(sum.total);
        }
        if self.sums.len() >= self.series_max || self.key_bytes + key.len() > self.key_bytes_max {
            return Err(DeltaProblem::Full);
        }
        self.key_bytes += key.len();
        self.sums.insert(key.into(), Sum { total: value, last: at });
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_added_up_once_each() {
        let mut deltas = Deltas::new(2);
        let mut add = |key: &[u8], at, value| deltas.add(key, TimestampMs(at), value);
        assert_eq!(add(b"a", 1, 2.0), Ok(2.0));
        assert_eq!(add(b"a", 2, 3.0), Ok(5.0));
        assert_eq!(add(b"a", 2, 3.0), Err(DeltaProblem::NotNewer));
        assert_eq!(add(b"b", 3, 1.0), Ok(1.0));
        assert_eq!(add(b"c", 3, 1.0), Err(DeltaProblem::Full));
        deltas.forget_before(TimestampMs(3));
        assert_eq!(deltas.len(), 1);
        assert_eq!(deltas.add(b"c", TimestampMs(4), 1.0), Ok(1.0));
        assert_eq!(deltas.add(b"b", TimestampMs(4), 1.0), Ok(2.0));
    }

    #[test]
    fn keys_are_bounded_in_bytes_too() {
        let mut deltas = Deltas::new(1);
        assert_eq!(deltas.add(&[0; 513], TimestampMs(1), 1.0), Err(DeltaProblem::Full));
        assert!(deltas.is_empty());
    }
}
