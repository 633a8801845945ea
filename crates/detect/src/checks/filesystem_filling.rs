//! A file system will be full soon at the slope of the last minutes.
//!
//! The slope is the median of all pairwise slopes, which wild points cannot bend, and it counts only when space
//! falls in most of the steps: one big file written at once is a step and not a trend. A warning needs a trend that has lasted, and space that is already scarce.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use wellkept_model::keep::Keep;
use wellkept_model::observe::FilesystemSeen;
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text, TimestampMs};

use super::filesystem_full::used_share;
use super::{finding, seen_in};
use crate::{Round, theil_sen};

/// Time between two points that are kept.
const STEP: Duration = Duration::from_secs(5);
/// Points kept per file system: ten minutes.
const POINTS_MAX: usize = 120;
/// Points needed for a slope: two minutes.
const POINTS_MIN: usize = 24;
/// Points that go into a slope: 30 give 435 pairs.
const POINTS_USED: usize = 30;
/// A file system with more free space than this share is in no hurry.
const SCARCE_FROM: f64 = 0.6;
/// Warn when it will be full within this time.
const HORIZON: Duration = Duration::from_secs(1800);
/// How long the forecast must stand, milliseconds.
const HOLD_MS: u64 = 15_000;

/// Remembers the available space of each file system.
#[derive(Debug, Default)]
pub(crate) struct Filling {
    past: BTreeMap<String, VecDeque<(TimestampMs, f64)>>,
    full_in: BTreeMap<String, f64>,
}

impl Filling {
    pub(crate) fn full_in_seconds(&self) -> &BTreeMap<String, f64> {
        &self.full_in
    }

    pub(crate) fn check(&mut self, _keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
        let mounted = |name: &String| round.seen.filesystems.iter().any(|f| f.mountpoint == *name);
        self.past.retain(|name, _| mounted(name));
        self.full_in.retain(|name, _| mounted(name));
        let all = round.seen.filesystems.iter().filter(|fs| !fs.read_only);
        all.filter_map(|fs| self.one(fs, round)).collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "sizes below 2^53 bytes are exact")]
    fn one(&mut self, fs: &FilesystemSeen, round: &Round<'_>) -> Option<Finding> {
        let past = self.past.entry(fs.mountpoint.clone()).or_default();
        let due = past.back().is_none_or(|(at, _)| round.now.since(*at) >= STEP);
        if due {
            past.push_back((round.now, fs.avail_bytes as f64));
            if past.len() > POINTS_MAX {
                past.pop_front();
            }
            match full_in_seconds(past) {
                Some(seconds) => self.full_in.insert(fs.mountpoint.clone(), seconds),
                None => self.full_in.remove(&fs.mountpoint),
            };
        }
        let seconds = *self.full_in.get(&fs.mountpoint)?;
        if seconds > HORIZON.as_secs_f64() || used_share(fs) < SCARCE_FROM {
            return None;
        }
        Some(state(fs, seconds, round))
    }
}

fn state(fs: &FilesystemSeen, seconds: f64, round: &Round<'_>) -> Finding {
    let entity = EntityId::filesystem(&fs.mountpoint);
    let mut f = finding(entity, FindingKind::FilesystemFilling, "", Severity::Warning, round.now, round.now);
    f.text = f.text.with("ms", format!("{:.0}", seconds * 1000.0));
    f.hold_ms = HOLD_MS;
    f.evidence.push(seen_in(
        round.now,
        Text::new("evidence.filling")
            .with("avail", fs.avail_bytes)
            .with("ms", format!("{:.0}", seconds * 1000.0)),
        format!("node_filesystem_avail_bytes{{mountpoint={:?}}}", fs.mountpoint),
    ));
    f
}

/// Seconds until nothing is available; `None` while it does not fall, or too little is known.
fn full_in_seconds(past: &VecDeque<(TimestampMs, f64)>) -> Option<f64> {
    if past.len() < POINTS_MIN {
        return None;
    }
    let falls = past.iter().zip(past.iter().skip(1)).filter(|((_, a), (_, b))| b < a).count();
    if falls * 2 <= past.len() {
        return None;
    }
    let stride = past.len().div_ceil(POINTS_USED);
    let points: Vec<_> = past.iter().rev().step_by(stride).map(|(at, v)| (at.as_seconds(), *v)).collect();
    let slope = theil_sen(&points)?;
    let (_, now) = past.back()?;
    (slope < 0.0).then(|| now / -slope)
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::World;
    use wellkept_model::FindingKind;

    fn play(avail_at: impl Fn(u64) -> u64) -> Vec<FindingKind> {
        let mut w = World::new(&[]);
        let mut last = Vec::new();
        for second in 0..180 {
            w.filesystem("/data", 1_000_000, avail_at(second));
            last = w.kinds();
            w.advance(1000);
        }
        last
    }

    #[test]
    fn a_steady_loss_of_scarce_space_is_foreseen() {
        assert_eq!(play(|s| 400_000 - s * 1000), [FindingKind::FilesystemFilling]);
    }

    #[test]
    fn a_single_step_is_no_trend() {
        assert!(play(|s| if s < 90 { 400_000 } else { 200_000 }).is_empty());
    }

    #[test]
    fn a_slow_loss_and_plenty_of_space_are_no_reason() {
        assert!(play(|s| 400_000 - s).is_empty());
        assert!(play(|s| 900_000 - s * 1000).is_empty());
    }
}
