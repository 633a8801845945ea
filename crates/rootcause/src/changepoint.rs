//! When a series changed its level.
//!
//! PELT: the best division into stretches of equal level, by least squares and a price for each change, with places
//! that can never again be the last change left out. Values are first freed of single wild ones (median of three) and
//! told in units of their own noise (from the differences of neighbours, which a change of level hardly touches).
//!
//! Source: Killick, Fearnhead and Eckley, "Optimal Detection of Changepoints with a Linear Computational Cost", JASA
//! 107, 2012; noise from differences as in Fryzlewicz, "Wild Binary Segmentation", Annals of Statistics 42, 2014.

use wellkept_model::{Sample, TimestampMs};

use crate::robust::{median, sorted};

/// Most values that are looked at one by one; longer series are thinned to medians of equal parts, as the work may grow
/// with the square of the length.
const VALUES_MAX: usize = 256;

/// Shortest stretch of one level, values: the median of three lets a pair of wild values through.
const STRETCH_MIN: usize = 3;

/// A stretch is at least this part of the series, so that a long series needs more than a few wild values for a level.
const STRETCH_PART: usize = 20;

/// Price of a change, in units of `ln n`: three, as the median of three makes neighbours alike.
const PRICE: f64 = 3.0;

/// One change of level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChangePoint {
    /// The first instant of the new level.
    pub at: TimestampMs,
    /// Level of the stretch before it.
    pub before: f64,
    /// Level of the stretch from it on.
    pub after: f64,
    /// Height of the step in units of noise; its sign tells the way.
    pub height: f64,
}

/// The changes of level of a series, oldest first. None for fewer than six finite values.
#[must_use]
pub fn change_points(samples: &[Sample]) -> Vec<ChangePoint> {
    let finite: Vec<Sample> = samples.iter().copied().filter(|s| s.value.is_finite()).collect();
    if finite.len() < 2 * STRETCH_MIN {
        return Vec::new();
    }
    let thinned = thin(&finite);
    let values = median_of_three(&thinned);
    let Some(noise) = noise(&thinned) else { return Vec::new() };
    let scaled: Vec<f64> = values.iter().map(|v| v / noise).collect();
    let mut edges = vec![0];
    edges.extend(Pelt::of(&scaled).changes());
    edges.push(scaled.len());
    let level = |from: usize, to: usize| median(&sorted(values.get(from..to).unwrap_or(&[]).iter().copied()));
    edges
        .windows(3)
        .filter_map(|edge| {
            let [from, at, to] = *edge else { return None };
            let (before, after) = (level(from, at)?, level(at, to)?);
            Some(ChangePoint { at: thinned.get(at)?.at, before, after, height: (after - before) / noise })
        })
        .collect()
}

/// Medians of equal parts, each at the time of its first value.
fn thin(samples: &[Sample]) -> Vec<Sample> {
    let part = samples.len().div_ceil(VALUES_MAX);
    let of_part = |part: &[Sample]| {
        Some(Sample { at: part.first()?.at, value: median(&sorted(part.iter().map(|s| s.value)))? })
    };
    samples.chunks(part.max(1)).filter_map(of_part).collect()
}

fn median_of_three(samples: &[Sample]) -> Vec<f64> {
    let value = |i: usize| samples.get(i).map(|s| s.value);
    (0..samples.len())
        .filter_map(|i| {
            let here = value(i)?;
            let (left, right) = (i.checked_sub(1).and_then(value), value(i + 1));
            let (Some(left), Some(right)) = (left, right) else { return Some(here) };
            Some(left.max(right).min(left.min(right).max(here)))
        })
        .collect()
}

/// Noise of a value before wild ones were taken out: 1.4826 / √2 times the median distance of neighbours. When most neighbours are equal, a thousandth
/// of the range; `None` for a constant.
fn noise(samples: &[Sample]) -> Option<f64> {
    let steps = samples.iter().zip(samples.iter().skip(1)).map(|(a, b)| (b.value - a.value).abs());
    let all = sorted(samples.iter().map(|s| s.value));
    let range = all.last()? - all.first()?;
    let noise = 1.4826 / std::f64::consts::SQRT_2 * median(&sorted(steps))?;
    let noise = noise.max(range / 1000.0);
    (noise > 0.0 && noise.is_finite()).then_some(noise)
}

/// The search, over values in units of noise.
struct Pelt {
    stretch: usize,
    sums: Vec<f64>,
    squares: Vec<f64>,
    price: f64,
}

impl Pelt {
    #[expect(clippy::cast_precision_loss, reason = "at most VALUES_MAX values")]
    fn of(values: &[f64]) -> Self {
        let centre = median(&sorted(values.iter().copied())).unwrap_or(0.0);
        let stretch = (values.len() / STRETCH_PART).max(STRETCH_MIN);
        let mut pelt = Self {
            stretch,
            sums: vec![0.0],
            squares: vec![0.0],
            price: PRICE * (values.len().max(2) as f64).ln(),
        };
        let (mut sum, mut square) = (0.0, 0.0);
        for value in values {
            sum += value - centre;
            square += (value - centre).powi(2);
            pelt.sums.push(sum);
            pelt.squares.push(square);
        }
        pelt
    }

    /// Squared distance of the values in `from..to` from their mean.
    #[expect(clippy::cast_precision_loss, reason = "at most VALUES_MAX values")]
    fn cost(&self, from: usize, to: usize) -> f64 {
        let between = |v: &[f64]| v.get(to).copied().unwrap_or(0.0) - v.get(from).copied().unwrap_or(0.0);
        let n = to.saturating_sub(from).max(1) as f64;
        (between(&self.squares) - between(&self.sums).powi(2) / n).max(0.0)
    }

    /// First places of the new levels, rising.
    fn changes(&self) -> Vec<usize> {
        let n = self.sums.len() - 1;
        // best[t]: least price of the first t values, and the last change before t.
        let mut best: Vec<(f64, usize)> = vec![(f64::INFINITY, 0); n + 1];
        if let Some(first) = best.first_mut() {
            *first = (-self.price, 0);
        }
        // Places that may be the last change, each with the length from which on it need not be looked at.
        let mut open = vec![(0, usize::MAX)];
        for t in self.stretch..=n {
            let with = |s: usize| best.get(s).map_or(f64::INFINITY, |b| b.0) + self.cost(s, t);
            open.retain(|(_, until)| t < *until);
            let found = open.iter().map(|(s, _)| (with(*s), *s)).min_by(|a, b| a.0.total_cmp(&b.0));
            let Some((cost, last)) = found else { break };
            // A place that is dearer than one at `t` stays so, but `t` itself can only be taken a stretch later.
            for (s, until) in &mut open {
                if with(*s) > cost + self.price {
                    *until = (*until).min(t + self.stretch);
                }
            }
            if let Some(slot) = best.get_mut(t) {
                *slot = (cost + self.price, last);
            }
            open.push((t + 1 - self.stretch, usize::MAX));
        }
        let mut changes = Vec::new();
        let mut at = n;
        while let Some((_, last)) = best.get(at).filter(|b| b.1 > 0) {
            changes.push(*last);
            at = *last;
        }
        changes.reverse();
        changes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn samples(values: impl IntoIterator<Item = f64>) -> Vec<Sample> {
        values.into_iter().zip(0..).map(|(value, i)| Sample { at: TimestampMs(i * 1000), value }).collect()
    }

    /// Even noise of height one without a generator: the finaliser of splitmix64.
    fn jitter(i: usize) -> f64 {
        let mut x = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    }

    fn step(n: usize, at: usize, height: f64) -> Vec<Sample> {
        samples((0..n).map(|i| jitter(i) + if i >= at { height } else { 0.0 }))
    }

    #[test]
    fn a_step_is_found_where_it_is() {
        let found = change_points(&step(60, 40, 8.0));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!((found[0].at.0 - 40_000).abs() <= 1000 && found[0].height > 5.0, "{found:?}");
    }

    #[test]
    fn there_and_back_are_two_changes() {
        let back = (0..90).map(|i| jitter(i) + if (30..60).contains(&i) { 9.0 } else { 0.0 });
        let found = change_points(&samples(back));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].height > 0.0 && found[1].height < 0.0, "{found:?}");
    }

    #[test]
    fn one_wild_value_is_no_change() {
        let mut values = step(60, 60, 0.0);
        values[30].value = 1e6;
        assert_eq!(change_points(&values), []);
    }

    #[test]
    fn too_few_values_and_constants_have_no_change() {
        assert_eq!(change_points(&samples([1.0, 9.0, 1.0])), []);
        assert_eq!(change_points(&samples([4.0; 50])), []);
    }

    #[test]
    fn a_long_series_is_thinned_and_its_step_still_found() {
        let found = change_points(&step(20_000, 15_000, 6.0));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!((found[0].at.0 - 15_000_000).abs() <= 160_000, "{found:?}");
    }

    /// Least price of a division, by trying every last change.
    fn exhaustive(pelt: &Pelt, n: usize) -> f64 {
        let mut best = vec![f64::INFINITY; n + 1];
        best[0] = -pelt.price;
        for t in pelt.stretch..=n {
            best[t] = (0..=t - pelt.stretch)
                .map(|s| best[s] + pelt.cost(s, t) + pelt.price)
                .fold(f64::INFINITY, f64::min);
        }
        best[n]
    }

    proptest! {
        #[test]
        fn leaving_out_places_loses_nothing(values in prop::collection::vec(-20.0..20.0_f64, 6..60)) {
            let pelt = Pelt::of(&values);
            let mut edges = vec![0];
            edges.extend(pelt.changes());
            edges.push(values.len());
            let price: f64 = edges.windows(2).map(|e| pelt.cost(e[0], e[1]) + pelt.price).sum::<f64>() - pelt.price;
            prop_assert!((price - exhaustive(&pelt, values.len())).abs() < 1e-6);
        }

        #[test]
        fn any_input_gives_ordered_places_within_it(values in prop::collection::vec(prop_oneof![
            8 => -1e6..1e6_f64, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY), 1 => Just(0.0), 1 => Just(f64::MAX),
        ], 0..400)) {
            let input = samples(values);
            let found = change_points(&input);
            prop_assert!(found.is_sorted_by(|a, b| a.at < b.at));
            prop_assert!(found.iter().all(|c| input.iter().any(|s| s.at == c.at)));
        }

        #[test]
        fn a_high_step_is_found_near_its_place(at in 10_usize..110, height in 6.0..100.0_f64, down in any::<bool>()) {
            let height = if down { -height } else { height };
            let found = change_points(&step(120, at, height));
            let near = |c: &ChangePoint| (c.at.0 - at as i64 * 1000).abs() <= 2000 && c.height.signum() == height.signum();
            prop_assert!(found.iter().any(near), "{:?}", found);
        }

        #[test]
        fn neither_unit_nor_zero_matter(at in 10_usize..50, unit in 0.001..1000.0_f64, zero in -1000.0..1000.0_f64) {
            let plain = step(60, at, 10.0);
            let other: Vec<Sample> = plain.iter().map(|s| Sample { value: s.value * unit + zero * unit, ..*s }).collect();
            let places = |s: &[Sample]| change_points(s).iter().map(|c| c.at).collect::<Vec<_>>();
            prop_assert_eq!(places(&plain), places(&other));
        }
    }
}
