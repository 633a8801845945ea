//! From a cause to a plan: a value with no choices left.

mod choice;
mod steps;
#[cfg(test)]
mod local_tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wellkept_model::keep::Mode;
use wellkept_model::observe::SpaceUse;
use wellkept_model::{
    Cause, CauseKind, EntityId, FileOrigin, FileVersionChange, Finding, FindingKind, Incident, Plan, Text,
    TimestampMs,
};

pub(crate) use choice::rarely_helps;

use crate::guard::{Surroundings, Verdict, check};

/// Below this score a cause is a guess, and nobody acts on a guess.
const SCORE_MIN: f64 = 0.6;
/// How long something unexplained must last before a person is called.
const UNKNOWN_DWELL: Duration = Duration::from_secs(10);
/// A file system that will be full no sooner than this, milliseconds, calls nobody by that alone.
const FORECAST_NEAR_MS: f64 = 300_000.0;
/// When to look again at a service that runs again and does not pass its checks yet.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long an automatic plan has effect.
const EXPIRES_AUTOMATIC: Duration = Duration::from_secs(60);
/// How long a proposal can be approved.
const EXPIRES_PROPOSED: Duration = Duration::from_secs(3600);

/// What the planner knows besides the incident.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What the guards look at.
    pub around: Surroundings<'a>,
    /// Kept files that differ from their last good version, with that version.
    pub file_changes: &'a [FileVersionChange],
    /// What fills the full file systems.
    pub space: &'a [SpaceUse],
    /// Causes of this incident for which a plan has failed already.
    pub failed: &'a [(EntityId, CauseKind)],
    /// Generation that a new plan gets.
    pub generation: u32,
}

/// What to do about an incident now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Run this plan.
    Run(Plan),
    /// Show this plan and wait for a person.
    Propose(Plan),
    /// It may come right by itself until then; why. Decide again then.
    Wait(TimestampMs, Text),
    /// A person is needed; why.
    Escalate(Text),
    /// Nothing to do: watch mode.
    Nothing,
}

/// Decides over the causes that diagnosis found, most likely first.
#[must_use]
pub fn decide(incident: &Incident, facts: &Facts<'_>) -> Decision {
    let around = &facts.around;
    if around.keep.automation.mode == Mode::Watch {
        return Decision::Nothing;
    }
    let untried = |c: &&Cause| !facts.failed.contains(&(c.entity.clone(), c.kind));
    let Some(cause) = incident.causes.iter().find(untried) else {
        return Decision::Escalate(Text::new("escalate.nothing_left"));
    };
    if cause.score < SCORE_MIN || cause.kind == CauseKind::Unknown {
        if let Some(until) = too_fresh_until(incident, around.now) {
            return Decision::Wait(until, Text::new("moment.too_fresh"));
        }
        if is_far_forecast(incident) {
            return Decision::Wait(around.now + LOOK_AGAIN, Text::new("moment.forecast"));
        }
        return Decision::Escalate(Text::new("escalate.unknown").with("name", &cause.entity.name));
    }
    let rivals = incident.causes.iter().filter(untried);
    let cause = choice::pick(cause, rivals.clone(), around.ledger.beliefs(), |c| {
        steps::for_cause(c, incident, facts).ok()
    });
    let decision = answer(cause, incident, facts);
    if matches!(decision, Decision::Run(_)) || !choice::is_unproven(cause) {
        return decision;
    }
    // What may not be put back without a person must not keep the service down: it may be well without that.
    let mut others = choice::rivals(cause, rivals).map(|c| answer(c, incident, facts));
    others.find(|d| matches!(d, Decision::Run(_) | Decision::Wait(..))).unwrap_or(decision)
}

fn answer(cause: &Cause, incident: &Incident, facts: &Facts<'_>) -> Decision {
    if let Some((until, why)) = comes_back_until(cause, incident, facts) {
        return Decision::Wait(until, why);
    }
    match steps::for_cause(cause, incident, facts) {
        Err(why) => Decision::Escalate(why),
        Ok(steps) => judge(incident, cause, steps, facts),
    }
}

fn judge(
    incident: &Incident,
    cause: &Cause,
    steps: Vec<wellkept_model::PlannedAction>,
    facts: &Facts<'_>,
) -> Decision {
    let around = &facts.around;
    let by_manifest =
        facts.file_changes.iter().any(|c| c.path == cause.subject && c.origin == FileOrigin::Release);
    let verdict = if cause.kind == CauseKind::UnauthorisedFileChange && !by_manifest {
        Verdict::Withheld(Text::new("withheld.nothing_ill"))
    } else {
        check(cause.kind, &steps, around)
    };
    let mut plan = Plan {
        incident: incident.id,
        generation: facts.generation,
        made_at: around.now,
        expires_at: around.now + EXPIRES_AUTOMATIC,
        cause: cause.kind,
        automatic: true,
        withheld: None,
        steps,
        verify_hold_ms: u64::try_from(around.keep.automation.verify_hold.as_millis()).unwrap_or(u64::MAX),
    };
    match verdict {
        Verdict::Allowed => Decision::Run(plan),
        Verdict::Spent(why) => Decision::Escalate(why),
        Verdict::Withheld(why) => {
            plan.automatic = false;
            plan.expires_at = around.now + EXPIRES_PROPOSED;
            plan.withheld = Some(why);
            Decision::Propose(plan)
        }
    }
}

/// Until when nobody is called about something that nothing explains: half of it is over before a person looks.
fn too_fresh_until(incident: &Incident, now: TimestampMs) -> Option<TimestampMs> {
    let holding = incident.findings.iter().filter(|f| incident.holding.contains(&f.key));
    let until = holding.map(|f| f.since).min()? + UNKNOWN_DWELL;
    (now < until).then_some(until)
}

/// True when nothing is wrong yet but a forecast, and there is time to see whether it comes true.
fn is_far_forecast(incident: &Incident) -> bool {
    let mut holding = incident.findings.iter().filter(|f| incident.holding.contains(&f.key)).peekable();
    let is_far = |f: &Finding| {
        let left_ms = f.text.arg("ms").and_then(|ms| ms.parse::<f64>().ok());
        f.key.kind == FindingKind::FilesystemFilling && left_ms.is_some_and(|ms| ms >= FORECAST_NEAR_MS)
    };
    holding.peek().is_some() && holding.all(is_far)
}

/// Until when the service may come back without us, and why; `None` when we need not wait.
fn comes_back_until(cause: &Cause, incident: &Incident, facts: &Facts<'_>) -> Option<(TimestampMs, Text)> {
    if cause.kind == CauseKind::OomKill {
        return starts_itself_until(cause, incident, facts).map(|until| (until, Text::new("moment.waits")));
    }
    if !matches!(cause.kind, CauseKind::ProcessCrash | CauseKind::ProcessDown | CauseKind::DaemonDown) {
        return None;
    }
    let seen = facts.around.seen.services.get(&cause.entity.name);
    if seen.is_some_and(|s| !s.processes.is_empty()) {
        // Diagnosis stops naming this cause when the checks go on failing.
        return Some((facts.around.now + LOOK_AGAIN, Text::new("moment.runs_again")));
    }
    let until = starts_itself_until(cause, incident, facts)?;
    Some((until, Text::new("moment.waits")))
}

/// Until when a supervisor of its own may start the service again.
fn starts_itself_until(cause: &Cause, incident: &Incident, facts: &Facts<'_>) -> Option<TimestampMs> {
    let within = facts.around.keep.services.get(&cause.entity.name)?.starts_itself_within?;
    let gone = |f: &&Finding| f.key.entity == cause.entity && f.key.kind == FindingKind::ProcessGone;
    let down_since = facts.around.seen.services.get(&cause.entity.name).and_then(|s| s.down_since);
    let since = down_since.or_else(|| incident.findings.iter().find(gone).map(|f| f.since))?;
    let until = since + within;
    (facts.around.now < until).then_some(until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ledger;
    use crate::testing::{cause, change, finding, incident, keep};
    use wellkept_model::keep::Keep;
    use wellkept_model::observe::{Observation, ServiceSeen};
    use wellkept_model::{ActionKind, Undo};

    struct Given {
        keep: Keep,
        seen: Observation,
        incident: Incident,
        changes: Vec<FileVersionChange>,
        failed: Vec<(EntityId, CauseKind)>,
    }

    fn given(kind: CauseKind, score: f64) -> Given {
        let mut incident = incident(vec![finding("a", FindingKind::ProcessGone)]);
        incident.causes = vec![cause("a", kind, score)];
        let (keep, seen) = (keep(&["a", "b"]), Observation::default());
        Given { keep, seen, incident, changes: Vec::new(), failed: Vec::new() }
    }

    fn decision(g: &Given) -> Decision {
        let ledger = Ledger::default();
        let around = Surroundings {
            now: TimestampMs(100_000),
            keep: &g.keep,
            frozen: false,
            active: &g.incident.findings,
            seen: &g.seen,
            ledger: &ledger,
        };
        let facts = Facts { around, file_changes: &g.changes, space: &[], failed: &g.failed, generation: 1 };
        decide(&g.incident, &facts)
    }

    fn kinds(d: &Decision) -> Vec<ActionKind> {
        match d {
            Decision::Run(p) | Decision::Propose(p) => p.steps.iter().map(|s| s.kind).collect(),
            other => panic!("no plan: {other:?}"),
        }
    }

    #[test]
    fn a_crash_is_answered_by_a_restart() {
        let d = decision(&given(CauseKind::ProcessCrash, 0.8));
        assert!(matches!(d, Decision::Run(_)));
        assert_eq!(kinds(&d), [ActionKind::Restart]);
    }

    #[test]
    fn what_is_just_sure_enough_is_acted_upon() {
        assert!(matches!(decision(&given(CauseKind::ProcessCrash, SCORE_MIN)), Decision::Run(_)));
        assert!(matches!(
            decision(&given(CauseKind::ProcessCrash, SCORE_MIN - 0.001)),
            Decision::Escalate(_)
        ));
    }

    #[test]
    fn a_guess_is_handed_to_a_person() {
        assert!(matches!(decision(&given(CauseKind::ProcessCrash, 0.5)), Decision::Escalate(_)));
        assert!(matches!(decision(&given(CauseKind::Unknown, 0.9)), Decision::Escalate(_)));
    }

    #[test]
    fn a_service_with_a_supervisor_of_its_own_is_left_to_it_for_a_while() {
        let mut g = given(CauseKind::ProcessCrash, 0.8);
        g.keep.services.get_mut("a").unwrap().starts_itself_within = Some(Duration::from_secs(5));
        let mut seen = ServiceSeen { down_since: Some(TimestampMs(97_000)), ..ServiceSeen::default() };
        g.seen.services.insert("a".to_owned(), seen.clone());
        assert_eq!(decision(&g), Decision::Wait(TimestampMs(102_000), Text::new("moment.waits")));
        seen.down_since = Some(TimestampMs(94_000));
        g.seen.services.insert("a".to_owned(), seen);
        assert!(matches!(decision(&g), Decision::Run(_)));
    }

    #[test]
    fn where_its_end_was_not_seen_the_time_counts_from_when_it_was_missed() {
        let mut g = given(CauseKind::ProcessCrash, 0.8);
        g.keep.services.get_mut("a").unwrap().starts_itself_within = Some(Duration::from_secs(5));
        let with = |g: &mut Given, findings: Vec<Finding>| {
            g.incident.findings = findings;
            decision(g)
        };
        let since = |f: Finding, ms| Finding { since: TimestampMs(ms), ..f };
        let gone = || finding("a", FindingKind::ProcessGone);
        // Findings of others, and other findings of its own, say nothing about it.
        let others = [
            since(finding("a", FindingKind::HealthFailing), 99_500),
            since(finding("b", FindingKind::ProcessGone), 99_500),
        ];
        let mut all = others.to_vec();
        all.push(since(gone(), 95_001));
        assert_eq!(with(&mut g, all), Decision::Wait(TimestampMs(100_001), Text::new("moment.waits")));
        let mut all = others.to_vec();
        all.push(since(gone(), 95_000));
        assert!(matches!(with(&mut g, all), Decision::Run(_)), "the time is over");
    }

    #[test]
    fn a_service_that_runs_again_is_not_restarted_once_more() {
        let mut g = given(CauseKind::ProcessCrash, 0.8);
        g.seen = crate::testing::seen_running(&["a"]);
        assert_eq!(decision(&g), Decision::Wait(TimestampMs(101_000), Text::new("moment.runs_again")));
    }

    #[test]
    fn nobody_is_called_about_a_riddle_of_a_few_seconds() {
        let mut g = given(CauseKind::Unknown, 0.2);
        g.incident.findings[0].since = TimestampMs(95_000);
        assert!(matches!(decision(&g), Decision::Wait(..)));
    }

    #[test]
    fn nobody_is_called_about_a_forecast_until_it_is_near_or_something_is_wrong() {
        let mut g = given(CauseKind::Unknown, 0.2);
        let forecast = |ms: &str| {
            let mut f = finding("a", FindingKind::FilesystemFilling);
            f.since = TimestampMs(0);
            f.text = f.text.with("ms", ms);
            f
        };
        let with = |g: &mut Given, findings: Vec<Finding>| {
            g.incident.holding = findings.iter().map(|f| f.key.clone()).collect();
            g.incident.findings = findings;
            decision(g)
        };
        let wait = Decision::Wait(TimestampMs(101_000), Text::new("moment.forecast"));
        assert_eq!(with(&mut g, vec![forecast("300000")]), wait);
        assert!(matches!(with(&mut g, vec![forecast("299999")]), Decision::Escalate(_)));
        assert!(matches!(with(&mut g, vec![forecast("x")]), Decision::Escalate(_)));
        let wrong = Finding { since: TimestampMs(0), ..finding("a", FindingKind::HealthFailing) };
        assert!(matches!(with(&mut g, vec![forecast("900000"), wrong]), Decision::Escalate(_)));
    }

    #[test]
    fn a_bad_setting_goes_back_to_its_last_good_version_and_the_service_restarts() {
        let mut g = given(CauseKind::BadSetting, 0.95);
        g.incident.causes[0].subject = "/srv/a/env".to_owned();
        g.changes = vec![change("a", "/srv/a/env")];
        let d = decision(&g);
        assert_eq!(kinds(&d), [ActionKind::Rollback, ActionKind::Restart]);
        let Decision::Run(plan) = d else { panic!("withheld") };
        assert_eq!(plan.steps[0].to_version.as_deref(), Some("good"));
        let back = Undo::PutBack { path: "/srv/a/env".to_owned(), sha256: Some("bad".to_owned()) };
        assert_eq!(plan.steps[0].undo, back);
    }

    #[test]
    fn a_suspected_setting_that_nobody_may_put_back_does_not_keep_the_service_down() {
        let mut g = given(CauseKind::BadSetting, 0.83);
        g.incident.causes[0].subject = "/srv/a/env".to_owned();
        g.incident.causes.push(cause("a", CauseKind::ProcessCrash, 0.8));
        g.changes = vec![change("a", "/srv/a/env")];
        assert_eq!(
            kinds(&decision(&g)),
            [ActionKind::Rollback, ActionKind::Restart],
            "the likelier one first"
        );
        g.keep.services.get_mut("a").unwrap().may = vec![ActionKind::Restart];
        let d = decision(&g);
        assert!(matches!(d, Decision::Run(_)));
        assert_eq!(kinds(&d), [ActionKind::Restart]);
        g.incident.causes[0].score = 0.95;
        assert!(matches!(decision(&g), Decision::Propose(_)), "a start has shown that it is of no use");
        g.keep.services.get_mut("a").unwrap().may.clear();
        g.incident.causes[0].score = 0.83;
        assert_eq!(kinds(&decision(&g)), [ActionKind::Rollback, ActionKind::Restart], "both for a person");
    }

    #[test]
    fn without_a_known_good_version_nothing_is_put_back() {
        let mut g = given(CauseKind::BadSetting, 0.95);
        g.incident.causes[0].subject = "/srv/a/env".to_owned();
        assert!(matches!(decision(&g), Decision::Escalate(_)));
    }

    #[test]
    fn an_unrecorded_change_without_harm_waits_for_a_person() {
        let mut g = given(CauseKind::UnauthorisedFileChange, 0.7);
        g.incident.causes[0].subject = "/srv/a/env".to_owned();
        g.changes = vec![change("a", "/srv/a/env")];
        assert!(matches!(decision(&g), Decision::Propose(_)));
        // That another file is one of a release changes nothing about this one.
        let mut other = change("a", "/srv/a/other");
        other.origin = FileOrigin::Release;
        g.changes.push(other);
        assert!(matches!(decision(&g), Decision::Propose(_)));
    }

    #[test]
    fn a_cause_that_was_answered_in_vain_is_not_answered_again() {
        let mut g = given(CauseKind::ProcessCrash, 0.8);
        g.failed = vec![(EntityId::service("a"), CauseKind::ProcessCrash)];
        assert!(matches!(decision(&g), Decision::Escalate(_)));
    }

    #[test]
    fn a_crash_loop_without_a_reason_is_not_restarted_once_more() {
        let mut g = given(CauseKind::ProcessCrash, 0.82);
        g.incident.findings.push(finding("a", FindingKind::RestartingOften));
        assert!(matches!(decision(&g), Decision::Escalate(_)));
    }

    #[test]
    fn every_step_can_be_verified_and_says_how_it_is_undone() {
        for kind in [
            CauseKind::ProcessCrash,
            CauseKind::ProcessDown,
            CauseKind::DaemonDown,
            CauseKind::ProcessStopped,
        ] {
            let Decision::Run(plan) = decision(&given(kind, 0.9)) else { panic!("{kind:?} not planned") };
            assert!(plan.steps.iter().all(|s| !s.verify.is_empty() && s.deadline_ms > 0));
        }
    }

    /// Every belief that there can be, in a few hundred tables: what runs is always an answer that the planner gives to
    /// one of the causes anyway, and is allowed by `may`.
    #[test]
    fn no_belief_ever_adds_an_action_or_widens_what_is_allowed() {
        use wellkept_model::Outcome::{DidNotHelp, Helped, Undone};
        let kinds = [CauseKind::ProcessStopped, CauseKind::BadSetting, CauseKind::MissingFile];
        let actions = [ActionKind::Resume, ActionKind::Rollback, ActionKind::Restart, ActionKind::Restore];
        let (mut run, mut withheld) = (0, 0);
        for seed in 0_usize..400 {
            let mut g = given(CauseKind::ProcessStopped, 0.9);
            g.incident.causes = kinds
                .iter()
                .map(|k| Cause { subject: "/srv/a/env".to_owned(), ..cause("a", *k, 0.9) })
                .collect();
            g.changes = vec![change("a", "/srv/a/env")];
            let may = &mut g.keep.services.get_mut("a").expect("declared").may;
            may.retain(|kind| !(seed + *kind as usize).is_multiple_of(3));
            let mut ledger = Ledger::default();
            let mut beliefs = wellkept_model::Beliefs::default();
            for (i, pair) in kinds.iter().flat_map(|k| actions.map(|a| (*k, a))).enumerate() {
                let outcome = [Helped, DidNotHelp, Undone][(seed / (i + 1)) % 3];
                (0..(seed * 7 + i * 5) % 9).for_each(|_| _ = beliefs.take(pair.0, pair.1, outcome));
            }
            ledger.set_beliefs(beliefs);
            let around = Surroundings {
                now: TimestampMs(100_000),
                keep: &g.keep,
                frozen: false,
                active: &g.incident.findings,
                seen: &g.seen,
                ledger: &ledger,
            };
            let facts = Facts { around, file_changes: &g.changes, space: &[], failed: &[], generation: 1 };
            let decision = decide(&g.incident, &facts);
            let (Decision::Run(plan) | Decision::Propose(plan)) = &decision else { panic!("{decision:?}") };
            let mut usual = g.incident.causes.iter().filter(|c| c.kind == plan.cause);
            let usual = usual.next().map(|c| steps::for_cause(c, &g.incident, &facts));
            assert_eq!(usual, Some(Ok(plan.steps.clone())));
            if matches!(decision, Decision::Run(_)) {
                run += 1;
                assert!(plan.steps.iter().all(|s| g.keep.services["a"].may.contains(&s.kind)));
            } else {
                withheld += 1;
            }
        }
        assert!(run > 20 && withheld > 20, "both happen: {run} {withheld}");
    }

    #[test]
    fn watching_makes_no_plans() {
        let mut g = given(CauseKind::ProcessCrash, 0.8);
        g.keep.automation.mode = Mode::Watch;
        assert_eq!(decision(&g), Decision::Nothing);
    }
}
