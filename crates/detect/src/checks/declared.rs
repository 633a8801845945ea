//! What was seen of declared data, keys and versions: damaged, at its end, or apart.

use std::time::Duration;

use wellkept_model::keep::Keep;
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{databases, finding, seen_at};
use crate::Round;

/// How long versions may be apart, milliseconds: a deployment takes one component after the other.
const APART_HOLD_MS: u64 = 120_000;

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let mut found = data(keep, round);
    found.extend(keys(keep, round));
    found.extend(versions(keep, round));
    found
}

fn data(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let kind = FindingKind::DataDamaged;
    let tests = round.seen.watched.data.iter().filter_map(|(name, seen)| {
        let (declared, failure) = (keep.watched.data.get(name)?, seen.failure.as_ref()?);
        let since = seen.since.unwrap_or(seen.at);
        let entity = EntityId::service(&declared.service);
        let mut f = finding(entity, kind, name, Severity::Critical, since, round.now);
        f.text = f.text.with("data", name);
        let text = Text::new("evidence.data_test").with("data", name).with("failure", failure);
        f.evidence.push(seen_at(seen.at, text));
        Some(f)
    });
    let pages = databases(keep, round).filter(|(_, _, seen)| seen.care.damaged_pages > 0);
    let pages = pages.map(|(entity, _, seen)| {
        let mut f = finding(entity, kind, "pages", Severity::Critical, seen.at, round.now);
        f.text = f.text.with("data", "pages");
        let text = Text::new("evidence.damaged_pages").with("count", seen.care.damaged_pages);
        f.evidence.push(seen_at(seen.at, text));
        f
    });
    tests.chain(pages).collect()
}

fn keys(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let found = round.seen.watched.keys.iter().filter_map(|(name, seen)| {
        let (declared, ends_at) = (keep.watched.keys.get(name)?, seen.ends_at?);
        if round.now + declared.before < ends_at {
            return None;
        }
        let ended = round.now >= ends_at;
        let severity = if ended { Severity::Critical } else { Severity::Warning };
        let entity = EntityId::service(declared.used_by.first()?);
        let since = if ended { ends_at } else { ends_at - declared.before };
        let mut f = finding(entity, FindingKind::KeyEnding, name, severity, since, round.now);
        let way = if ended { "ended" } else { "soon" };
        f.text.key = format!("{}.{way}", f.text.key);
        let left = if ended { round.now.since(ends_at) } else { ends_at.since(round.now) };
        f.text = f.text.with("key", name).with("ms", left.as_millis());
        let text = Text::new("evidence.key_end").with("file", declared.file.display()).with("end", ends_at);
        f.evidence.push(seen_at(seen.at, text));
        Some(f)
    });
    found.collect()
}

fn versions(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, seen) in &round.seen.watched.versions {
        let (Some(declared), Some(since)) = (keep.watched.versions.get(name), seen.apart_since) else {
            continue;
        };
        let told: Vec<String> = seen.found.iter().map(|(s, v)| format!("{s} {v}")).collect();
        // Whose release was changed last is where it began.
        let changed = |service: &&String| round.seen.local.releases.get(*service).map(|r| r.since);
        let Some(service) = declared.of.keys().filter(|s| seen.found.contains_key(*s)).max_by_key(changed)
        else {
            continue;
        };
        let entity = EntityId::service(service);
        let mut f = finding(entity, FindingKind::VersionsApart, name, Severity::Warning, since, round.now);
        f.hold_ms = u64::try_from(Duration::from_millis(APART_HOLD_MS).as_millis()).unwrap_or(u64::MAX);
        f.text = f.text.with("versions", told.join(", "));
        f.evidence.push(seen_at(seen.at, Text::new("evidence.versions").with("versions", told.join(", "))));
        found.push(f);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::checks::testing::{World, database};
    use wellkept_model::TimestampMs;
    use wellkept_model::keep::{Command, DataTest, EndingKey, Versions};
    use wellkept_model::local::ReleaseSeen;
    use wellkept_model::observe::{DataSeen, DatabaseCareSeen, DatabaseSeen, KeySeen, VersionsSeen};

    fn command() -> Command {
        Command { argv: vec!["x".to_owned()], within: Duration::from_secs(1) }
    }

    fn world() -> World {
        let mut w = World::new(&["app", "db"]);
        w.up("app", 1);
        w.up("db", 2);
        w
    }

    #[test]
    fn a_key_is_told_before_its_end_and_again_at_its_end() {
        let mut w = world();
        let key = EndingKey {
            name: "k".into(),
            file: "/k".into(),
            before: Duration::from_secs(100),
            used_by: vec!["app".into()],
            renew: None,
            every: Duration::from_secs(1),
            may: vec![],
        };
        w.keep.watched.keys.insert("k".into(), key);
        for (ends, expected) in [
            (Some(1_200_000), None),
            (Some(1_050_000), Some("finding.key_ending.soon")),
            (Some(1_000_000), Some("finding.key_ending.ended")),
            (None, None),
        ] {
            let seen = KeySeen { ends_at: ends.map(TimestampMs), ..KeySeen::default() };
            w.seen.watched.keys.insert("k".into(), seen);
            assert_eq!(w.findings().first().map(|f| f.text.key.as_str()), expected, "{ends:?}");
        }
    }

    #[test]
    fn data_is_damaged_when_its_test_or_its_server_says_so() {
        let mut w = world();
        w.keep.watched.databases.insert("db".into(), database("db"));
        let every = Duration::from_secs(1);
        let test = DataTest { name: "d".into(), service: "db".into(), test: command(), every };
        w.keep.watched.data.insert("d".into(), test);
        for (failure, damaged_pages, subjects) in
            [(None, 0, vec![]), (Some("bad"), 0, vec!["d"]), (None, 2, vec!["pages"])]
        {
            let failure = failure.map(str::to_owned);
            w.seen.watched.data.insert("d".into(), DataSeen { failure, ..DataSeen::default() });
            let care = DatabaseCareSeen { damaged_pages, ..DatabaseCareSeen::default() };
            w.seen.watched.databases.insert("db".into(), DatabaseSeen { care, ..DatabaseSeen::default() });
            let found: Vec<_> = w.findings().into_iter().map(|f| f.key.subject).collect();
            assert_eq!(found, subjects);
        }
    }

    #[test]
    fn the_component_that_was_released_last_is_named() {
        let mut w = world();
        let of: BTreeMap<_, _> = ["app", "db"].map(|s| (s.to_owned(), command())).into();
        let declared = Versions { name: "v".into(), of, numbers: 1, every: Duration::from_secs(1) };
        w.keep.watched.versions.insert("v".into(), declared);
        let found: BTreeMap<_, _> =
            [("app", "2.0"), ("db", "1.9")].map(|(s, v)| (s.to_owned(), v.to_owned())).into();
        for (service, since) in [("app", 5), ("db", 4)] {
            let release = ReleaseSeen { target: "r".into(), since: TimestampMs(since), before: None };
            w.seen.local.releases.insert(service.to_owned(), release);
        }
        let seen = VersionsSeen { found, apart_since: Some(TimestampMs(9)), ..VersionsSeen::default() };
        w.seen.watched.versions.insert("v".into(), seen.clone());
        assert_eq!(w.findings()[0].key.entity.name, "app");
        w.seen.watched.versions.insert("v".into(), VersionsSeen { apart_since: None, ..seen });
        assert!(w.findings().is_empty());
    }
}
