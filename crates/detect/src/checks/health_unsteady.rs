//! A check that used to pass fails now and then: never often enough in a row to be down, too often to be well.
//!
//! One outage, however long, is none of this: a check that fails without a pass in between is down and not unsteady.
//!
//! It is compared with its own past: the check must have passed nearly always before. What came in while an incident was
//! open about the service is judged and then forgotten: it is no past to compare with. Right after another release
//! was made current, less is needed, because then every failure is one too many.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use wellkept_model::observe::HealthSeen;
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text, TimestampMs};

use super::{finding, seen_in};
use crate::Round;

/// Results that are remembered of each check.
const RESULTS_MAX: usize = 60;
/// Recent results that are judged.
const RECENT: usize = 12;
/// Fewest earlier results to compare with.
const EARLIER_MIN: usize = 15;
/// Most failures among the earlier ones, of a hundred.
const EARLIER_PERCENT: usize = 5;
/// Failures among the recent results that count, and just after a release.
const FAILURES: usize = 4;
const FAILURES_AFTER_RELEASE: usize = 2;
/// How long after a release it counts as just made.
const AFTER_RELEASE: Duration = Duration::from_secs(300);
/// Results so soon after a start do not count: programs take a while to load.
const START_GRACE: Duration = Duration::from_secs(3);
/// Times that it must have begun to fail: with a pass in between, or it is one outage.
const EPISODES: usize = 2;
/// Passes in a row that end the finding.
const PASSES: usize = 6;

/// Remembers the results of all checks.
#[derive(Debug, Default)]
pub(crate) struct Unsteady {
    checks: BTreeMap<(String, String), Past>,
}

#[derive(Debug, Default)]
struct Past {
    /// When, and whether it passed.
    results: VecDeque<(TimestampMs, bool)>,
    found: Option<TimestampMs>,
    /// Since when an incident has been open about its service.
    troubled: Option<TimestampMs>,
}

impl Unsteady {
    pub(crate) fn check(&mut self, round: &Round<'_>, troubled: &BTreeSet<EntityId>) -> Vec<Finding> {
        let seen = &round.seen.health;
        self.checks.retain(|(s, c), _| seen.iter().any(|h| h.service == *s && h.check == *c));
        for ((service, _), past) in &mut self.checks {
            past.freeze(troubled.contains(&EntityId::service(service)), round.now);
        }
        seen.iter().filter_map(|health| self.one(health, round)).collect()
    }

    fn one(&mut self, health: &HealthSeen, round: &Round<'_>) -> Option<Finding> {
        let past = self.checks.entry((health.service.clone(), health.check.clone())).or_default();
        let is_new = past.results.back().is_none_or(|(at, _)| *at < health.at);
        if is_new && counts(health, round) {
            past.push(health.at, health.failure.is_none());
        }
        let released = round.seen.local.releases.get(&health.service).map(|r| r.since);
        let since = past.judge(released.filter(|at| round.now.since(*at) <= AFTER_RELEASE))?;
        let entity = EntityId::service(&health.service);
        let (kind, severity) = (FindingKind::HealthUnsteady, Severity::Critical);
        let mut f = finding(entity, kind, &health.check, severity, since, round.now);
        let (failed, of) = past.recent();
        f.text = f.text.with("check", &health.check).with("failed", failed).with("of", of);
        f.evidence.push(seen_in(
            health.at,
            Text::new("evidence.health_unsteady")
                .with("check", &health.check)
                .with("failed", failed)
                .with("of", of),
            format!("wellkept_health_check_success{{service={:?},check={:?}}}", health.service, health.check),
        ));
        Some(f)
    }
}

fn counts(health: &HealthSeen, round: &Round<'_>) -> bool {
    let service = round.seen.services.get(&health.service);
    let started = service.and_then(|s| s.processes.first()).map(|p| p.started_at);
    started.is_some_and(|at| health.at >= at + START_GRACE)
}

impl Past {
    /// What was before a trouble is kept while it lasts, beside the recent results that are judged.
    fn push(&mut self, at: TimestampMs, passed: bool) {
        self.results.push_back((at, passed));
        let (first, most) = match self.troubled {
            None => (0, RESULTS_MAX),
            Some(since) => {
                let before = self.results.iter().take_while(|(at, _)| *at < since).count();
                (before, before + RECENT)
            }
        };
        while self.results.len() > most {
            self.results.remove(first);
        }
    }

    /// Once the trouble is over, the past is what it was before.
    fn freeze(&mut self, troubled: bool, now: TimestampMs) {
        match (troubled, self.troubled) {
            (true, None) => self.troubled = Some(now),
            (false, Some(since)) => {
                self.results.retain(|(at, _)| *at < since);
                (self.troubled, self.found) = (None, None);
            }
            _ => {}
        }
    }

    /// Since when it is unsteady, when it is.
    fn judge(&mut self, released: Option<TimestampMs>) -> Option<TimestampMs> {
        if self.found.is_some() && self.results.iter().rev().take(PASSES).all(|(_, ok)| *ok) {
            self.found = None;
            // What was before the trouble is the measure again.
            self.results.retain(|(_, ok)| *ok);
        }
        if self.found.is_none() {
            self.found = self.begins(released);
        }
        self.found
    }

    fn begins(&self, released: Option<TimestampMs>) -> Option<TimestampMs> {
        let border = match released {
            Some(at) => self.results.iter().filter(|(t, _)| *t < at).count(),
            None => self.results.len().saturating_sub(RECENT),
        };
        let needed = if released.is_some() { FAILURES_AFTER_RELEASE } else { FAILURES };
        let earlier = self.results.iter().take(border);
        let failed_before = earlier.filter(|(_, ok)| !ok).count();
        let steady = border >= EARLIER_MIN && failed_before * 100 <= border * EARLIER_PERCENT;
        let since_then = || self.results.iter().skip(border);
        let failures: Vec<TimestampMs> = since_then().filter(|(_, ok)| !ok).map(|(at, _)| *at).collect();
        let begins = since_then().zip(since_then().skip(1)).filter(|((_, a), (_, b))| *a && !b).count();
        let episodes = begins + usize::from(since_then().next().is_some_and(|(_, ok)| !ok));
        (steady && failures.len() >= needed && episodes >= EPISODES).then(|| failures.first().copied())?
    }

    fn recent(&self) -> (usize, usize) {
        let recent = || self.results.iter().rev().take(RECENT);
        (recent().filter(|(_, ok)| !ok).count(), recent().count())
    }
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::World;
    use wellkept_model::FindingKind;
    use wellkept_model::local::ReleaseSeen;

    /// `.` passes, `x` fails; `R` is another release. True when the finding was made.
    fn play(results: &str) -> bool {
        let mut w = World::new(&["app"]);
        w.up("app", 1);
        w.advance(60_000);
        let mut found = false;
        for result in results.chars() {
            w.advance(2000);
            match result {
                'R' => {
                    let (target, before) = ("releases/2".to_owned(), Some("releases/1".to_owned()));
                    let release = ReleaseSeen { target, since: w.now(), before };
                    w.seen.local.releases.insert("app".to_owned(), release);
                }
                'x' => w.health("app", Some("status 500"), 1),
                _ => w.health("app", None, 1),
            }
            found |= w.kinds().contains(&FindingKind::HealthUnsteady);
        }
        found
    }

    #[test]
    fn a_check_that_begins_to_fail_now_and_then_is_unsteady() {
        assert!(play("....................x.x..x..x..x"));
        assert!(!play("....................x..........x"), "one in a while is life");
        assert!(!play("....................xxxxxxxxxx...."), "one outage");
        assert!(!play("....................Rxxxx...."), "one outage after a release");
    }

    #[test]
    fn just_after_a_release_two_failures_are_enough() {
        assert!(play("....................R..x.x"));
        assert!(!play("....................R..x....."), "one is none");
        assert!(!play("....................R......................"), "a planned deployment");
    }

    #[test]
    fn a_check_that_always_failed_now_and_then_has_not_become_unsteady() {
        assert!(!play("..x...x..x..x..x....x..x..Rx.x..x..x.."));
    }

    #[test]
    fn what_fails_while_an_incident_is_open_is_no_past_to_compare_with() {
        let found_after = |told: bool| {
            let mut w = World::new(&["app"]);
            w.up("app", 1);
            w.advance(60_000);
            let play = |w: &mut World, results: &str| {
                let mut found = false;
                for result in results.chars() {
                    w.advance(2000);
                    w.health("app", (result == 'x').then_some("status 500"), 1);
                    found |= w.kinds().contains(&FindingKind::HealthUnsteady);
                }
                found
            };
            play(&mut w, "....................");
            // A long outage.
            if told {
                w.hold_baselines(&["app"]);
            }
            play(&mut w, &"x".repeat(100));
            w.hold_baselines(&[]);
            play(&mut w, "............");
            play(&mut w, ".x.x..x..x..x")
        };
        assert!(found_after(true), "it is compared with what was before the outage");
        assert!(!found_after(false), "the outage became its past");
    }

    #[test]
    fn passes_in_a_row_end_it() {
        let mut w = World::new(&["app"]);
        w.up("app", 1);
        w.advance(60_000);
        let mut kinds = Vec::new();
        for result in "....................x.x.x.x.x".chars().chain("........".chars()) {
            w.advance(2000);
            w.health("app", (result == 'x').then_some("status 500"), 1);
            kinds.push(w.kinds().contains(&FindingKind::HealthUnsteady));
        }
        assert!(kinds.contains(&true) && kinds.last() == Some(&false));
    }
}
