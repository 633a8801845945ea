//! What a database server is busy with: statements by fingerprint, and how its tables are read.
//!
//! Everything here is the difference between two looks, with what was usual before. Names are bounded: at most
//! [`STATEMENTS_MAX`] statements and [`TABLES_MAX`] tables.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::TimestampMs;

/// Statements that are told.
pub const STATEMENTS_MAX: usize = 20;
/// Tables that are told.
pub const TABLES_MAX: usize = 50;

/// The last difference.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatabaseWorkSeen {
    /// When it was looked at last; zero: never.
    pub at: TimestampMs,
    /// Time between the two looks, milliseconds; zero: there was one only.
    pub within_ms: u64,
    /// Statements that took most time in between, most first.
    pub statements: Vec<StatementSeen>,
    /// Tables with many rows that were read in between, by name.
    pub tables: BTreeMap<String, TableReadSeen>,
    /// Why statements are not counted.
    pub not_counted: Option<String>,
    /// How the statement that rose most is planned, asked while something was wrong.
    pub plan: Option<PlanSeen>,
}

/// How the server would run a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanSeen {
    /// Which one.
    pub fingerprint: i64,
    /// When it was asked.
    pub at: TimestampMs,
    /// Tables that would be read as a whole, with the rows that are expected of them.
    pub scans: BTreeMap<String, u64>,
    /// Why there is no plan.
    pub refused: Option<String>,
}

/// A statement, whatever its values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StatementSeen {
    /// The server's own number for it.
    pub fingerprint: i64,
    /// Its database.
    pub database: String,
    /// Its text without values, in one line, at most two hundred characters.
    pub text: String,
    /// Calls since the server counts.
    pub calls_ever: u64,
    /// Time that they took, milliseconds.
    pub ms_ever: f64,
    /// Calls between the two looks.
    pub calls: u64,
    /// Time that they took, milliseconds.
    pub ms: f64,
    /// Time that it takes a second as a rule, milliseconds; `None`: not known yet.
    pub usual_ms_a_second: Option<f64>,
    /// Time that one call takes as a rule, milliseconds; `None`: not known yet, or it was not called.
    pub usual_ms_a_call: Option<f64>,
}

/// How a table was read between two looks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TableReadSeen {
    /// Its database.
    pub database: String,
    /// Rows that it has.
    pub rows: u64,
    /// Times that it was read as a whole since the server counts.
    pub scans_ever: u64,
    /// Rows that were read so.
    pub scanned_ever: u64,
    /// Times that it was read by an index.
    pub by_index_ever: u64,
    /// Times that it was read as a whole between the two looks.
    pub scans: u64,
    /// Rows that were read so.
    pub scanned: u64,
    /// Times that it was read by an index between the two looks.
    pub by_index: u64,
    /// Rows that one access reads by a scan of the whole table as a rule; `None`: not known yet.
    pub usual_a_read: Option<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
impl TableReadSeen {
    /// Rows that one access reads by a scan of the whole table. More load alone does not change it.
    #[must_use]
    pub fn a_read(&self) -> f64 {
        self.scanned as f64 / (self.scans + self.by_index).max(1) as f64
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
impl StatementSeen {
    /// Time that one call took between the two looks, milliseconds.
    #[must_use]
    pub fn ms_a_call(&self) -> f64 {
        self.ms / self.calls.max(1) as f64
    }
}

impl DatabaseWorkSeen {
    /// The plan of this statement, when there is one.
    #[must_use]
    pub fn plan_of(&self, statement: &StatementSeen) -> Option<&PlanSeen> {
        self.plan.as_ref().filter(|p| p.fingerprint == statement.fingerprint && p.refused.is_none())
    }

    /// The statement whose time rose most above what is usual for it, with how much, milliseconds a second.
    #[must_use]
    pub fn risen_most(&self) -> Option<(&StatementSeen, f64)> {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds far below 2^53")]
        let seconds = self.within_ms as f64 / 1000.0;
        let rise = |s: &StatementSeen| s.ms / seconds - s.usual_ms_a_second.unwrap_or(0.0);
        let risen = self.statements.iter().map(|s| (s, rise(s))).filter(|(_, r)| seconds > 0.0 && *r > 0.0);
        risen.max_by(|(_, a), (_, b)| a.total_cmp(b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_always_takes_most_time_has_not_risen_most() {
        let s = |fingerprint, ms, usual| StatementSeen {
            fingerprint,
            ms,
            usual_ms_a_second: Some(usual),
            ..StatementSeen::default()
        };
        let statements = vec![s(1, 9000.0, 890.0), s(2, 700.0, 1.0), s(3, 1.0, 4.0)];
        let mut work = DatabaseWorkSeen { within_ms: 10_000, statements, ..DatabaseWorkSeen::default() };
        assert_eq!(work.risen_most().map(|(s, rise)| (s.fingerprint, rise)), Some((2, 69.0)));
        work.within_ms = 0;
        assert_eq!(work.risen_most(), None, "one look is no difference");
    }

    #[test]
    fn more_load_leaves_the_rows_of_one_read_as_they_are() {
        let read =
            |n| TableReadSeen { scans: n, scanned: 500 * n, by_index: 9 * n, ..TableReadSeen::default() };
        assert_eq!((read(1).a_read(), read(30).a_read()), (50.0, 50.0));
        assert_eq!(TableReadSeen::default().a_read(), 0.0);
    }
}
