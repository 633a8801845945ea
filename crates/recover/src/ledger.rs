//! What was tried: attempts per target, what is stopped everywhere because it made things worse, and what is
//! believed to help.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use wellkept_model::keep::Budget;
use wellkept_model::{ActionKind, Beliefs, CauseKind, EntityId, Incident, Outcome, TimestampMs};

/// Attempts remembered in all. At three an hour for a thousand targets this is more than an hour's worth.
const ATTEMPTS_MAX: usize = 4096;

/// The memory of all automatic attempts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    attempts: VecDeque<(TimestampMs, EntityId)>,
    stopped: BTreeSet<(CauseKind, ActionKind)>,
    beliefs: Beliefs,
}

impl Ledger {
    /// Rebuilds the attempts from stored incidents; every automatic action counts, so it errs on the safe side.
    #[must_use]
    pub fn from_incidents<'a>(incidents: impl IntoIterator<Item = &'a Incident>) -> Self {
        let mut ledger = Self::default();
        let actions = incidents.into_iter().flat_map(|i| &i.actions).filter(|a| a.automatic);
        let mut found: Vec<_> =
            actions.filter_map(|a| a.started_at.map(|at| (at, a.planned.target.clone()))).collect();
        found.sort();
        ledger.attempts.extend(found);
        ledger.trim();
        ledger
    }

    /// Attempts of an earlier process, in any order.
    pub(crate) fn add_earlier(&mut self, attempts: impl IntoIterator<Item = (TimestampMs, EntityId)>) {
        self.attempts.extend(attempts);
        self.attempts.make_contiguous().sort();
        self.trim();
    }

    /// One more automatic attempt on a target.
    pub fn attempt(&mut self, now: TimestampMs, target: EntityId) {
        self.attempts.push_back((now, target));
        self.trim();
    }

    /// Attempts on a target within the budget's time.
    #[must_use]
    pub fn spent(&self, now: TimestampMs, target: &EntityId, budget: Budget) -> usize {
        self.attempts.iter().filter(|(at, t)| t == target && now.since(*at) < budget.per).count()
    }

    /// Stops an action for a kind of cause, everywhere, until a person lifts it.
    pub fn stop(&mut self, cause: CauseKind, action: ActionKind) {
        self.stopped.insert((cause, action));
    }

    /// Whether the action was stopped for this kind of cause.
    #[must_use]
    pub fn is_stopped(&self, cause: CauseKind, action: ActionKind) -> bool {
        self.stopped.contains(&(cause, action))
    }

    /// A person lifts all stops.
    pub fn lift_stops(&mut self) {
        self.stopped.clear();
    }

    /// What is believed to help.
    #[must_use]
    pub fn beliefs(&self) -> &Beliefs {
        &self.beliefs
    }

    /// Takes up what an earlier process believed.
    pub fn set_beliefs(&mut self, beliefs: Beliefs) {
        self.beliefs = beliefs;
    }

    /// Takes how an action ended.
    pub(crate) fn learn(&mut self, cause: CauseKind, action: ActionKind, outcome: Outcome) {
        self.beliefs.take(cause, action, outcome);
    }

    /// Forgets what is believed: everything, all about one kind of cause, or one action against it.
    pub fn forget(&mut self, cause: Option<CauseKind>, action: Option<ActionKind>) {
        self.beliefs.forget(cause, action);
    }

    fn trim(&mut self) {
        while self.attempts.len() > ATTEMPTS_MAX {
            self.attempts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn attempts_count_per_target_and_age_out() {
        let budget = Budget { count: 3, per: Duration::from_secs(60) };
        let (app, db) = (EntityId::service("app"), EntityId::service("db"));
        let mut l = Ledger::default();
        for s in [0, 10, 20] {
            l.attempt(TimestampMs(s * 1000), app.clone());
        }
        assert_eq!(l.spent(TimestampMs(25_000), &app, budget), 3);
        assert_eq!(l.spent(TimestampMs(25_000), &db, budget), 0);
        assert_eq!(l.spent(TimestampMs(65_000), &app, budget), 2);
        assert_eq!(l.spent(TimestampMs(69_999), &app, budget), 2);
        assert_eq!(l.spent(TimestampMs(70_000), &app, budget), 1, "a minute is over after a minute");
    }

    #[test]
    fn only_the_newest_attempts_are_remembered() {
        let budget = Budget { count: 3, per: Duration::from_secs(3600) };
        let (old, new) = (EntityId::service("old"), EntityId::service("new"));
        let mut l = Ledger::default();
        l.attempt(TimestampMs(1), old.clone());
        (1..ATTEMPTS_MAX).for_each(|_| l.attempt(TimestampMs(2), new.clone()));
        assert_eq!((l.spent(TimestampMs(3), &old, budget), l.attempts.len()), (1, ATTEMPTS_MAX));
        l.attempt(TimestampMs(2), new.clone());
        assert_eq!((l.spent(TimestampMs(3), &old, budget), l.attempts.len()), (0, ATTEMPTS_MAX));
    }

    #[test]
    fn automatic_attempts_of_stored_incidents_count_and_those_of_people_do_not() {
        use crate::testing::{incident, restart};
        use wellkept_model::{Action, ActionId, ActionStatus, IncidentId};
        let budget = Budget { count: 3, per: Duration::from_secs(60) };
        let mut stored = incident(Vec::new());
        let action = |automatic, started_at| Action {
            id: ActionId { incident: IncidentId(1), number: 1 },
            planned: restart("a"),
            cause: None,
            status: ActionStatus::Failed,
            automatic,
            started_at,
            finished_at: None,
            outcome: None,
        };
        let at = Some(TimestampMs(5));
        stored.actions = vec![action(true, at), action(false, at), action(true, None), action(true, at)];
        let ledger = Ledger::from_incidents([&stored]);
        assert_eq!(ledger.spent(TimestampMs(6), &EntityId::service("a"), budget), 2);
    }

    #[test]
    fn attempts_that_no_incident_tells_of_count_and_the_oldest_go_first() {
        let budget = Budget { count: 3, per: Duration::from_secs(3600) };
        let (old, app) = (EntityId::service("old"), EntityId::service("app"));
        let mut l = Ledger::default();
        l.attempt(TimestampMs(5), app.clone());
        l.add_earlier([(TimestampMs(7), app.clone()), (TimestampMs(1), old.clone())]);
        assert_eq!((l.spent(TimestampMs(8), &app, budget), l.spent(TimestampMs(8), &old, budget)), (2, 1));
        (2..ATTEMPTS_MAX).for_each(|_| l.attempt(TimestampMs(8), app.clone()));
        assert_eq!(l.spent(TimestampMs(9), &old, budget), 0);
    }

    #[test]
    fn a_stop_holds_until_a_person_lifts_it() {
        let (cause, action) = (CauseKind::ProcessCrash, ActionKind::Restart);
        let mut l = Ledger::default();
        assert!(!l.is_stopped(cause, action));
        l.stop(cause, action);
        assert!(l.is_stopped(cause, action) && !l.is_stopped(CauseKind::BadSetting, action));
        l.lift_stops();
        assert!(!l.is_stopped(cause, action));
    }

    #[test]
    fn beliefs_of_an_earlier_process_are_taken_up() {
        let mut beliefs = Beliefs::default();
        beliefs.take(CauseKind::ProcessCrash, ActionKind::Restart, Outcome::Helped);
        let mut l = Ledger::default();
        l.set_beliefs(beliefs.clone());
        assert_eq!(*l.beliefs(), beliefs);
    }
}
