//! A declared service has no process.
//!
//! A crash counts at once. An end in order (status 0, SIGTERM) may be somebody's restart, so it must last a
//! moment first; the same holds when the kernel does not tell how it ended. A service that has never been seen
//! gets a longer time, because the machine may still be starting.

use std::collections::BTreeMap;
use std::time::Duration;

use wellkept_model::keep::Keep;
use wellkept_model::observe::{Exit, ProcessEnd, ServiceSeen};
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text, TimestampMs};

use super::{finding, seen_at};
use crate::Round;

/// How long an end in order must last. A restart by hand or by a deploy tool is over in about a second.
const IN_ORDER_HOLD: Duration = Duration::from_millis(1500);
/// How long an end of unknown kind must last.
const UNKNOWN_HOLD: Duration = Duration::from_millis(800);
/// How long a declared service may be absent after we start.
const NEVER_SEEN_HOLD: Duration = Duration::from_secs(5);

/// Remembers when an unseen service was looked for first.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    looked_since: BTreeMap<String, TimestampMs>,
}

impl Gone {
    pub(crate) fn check(&mut self, keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
        self.looked_since.retain(|name, _| keep.services.contains_key(name));
        let absent = round.seen.services.iter().filter(|(_, s)| s.processes.is_empty());
        absent.map(|(name, service)| self.state(name, service, round)).collect()
    }

    fn state(&mut self, name: &str, service: &ServiceSeen, round: &Round<'_>) -> Finding {
        let first_look = *self.looked_since.entry(name.to_owned()).or_insert(round.now);
        let since = service.down_since.unwrap_or(first_look);
        let mut f = finding(
            EntityId::service(name),
            FindingKind::ProcessGone,
            "",
            Severity::Critical,
            since,
            round.now,
        );
        f.hold_ms = hold(service).as_millis().try_into().unwrap_or(u64::MAX);
        f.evidence.push(match &service.last_end {
            Some(end) => seen_at(end.at, end_text(end)),
            None => seen_at(since, Text::new("evidence.never_seen").with("name", name)),
        });
        f
    }
}

fn hold(service: &ServiceSeen) -> Duration {
    match &service.last_end {
        None if !service.ever_seen => NEVER_SEEN_HOLD,
        None => UNKNOWN_HOLD,
        Some(end) if end.exit == Exit::Unknown => UNKNOWN_HOLD,
        Some(end) if end.exit.in_order() => IN_ORDER_HOLD,
        Some(_) => Duration::ZERO,
    }
}

fn end_text(end: &ProcessEnd) -> Text {
    match end.exit {
        Exit::Code(code) => Text::new("evidence.ended_code").with("code", code),
        Exit::Signal(signal) => Text::new("evidence.ended_signal").with("signal", signal),
        Exit::Unknown => Text::new("evidence.ended_unknown"),
    }
    .with("pid", end.pid)
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{World, ended};
    use wellkept_model::observe::Exit;

    #[test]
    fn a_crash_counts_at_once_and_an_end_in_order_must_last() {
        for (exit, hold) in [
            (Exit::Signal(9), 0),
            (Exit::Code(1), 0),
            (Exit::Code(0), 1500),
            (Exit::Signal(15), 1500),
            (Exit::Unknown, 800),
        ] {
            let mut w = World::new(&["app"]);
            w.down("app", ended(7, exit));
            assert_eq!(w.findings()[0].hold_ms, hold, "{exit:?}");
        }
    }

    #[test]
    fn a_service_never_seen_is_given_time() {
        let mut w = World::new(&["app"]);
        w.seen.services.insert("app".into(), wellkept_model::observe::ServiceSeen::default());
        assert_eq!(w.findings()[0].hold_ms, 5000);
    }
}
