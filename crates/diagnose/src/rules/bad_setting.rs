//! A setting of the service is absent or has a wrong value.
//!
//! Speaks when a kept file of the service was changed before the service fell ill. Discriminating test against a
//! mere end of the process: a process that *began after* the change must have ended in error, or run without
//! becoming healthy. Without such a start the change is only suspected, and a restart is the cheaper test.

use std::time::Duration;

use wellkept_model::observe::{Exit, ProcessEnd};
use wellkept_model::{
    ActionKind, Cause, CauseKind, EntityId, Evidence, FileOrigin, FileVersionChange, Finding, FindingKind,
    Text, TimestampMs,
};

use super::{cause, is_illness};
use crate::Situation;

/// A start after the change failed.
const SCORE_PROVEN: f64 = 0.95;
/// It runs since the change and does not become healthy.
const SCORE_LIKELY: f64 = 0.85;
/// A setting was taken out without a record and the process was killed right after: two things by one hand are likelier
/// than a mere end, and a start without the setting is likely in vain.
const SCORE_TAKEN_OUT: f64 = 0.83;
/// How soon after that the process must have ended.
const SOON: Duration = Duration::from_secs(30);
/// The file changed before the illness, and no start has tested it.
const SCORE_SUSPECTED: f64 = 0.5;
/// The illness may be noticed this much before the change, whose time has the resolution of a round.
const SLACK: Duration = Duration::from_secs(2);
/// A start that we made must show a process within this time.
const START_GRACE: Duration = Duration::from_secs(2);
/// A process of unknown exit that lived at most this long ended in error.
const SHORT_LIFE: Duration = Duration::from_secs(10);

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let present = s.file_changes.iter().filter(|c| c.now_sha256.is_some() && c.origin == FileOrigin::Kept);
    present.filter_map(|change| one(s, change)).collect()
}

fn one(s: &Situation, change: &FileVersionChange) -> Option<Cause> {
    let entity = EntityId::service(&change.service);
    let changed_at = change.modified_at.unwrap_or(change.at).min(change.at);
    let ill: Vec<&Finding> = s
        .about(&entity)
        .filter(|f| is_illness(f.key.kind) || f.key.kind == FindingKind::ConnectionsRefused)
        .collect();
    let first = ill.iter().map(|f| f.since).min()?;
    if changed_at > first + SLACK && !failed_start(s, &entity, changed_at) {
        return None;
    }
    let score = if failed_start(s, &entity, changed_at) {
        SCORE_PROVEN
    } else if runs_unhealthy(s, &entity, changed_at) || stopped_listening(s, &entity, changed_at) {
        SCORE_LIKELY
    } else if !change.keys_removed.is_empty()
        && change.recorded.is_none()
        && killed_soon(s, &entity, changed_at)
    {
        SCORE_TAKEN_OUT
    } else {
        SCORE_SUSPECTED
    };
    let own =
        s.about(&entity).filter(|f| f.key.kind == FindingKind::FileChanged && f.key.subject == change.path);
    let mut cause =
        cause(&entity, CauseKind::BadSetting, &change.path, score, own.chain(ill.iter().copied()));
    cause.detail = detail(change, &entity);
    cause.evidence.insert(0, change_evidence(change, changed_at));
    Some(cause)
}

/// True when a process that began after the change ended in error, or none appeared although we started it.
fn failed_start(s: &Situation, entity: &EntityId, changed_at: TimestampMs) -> bool {
    if started_in_vain(s, entity, changed_at) {
        return true;
    }
    let Some(end) = s.last_end(entity) else { return false };
    let began = end.started_at.or_else(|| last_start_before(s, entity, end.at));
    began.is_some_and(|b| b >= changed_at && ended_in_error(end, b))
}

/// True when a process from before the change was killed or crashed soon after it, and none runs since. One that ended in
/// order was stopped by somebody who may have meant the change as well.
fn killed_soon(s: &Situation, entity: &EntityId, changed_at: TimestampMs) -> bool {
    let runs = s.service(entity).is_some_and(|seen| !seen.processes.is_empty());
    !runs
        && s.last_end(entity).is_some_and(|end| {
            let after = end.at + SLACK >= changed_at && end.at.since(changed_at) <= SOON;
            let from_before = end.started_at.is_none_or(|began| began < changed_at);
            let by_force = !matches!(end.exit, Exit::Unknown) && !end.exit.in_order();
            after && from_before && by_force
        })
}

/// Many programs end before they write a pid file: then only our own attempt shows that a start fails.
fn started_in_vain(s: &Situation, entity: &EntityId, changed_at: TimestampMs) -> bool {
    let starts = s.tried.iter().filter(|a| {
        matches!(a.planned.kind, ActionKind::Restart | ActionKind::StartDependency)
            && a.planned.target == *entity
    });
    let ends = starts.filter_map(|a| a.finished_at).filter(|end| *end >= changed_at);
    ends.max().is_some_and(|end| s.now.since(end) >= START_GRACE) && s.has(entity, FindingKind::ProcessGone)
}

fn last_start_before(s: &Situation, entity: &EntityId, at: TimestampMs) -> Option<TimestampMs> {
    s.service(entity).and_then(|seen| seen.starts.iter().rev().find(|t| **t <= at).copied())
}

fn ended_in_error(end: &ProcessEnd, began: TimestampMs) -> bool {
    match end.exit {
        Exit::Unknown => end.at.since(began) <= SHORT_LIFE,
        exit => !exit.in_order(),
    }
}

/// True when the present process began after the change and a health check fails.
fn runs_unhealthy(s: &Situation, entity: &EntityId, changed_at: TimestampMs) -> bool {
    let began = s.service(entity).and_then(|seen| seen.processes.first()).map(|p| p.started_at);
    began.is_some_and(|b| b >= changed_at) && s.has(entity, FindingKind::HealthFailing)
}

/// True when it went on running after the change, which it may have read again, and listens no more where it did.
fn stopped_listening(s: &Situation, entity: &EntityId, changed_at: TimestampMs) -> bool {
    s.about(entity).any(|f| f.key.kind == FindingKind::ConnectionsRefused && changed_at <= f.since + SLACK)
}

fn detail(change: &FileVersionChange, entity: &EntityId) -> Text {
    let keys = [&change.keys_removed, &change.keys_changed, &change.keys_added];
    let words = ["removed", "changed", "added"];
    let first = keys.into_iter().zip(words).find(|(k, _)| !k.is_empty());
    let text = match first {
        Some((keys, word)) => Text::new(&format!("cause.bad_setting.{word}")).with("keys", keys.join(", ")),
        None => Text::new("cause.bad_setting"),
    };
    text.with("name", &entity.name).with("path", &change.path)
}

fn change_evidence(change: &FileVersionChange, at: TimestampMs) -> Evidence {
    let text = match &change.recorded {
        Some(id) => Text::new("evidence.file_changed_recorded").with("id", &id.0),
        None => Text::new("evidence.file_changed_unrecorded"),
    };
    Evidence { at, text: text.with("path", &change.path), query: None }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{Case, check};

    #[test]
    fn a_start_that_fails_after_the_change_proves_it() {
        check("app changed at 100; app ended 1 at 103 began 102; app gone", "service:app bad_setting 0.95");
    }

    #[test]
    fn our_own_start_without_a_process_proves_it_too() {
        check(
            "app changed at 100; app ended 9s at 101 began 10; app gone; app restarted at 105",
            "service:app bad_setting 0.95",
        );
        let mut soon =
            Case::new("app changed at 100; app ended 9s at 101 began 10; app gone; app restarted at 109");
        soon.situation.file_changes[0].keys_removed.clear();
        let soon = soon.again();
        assert_eq!(soon.first(), "service:app process_crash");
    }

    #[test]
    fn an_end_in_order_leaves_it_a_suspicion_behind_the_plain_end() {
        let case = Case::new("app changed at 100; app ended 0 at 101 began 10; app gone");
        assert_eq!(case.first(), "service:app process_down");
        assert!(case.kinds().contains(&"bad_setting".to_owned()));
    }

    #[test]
    fn a_setting_taken_out_just_before_the_process_was_killed_is_put_back_first() {
        let killed = "app changed at 100; app ended 9s at 101 began 10; app gone";
        check(killed, "service:app bad_setting 0.83");
        let crash = |words: &str, change: fn(&mut crate::Situation)| {
            let mut case = Case::new(words);
            change(&mut case.situation);
            assert_eq!(case.again().first(), "service:app process_crash", "{words}");
        };
        crash(killed, |s| s.file_changes[0].keys_removed.clear());
        crash(killed, |s| s.file_changes[0].recorded = Some(wellkept_model::ChangeId("7".into())));
        crash("app changed at 60; app ended 9s at 101 began 10; app gone", |_| ());
        crash("app changed at 100; app ended ? at 101 began 10; app gone", |s| {
            let end = s.seen.services.get_mut("app").and_then(|a| a.last_end.as_mut()).expect("ended");
            (end.started_at, end.exit) = (None, wellkept_model::observe::Exit::Signal(9));
            s.file_changes[0].keys_removed.clear();
        });
    }

    #[test]
    fn a_change_long_after_the_illness_is_not_its_cause() {
        let case = Case::new("app ended 9s at 50 began 10; app gone; app changed at 100");
        assert_eq!(case.first(), "service:app process_crash");
        assert!(!case.kinds().contains(&"bad_setting".to_owned()));
    }

    #[test]
    fn a_running_service_that_began_after_the_change_and_fails_its_checks_has_a_bad_setting() {
        check("app changed at 100; app runs since 102; app unhealthy", "service:app bad_setting 0.85");
    }
}
