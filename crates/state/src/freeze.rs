//! The stop switch as the database knows it: since when, by whom and why; every turn is audited.
//!
//! The file of [`crate::freeze_file`] is the second switch, for when the database is broken. Either one stops.

use sqlx::Row;
use wellkept_model::TimestampMs;

use crate::audit::append;
use crate::{StateDb, StateError};

/// The switch is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// Since when.
    pub since: TimestampMs,
    /// By whom.
    pub who: String,
    /// Why.
    pub reason: String,
}

impl StateDb {
    /// Turns the switch on; one that is on stays as it is and the act is audited all the same.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn freeze(&self, at: TimestampMs, who: &str, reason: &str) -> Result<(), StateError> {
        const ATTEMPT: &str = "turn the stop switch on";
        let mut tx = self.write(ATTEMPT).await?;
        sqlx::query("INSERT INTO freeze VALUES (1, ?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(at.0)
            .bind(who)
            .bind(reason)
            .execute(&mut *tx)
            .await
            .map_err(StateError::db(ATTEMPT))?;
        append(&mut tx, at, who, "freeze", reason).await?;
        tx.commit().await.map_err(StateError::db(ATTEMPT))
    }

    /// Turns the switch off.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn unfreeze(&self, at: TimestampMs, who: &str) -> Result<(), StateError> {
        const ATTEMPT: &str = "turn the stop switch off";
        let mut tx = self.write(ATTEMPT).await?;
        sqlx::query("DELETE FROM freeze").execute(&mut *tx).await.map_err(StateError::db(ATTEMPT))?;
        append(&mut tx, at, who, "unfreeze", "").await?;
        tx.commit().await.map_err(StateError::db(ATTEMPT))
    }

    /// Whether the switch is on.
    ///
    /// # Errors
    /// When the database refuses; treat that as on.
    pub async fn frozen(&self) -> Result<Option<Frozen>, StateError> {
        const ATTEMPT: &str = "read the stop switch";
        let row = sqlx::query("SELECT since, who, reason FROM freeze")
            .fetch_optional(&self.pool)
            .await
            .map_err(StateError::db(ATTEMPT))?;
        row.map(|r| {
            Ok(Frozen { since: TimestampMs(r.try_get(0)?), who: r.try_get(1)?, reason: r.try_get(2)? })
        })
        .transpose()
        .map_err(StateError::db(ATTEMPT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::tests::fresh;

    #[tokio::test]
    async fn it_outlives_a_restart_and_every_turn_is_audited() {
        let (temp, db) = fresh().await;
        assert_eq!(db.frozen().await.expect("read"), None);
        db.freeze(TimestampMs(1), "ann", "disk swap").await.expect("freeze");
        db.freeze(TimestampMs(2), "bob", "me too").await.expect("freeze");
        drop(db);
        let db = StateDb::open(temp.path()).await.expect("opens");
        let frozen = db.frozen().await.expect("read").expect("on");
        assert_eq!(frozen, Frozen { since: TimestampMs(1), who: "ann".into(), reason: "disk swap".into() });
        db.unfreeze(TimestampMs(3), "ann").await.expect("unfreeze");
        assert_eq!(db.frozen().await.expect("read"), None);
        let acts: Vec<_> = db.audit_records(9).await.expect("read").into_iter().map(|r| r.what).collect();
        assert_eq!(acts, ["unfreeze", "freeze", "freeze"]);
    }
}
