//! All groups of an installation: which of them are due, and what becomes of them when files are read again.
//!
//! A group is evaluated at the latest of its slots ([`GroupState::slot`]); slots that were missed are left out, as in
//! Prometheus. When the clock steps back by more than two intervals, the group begins anew at the time that it is
//! now, because waiting for the old time to come again would leave everything unwatched.

use std::collections::BTreeMap;
use std::sync::Arc;

use wellkept_model::{Batch, TimestampMs};

use crate::eval::{GroupState, Settings};
use crate::file::RuleFile;

/// Groups with their times.
#[derive(Debug)]
pub struct Ruleset {
    settings: Arc<Settings>,
    groups: Vec<Scheduled>,
    loaded: bool,
}

#[derive(Debug)]
struct Scheduled {
    state: GroupState,
    last_slot: Option<TimestampMs>,
}

impl Scheduled {
    /// The slot at which it is to be evaluated now, if there is one.
    fn due(&self, now: TimestampMs) -> Option<TimestampMs> {
        let slot = self.state.slot(now);
        let again = |last: TimestampMs| slot > last || last.since(slot) > self.state.interval() * 2;
        self.last_slot.is_none_or(again).then_some(slot)
    }
}

impl Ruleset {
    /// Without any group.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings), groups: Vec::new(), loaded: false }
    }

    /// Other settings, for the groups of the next [`Self::load`].
    pub fn configure(&mut self, settings: Settings) {
        self.settings = Arc::new(settings);
    }

    /// Puts these files in the place of all that were there. Groups that are there again (same file, same name) keep
    /// their alerts; of the others the series end, with the batches returned. The first call is a start of the
    /// process: alerts take their `for` state from the store.
    #[must_use]
    pub fn load(&mut self, files: Vec<RuleFile>, now: TimestampMs) -> Vec<Batch> {
        let restore = !std::mem::replace(&mut self.loaded, true);
        let key = |state: &GroupState| (state.group().file.clone(), state.group().name.clone());
        let mut before: BTreeMap<(String, String), Scheduled> =
            std::mem::take(&mut self.groups).into_iter().map(|s| (key(&s.state), s)).collect();
        for group in files.into_iter().flat_map(|f| f.groups) {
            let mut state = GroupState::new(Arc::new(group), Arc::clone(&self.settings), restore);
            let mut last_slot = None;
            if let Some(old) = before.remove(&key(&state)) {
                // Another interval has other slots.
                last_slot = old.last_slot.filter(|_| old.state.interval() == state.interval());
                state.adopt(old.state);
            }
            self.groups.push(Scheduled { state, last_slot });
        }
        before.into_values().map(|s| s.state.retire(now)).filter(|b| !b.samples.is_empty()).collect()
    }

    /// The groups that are due, each with the instant to evaluate it at; they count as evaluated from now on.
    pub fn due(&mut self, now: TimestampMs) -> impl Iterator<Item = (TimestampMs, &mut GroupState)> {
        self.groups.iter_mut().filter_map(move |scheduled| {
            let slot = scheduled.due(now)?;
            scheduled.last_slot = Some(slot);
            Some((slot, &mut scheduled.state))
        })
    }

    /// When the next group is due; `now` when one is already, `None` without groups.
    #[must_use]
    pub fn next_due(&self, now: TimestampMs) -> Option<TimestampMs> {
        let next = |s: &Scheduled| match s.due(now) {
            Some(_) => now,
            None => s.state.slot(now) + s.state.interval(),
        };
        self.groups.iter().map(next).min()
    }

    /// All groups, in the order of their files.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = &GroupState> {
        self.groups.iter().map(|s| &s.state)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wellkept_model::is_stale;
    use wellkept_promql::Limits;

    use super::*;
    use crate::Reader;
    use crate::memory::Memory;

    fn file(groups: &str) -> Vec<RuleFile> {
        vec![RuleFile::read("r.yml", &format!("groups:\n{groups}")).unwrap_or_else(|e| panic!("{e}"))]
    }

    const TWO: &str = "- {name: a, interval: 10s, rules: [{record: x, expr: '1'}]}\n- {name: b, rules: [{record: y, expr: '1'}]}\n";

    /// Evaluates the groups that are due and gives their names.
    fn due(set: &mut Ruleset, seconds: i64) -> Vec<String> {
        let memory = Memory::default();
        let limits = Limits::default();
        let reader = Reader { source: &memory, limits: &limits, cancelled: &|| false };
        let due = set.due(TimestampMs(seconds * 1000));
        due.map(|(slot, group)| {
            assert!(slot.0 <= seconds * 1000);
            group.evaluate(slot, &reader, &|| Duration::ZERO);
            group.group().name.clone()
        })
        .collect()
    }

    #[test]
    fn each_group_is_due_once_in_each_of_its_intervals() {
        let mut set = Ruleset::new(Settings::default());
        assert!(set.load(file(TWO), TimestampMs(0)).is_empty());
        assert_eq!(set.next_due(TimestampMs(1_000_000)), Some(TimestampMs(1_000_000)));
        let mut counts = BTreeMap::new();
        for seconds in 1000..1600 {
            for name in due(&mut set, seconds) {
                *counts.entry(name).or_insert(0) += 1;
            }
            let next = set.next_due(TimestampMs(seconds * 1000)).unwrap();
            assert!(next.0 > seconds * 1000 && next.0 <= (seconds + 10) * 1000);
        }
        // The first one is due at once, wherever its slots lie.
        assert!((60..=61).contains(&counts["a"]) && (10..=11).contains(&counts["b"]), "{counts:?}");
    }

    #[test]
    fn missed_slots_are_left_out() {
        let mut set = Ruleset::new(Settings::default());
        let _ = set.load(file(TWO), TimestampMs(0));
        due(&mut set, 1000);
        assert_eq!(due(&mut set, 5000), ["a", "b"]);
        assert!(due(&mut set, 5000).is_empty());
    }

    #[test]
    fn a_clock_that_steps_back_far_does_not_stop_the_rules() {
        let mut set = Ruleset::new(Settings::default());
        let _ = set.load(file(TWO), TimestampMs(0));
        due(&mut set, 100_000);
        assert!(due(&mut set, 99_999).is_empty(), "a small step is waited out");
        assert_eq!(due(&mut set, 10_000), ["a", "b"]);
        assert!(due(&mut set, 10_000).is_empty());
    }

    #[test]
    fn groups_that_are_gone_end_their_series_and_the_others_go_on() {
        let mut set = Ruleset::new(Settings::default());
        let _ = set.load(file(TWO), TimestampMs(0));
        due(&mut set, 1000);
        let ended = set.load(file(&TWO[..TWO.find('\n').unwrap_or(0) + 1]), TimestampMs(1_001_000));
        assert_eq!(ended.len(), 1);
        assert!(ended[0].samples.iter().all(|(l, v)| l.name() == "y" && is_stale(*v)));
        assert_eq!(set.groups().len(), 1);
        assert!(set.groups().next().unwrap().last_evaluation().is_some());
    }
}
