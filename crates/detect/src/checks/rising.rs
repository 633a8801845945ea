//! A service uses up its descriptors or its memory in a straight line: a leak that will end it.
//!
//! Early enough is when the end is near in time or in space; a service that stands high and steady is left alone.

use std::collections::BTreeMap;
use std::time::Duration;

use wellkept_model::observe::{ProcessSeen, ServiceSeen};
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text, TimestampMs};

use super::{finding, seen_in};
use crate::Round;
use crate::trend::Trend;

/// From this share of the limit on a straight rise that ends soon counts.
const SHARE_SOON: f64 = 0.5;
/// Seconds that "soon" is.
const SOON_S: f64 = 90.0;
/// From this share on a rise counts that leaves hardly any doubt and ends within [`NEAR_S`], unless the process is so
/// young that it may be warming up.
const SHARE_EARLY: f64 = 0.3;
/// What a restart in good order needs, several times over, seconds.
const NEAR_S: f64 = 75.0;
const WARM_AFTER: Duration = Duration::from_secs(45);
/// From this share on every straight rise counts that would end within [`LATER_S`].
const SHARE_HIGH: f64 = 0.8;
/// An hour: a rise that takes longer can wait for a person.
const LATER_S: f64 = 3600.0;
/// A finding ends below this share, or when another process takes the place.
const SHARE_OVER: f64 = 0.25;

/// What is watched, and how.
struct Quantity {
    kind: FindingKind,
    metric: &'static str,
    used: fn(&ServiceSeen) -> Option<u64>,
    limit: fn(&ServiceSeen) -> Option<u64>,
}

const QUANTITIES: [Quantity; 2] = [
    Quantity {
        kind: FindingKind::FdsRising,
        metric: "wellkept_service_open_fds",
        used: |s| s.processes.iter().filter_map(|p| p.open_fds).max(),
        limit: |s| s.limits.fds,
    },
    // The group's own count holds the page cache as well, which goes when it is needed.
    Quantity {
        kind: FindingKind::MemoryRising,
        metric: "wellkept_service_resident_memory_bytes",
        used: |s| Some(s.processes.iter().map(|p| p.rss_bytes).sum()),
        limit: |s| s.limits.memory_bytes,
    },
];

/// Remembers the last values of each service.
#[derive(Debug, Default)]
pub(crate) struct Rising {
    trends: BTreeMap<(String, FindingKind), Trend>,
    /// Since when, and of which process.
    found: BTreeMap<(String, FindingKind), (TimestampMs, u32)>,
}

impl Rising {
    pub(crate) fn check(&mut self, round: &Round<'_>) -> Vec<Finding> {
        let is_there = |name: &String| round.seen.services.contains_key(name);
        self.trends.retain(|(name, _), _| is_there(name));
        self.found.retain(|(name, _), _| is_there(name));
        let mut findings = Vec::new();
        for (name, service) in &round.seen.services {
            let Some(main) = service.processes.first() else { continue };
            for quantity in &QUANTITIES {
                findings.extend(self.one(name, service, main, quantity, round));
            }
        }
        findings
    }

    #[expect(clippy::cast_precision_loss, reason = "counts and bytes far below 2^53")]
    fn one(
        &mut self,
        name: &str,
        service: &ServiceSeen,
        main: &ProcessSeen,
        quantity: &Quantity,
        round: &Round<'_>,
    ) -> Option<Finding> {
        let limit = (quantity.limit)(service).filter(|l| *l > 0)? as f64;
        let used = (quantity.used)(service)? as f64;
        let key = (name.to_owned(), quantity.kind);
        let trend = self.trends.entry(key.clone()).or_default();
        trend.add((main.pid, main.started_at), round.now, used);
        let (share, rise) = (used / limit, trend.rise());
        let left = |slope: f64| (limit - used).max(0.0) / slope;
        let left_s = rise.map(left);
        let is_warm = round.now.since(main.started_at) >= WARM_AFTER;
        let early = share >= SHARE_EARLY && is_warm && trend.sure_rise().is_some_and(|s| left(s) <= NEAR_S);
        let near = early
            || left_s
                .is_some_and(|s| share >= SHARE_SOON && s <= SOON_S || share >= SHARE_HIGH && s <= LATER_S);
        let known = self.found.get(&key).filter(|(_, pid)| *pid == main.pid && share >= SHARE_OVER);
        let since = match known {
            Some((since, _)) => *since,
            None if near => round.now,
            None => {
                self.found.remove(&key);
                return None;
            }
        };
        self.found.insert(key, (since, main.pid));
        let entity = EntityId::service(name);
        let mut f = finding(entity, quantity.kind, "", Severity::Warning, since, round.now);
        f.text = f.text.with("used", share);
        let text = Text::new(&format!("evidence.{}", quantity.kind.word()))
            .with("used", used.round())
            .with("limit", limit.round())
            .with("ms", (left_s.unwrap_or(0.0) * 1000.0).round());
        f.evidence.push(seen_in(round.now, text, format!("{}{{service={name:?}}}", quantity.metric)));
        Some(f)
    }
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::World;
    use wellkept_model::FindingKind;

    /// One value a second; the kinds seen at the end, and whether any was seen at all.
    fn play(values: impl IntoIterator<Item = u64>) -> bool {
        let mut w = World::new(&["app"]);
        w.up("app", 1);
        let mut found = false;
        for value in values {
            let service = w.seen.services.get_mut("app").expect("it runs");
            service.limits.fds = Some(256);
            service.processes[0].open_fds = Some(value);
            w.advance(1000);
            found |= w.kinds().contains(&FindingKind::FdsRising);
        }
        found
    }

    #[test]
    fn a_straight_rise_towards_the_limit_is_found_before_it_is_hit() {
        assert!(play((0..60).map(|s| 20 + s * 3)));
    }

    /// The share of its limit at which a leak of so many descriptors a second is found, in a process of this age.
    fn found_at(per_second: u64, age_ms: u64) -> u64 {
        let mut w = World::new(&["app"]);
        w.up("app", 1);
        w.advance(age_ms);
        (1..=100)
            .find(|s| {
                let service = w.seen.services.get_mut("app").expect("it runs");
                service.limits.fds = Some(1000);
                service.processes[0].open_fds = Some(s * per_second);
                w.advance(1000);
                w.kinds().contains(&FindingKind::FdsRising)
            })
            .map_or(100, |s| s * per_second / 10)
    }

    #[test]
    fn a_rise_whose_end_is_near_is_found_early_unless_the_process_is_warming_up() {
        assert_eq!(found_at(12, 100_000), 30);
        assert_eq!(found_at(12, 5_000), 48, "at the age of 45 seconds");
        assert_eq!(found_at(8, 100_000), 40, "75 seconds before its end");
    }

    #[test]
    fn a_service_that_stands_high_or_triples_its_use_is_left_alone() {
        assert!(!play(std::iter::repeat_n(210, 60)), "a pool");
        assert!(!play((0..90).map(|s| if s < 30 { 40 } else { 120 })), "tripled traffic");
        assert!(!play((0..90).map(|s| 60 + (s % 10) * 15)), "waves");
    }

    #[test]
    fn a_slow_rise_far_from_the_limit_is_nobodys_night() {
        assert!(!play((0..120).map(|s| 20 + s / 4)));
    }

    #[test]
    fn memory_counts_against_the_limit_of_the_group() {
        let mut w = World::new(&["app"]);
        w.up("app", 1);
        let mut found = Vec::new();
        for second in 0..40 {
            let service = w.seen.services.get_mut("app").expect("it runs");
            service.limits.memory_bytes = Some(200 << 20);
            service.processes[0].rss_bytes = (30 << 20) + second * (4 << 20);
            w.advance(1000);
            found = w.kinds();
        }
        assert_eq!(found, [FindingKind::MemoryRising]);
        w.up("app", 2);
        assert!(w.kinds().is_empty(), "another process");
    }
}
