//! Order statistics that a few wild values cannot move. All of them pass over what is no measured value.

/// No measured value is this large; beyond it sums and products would overflow.
const VALUE_MAX: f64 = 1e100;

/// The measured values, sorted: no NaN, no infinities, nothing absurd.
pub(crate) fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut out: Vec<f64> = values.into_iter().filter(|v| v.abs() <= VALUE_MAX).collect();
    out.sort_unstable_by(f64::total_cmp);
    out
}

/// The `q` quantile (0 to 1) of sorted values, interpolated between neighbours; `None` when there are none.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "lengths stay below 2^53, positions are not negative"
)]
pub(crate) fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = q.clamp(0.0, 1.0) * last as f64;
    let below = sorted.get(place.floor() as usize)?;
    let above = sorted.get(place.ceil() as usize)?;
    Some(below + (above - below) * place.fract())
}

/// Median of sorted values.
pub(crate) fn median(sorted: &[f64]) -> Option<f64> {
    quantile(sorted, 0.5)
}

/// Distance between the quartiles of sorted values.
pub(crate) fn iqr(sorted: &[f64]) -> Option<f64> {
    Some(quantile(sorted, 0.75)? - quantile(sorted, 0.25)?)
}

/// The nine inner deciles: both tails are cut, yet a shift of a part of the values is still seen.
const DECILES: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// Mean of the inner deciles of sorted values: a mean without its tails.
pub(crate) fn decile_mean(sorted: &[f64]) -> Option<f64> {
    let mut sum = 0.0;
    for q in DECILES {
        sum += quantile(sorted, q)?;
    }
    Some(sum / 9.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_measured_value_is_passed_over() {
        assert_eq!(sorted([f64::NAN, 2.0, f64::INFINITY, f64::MAX, 1.0]), [1.0, 2.0]);
    }

    #[test]
    fn quantiles_interpolate_and_nothing_has_none() {
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
        assert_eq!(iqr(&[0.0, 1.0, 2.0, 3.0, 4.0]), Some(2.0));
        assert_eq!(median(&[]), None);
        assert_eq!(quantile(&[7.0], 0.9), Some(7.0));
    }

    #[test]
    fn one_wild_value_does_not_move_the_mean_of_deciles() {
        let calm: Vec<f64> = (0..101).map(f64::from).collect();
        let mut wild = calm.clone();
        wild[100] = 1e12;
        assert_eq!(decile_mean(&calm), decile_mean(&wild));
    }
}
