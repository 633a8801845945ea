//! Sums and means of many histograms, compensated (Neumaier) as those of plain numbers are.

use super::{Mismatch, Native};

/// A running sum or mean with its lost low bits.
#[derive(Debug)]
pub(crate) struct Total {
    high: Native,
    /// What rounding lost of `high`, in its layout.
    low: Native,
    count: f64,
    wants: Wants,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wants {
    Sum,
    /// A mean, as long as the sum is finite.
    Mean,
    /// A mean whose sum is infinite: `high` is the mean so far.
    MeanInSteps,
}

impl Total {
    pub(crate) fn new(first: Native, mean: bool) -> Self {
        let (schema, zero_threshold, custom) = (first.schema, first.zero_threshold, first.custom.clone());
        let low = Native { schema, zero_threshold, custom, ..Native::default() };
        Self { high: first, low, count: 1.0, wants: if mean { Wants::Mean } else { Wants::Sum } }
    }

    /// The sum so far, or the mean where the sum left the numbers: what decides how the next one has to be fitted.
    pub(crate) fn so_far(&self) -> &Native {
        &self.high
    }

    /// Takes in one more; after a mismatch the total is of no use.
    pub(crate) fn add(&mut self, next: &Native) -> Result<(), Mismatch> {
        self.count += 1.0;
        match self.wants {
            Wants::Sum => self.plus(next),
            Wants::MeanInSteps => step_to_mean(&mut self.high, next, self.count),
            Wants::Mean => {
                let before = (self.high.clone(), self.low.clone());
                self.plus(next)?;
                if self.high.is_finite() {
                    return Ok(());
                }
                (self.high, self.low) = before;
                self.high.divide(self.count - 1.0);
                self.wants = Wants::MeanInSteps;
                step_to_mean(&mut self.high, next, self.count)
            }
        }
    }

    fn plus(&mut self, next: &Native) -> Result<(), Mismatch> {
        let lost = self.high.add_with_rest(next)?;
        self.low.join(&lost, 1.0).map(drop)
    }

    pub(crate) fn finish(mut self) -> Result<Native, Mismatch> {
        if self.wants == Wants::MeanInSteps {
            return Ok(self.high);
        }
        if self.wants == Wants::Mean {
            self.high.divide(self.count);
            self.low.divide(self.count);
        }
        if self.low.is_finite() {
            self.high.join(&self.low, 1.0)?;
        }
        Ok(self.high)
    }
}

/// Moves a mean over `count - 1` histograms on by one more.
fn step_to_mean(mean: &mut Native, next: &Native, count: f64) -> Result<(), Mismatch> {
    let (mut step, mut share) = (next.clone(), mean.clone());
    step.divide(count);
    share.divide(count);
    step.sub(&share)?;
    // The difference is only a means: it makes no gauge of a mean of counters.
    step.hint = next.hint;
    mean.add(&step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: f64) -> Native {
        let positive = vec![(1, value), (3, 1.0)];
        Native { count: value, sum: value, zero_count: value, positive, ..Native::default() }
    }

    fn total(values: &[f64], mean: bool) -> Native {
        let mut total = Total::new(of(values[0]), mean);
        values[1..].iter().for_each(|v| total.add(&of(*v)).unwrap());
        total.finish().unwrap()
    }

    #[test]
    fn what_rounding_takes_comes_back_at_the_end() {
        let sum = total(&[1.0, 1e100, 1.0, -1e100], false);
        assert_eq!((sum.count, sum.sum, sum.zero_count), (2.0, 2.0, 2.0));
        assert_eq!(sum.positive, [(1, 2.0), (3, 4.0)]);
        let mean = total(&[1.0, 1e100, 1.0, -1e100], true);
        assert_eq!((mean.count, mean.positive), (0.5, vec![(1, 0.5), (3, 1.0)]));
    }

    #[test]
    fn a_mean_outlives_an_infinite_sum() {
        let mean = total(&[f64::MAX, f64::MAX, f64::MAX], true);
        assert_eq!((mean.sum, mean.count), (f64::MAX, f64::MAX));
        assert!(total(&[f64::MAX, f64::MAX], false).sum.is_infinite(), "a sum has no such refuge");
    }

    #[test]
    fn lost_bits_follow_into_a_lower_resolution() {
        let mut sum = Total::new(of(1.0), false);
        sum.add(&of(1e100)).unwrap();
        let coarse = Native { schema: -1, positive: vec![(1, -1e100)], ..Native::default() };
        sum.add(&coarse).unwrap();
        // Buckets 1 and 3 of schema 0 are 1 and 2 of schema -1.
        assert_eq!(sum.finish().unwrap().positive, [(1, 1.0), (2, 2.0)]);
    }
}
