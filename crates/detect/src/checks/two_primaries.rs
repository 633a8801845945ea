//! Two nodes of one declared cluster both act as the primary. Only nodes that were just asked and said so count: one that
//! does not answer may be anything.

use std::collections::BTreeMap;
use std::time::Duration;

use wellkept_model::keep::Keep;
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{databases, finding, seen_at};
use crate::Round;

/// How old what a node said may be.
const FRESH: Duration = Duration::from_secs(60);
/// How long it must last, milliseconds: a switch of roles is two steps.
const HOLD_MS: u64 = 5_000;

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let mut clusters: BTreeMap<&str, Vec<(EntityId, bool)>> = BTreeMap::new();
    for (entity, declared, seen) in databases(keep, round) {
        let fresh = round.now.since(seen.at) <= FRESH;
        if let Some(cluster) =
            declared.care.cluster.as_deref().filter(|_| fresh && seen.care.follows == Some(false))
        {
            clusters.entry(cluster).or_default().push((entity, declared.standby));
        }
    }
    let several = clusters.into_iter().filter(|(_, primaries)| primaries.len() > 1);
    let found = several.filter_map(|(cluster, mut primaries)| {
        // The one that should follow is the one that does wrong.
        primaries.sort_by_key(|(entity, standby)| (!*standby, entity.clone()));
        let names: Vec<&str> = primaries.iter().map(|(e, _)| e.name.as_str()).collect();
        let names = names.join(", ");
        let (entity, _) = primaries.into_iter().next()?;
        let kind = FindingKind::TwoPrimaries;
        let mut f = finding(entity, kind, cluster, Severity::Critical, round.now, round.now);
        f.hold_ms = HOLD_MS;
        f.text = f.text.with("names", &names).with("cluster", cluster);
        f.evidence.push(seen_at(round.now, Text::new("evidence.primaries").with("names", names)));
        Some(f)
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{World, database};
    use wellkept_model::TimestampMs;
    use wellkept_model::keep::{Database, DatabaseCare};
    use wellkept_model::observe::{DatabaseCareSeen, DatabaseSeen};

    fn who(roles: [(&str, Option<bool>, i64); 2]) -> Vec<String> {
        let mut w = World::new(&["db", "standby"]);
        for (name, follows, at) in roles {
            w.up(name, 1);
            let care = DatabaseCare { cluster: Some("c".into()), ..DatabaseCare::default() };
            let declared = Database { standby: name == "standby", care, ..database(name) };
            w.keep.watched.databases.insert(name.into(), declared);
            let care = DatabaseCareSeen { follows, ..DatabaseCareSeen::default() };
            let seen = DatabaseSeen { at: TimestampMs(at), care, ..DatabaseSeen::default() };
            w.seen.watched.databases.insert(name.into(), seen);
        }
        w.findings().into_iter().map(|f| f.key.entity.name).collect()
    }

    #[test]
    fn the_node_that_should_follow_is_named_and_only_when_both_said_so_just_now() {
        let now = 1_000_000;
        assert_eq!(who([("db", Some(false), now), ("standby", Some(false), now)]), ["standby"]);
        assert!(who([("db", Some(false), now), ("standby", Some(true), now)]).is_empty());
        assert!(who([("db", None, now), ("standby", Some(false), now)]).is_empty(), "a takeover");
        assert!(who([("db", Some(false), 900_000), ("standby", Some(false), now)]).is_empty(), "long ago");
    }
}
