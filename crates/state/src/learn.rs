//! Which action helped against which cause: counts, nothing more.

use sqlx::Row;
use wellkept_model::{ActionKind, CauseKind};

use crate::{StateDb, StateError};

/// How often an action was tried against a cause, and how often it helped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// The cause.
    pub cause: CauseKind,
    /// The action.
    pub action: ActionKind,
    /// How often it was verified, with either result.
    pub tried: u64,
    /// How often the verification passed.
    pub helped: u64,
}

impl StateDb {
    /// Counts one verified result.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn learn(&self, cause: CauseKind, action: ActionKind, helped: bool) -> Result<(), StateError> {
        sqlx::query(
            "INSERT INTO learned VALUES (?, ?, 1, ?)
             ON CONFLICT (cause, action) DO UPDATE SET tried = tried + 1, helped = helped + excluded.helped",
        )
        .bind(cause.word())
        .bind(action.word())
        .bind(i64::from(helped))
        .execute(&self.pool)
        .await
        .map_err(StateError::db("count a result"))?;
        Ok(())
    }

    /// All counts. Kinds that this version does not know are left out.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn learned(&self) -> Result<Vec<Learned>, StateError> {
        const ATTEMPT: &str = "read what was learned";
        let rows = sqlx::query("SELECT cause, action, tried, helped FROM learned ORDER BY cause, action")
            .fetch_all(&self.pool)
            .await
            .map_err(StateError::db(ATTEMPT))?;
        let mut learned = Vec::with_capacity(rows.len());
        for row in rows {
            let read = |e| StateError::db(ATTEMPT)(e);
            let (cause, action): (String, String) =
                (row.try_get(0).map_err(read)?, row.try_get(1).map_err(read)?);
            let (tried, helped): (i64, i64) = (row.try_get(2).map_err(read)?, row.try_get(3).map_err(read)?);
            let cause = serde_json::from_value(serde_json::Value::String(cause)).ok();
            if let (Some(cause), Some(action)) = (cause, ActionKind::from_word(&action)) {
                learned.push(Learned {
                    cause,
                    action,
                    tried: tried.unsigned_abs(),
                    helped: helped.unsigned_abs(),
                });
            }
        }
        Ok(learned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::tests::fresh;

    #[tokio::test]
    async fn results_are_counted_per_cause_and_action() {
        let (_temp, db) = fresh().await;
        for helped in [true, false, true] {
            db.learn(CauseKind::ProcessDown, ActionKind::Restart, helped).await.expect("learn");
        }
        db.learn(CauseKind::BadSetting, ActionKind::Rollback, true).await.expect("learn");
        let got = db.learned().await.expect("read");
        assert_eq!(got.len(), 2);
        let down = got.iter().find(|l| l.cause == CauseKind::ProcessDown).expect("there");
        assert_eq!((down.action, down.tried, down.helped), (ActionKind::Restart, 3, 2));
    }

    #[tokio::test]
    async fn kinds_of_another_version_are_left_out() {
        let (_temp, db) = fresh().await;
        sqlx::query("INSERT INTO learned VALUES ('gremlins', 'exorcise', 1, 1)")
            .execute(&db.pool)
            .await
            .expect("insert");
        assert_eq!(db.learned().await.expect("read"), []);
    }
}
