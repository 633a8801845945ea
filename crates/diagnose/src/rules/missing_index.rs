//! Queries read a whole table because an index is absent.
//!
//! A recorded migration shortly before is what took it away; without one, nobody knows why it is gone.

use wellkept_model::{Cause, CauseKind, ChangeKind, FindingKind, Means, Severity, TimestampMs};

use super::cause;
use crate::Situation;

/// A migration was recorded just before, and the table is read as a whole.
const SCORE: f64 = 0.96;
/// It is gone, and nobody recorded why.
const SCORE_UNRECORDED: f64 = 0.8;
/// It is gone and nothing suffers.
const SCORE_HARMLESS: f64 = 0.4;
/// How long before it was missed a migration counts as the reason, milliseconds: a big one takes its time.
const BEFORE_MS: i64 = 15 * 60 * 1000;
/// The record may be written a moment after.
const AFTER_MS: i64 = 10_000;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let missing = s.of_kind(FindingKind::IndexMissing).map(|finding| {
        let (entity, index) = (&finding.key.entity, &finding.key.subject);
        let migration = migration(s, finding.since);
        let harm = finding.severity >= Severity::Warning;
        let score = match (harm, migration) {
            (false, _) => SCORE_HARMLESS,
            (true, Some(_)) => SCORE,
            (true, None) => SCORE_UNRECORDED,
        };
        let subject = migration.map(|c| Means::Migration(c.id.0.clone()).to_string()).unwrap_or_default();
        let mut found = cause(entity, CauseKind::MissingIndex, &subject, score, [finding]);
        let what = migration.map_or("-", |c| c.what.as_str());
        found.detail = found.detail.with("index", index).with("migration", what);
        found
    });
    missing.collect()
}

/// The newest migration that was applied (and not taken back) shortly before.
pub(super) fn migration(s: &Situation, since: TimestampMs) -> Option<&wellkept_model::Change> {
    let migrations = s.changes.iter().filter(|c| c.kind == ChangeKind::Migration);
    let near = |c: &&wellkept_model::Change| (since.0 - BEFORE_MS..=since.0 + AFTER_MS).contains(&c.at.0);
    migrations.filter(near).max_by_key(|c| c.at).filter(|c| !c.after.is_empty())
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{Change, ChangeId, ChangeKind, EntityId, FindingKind, Severity, TimestampMs};

    fn case(after: &str, at: i64, severity: Severity) -> Case {
        Case::of(|s| {
            Case::find(s, EntityId::service("db"), FindingKind::IndexMissing, "a_idx");
            s.findings[0].severity = severity;
            s.changes.push(Change {
                id: ChangeId("c9".to_owned()),
                at: TimestampMs(at),
                who: "alice".to_owned(),
                kind: ChangeKind::Migration,
                what: "0007".to_owned(),
                before: String::new(),
                after: after.to_owned(),
            });
        })
    }

    #[test]
    fn the_migration_before_it_is_named() {
        let case = case("applied", 102_000, Severity::Warning);
        assert_eq!(
            (case.first().as_str(), case.causes[0].subject.as_str()),
            ("service:db missing_index", "migration c9")
        );
        assert_eq!(case.causes[0].score, 0.96);
    }

    #[test]
    fn a_migration_that_was_taken_back_or_is_long_ago_is_not_blamed() {
        for (after, at) in [("", 102_000), ("applied", -2_000_000)] {
            assert_eq!(case(after, at, Severity::Warning).causes[0].subject, "", "{after} {at}");
        }
    }

    #[test]
    fn without_harm_it_is_no_reason_to_act() {
        assert!(case("applied", 102_000, Severity::Info).causes[0].score < 0.6);
    }
}
