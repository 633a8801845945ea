//! Which of several explanations of one entity is answered first, by what helped before.
//!
//! Diagnosis decides who is the root, and its scores count. Only between explanations of the same entity whose scores
//! are as good as equal does experience choose: the answer that helped more often comes first, one that hardly ever
//! helped comes last. Nothing is added: each answer is what the planner would have given anyway, and is asked of all
//! guards.

use wellkept_model::{ActionKind, Beliefs, Cause, CauseKind, PlannedAction};

use super::SCORE_MIN;

/// Scores that differ by no more than this do not say which explanation is right.
const NEAR: f64 = 0.05;
/// A bad setting below this score is likelier than its rivals, and no more.
const UNPROVEN_BELOW: f64 = 0.85;
/// Results without which nothing is concluded.
const RESULTS_MIN: u32 = 4;
/// An action that is expected to help less often than this is left to a person.
const MEAN_MIN: f64 = 0.25;

/// How often answering a cause with these steps is expected to help: as often as the step that helps least.
fn expectation(cause: CauseKind, steps: &[PlannedAction], beliefs: &Beliefs) -> f64 {
    let known = steps.iter().filter(|s| s.kind != ActionKind::Escalate).map(|s| beliefs.of(cause, s.kind));
    let means = known.map(|b| if b.results() >= RESULTS_MIN { b.mean() } else { 0.5 });
    means.min_by(f64::total_cmp).unwrap_or(0.5)
}

/// True when this action has hardly ever helped against this kind of cause.
pub(crate) fn rarely_helps(cause: CauseKind, action: ActionKind, beliefs: &Beliefs) -> bool {
    let belief = beliefs.of(cause, action);
    belief.results() >= RESULTS_MIN && belief.mean() < MEAN_MIN
}

/// The cause to answer: `first`, or one as likely of the same entity whose answer helped more often.
pub(super) fn pick<'a>(
    first: &'a Cause,
    causes: impl Iterator<Item = &'a Cause>,
    beliefs: &Beliefs,
    steps_for: impl Fn(&Cause) -> Option<Vec<PlannedAction>>,
) -> &'a Cause {
    let expected = |c: &Cause| steps_for(c).map(|steps| expectation(c.kind, &steps, beliefs));
    let Some(mut most) = expected(first) else { return first };
    let mut picked = first;
    for rival in rivals(first, causes) {
        if let Some(mean) = expected(rival).filter(|mean| *mean > most) {
            (picked, most) = (rival, mean);
        }
    }
    picked
}

/// Other explanations of the same entity that are as good as equal.
pub(super) fn rivals<'a>(
    first: &Cause,
    causes: impl Iterator<Item = &'a Cause>,
) -> impl Iterator<Item = &'a Cause> {
    causes.filter(|c| {
        c.entity == first.entity
            && c.kind != first.kind
            && c.kind != CauseKind::Unknown
            && c.score >= SCORE_MIN
            && first.score - c.score <= NEAR
    })
}

/// True when no start has shown yet that the setting is bad.
pub(super) fn is_unproven(cause: &Cause) -> bool {
    cause.kind == CauseKind::BadSetting && cause.score < UNPROVEN_BELOW
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cause, restart};
    use wellkept_model::{EntityId, Outcome};

    #[test]
    fn a_setting_is_proven_bad_from_a_score_on_and_other_causes_need_no_proof() {
        let of = |kind, score| is_unproven(&cause("a", kind, score));
        assert!(of(CauseKind::BadSetting, UNPROVEN_BELOW - 0.01));
        assert!(!of(CauseKind::BadSetting, UNPROVEN_BELOW));
        assert!(!of(CauseKind::ProcessCrash, UNPROVEN_BELOW - 0.01));
    }

    fn steps(c: &Cause) -> Option<Vec<PlannedAction>> {
        let kind = if c.kind == CauseKind::BadSetting { ActionKind::Rollback } else { ActionKind::Restart };
        Some(vec![PlannedAction { kind, ..restart("a") }])
    }

    fn believed(results: &[(CauseKind, ActionKind, Outcome, usize)]) -> Beliefs {
        let mut beliefs = Beliefs::default();
        for (cause, action, outcome, times) in results {
            (0..*times).for_each(|_| _ = beliefs.take(*cause, *action, *outcome));
        }
        beliefs
    }

    fn picked(causes: &[Cause], beliefs: &Beliefs) -> CauseKind {
        pick(&causes[0], causes.iter(), beliefs, steps).kind
    }

    const CRASH: CauseKind = CauseKind::ProcessCrash;
    const BAD: CauseKind = CauseKind::BadSetting;

    #[test]
    fn between_equals_the_answer_that_helped_comes_first() {
        let causes = [cause("a", CRASH, 0.80), cause("a", BAD, 0.76)];
        assert_eq!(picked(&causes, &Beliefs::default()), CRASH, "without experience the score decides");
        let helped = believed(&[(BAD, ActionKind::Rollback, Outcome::Helped, 4)]);
        assert_eq!(picked(&causes, &helped), BAD);
        let too_few = believed(&[(BAD, ActionKind::Rollback, Outcome::Helped, 3)]);
        assert_eq!(picked(&causes, &too_few), CRASH);
        let in_vain = believed(&[(CRASH, ActionKind::Restart, Outcome::DidNotHelp, 4)]);
        assert_eq!(picked(&causes, &in_vain), BAD);
        let both = believed(&[
            (BAD, ActionKind::Rollback, Outcome::Helped, 9),
            (CRASH, ActionKind::Restart, Outcome::Helped, 9),
        ]);
        assert_eq!(picked(&causes, &both), CRASH, "equal experience changes nothing");
    }

    #[test]
    fn a_better_score_another_entity_and_a_guess_are_no_equals() {
        let helped = believed(&[(BAD, ActionKind::Rollback, Outcome::Helped, 9)]);
        assert_eq!(picked(&[cause("a", CRASH, 0.80), cause("a", BAD, 0.74)], &helped), CRASH);
        assert_eq!(picked(&[cause("a", CRASH, 0.62), cause("a", BAD, 0.59)], &helped), CRASH);
        let other = Cause { entity: EntityId::service("b"), ..cause("a", BAD, 0.80) };
        assert_eq!(picked(&[cause("a", CRASH, 0.80), other], &helped), CRASH);
        let unknown = believed(&[(CauseKind::Unknown, ActionKind::Restart, Outcome::Helped, 9)]);
        assert_eq!(picked(&[cause("a", CRASH, 0.80), cause("a", CauseKind::Unknown, 0.8)], &unknown), CRASH);
    }

    #[test]
    fn a_chain_is_as_good_as_its_weakest_step_and_calling_a_person_does_not_count() {
        let beliefs = believed(&[
            (BAD, ActionKind::Rollback, Outcome::Helped, 9),
            (BAD, ActionKind::Restart, Outcome::DidNotHelp, 9),
            (BAD, ActionKind::Escalate, Outcome::DidNotHelp, 20),
        ]);
        let step = |kind| PlannedAction { kind, ..restart("a") };
        let chain = |kinds: &[ActionKind]| {
            expectation(BAD, &kinds.iter().map(|k| step(*k)).collect::<Vec<_>>(), &beliefs)
        };
        assert!(chain(&[ActionKind::Rollback]) > 0.8);
        assert!(chain(&[ActionKind::Rollback, ActionKind::Escalate]) > 0.8);
        assert!(chain(&[ActionKind::Rollback, ActionKind::Restart]) < 0.2);
        assert!((chain(&[ActionKind::Escalate]) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn four_failures_and_no_success_are_rarely() {
        let after = |failures, successes| {
            let beliefs = believed(&[
                (CRASH, ActionKind::Restart, Outcome::Helped, successes),
                (CRASH, ActionKind::Restart, Outcome::DidNotHelp, failures),
            ]);
            rarely_helps(CRASH, ActionKind::Restart, &beliefs)
        };
        assert!(!after(3, 0) && after(4, 0) && !after(4, 1) && !after(0, 9));
        let quarter = wellkept_model::Belief { failed: 4, weight_against: 2.0, ..Default::default() };
        let row = wellkept_model::belief::Row { cause: CRASH, action: ActionKind::Restart, belief: quarter };
        assert!(
            !rarely_helps(CRASH, ActionKind::Restart, &vec![row].into()),
            "a quarter is not less than one"
        );
    }
}
