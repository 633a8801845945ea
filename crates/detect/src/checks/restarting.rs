//! A service is started again and again because it keeps ending in error.
//!
//! Only ends that were not in order count, and only of processes that had not become healthy: an operator who
//! restarts a service three times, or a process that works and is killed twice, is no crash loop.

use std::collections::BTreeMap;
use std::time::Duration;

use wellkept_model::observe::{Exit, ProcessEnd, ServiceSeen};
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text, TimestampMs};

use super::{finding, seen_in};
use crate::Round;

/// Bad ends within [`WINDOW`] that make a crash loop.
const BAD_ENDS: usize = 2;
/// How far back ends are counted.
const WINDOW: Duration = Duration::from_secs(120);
/// A main process that has lived this long has left the loop.
const SETTLED: Duration = Duration::from_secs(10);
/// A process of unknown exit that lived at most this long ended in error.
const SHORT_LIFE: Duration = Duration::from_secs(5);
/// Ends remembered per service.
const ENDS_MAX: usize = 16;

/// Remembers the bad ends of each service.
#[derive(Debug, Default)]
pub(crate) struct Restarting {
    services: BTreeMap<String, Past>,
}

/// What is remembered of one service.
#[derive(Debug, Default)]
struct Past {
    ends: Vec<End>,
    /// The last end that was judged. Each is judged once, while it is known whether that process had worked.
    judged: Option<End>,
    /// The main process that was seen to work.
    worked: Option<u32>,
}

/// Which process ended, and when.
type End = (u32, TimestampMs);

impl Restarting {
    pub(crate) fn check(&mut self, round: &Round<'_>) -> Vec<Finding> {
        self.services.retain(|name, _| round.seen.services.contains_key(name));
        let services = round.seen.services.iter();
        services.filter_map(|(name, s)| self.one(name, s, round)).collect()
    }

    fn one(&mut self, name: &str, service: &ServiceSeen, round: &Round<'_>) -> Option<Finding> {
        let Past { ends, judged, worked } = self.services.entry(name.to_owned()).or_default();
        let new = service.last_end.as_ref().filter(|e| *judged != Some((e.pid, e.at)));
        if let Some(end) = new {
            *judged = Some((end.pid, end.at));
            let bad = is_bad(end, service) && *worked != Some(end.pid);
            ends.extend(bad.then_some((end.pid, end.at)));
        }
        ends.retain(|(_, at)| round.now.since(*at) <= WINDOW);
        if ends.len() > ENDS_MAX {
            ends.remove(0);
        }
        if works(name, service, round) {
            *worked = service.processes.first().map(|p| p.pid);
        }
        let settled = service.processes.first().is_some_and(|p| round.now.since(p.started_at) >= SETTLED);
        if ends.len() < BAD_ENDS || settled {
            return None;
        }
        let since = ends.first().map_or(round.now, |(_, at)| *at);
        let entity = EntityId::service(name);
        let mut f = finding(entity, FindingKind::RestartingOften, "", Severity::Critical, since, round.now);
        f.text = f.text.with("count", ends.len());
        f.evidence.push(seen_in(
            round.now,
            Text::new("evidence.bad_ends").with("count", ends.len()).with("seconds", WINDOW.as_secs()),
            format!("wellkept_service_starts_total{{service={name:?}}}"),
        ));
        Some(f)
    }
}

/// True when the main process has passed all its checks, or, without checks, has lived for a while.
fn works(name: &str, service: &ServiceSeen, round: &Round<'_>) -> bool {
    let Some(main) = service.processes.first() else { return false };
    let mut checks = round.seen.health.iter().filter(|h| h.service == name).peekable();
    if checks.peek().is_none() {
        return round.now.since(main.started_at) >= SETTLED;
    }
    checks.all(|h| h.failure.is_none() && h.at > main.started_at)
}

/// True for an end in error, or one of unknown kind after a short life.
fn is_bad(end: &ProcessEnd, service: &ServiceSeen) -> bool {
    if end.exit != Exit::Unknown {
        return !end.exit.in_order();
    }
    let began = end.started_at.or_else(|| service.starts.iter().rev().find(|s| **s <= end.at).copied());
    began.is_some_and(|b| end.at.since(b) <= SHORT_LIFE)
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{World, ended};
    use wellkept_model::FindingKind::{ProcessGone, RestartingOften};
    use wellkept_model::observe::Exit;

    #[test]
    fn two_bad_ends_make_a_loop_and_ten_quiet_seconds_end_it() {
        let mut w = World::new(&["app"]);
        w.down("app", ended(1, Exit::Code(1)));
        assert_eq!(w.kinds(), [ProcessGone]);
        w.advance(2000);
        w.down("app", ended(2, Exit::Code(1)));
        assert_eq!(w.kinds(), [ProcessGone, RestartingOften]);
        w.up("app", 3);
        assert_eq!(w.kinds(), [RestartingOften]);
        w.advance(10_000);
        assert!(w.kinds().is_empty());
    }

    #[test]
    fn a_process_that_works_and_is_killed_again_and_again_is_no_loop() {
        let mut w = World::new(&["app"]);
        for pid in 1..6 {
            w.up("app", pid);
            w.advance(500);
            for _ in 0..2 {
                w.health("app", None, 1);
                assert!(w.kinds().is_empty());
            }
            w.down("app", ended(pid, Exit::Signal(9)));
            assert_eq!(w.kinds(), [ProcessGone]);
            w.advance(500);
        }
    }

    #[test]
    fn restarts_in_order_are_no_loop() {
        let mut w = World::new(&["app"]);
        for pid in 1..9 {
            w.down("app", ended(pid, Exit::Signal(15)));
            w.kinds();
            w.advance(500);
            w.up("app", pid + 1);
            assert!(w.kinds().is_empty());
        }
    }
}
