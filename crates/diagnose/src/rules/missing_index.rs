//! Queries read a whole table because an index is absent.
//!
//! A recorded migration shortly before is what took it away; without one, nobody knows why it is gone.
//!
//! An index that nobody declared is missed by its effect: somebody who needs the database is slow, and one access to a
//! big table reads far more rows by scans than usual. Discriminating test: more load reads more rows as well, but not
//! more in one access. What index it was cannot be told, so nothing is done about it but to say so.

use wellkept_model::{
    Cause, CauseKind, ChangeKind, EntityId, Evidence, Finding, FindingKind, Means, Severity, Text,
    TimestampMs,
};

use super::signals::suffering;
use super::{cause, database_work, is_illness};
use crate::Situation;

/// A migration was recorded just before, and the table is read as a whole.
const SCORE: f64 = 0.96;
/// It is gone, and nobody recorded why.
const SCORE_UNRECORDED: f64 = 0.8;
/// It is gone and nothing suffers.
const SCORE_HARMLESS: f64 = 0.4;
/// None is declared, but its lack shows.
const SCORE_SHOWS: f64 = 0.75;
/// The same, and the server says that it reads this table as a whole for the statement that rose most.
const SCORE_PLANNED: f64 = 0.85;
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
        if let Some(seen) = s.seen.watched.databases.get(&entity.name) {
            found.evidence.extend(database_work::risen(&entity.name, &seen.work));
            found.evidence.extend(database_work::planned(&entity.name, &seen.work));
        }
        found
    });
    missing.chain(undeclared(s)).collect()
}

/// Databases that read a big table as a whole, where somebody is slow because of it and no declared index is missed.
fn undeclared(s: &Situation) -> Vec<Cause> {
    let mut found: Vec<Cause> = Vec::new();
    for slow in suffering(s).iter().filter(|x| x.is_high("latency")) {
        for (entity, work) in database_work::below(s, slow.entity) {
            let known = found.iter().any(|c| c.entity == entity) || s.has(&entity, FindingKind::IndexMissing);
            let Some((table, read)) = database_work::read_whole(work).filter(|_| !known) else { continue };
            let suffers = |f: &&Finding| f.key.kind == FindingKind::SignalHigh || is_illness(f.key.kind);
            let speaks = suffering_through(s, &entity).into_iter().flat_map(|e| s.about(e)).filter(suffers);
            let plan = work.risen_most().and_then(|(statement, _)| work.plan_of(statement));
            let is_planned = plan.is_some_and(|p| p.scans.contains_key(table));
            let score = if is_planned { SCORE_PLANNED } else { SCORE_SHOWS };
            let mut one = cause(&entity, CauseKind::MissingIndex, "", score, speaks);
            one.detail = Text::new("cause.missing_index.table")
                .with("name", &entity.name)
                .with("table", table)
                .with("rows", read.rows);
            let a_second = read.scanned.saturating_mul(1000) / work.within_ms.max(1);
            let text = Text::new("evidence.table_scanned").with("table", table).with("rows", a_second);
            one.evidence.push(Evidence { at: work.at, text, query: None });
            one.evidence.extend(database_work::risen(&entity.name, work));
            one.evidence.extend(database_work::planned(&entity.name, work));
            found.push(one);
        }
    }
    found
}

/// All that have findings and are the database or lean on it.
fn suffering_through<'a>(s: &'a Situation, database: &EntityId) -> Vec<&'a EntityId> {
    let dependants = s.topology.dependants(database);
    let mut all: Vec<&EntityId> = s.findings.iter().map(|f| &f.key.entity).collect();
    all.retain(|e| *e == database || dependants.contains_key(*e));
    all.sort();
    all.dedup();
    all
}

/// The newest migration that was applied (and not taken back) shortly before.
pub(super) fn migration(s: &Situation, since: TimestampMs) -> Option<&wellkept_model::Change> {
    let migrations = s.changes.iter().filter(|c| c.kind == ChangeKind::Migration);
    let near = |c: &&wellkept_model::Change| (since.0 - BEFORE_MS..=since.0 + AFTER_MS).contains(&c.at.0);
    migrations.filter(near).max_by_key(|c| c.at).filter(|c| !c.after.is_empty())
}

#[cfg(test)]
mod tests {
    use crate::rules::database_work::testing;
    use crate::rules::testing::Case;
    use wellkept_model::observe::{DatabaseSeen, PlanSeen};
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

    /// An application that is slow, over a database that reads `orders` as a whole.
    fn scanning(change: impl FnOnce(&mut DatabaseSeen)) -> Case {
        let mut seen = testing::scanning();
        change(&mut seen);
        let mut case = Case::new("app needs db; app runs since 1; db runs since 1");
        Case::find(&mut case.situation, EntityId::service("app"), FindingKind::SignalHigh, "latency");
        case.situation.seen.watched.databases.insert("db".into(), seen);
        case.again()
    }

    #[test]
    fn an_index_that_nobody_declared_is_missed_by_the_table_that_is_read_as_a_whole() {
        let case = scanning(|_| ());
        assert_eq!(case.first(), "service:db missing_index");
        let first = &case.causes[0];
        assert_eq!((first.subject.as_str(), first.detail.arg("table")), ("", Some("orders")));
        let keys: Vec<&str> = first.evidence.iter().map(|e| e.text.key.as_str()).collect();
        assert_eq!(keys, ["evidence.table_scanned", "evidence.statement_risen"]);
        assert_eq!(first.evidence[0].text.arg("rows"), Some("2000000"));
        assert_eq!(first.explains.len(), 1, "the slowness of those above");
        assert_eq!(case.replayed(), case.causes);
    }

    #[test]
    fn a_table_that_was_always_read_so_is_not_blamed_but_a_statement_that_became_slow_is_named() {
        let case = scanning(|seen| {
            seen.work.tables.values_mut().for_each(|t| t.usual_a_read = Some(300_000.0));
        });
        assert_eq!(case.first(), "service:app slow");
        assert_eq!(
            case.causes[0].evidence.last().map(|e| e.text.key.as_str()),
            Some("evidence.statement_risen")
        );
    }

    #[test]
    fn that_the_server_plans_to_read_the_table_as_a_whole_settles_it() {
        let planned = |fingerprint, table: &str, refused: Option<&str>| {
            let scans = [(table.to_owned(), 1)].into();
            let refused = refused.map(str::to_owned);
            let plan = PlanSeen { fingerprint, at: TimestampMs(1), scans, refused };
            scanning(|seen| seen.work.plan = Some(plan)).causes[0].clone()
        };
        let settled = planned(7, "orders", None);
        let last = &settled.evidence[2].text;
        assert_eq!(
            (settled.score, last.key.as_str(), last.arg("tables")),
            (0.85, "evidence.statement_plan", Some("orders"))
        );
        assert_eq!(planned(7, "small", None).score, 0.75, "another table");
        for other in [planned(8, "orders", None), planned(7, "orders", Some("it is no SELECT"))] {
            assert_eq!((other.score, other.evidence.len()), (0.75, 2));
        }
    }

    #[test]
    fn without_slowness_a_table_may_be_read_as_a_whole() {
        let mut case = Case::new("app needs db; app runs since 1; app unhealthy");
        case.situation.seen.watched.databases.insert("db".into(), testing::scanning());
        assert!(!case.again().kinds().contains(&"missing_index".to_owned()));
    }

    #[test]
    fn without_harm_it_is_no_reason_to_act() {
        assert!(case("applied", 102_000, Severity::Info).causes[0].score < 0.6);
    }
}
