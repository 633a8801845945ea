//! Services wait for each other: each runs, fails its checks, and waits for another one of them.
//!
//! A service that waits for one that is merely slow or dead waits in a line, not in a circle.

use std::collections::{BTreeMap, BTreeSet};

use wellkept_model::local::WaitSeen;
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// A shorter wait may be the time that an answer takes, milliseconds.
const WAIT_MIN_MS: u64 = 3_000;
/// How long the circle must last on top, milliseconds.
const HOLD_MS: u64 = 1_500;

pub(crate) fn check(round: &Round<'_>) -> Vec<Finding> {
    let waits = round.seen.local.waits.iter().filter(|w| w.for_ms >= WAIT_MIN_MS && fails(round, &w.service));
    let waits: Vec<&WaitSeen> = waits.collect();
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for wait in &waits {
        edges.entry(&wait.service).or_default().insert(&wait.on);
    }
    let found = edges.keys().filter_map(|name| {
        let circle: Vec<&str> =
            reached(&edges, name).into_iter().filter(|other| reached(&edges, other).contains(name)).collect();
        (circle.len() >= 2).then(|| one(name, &circle, &waits, round))
    });
    found.collect()
}

fn one(name: &str, circle: &[&str], waits: &[&WaitSeen], round: &Round<'_>) -> Finding {
    let inside = |w: &&&WaitSeen| circle.contains(&w.service.as_str()) && circle.contains(&w.on.as_str());
    let shortest = waits.iter().filter(inside).map(|w| w.for_ms).min().unwrap_or(0);
    let since = round.now - std::time::Duration::from_millis(shortest);
    let (entity, kind) = (EntityId::service(name), FindingKind::WaitingInCircle);
    let mut f = finding(entity, kind, &circle.join(","), Severity::Critical, since, round.now);
    f.text =
        f.text.with("others", circle.iter().filter(|c| **c != name).copied().collect::<Vec<_>>().join(", "));
    f.hold_ms = HOLD_MS;
    f.evidence.extend(waits.iter().filter(inside).map(|w| {
        let text = Text::new("evidence.waits").with("name", &w.service).with("on", &w.on).with("at", &w.at);
        seen_at(round.now, text.with("ms", w.for_ms))
    }));
    f
}

/// Everybody that can be reached along waits, `from` included when a circle leads back to it.
fn reached<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &'a str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut todo: Vec<&str> = vec![from];
    while let Some(at) = todo.pop() {
        todo.extend(edges.get(at).into_iter().flatten().filter(|to| seen.insert(**to)));
    }
    seen
}

fn fails(round: &Round<'_>, name: &str) -> bool {
    round.seen.health.iter().any(|h| h.service == name && h.failure.is_some())
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::World;
    use wellkept_model::local::WaitSeen;
    use wellkept_model::observe::HealthSeen;
    use wellkept_model::{FindingKind, TimestampMs};

    fn found(waits: &[(&str, &str, u64)], failing: &[&str]) -> Vec<String> {
        let mut w = World::new(&["a", "b", "c"]);
        for (pid, name) in ["a", "b", "c"].into_iter().enumerate() {
            w.up(name, u32::try_from(pid + 1).unwrap());
        }
        let wait = |(a, b, ms): &(&str, &str, u64)| WaitSeen {
            service: (*a).to_owned(),
            on: (*b).to_owned(),
            at: "127.0.0.1:1".to_owned(),
            for_ms: *ms,
        };
        w.seen.local.waits = waits.iter().map(wait).collect();
        let health = |name: &&str| HealthSeen {
            service: (*name).to_owned(),
            check: "http".to_owned(),
            at: TimestampMs(0),
            took_ms: 2000,
            failure: Some("no answer".to_owned()),
            in_a_row: 3,
        };
        w.seen.health = failing.iter().map(health).collect();
        let all = w.findings().into_iter().filter(|f| f.key.kind == FindingKind::WaitingInCircle);
        all.map(|f| format!("{} {}", f.key.entity.name, f.key.subject)).collect()
    }

    #[test]
    fn two_that_wait_for_each_other_are_told_with_the_whole_circle() {
        assert_eq!(found(&[("a", "b", 5000), ("b", "a", 4000)], &["a", "b"]), ["a a,b", "b a,b"]);
        let three = [("a", "b", 5000), ("b", "c", 4000), ("c", "a", 4000)];
        assert_eq!(found(&three, &["a", "b", "c"]), ["a a,b,c", "b a,b,c", "c a,b,c"]);
    }

    #[test]
    fn a_line_is_no_circle() {
        assert!(found(&[("a", "b", 5000), ("b", "c", 5000)], &["a", "b", "c"]).is_empty());
        let ends = [("a", "c", 5000), ("a", "b", 5000), ("b", "a", 5000)];
        assert_eq!(found(&ends, &["a", "b", "c"]), ["a a,b", "b a,b"], "c waits for nobody");
        let tail = [("c", "a", 5000), ("a", "b", 5000), ("b", "a", 5000)];
        assert_eq!(found(&tail, &["a", "b", "c"]), ["a a,b", "b a,b"], "c only waits for them");
    }

    #[test]
    fn who_passes_its_checks_or_waits_a_moment_only_is_in_no_circle() {
        assert!(found(&[("a", "b", 5000), ("b", "a", 5000)], &["a"]).is_empty());
        assert!(found(&[("a", "b", 5000), ("b", "a", 2900)], &["a", "b"]).is_empty());
    }
}
