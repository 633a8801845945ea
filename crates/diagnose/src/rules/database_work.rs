//! What rules share about the work of a database: which statement rose, and which table is read as a whole.

use wellkept_model::observe::{DatabaseWorkSeen, TableReadSeen};
use wellkept_model::{EntityId, EntityKind, Evidence, Text};

use crate::Situation;

/// A statement that costs less than this more is not worth a word, milliseconds a second.
const RISE_MS: f64 = 20.0;
/// One call takes so many times as long as usual.
const RISE_A_CALL: f64 = 3.0;
/// Smaller tables are read as a whole on purpose, rows.
const ROWS_MIN: u64 = 10_000;
/// Rows read by scans that count as harm, a second.
const SCANNED_MIN: u64 = 100_000;
/// Fewer scans than these may be those of one report.
const SCANS_MIN: u64 = 3;
/// One access reads so many rows by a scan at least, and so many times as many as usual.
const A_READ_MIN: f64 = 1000.0;
const RISE_A_READ: f64 = 5.0;

/// The service itself and those that it leans on, as far as they are databases whose work was seen.
pub(super) fn below<'a>(s: &'a Situation, entity: &EntityId) -> Vec<(EntityId, &'a DatabaseWorkSeen)> {
    let around = std::iter::once(entity.clone()).chain(s.topology.leans_on(entity).into_keys());
    let services = around.filter(|e| e.kind == EntityKind::Service);
    services.filter_map(|e| s.seen.watched.databases.get(&e.name).map(|d| (e, &d.work))).collect()
}

/// The statement whose time rose most, when that is more than load alone would make it.
pub(super) fn risen(name: &str, work: &DatabaseWorkSeen) -> Option<Evidence> {
    let (statement, rise) = work.risen_most().filter(|(_, rise)| *rise >= RISE_MS)?;
    let now = statement.ms_a_call();
    let text = match statement.usual_ms_a_call {
        Some(usual) if now < usual * RISE_A_CALL => return None,
        Some(usual) => Text::new("evidence.statement_risen").with("usual", rounded(usual)),
        None => Text::new("evidence.statement_new"),
    };
    let text = text
        .with("name", name)
        .with("database", &statement.database)
        .with("statement", &statement.text)
        .with("ms", rounded(now))
        .with("more", rounded(rise));
    Some(Evidence { at: work.at, text, query: None })
}

/// That the server plans to read tables as a whole for the statement that rose most.
pub(super) fn planned(name: &str, work: &DatabaseWorkSeen) -> Option<Evidence> {
    let plan = work.plan_of(work.risen_most()?.0).filter(|p| !p.scans.is_empty())?;
    let tables: Vec<&str> = plan.scans.keys().map(String::as_str).collect();
    let text = Text::new("evidence.statement_plan").with("name", name).with("tables", tables.join(", "));
    Some(Evidence { at: plan.at, text, query: None })
}

/// A big table of which far more is read by scans than usual, while it is not merely read more often.
pub(super) fn read_whole(work: &DatabaseWorkSeen) -> Option<(&str, &TableReadSeen)> {
    let is_harm = |t: &&TableReadSeen| {
        let a_second = t.scanned.saturating_mul(1000) / work.within_ms.max(1);
        let rose = t.usual_a_read.is_some_and(|usual| t.a_read() >= usual * RISE_A_READ);
        t.scans >= SCANS_MIN
            && t.rows >= ROWS_MIN
            && a_second >= SCANNED_MIN
            && t.a_read() >= A_READ_MIN
            && rose
    };
    let tables = work.tables.iter().filter(|(_, t)| work.within_ms > 0 && is_harm(t));
    tables.max_by_key(|(_, t)| t.scanned).map(|(name, t)| (name.as_str(), t))
}

fn rounded(ms: f64) -> f64 {
    (ms * 10.0).round() / 10.0
}

#[cfg(test)]
pub(super) mod testing {
    use wellkept_model::TimestampMs;
    use wellkept_model::observe::{DatabaseSeen, DatabaseWorkSeen, StatementSeen, TableReadSeen};

    /// A database whose table `orders` is read as a whole since its index has gone.
    pub(in crate::rules) fn scanning() -> DatabaseSeen {
        let table = TableReadSeen {
            database: "shop".into(),
            rows: 400_000,
            scans: 50,
            scanned: 20_000_000,
            by_index: 2,
            usual_a_read: Some(0.0),
            ..TableReadSeen::default()
        };
        let statement = StatementSeen {
            fingerprint: 7,
            database: "shop".into(),
            text: "SELECT * FROM orders WHERE customer = $1".into(),
            calls: 50,
            ms: 2000.0,
            usual_ms_a_second: Some(1.0),
            usual_ms_a_call: Some(0.2),
            ..StatementSeen::default()
        };
        let work = DatabaseWorkSeen {
            at: TimestampMs(105_000),
            within_ms: 10_000,
            statements: vec![statement],
            tables: [("orders".to_owned(), table)].into(),
            ..DatabaseWorkSeen::default()
        };
        DatabaseSeen { work, ..DatabaseSeen::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn harm(change: impl FnOnce(&mut TableReadSeen)) -> bool {
        let mut work = testing::scanning().work;
        if let Some(table) = work.tables.get_mut("orders") {
            change(table);
        }
        read_whole(&work).is_some()
    }

    #[test]
    fn a_table_is_read_as_a_whole_when_one_access_reads_far_more_than_usual() {
        assert!(harm(|_| ()));
        assert!(!harm(|t| t.usual_a_read = None), "nobody knows what is usual");
        assert!(!harm(|t| t.usual_a_read = Some(390_000.0)), "it was always read so");
        assert!(!harm(|t| t.rows = 9_999), "it is small");
        assert!(!harm(|t| t.scans = 2), "a report");
        assert!(!harm(|t| t.scanned = 999_999), "not enough to harm");
        assert!(!harm(|t| t.by_index = 30_000), "one backup among many reads by an index");
    }

    #[test]
    fn a_statement_that_is_only_called_more_often_has_not_become_slow() {
        let mut work = testing::scanning().work;
        let told = |work: &DatabaseWorkSeen| risen("db", work).map(|e| e.text.key);
        assert_eq!(told(&work).as_deref(), Some("evidence.statement_risen"));
        work.statements[0].usual_ms_a_call = Some(39.0);
        assert_eq!(told(&work), None);
        work.statements[0].usual_ms_a_call = None;
        assert_eq!(told(&work).as_deref(), Some("evidence.statement_new"));
        work.statements[0].ms = 100.0;
        assert_eq!(told(&work), None, "too little to matter");
    }
}
