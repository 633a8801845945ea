//! Dead rows make a table much bigger than its content.
//!
//! Discriminating test: as long as an old transaction may still see those rows, no cleaning helps; then that transaction
//! is named, and nothing is cleaned in vain.

use wellkept_model::{Cause, CauseKind, FindingKind, Means, Text};

use super::cause;
use crate::Situation;

/// The server counted the rows.
const SCORE: f64 = 0.85;
/// Age from which a transaction counts as what keeps dead rows, milliseconds.
const HORIZON_MS: u64 = 60_000;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let bloated = s.of_kind(FindingKind::TableBloated).map(|finding| {
        let (entity, table) = (&finding.key.entity, &finding.key.subject);
        let care = s.seen.watched.databases.get(&entity.name).map(|d| &d.care);
        let held = care.filter(|c| c.horizon_ms >= HORIZON_MS);
        let subject = if held.is_some() { String::new() } else { Means::Vacuum(table.clone()).to_string() };
        let mut found = cause(entity, CauseKind::TableBloat, &subject, SCORE, [finding]);
        let rows = care.and_then(|c| c.dead_rows.get(table)).copied().unwrap_or_default();
        if let Some(held) = held {
            found.detail = Text::new("cause.table_bloat.held")
                .with("name", &entity.name)
                .with("application", &held.horizon_of)
                .with("ms", held.horizon_ms);
        }
        found.detail = found.detail.with("table", table).with("dead", rows.dead);
        found
    });
    bloated.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::observe::{DatabaseCareSeen, DatabaseSeen};
    use wellkept_model::{EntityId, FindingKind};

    fn case(horizon_ms: u64) -> Case {
        Case::of(|s| {
            Case::find(s, EntityId::service("db"), FindingKind::TableBloated, "orders");
            let care =
                DatabaseCareSeen { horizon_ms, horizon_of: "report".into(), ..DatabaseCareSeen::default() };
            s.seen.watched.databases.insert("db".into(), DatabaseSeen { care, ..DatabaseSeen::default() });
        })
    }

    #[test]
    fn a_table_that_can_be_cleaned_is_named() {
        let case = case(5_000);
        assert_eq!(
            (case.first().as_str(), case.causes[0].subject.as_str()),
            ("service:db table_bloat", "vacuum orders")
        );
    }

    #[test]
    fn while_an_old_transaction_keeps_the_rows_cleaning_is_not_proposed() {
        let case = case(600_000);
        assert_eq!(case.causes[0].subject, "");
        assert_eq!(case.causes[0].detail.arg("application"), Some("report"));
    }
}
