//! Statistics that a few wild values cannot bend.

/// Scales the median absolute deviation to the standard deviation of a normal distribution.
///
/// Source: Rousseeuw and Croux, "Alternatives to the Median Absolute Deviation", 1993.
const MAD_TO_SIGMA: f64 = 1.4826;

/// Middle value; the mean of the two middle ones for an even number. `None` without a finite value.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut v: Vec<f64> = values.iter().copied().filter(|x| x.is_finite()).collect();
    v.sort_by(f64::total_cmp);
    let upper = *v.get(v.len() / 2)?;
    if v.len() % 2 == 1 {
        return Some(upper);
    }
    v.get(v.len() / 2 - 1).map(|lower| f64::midpoint(*lower, upper))
}

/// Median absolute deviation from the median, scaled to sigma, in the unit of the values.
#[must_use]
pub fn mad(values: &[f64]) -> Option<f64> {
    let middle = median(values)?;
    let off: Vec<f64> = values.iter().map(|v| (v - middle).abs()).collect();
    median(&off).map(|m| m * MAD_TO_SIGMA)
}

/// How many robust sigmas `value` lies from the median of `past`; without unit, signed.
///
/// `floor`: smallest sigma that is believed, in the unit of the values, so that a constant series does not
/// make its first tiny step infinite. `None` without a finite value in `past`.
///
/// Source: Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993.
#[must_use]
pub fn robust_z(value: f64, past: &[f64], floor: f64) -> Option<f64> {
    let middle = median(past)?;
    let sigma = mad(past)?.max(floor);
    (sigma > 0.0).then(|| (value - middle) / sigma)
}

/// Median of the slopes between all pairs of points: unit of y per unit of x. Stands up to 29 % wild points.
///
/// Costs n²/2; callers thin out first. `None` when all x are equal or there are fewer than two points.
///
/// Source: Sen, "Estimates of the Regression Coefficient Based on Kendall's Tau", 1968.
#[must_use]
pub fn theil_sen(points: &[(f64, f64)]) -> Option<f64> {
    let mut slopes = Vec::with_capacity(points.len() * points.len().saturating_sub(1) / 2);
    for (i, (x1, y1)) in points.iter().enumerate() {
        for (x2, y2) in points.iter().skip(i + 1) {
            if x1.total_cmp(x2).is_ne() {
                slopes.push((y2 - y1) / (x2 - x1));
            }
        }
    }
    median(&slopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wild_value_does_not_move_the_median_or_the_slope() {
        assert_eq!(median(&[1.0, 2.0, 900.0]), Some(2.0));
        let line: Vec<_> =
            (0..20).map(|x| (f64::from(x), if x == 7 { 1e9 } else { 3.0 * f64::from(x) })).collect();
        assert!((theil_sen(&line).unwrap() - 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_constant_past_needs_the_floor_to_give_a_score() {
        assert_eq!(robust_z(6.0, &[5.0; 30], 0.0), None);
        assert_eq!(robust_z(6.0, &[5.0; 30], 0.5), Some(2.0));
    }

    #[test]
    fn nothing_gives_nothing() {
        assert_eq!(median(&[f64::NAN]), None);
        assert_eq!(theil_sen(&[(1.0, 1.0), (1.0, 2.0)]), None);
    }
}
