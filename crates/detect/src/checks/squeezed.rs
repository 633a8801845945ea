//! The kernel holds a service back or kills it: by the processor quota of its control group, or for lack of memory.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use wellkept_model::observe::{HealthSeen, ServiceSeen};
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text, TimestampMs};

use super::{finding, seen_in};
use crate::Round;

/// Over which time periods are counted.
const WINDOW: Duration = Duration::from_secs(15);
/// Share of the periods in which the service was held back, and the fewest periods, from which it counts.
const SHARE_MIN: f64 = 0.3;
const PERIODS_MIN: u64 = 20;
/// A health check that takes this long suffers, milliseconds.
const SLOW_MS: u64 = 250;
/// How long it must last, milliseconds.
const THROTTLED_HOLD_MS: u64 = 5_000;
/// How long a kill is told.
const KILL_TOLD: Duration = Duration::from_secs(30);
/// A kill is put down to a service that ended by SIGKILL this long before or after it.
const NEAR: Duration = Duration::from_secs(4);
const SIGKILL: i32 = 9;

/// Remembers counters.
#[derive(Debug, Default)]
pub(crate) struct Squeezed {
    periods: BTreeMap<String, VecDeque<(TimestampMs, u64, u64)>>,
    kills: BTreeMap<String, u64>,
    host_kills: Option<u64>,
    /// Who lost a process for lack of memory, when, and how many.
    killed: BTreeMap<EntityId, (TimestampMs, u64)>,
}

impl Squeezed {
    pub(crate) fn check(&mut self, round: &Round<'_>) -> Vec<Finding> {
        let services = &round.seen.services;
        self.periods.retain(|name, _| services.contains_key(name));
        self.kills.retain(|name, _| services.contains_key(name));
        let mut found: Vec<Finding> =
            services.iter().filter_map(|(name, seen)| self.throttled(name, seen, round)).collect();
        self.count_kills(round);
        self.killed.retain(|_, (at, _)| round.now.since(*at) <= KILL_TOLD);
        found.extend(self.killed.iter().map(|(entity, (at, count))| {
            let (kind, severity) = (FindingKind::OomKilled, Severity::Critical);
            let mut f = finding(entity.clone(), kind, "", severity, *at, round.now);
            let text = Text::new("evidence.oom_killed").with("count", count);
            f.evidence.push(seen_in(*at, text, "node_vmstat_oom_kill".to_owned()));
            f
        }));
        found
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    fn throttled(&mut self, name: &str, seen: &ServiceSeen, round: &Round<'_>) -> Option<Finding> {
        let past = self.periods.entry(name.to_owned()).or_default();
        let Some((periods, throttled)) = seen.limits.cpu_periods else {
            past.clear();
            return None;
        };
        // Another group took its place: its counters begin anew.
        if past.back().is_some_and(|(_, before, _)| *before > periods) {
            past.clear();
        }
        past.push_back((round.now, periods, throttled));
        while past.front().is_some_and(|(at, ..)| round.now.since(*at) > WINDOW) {
            past.pop_front();
        }
        let (_, periods_then, throttled_then) = *past.front()?;
        let (periods, throttled) = (periods - periods_then, throttled.saturating_sub(throttled_then));
        if periods < PERIODS_MIN || (throttled as f64) < periods as f64 * SHARE_MIN {
            return None;
        }
        let (entity, kind) = (EntityId::service(name), FindingKind::CpuThrottled);
        // A batch job may live behind its quota: that is worth an incident only when its checks suffer.
        let suffers = |h: &HealthSeen| h.service == name && (h.failure.is_some() || h.took_ms >= SLOW_MS);
        let severity = if round.seen.health.iter().any(suffers) { Severity::Warning } else { Severity::Info };
        let mut f = finding(entity, kind, "", severity, round.now, round.now);
        f.hold_ms = THROTTLED_HOLD_MS;
        let text = Text::new("evidence.cpu_throttled").with("throttled", throttled).with("periods", periods);
        let query =
            format!("rate(wellkept_service_cgroup_cpu_throttled_periods_total{{service={name:?}}}[1m])");
        f.evidence.push(seen_in(round.now, text, query));
        Some(f)
    }

    /// By the count of a service's own group; else by the count of the host and who ended by SIGKILL just then.
    fn count_kills(&mut self, round: &Round<'_>) {
        let mut by_group = false;
        for (name, seen) in &round.seen.services {
            let Some(now) = seen.limits.oom_kills else { continue };
            let before = self.kills.insert(name.clone(), now);
            if let Some(more) = before.and_then(|b| now.checked_sub(b)).filter(|more| *more > 0) {
                self.note(EntityId::service(name), round.now, more);
                by_group = true;
            }
        }
        let now = round.seen.local.strain.as_ref().and_then(|s| s.oom_kills);
        let before = self.host_kills;
        self.host_kills = now.or(before);
        let more = now.zip(before).and_then(|(now, before)| now.checked_sub(before)).filter(|more| *more > 0);
        let Some(more) = more.filter(|_| !by_group) else { return };
        let killed = |seen: &ServiceSeen| {
            seen.last_end.as_ref().is_some_and(|end| {
                let near = round.now.since(end.at) <= NEAR && end.at.since(round.now) <= NEAR;
                near && end.exit == wellkept_model::observe::Exit::Signal(SIGKILL)
            })
        };
        let victim = round.seen.services.iter().find(|(_, seen)| killed(seen));
        match victim {
            Some((name, _)) => self.note(EntityId::service(name), round.now, more),
            // Its own group told of it a round ago.
            None if self.killed.values().any(|(at, _)| round.now.since(*at) <= NEAR) => {}
            None => self.note(EntityId::host(round.host), round.now, more),
        }
    }

    fn note(&mut self, entity: EntityId, at: TimestampMs, more: u64) {
        let (_, count) = self.killed.get(&entity).copied().unwrap_or((at, 0));
        self.killed.insert(entity, (at, count.saturating_add(more)));
    }
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{World, ended};
    use wellkept_model::FindingKind;
    use wellkept_model::observe::{Exit, StrainSeen};

    fn oom(w: &mut World, kills: u64) -> Vec<String> {
        w.advance(1000);
        w.seen.local.strain = Some(StrainSeen { oom_kills: Some(kills), ..StrainSeen::default() });
        let killed = |f: &wellkept_model::Finding| f.key.kind == FindingKind::OomKilled;
        w.findings().into_iter().filter(killed).map(|f| f.key.entity.to_string()).collect()
    }

    #[test]
    fn a_kill_is_told_of_the_service_that_ended_by_it_and_else_of_the_host() {
        let mut w = World::new(&["app"]);
        w.up("app", 1);
        assert!(oom(&mut w, 3).is_empty(), "that was before us");
        assert_eq!(oom(&mut w, 4), ["host:h"], "app runs on");
        w.advance(31_000);
        assert!(oom(&mut w, 4).is_empty(), "it is told for a while");
        w.down("app", ended(1, Exit::Signal(9)));
        assert_eq!(oom(&mut w, 5), ["service:app"]);
    }

    #[test]
    fn the_count_of_its_own_group_is_preferred() {
        let mut w = World::new(&["app"]);
        w.up("app", 1);
        w.seen.services.get_mut("app").expect("up").limits.oom_kills = Some(0);
        oom(&mut w, 0);
        w.seen.services.get_mut("app").expect("up").limits.oom_kills = Some(1);
        assert_eq!(oom(&mut w, 0), ["service:app"]);
        assert_eq!(oom(&mut w, 1), ["service:app"], "the host counts it as well, a round later");
    }

    #[test]
    fn one_that_is_killed_by_a_person_did_not_lack_memory() {
        let mut w = World::new(&["app"]);
        w.up("app", 1);
        oom(&mut w, 0);
        w.down("app", ended(1, Exit::Signal(9)));
        assert!(oom(&mut w, 0).is_empty());
    }

    fn throttled(w: &mut World, periods: u64, throttled: u64) -> bool {
        w.advance(1000);
        w.seen.services.get_mut("app").expect("up").limits.cpu_periods = Some((periods, throttled));
        w.kinds() == [FindingKind::CpuThrottled]
    }

    #[test]
    fn being_held_back_counts_by_its_share_of_the_last_periods() {
        let mut w = World::new(&["app"]);
        w.up("app", 1);
        assert!(!throttled(&mut w, 1000, 900), "nothing to compare with");
        assert!(!throttled(&mut w, 1010, 910), "too few periods");
        assert!(throttled(&mut w, 1030, 930));
        for i in 1..20 {
            throttled(&mut w, 1030 + i * 10, 930);
        }
        assert!(!throttled(&mut w, 1240, 930), "it is over");
        assert!(!throttled(&mut w, 5, 5), "another group has counters of its own");
    }

    #[test]
    fn a_service_behind_its_quota_is_only_worth_knowing_until_its_checks_suffer() {
        use wellkept_model::Severity;
        let mut w = World::new(&["app"]);
        w.up("app", 1);
        throttled(&mut w, 1000, 900);
        throttled(&mut w, 1100, 1000);
        for (took_ms, severity) in [(3, Severity::Info), (400, Severity::Warning)] {
            w.health("app", None, 1);
            w.seen.health[0].took_ms = took_ms;
            assert_eq!(w.findings()[0].severity, severity, "{took_ms}");
        }
    }
}
