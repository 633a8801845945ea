//! A file system will be full soon at the slope of the last minutes.
//!
//! The slope is the median of all pairwise slopes, which wild points cannot bend, and it counts only when space
//! falls in most of the steps: one big file written at once is a step and not a trend. A warning needs a trend that has
//! lasted, and space that is already scarce. Files that come and go make teeth: below the level from which it has turned
//! back by itself before, a rise says nothing.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use wellkept_model::keep::{FULL_AT_DEFAULT, Keep};
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

/// A fall by this share of its size is a turn.
const TURN: f64 = 0.03;
/// Turns this close to being full are no habit: somebody made room.
const TURN_BELOW_FULL: f64 = 0.05;
/// A rise up to this much above the highest turn is still a tooth.
const TOOTH: f64 = 0.02;
/// How long a turn is remembered: what is done once a week is a habit, too.
const TURN_AGE: Duration = Duration::from_secs(8 * 86_400);

/// Remembers the available space of each file system.
#[derive(Debug, Default)]
pub(crate) struct Filling {
    past: BTreeMap<String, VecDeque<(TimestampMs, f64)>>,
    full_in: BTreeMap<String, f64>,
    teeth: BTreeMap<String, Teeth>,
}

/// From which levels a file system has turned back by itself.
#[derive(Debug, Default)]
struct Teeth {
    /// Highest share since the last turn.
    top: f64,
    /// Highest share that it turned back from, and when.
    turned: Option<(TimestampMs, f64)>,
}

impl Teeth {
    fn take(&mut self, now: TimestampMs, used: f64, full_at: f64) {
        self.top = self.top.max(used);
        self.turned = self.turned.filter(|(at, _)| now.since(*at) <= TURN_AGE);
        if self.top - used >= TURN {
            let top = std::mem::replace(&mut self.top, used);
            let habit = top <= full_at - TURN_BELOW_FULL;
            if habit && self.turned.is_none_or(|(_, share)| top >= share - TOOTH) {
                let highest = self.turned.map_or(top, |(_, share)| share.max(top));
                self.turned = Some((now, highest));
            }
        }
    }

    fn is_usual(&self, used: f64) -> bool {
        self.turned.is_some_and(|(_, share)| used <= share + TOOTH)
    }
}

impl Filling {
    pub(crate) fn full_in_seconds(&self) -> &BTreeMap<String, f64> {
        &self.full_in
    }

    pub(crate) fn check(&mut self, keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
        let mounted = |name: &String| round.seen.filesystems.iter().any(|f| f.mountpoint == *name);
        self.past.retain(|name, _| mounted(name));
        self.full_in.retain(|name, _| mounted(name));
        self.teeth.retain(|name, _| mounted(name));
        let all = round.seen.filesystems.iter().filter(|fs| !fs.read_only);
        for fs in all.clone() {
            let full_at = keep.filesystems.get(&fs.mountpoint).map_or(FULL_AT_DEFAULT, |f| f.full_at);
            let teeth = self.teeth.entry(fs.mountpoint.clone()).or_default();
            teeth.take(round.now, used_share(fs), full_at);
        }
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
        let used = used_share(fs);
        let usual = self.teeth.get(&fs.mountpoint).is_some_and(|t| t.is_usual(used));
        if seconds > HORIZON.as_secs_f64() || used < SCARCE_FROM || usual {
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
    fn a_rise_up_to_where_it_always_turned_back_is_no_news_and_one_beyond_is() {
        let mut w = World::new(&[]);
        let mut found = Vec::new();
        // Teeth from 50 % to 80 %, each of ten minutes; the third goes on to 93 %.
        for second in 0..2060_u64 {
            let into = if second < 1200 { second % 600 } else { second - 1200 };
            w.filesystem("/data", 1_000_000, 500_000 - into * 500);
            found.push(w.kinds().contains(&FindingKind::FilesystemFilling));
            w.advance(1000);
        }
        assert!(found[..600].contains(&true), "the first one is news");
        assert!(
            !found[620..1200].contains(&true) && !found[1220..1800].contains(&true),
            "the next ones are not"
        );
        assert!(found[1900..].contains(&true), "higher than ever");
    }

    #[test]
    fn room_that_was_made_when_it_was_full_is_no_habit() {
        let mut w = World::new(&[]);
        let mut found = Vec::new();
        for second in 0..1600_u64 {
            let into = second % 800;
            w.filesystem("/data", 1_000_000, 420_000 - into * 500);
            found.push(w.kinds().contains(&FindingKind::FilesystemFilling));
            w.advance(1000);
        }
        assert!(found[1000..].contains(&true));
    }

    #[test]
    fn a_slow_loss_and_plenty_of_space_are_no_reason() {
        assert!(play(|s| 400_000 - s).is_empty());
        assert!(play(|s| 900_000 - s * 1000).is_empty());
    }
}
