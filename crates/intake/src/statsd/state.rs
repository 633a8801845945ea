//! What is known of one series between flushes.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use super::Problem;
use super::line::{Kind, Value};

#[derive(Debug)]
pub(super) enum State {
    Counter(f64),
    Gauge(f64),
    Timer(Timer),
    Set(HashSet<u64>),
}

#[derive(Debug, Default)]
pub(super) struct Timer {
    /// Since the series began; observations that were sampled count for several.
    pub(super) count: f64,
    pub(super) sum: f64,
    /// Observations of this interval, and the choice that is kept of them.
    seen: u64,
    kept: Vec<f64>,
}

impl State {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter(0.0),
            Kind::Gauge => Self::Gauge(0.0),
            Kind::Timer | Kind::Histogram => Self::Timer(Timer::default()),
            Kind::Set => Self::Set(HashSet::new()),
        }
    }

    /// Adds a value; returns how many new members a set got. `places`: new members that are still allowed.
    pub(super) fn add(
        &mut self,
        value: Value<'_>,
        rate: f64,
        observations_max: usize,
        places: usize,
        noise: &mut Noise,
    ) -> Result<usize, Problem> {
        match (self, value) {
            (Self::Counter(total), Value::Number(value)) => *total += value / rate,
            (Self::Gauge(gauge), Value::Number(value)) => *gauge = value,
            (Self::Gauge(gauge), Value::Change(value)) => *gauge += value,
            (Self::Timer(timer), Value::Number(value)) => timer.add(value, rate, observations_max, noise),
            (Self::Set(members), Value::Member(member)) => {
                let hash = noise.hasher.hash_one(member);
                if members.contains(&hash) {
                    return Ok(0);
                }
                if places == 0 {
                    return Err("there is no place for another member of a set");
                }
                members.insert(hash);
                return Ok(1);
            }
            _ => return Err("the value does not fit the type"),
        }
        Ok(0)
    }

    pub(super) fn begin_interval(&mut self) {
        match self {
            Self::Timer(timer) => {
                timer.seen = 0;
                timer.kept.clear();
            }
            Self::Set(members) => *members = HashSet::new(),
            Self::Counter(_) | Self::Gauge(_) => {}
        }
    }
}

impl Timer {
    fn add(&mut self, value: f64, rate: f64, observations_max: usize, noise: &mut Noise) {
        self.count += 1.0 / rate;
        self.sum += value / rate;
        self.seen += 1;
        if self.kept.len() < observations_max {
            self.kept.push(value);
        } else if let Some(place) =
            usize::try_from(noise.next() % self.seen).ok().and_then(|i| self.kept.get_mut(i))
        {
            // Every observation of the interval has the same chance to be among those that are kept.
            *place = value;
        }
    }

    /// The value below which this share of the kept observations lies; nothing when there were none.
    pub(super) fn quantile(&mut self, quantile: f64) -> Option<f64> {
        self.kept.sort_by(f64::total_cmp);
        let rank = (quantile.clamp(0.0, 1.0) * self.kept.len() as f64).ceil() as usize;
        self.kept.get(rank.saturating_sub(1)).copied()
    }
}

/// A cheap sequence of numbers without a pattern, the same in every run.
#[derive(Debug)]
pub(super) struct Noise {
    state: u64,
    hasher: RandomState,
}

impl Default for Noise {
    fn default() -> Self {
        Self { state: 0x9e37_79b9_7f4a_7c15, hasher: RandomState::new() }
    }
}

impl Noise {
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }
}
