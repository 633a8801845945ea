//! The component and the database disagree about the tables: what is declared to be there is absent.
//!
//! A recorded migration shortly before is what took it away. Neighbours: an index that is absent makes queries slow and no
//! answer wrong; a release that is bad by itself finds all its tables.

use wellkept_model::{Cause, CauseKind, FindingKind, Means};

use super::missing_index::migration;
use super::{cause, is_illness};
use crate::Situation;

/// A migration was recorded just before.
const SCORE: f64 = 0.97;
/// Nobody recorded why it is gone.
const SCORE_UNRECORDED: f64 = 0.95;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let differs = s.of_kind(FindingKind::SchemaDiffers).map(|finding| {
        let entity = &finding.key.entity;
        let migration = migration(s, finding.since);
        let score = if migration.is_some() { SCORE } else { SCORE_UNRECORDED };
        let subject = migration.map(|c| Means::Migration(c.id.0.clone()).to_string()).unwrap_or_default();
        let speaks = s.about(entity).filter(|f| f.key == finding.key || is_illness(f.key.kind));
        let mut found = cause(entity, CauseKind::SchemaMismatch, &subject, score, speaks);
        let care = s.seen.watched.databases.get(&entity.name).map(|d| &d.care);
        let columns = care.map(|c| c.columns_missing.join(", ")).unwrap_or_default();
        let what = migration.map_or("-", |c| c.what.as_str());
        found.detail = found.detail.with("columns", columns).with("migration", what);
        found
    });
    differs.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{Change, ChangeId, ChangeKind, EntityId, FindingKind, TimestampMs};

    fn case(kind: FindingKind, at: i64) -> Case {
        let mut case =
            Case::new("app needs db; app runs since 105; app released 2 after 1 at 101; app unhealthy");
        let s = &mut case.situation;
        Case::find(s, EntityId::service("db"), kind, "");
        s.changes.push(Change {
            id: ChangeId("c9".to_owned()),
            at: TimestampMs(at),
            who: "alice".to_owned(),
            kind: ChangeKind::Migration,
            what: "0007".to_owned(),
            before: String::new(),
            after: "applied".to_owned(),
        });
        case.again()
    }

    #[test]
    fn the_migration_before_it_is_named_and_the_release_is_not_blamed() {
        let case = case(FindingKind::SchemaDiffers, 102_000);
        let first = &case.causes[0];
        assert_eq!(
            (case.first().as_str(), first.subject.as_str()),
            ("service:db schema_mismatch", "migration c9")
        );
    }

    #[test]
    fn a_migration_of_last_week_is_not_blamed() {
        let case = case(FindingKind::SchemaDiffers, -600_000_000);
        assert_eq!(
            (case.first().as_str(), case.causes[0].subject.as_str()),
            ("service:db schema_mismatch", "")
        );
    }

    #[test]
    fn a_missing_index_is_another_thing() {
        let case = case(FindingKind::IndexMissing, 102_000);
        assert!(!case.kinds().contains(&"schema_mismatch".to_owned()));
    }
}
