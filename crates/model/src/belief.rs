//! How far an action is believed to help against a kind of cause, from what was verified.
//!
//! A Beta distribution over "it helps" that begins without an opinion. Old results fade, so that a belief follows a
//! world that changes and stays bounded. What follows from a belief is left to `wellkept-recover`: it may put actions
//! that are allowed in another order or leave them to a person, and never adds one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ActionKind, CauseKind};

/// How many results a belief remembers, about: each new one takes this share off the weight of those before it.
const MEMORY: f64 = 32.0;

/// How an action against a cause ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The verification passed.
    Helped,
    /// The step failed, or the verification did.
    DidNotHelp,
    /// A person took it back.
    Undone,
}

/// What is believed of one action against one kind of cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Belief {
    /// How often it helped.
    pub helped: u32,
    /// How often it did not.
    pub failed: u32,
    /// How often a person took it back.
    pub undone: u32,
    /// Faded weight of the results that speak for it; with 1 added, the first parameter of the distribution.
    pub weight_for: f64,
    /// The same against it.
    pub weight_against: f64,
}

impl Belief {
    /// Takes one more result.
    pub fn take(&mut self, outcome: Outcome) {
        let kept = 1.0 - 1.0 / MEMORY;
        self.weight_for *= kept;
        self.weight_against *= kept;
        let (count, weight) = match outcome {
            Outcome::Helped => (&mut self.helped, &mut self.weight_for),
            Outcome::DidNotHelp => (&mut self.failed, &mut self.weight_against),
            Outcome::Undone => (&mut self.undone, &mut self.weight_against),
        };
        *count = count.saturating_add(1);
        *weight += 1.0;
    }

    /// Expected share of cases in which it helps, 0 to 1; one half without any result.
    #[must_use]
    pub fn mean(&self) -> f64 {
        (1.0 + self.weight_for) / (2.0 + self.weight_for + self.weight_against)
    }

    /// How many results it rests on.
    #[must_use]
    pub fn results(&self) -> u32 {
        self.helped.saturating_add(self.failed).saturating_add(self.undone)
    }
}

/// All beliefs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<Row>", into = "Vec<Row>")]
pub struct Beliefs(BTreeMap<(CauseKind, ActionKind), Belief>);

/// One belief with what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Against which kind of cause.
    pub cause: CauseKind,
    /// Which action.
    pub action: ActionKind,
    /// What is believed.
    pub belief: Belief,
}

impl Beliefs {
    /// What is believed of this action against this kind of cause.
    #[must_use]
    pub fn of(&self, cause: CauseKind, action: ActionKind) -> Belief {
        self.0.get(&(cause, action)).copied().unwrap_or_default()
    }

    /// Takes one result; gives the belief after it.
    pub fn take(&mut self, cause: CauseKind, action: ActionKind, outcome: Outcome) -> Belief {
        let belief = self.0.entry((cause, action)).or_default();
        belief.take(outcome);
        *belief
    }

    /// Forgets everything, all about one kind of cause, or one action against it.
    pub fn forget(&mut self, cause: Option<CauseKind>, action: Option<ActionKind>) {
        let named = |c: CauseKind, a: ActionKind| {
            cause.is_none_or(|wanted| wanted == c) && action.is_none_or(|wanted| wanted == a)
        };
        self.0.retain(|(c, a), _| !named(*c, *a));
    }

    /// All of them, in order of cause and action.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        self.0.iter().map(|(&(cause, action), &belief)| Row { cause, action, belief })
    }
}

impl From<Vec<Row>> for Beliefs {
    fn from(rows: Vec<Row>) -> Self {
        Self(rows.into_iter().map(|r| ((r.cause, r.action), r.belief)).collect())
    }
}

impl From<Beliefs> for Vec<Row> {
    fn from(beliefs: Beliefs) -> Self {
        beliefs.rows().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(outcomes: &[Outcome]) -> Belief {
        let mut belief = Belief::default();
        outcomes.iter().for_each(|o| belief.take(*o));
        belief
    }

    #[test]
    fn nothing_known_is_one_half_and_results_move_it() {
        assert_eq!(after(&[]).mean().to_bits(), 0.5_f64.to_bits());
        assert!(after(&[Outcome::Helped]).mean() > 0.6);
        assert!(after(&[Outcome::DidNotHelp]).mean() < 0.4);
        assert!(after(&[Outcome::Undone]).mean() < 0.4);
        assert!(after(&[Outcome::Helped, Outcome::Undone]).mean() < 0.5, "the newer one counts more");
        assert_eq!(after(&[Outcome::Helped, Outcome::Undone, Outcome::DidNotHelp]).results(), 3);
    }

    #[test]
    fn a_thousand_successes_are_outweighed_by_a_few_dozen_failures() {
        let mut belief = after(&[Outcome::Helped; 1000]);
        assert!(belief.mean() > 0.95 && belief.mean() < 1.0);
        assert!(belief.weight_for <= MEMORY);
        (0..40).for_each(|_| belief.take(Outcome::DidNotHelp));
        assert!(belief.mean() < 0.35, "{}", belief.mean());
    }

    #[test]
    fn one_pair_one_kind_or_everything_can_be_forgotten() {
        let all = || {
            let mut b = Beliefs::default();
            b.take(CauseKind::ProcessCrash, ActionKind::Restart, Outcome::Helped);
            b.take(CauseKind::BadSetting, ActionKind::Restart, Outcome::Helped);
            b.take(CauseKind::BadSetting, ActionKind::Rollback, Outcome::Helped);
            b
        };
        let left = |cause, action| {
            let mut b = all();
            b.forget(cause, action);
            b.rows().map(|r| format!("{}/{}", r.cause.word(), r.action.word())).collect::<Vec<_>>()
        };
        let (crash, bad) = (CauseKind::ProcessCrash, CauseKind::BadSetting);
        assert_eq!(
            left(Some(bad), Some(ActionKind::Restart)),
            ["process_crash/restart", "bad_setting/rollback"]
        );
        assert_eq!(left(Some(bad), None), ["process_crash/restart"]);
        assert_eq!(left(Some(crash), None), ["bad_setting/restart", "bad_setting/rollback"]);
        assert!(left(None, None).is_empty());
        let text = serde_json::to_string(&all()).unwrap();
        assert_eq!(serde_json::from_str::<Beliefs>(&text).unwrap(), all());
    }
}
