//! What people and tools changed, as they recorded it.

use sqlx::Row;
use wellkept_model::{Change, ChangeKind};

use crate::db::sql_limit;
use crate::{StateDb, StateError};

/// Most changes that are kept; the ones recorded first go first.
const CHANGES_MAX: i64 = 100_000;
/// Biggest record, bytes; a record names things, it does not carry them.
const CHANGE_BYTES_MAX: usize = 64 * 1024;

impl StateDb {
    /// Keeps a change; false when one with this id is kept already, which then stays as it is. Of a secret, neither
    /// the state before nor the state after is kept, whatever the recorder wrote.
    ///
    /// # Errors
    /// [`StateError::TooBig`] above 64 KiB; when the database refuses.
    pub async fn record_change(&self, change: &Change) -> Result<bool, StateError> {
        const ATTEMPT: &str = "record a change";
        let mut change = change.clone();
        if change.kind == ChangeKind::Secret {
            change.before.clear();
            change.after.clear();
        }
        let what = || format!("change {}", change.id.0.chars().take(64).collect::<String>());
        let document = serde_json::to_string(&change)
            .map_err(|e| StateError::Damaged { what: what(), why: e.to_string() })?;
        if document.len() > CHANGE_BYTES_MAX {
            return Err(StateError::TooBig { what: what(), len: document.len(), max: CHANGE_BYTES_MAX });
        }
        let mut tx = self.write(ATTEMPT).await?;
        let done =
            sqlx::query("INSERT INTO changes (id, at, document) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
                .bind(&change.id.0)
                .bind(change.at.0)
                .bind(document)
                .execute(&mut *tx)
                .await
                .map_err(StateError::db(ATTEMPT))?;
        sqlx::query("DELETE FROM changes WHERE seq <= (SELECT max(seq) FROM changes) - ?")
            .bind(CHANGES_MAX)
            .execute(&mut *tx)
            .await
            .map_err(StateError::db(ATTEMPT))?;
        tx.commit().await.map_err(StateError::db(ATTEMPT))?;
        Ok(done.rows_affected() == 1)
    }

    /// The newest changes by the time they took effect, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database refuses or a record is damaged.
    pub async fn changes(&self, limit: usize) -> Result<Vec<Change>, StateError> {
        const ATTEMPT: &str = "read changes";
        let rows = sqlx::query("SELECT document FROM changes ORDER BY at DESC, seq DESC LIMIT ?")
            .bind(sql_limit(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(StateError::db(ATTEMPT))?;
        rows.iter()
            .map(|row| {
                let document: String = row.try_get(0).map_err(StateError::db(ATTEMPT))?;
                serde_json::from_str(&document).map_err(|e| StateError::Damaged {
                    what: "a recorded change".to_owned(),
                    why: e.to_string(),
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::tests::fresh;
    use wellkept_model::{ChangeId, TimestampMs};

    fn change(id: &str, at: i64, kind: ChangeKind) -> Change {
        Change {
            id: ChangeId(id.to_owned()),
            at: TimestampMs(at),
            who: "ann".to_owned(),
            kind,
            what: "/srv/shop/env".to_owned(),
            before: "hunter1".to_owned(),
            after: "hunter2".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_change_is_kept_once_and_read_newest_first() {
        let (_temp, db) = fresh().await;
        assert!(db.record_change(&change("a", 5, ChangeKind::Setting)).await.expect("record"));
        assert!(db.record_change(&change("b", 3, ChangeKind::Release)).await.expect("record"));
        assert!(!db.record_change(&change("a", 9, ChangeKind::Other)).await.expect("record"));
        let got = db.changes(10).await.expect("read");
        assert_eq!(got, [change("a", 5, ChangeKind::Setting), change("b", 3, ChangeKind::Release)]);
        assert_eq!(db.changes(1).await.expect("read").len(), 1);
    }

    #[tokio::test]
    async fn of_a_secret_no_value_reaches_the_disk() {
        let (temp, db) = fresh().await;
        db.record_change(&change("s", 1, ChangeKind::Secret)).await.expect("record");
        let kept = db.changes(1).await.expect("read").remove(0);
        assert_eq!((kept.before.as_str(), kept.after.as_str()), ("", ""));
        for name in ["state.db", "state.db-wal"] {
            let bytes = std::fs::read(temp.path().join(name)).expect("read");
            assert!(!bytes.windows(7).any(|w| w == b"hunter2"), "{name}");
        }
    }

    #[tokio::test]
    async fn a_record_that_carries_a_file_is_refused() {
        let (_temp, db) = fresh().await;
        let mut big = change("big", 1, ChangeKind::Config);
        big.after = "x".repeat(70_000);
        assert!(matches!(db.record_change(&big).await, Err(StateError::TooBig { .. })));
    }
}
