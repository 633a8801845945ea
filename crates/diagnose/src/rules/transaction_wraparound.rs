//! The database is close to the end of its transaction numbers. Cleaning that could help is kept from it by something that a
//! person must judge (an old transaction, a slot, a prepared transaction), so that person is called early.

use wellkept_model::{Cause, CauseKind, FindingKind};

use super::cause;
use crate::Situation;

/// The server says so itself.
const SCORE: f64 = 0.95;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let near = s.of_kind(FindingKind::WraparoundNear).map(|finding| {
        let entity = &finding.key.entity;
        let mut found = cause(entity, CauseKind::TransactionWraparound, "", SCORE, [finding]);
        let care = s.seen.watched.databases.get(&entity.name).map(|d| d.care.clone()).unwrap_or_default();
        found.detail = found.detail.with("database", care.oldest_xid_in).with("age", care.oldest_xid);
        found
    });
    near.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{EntityId, FindingKind};

    #[test]
    fn dead_rows_alone_are_not_the_end_of_the_numbers() {
        let db = || EntityId::service("db");
        let case = Case::of(|s| Case::find(s, db(), FindingKind::WraparoundNear, ""));
        assert_eq!(case.first(), "service:db transaction_wraparound");
        let case = Case::of(|s| Case::find(s, db(), FindingKind::TableBloated, "t"));
        assert!(!case.kinds().contains(&"transaction_wraparound".to_owned()));
    }
}
