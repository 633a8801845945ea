//! What is believed of each action against each kind of cause. The arithmetic is the model's; here it lies.

use sqlx::Row as _;
use wellkept_model::belief::Row;
use wellkept_model::{ActionKind, Belief, Beliefs, CauseKind};

use crate::{StateDb, StateError};

impl StateDb {
    /// Stores one belief in place of the one before it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn believe(&self, row: &Row) -> Result<(), StateError> {
        let belief = &row.belief;
        sqlx::query(
            "INSERT INTO beliefs VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (cause, action) DO UPDATE SET helped = excluded.helped, failed = excluded.failed,
                 undone = excluded.undone, weight_for = excluded.weight_for,
                 weight_against = excluded.weight_against",
        )
        .bind(row.cause.word())
        .bind(row.action.word())
        .bind(belief.helped)
        .bind(belief.failed)
        .bind(belief.undone)
        .bind(belief.weight_for)
        .bind(belief.weight_against)
        .execute(&self.pool)
        .await
        .map_err(StateError::db("store a belief"))?;
        Ok(())
    }

    /// All beliefs. Kinds that this version does not know are left out, and stay where they are.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn beliefs(&self) -> Result<Beliefs, StateError> {
        const ATTEMPT: &str = "read what was learned";
        let rows = sqlx::query(
            "SELECT cause, action, helped, failed, undone, weight_for, weight_against FROM beliefs",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(StateError::db(ATTEMPT))?;
        let mut known = Vec::with_capacity(rows.len());
        for row in rows {
            known.extend(read(&row).map_err(StateError::db(ATTEMPT))?);
        }
        Ok(known.into())
    }

    /// Forgets all beliefs, those about one kind of cause, or the one about an action against it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_beliefs(
        &self,
        cause: Option<CauseKind>,
        action: Option<ActionKind>,
    ) -> Result<(), StateError> {
        sqlx::query("DELETE FROM beliefs WHERE (?1 IS NULL OR cause = ?1) AND (?2 IS NULL OR action = ?2)")
            .bind(cause.map(CauseKind::word))
            .bind(action.map(ActionKind::word))
            .execute(&self.pool)
            .await
            .map_err(StateError::db("forget what was learned"))?;
        Ok(())
    }
}

fn read(row: &sqlx::sqlite::SqliteRow) -> Result<Option<Row>, sqlx::Error> {
    let (cause, action): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let belief = Belief {
        helped: row.try_get(2)?,
        failed: row.try_get(3)?,
        undone: row.try_get(4)?,
        weight_for: row.try_get(5)?,
        weight_against: row.try_get(6)?,
    };
    let known = CauseKind::from_word(&cause).zip(ActionKind::from_word(&action));
    Ok(known.map(|(cause, action)| Row { cause, action, belief }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::tests::fresh;
    use wellkept_model::Outcome;

    async fn store(db: &StateDb, beliefs: &Beliefs) {
        for row in beliefs.rows() {
            db.believe(&row).await.expect("stores");
        }
    }

    fn some() -> Beliefs {
        let mut beliefs = Beliefs::default();
        for outcome in [Outcome::Helped, Outcome::DidNotHelp, Outcome::Undone] {
            beliefs.take(CauseKind::ProcessDown, ActionKind::Restart, outcome);
        }
        beliefs.take(CauseKind::BadSetting, ActionKind::Rollback, Outcome::Helped);
        beliefs.take(CauseKind::BadSetting, ActionKind::Restart, Outcome::Helped);
        beliefs
    }

    #[tokio::test]
    async fn beliefs_outlive_a_restart_to_the_last_bit() {
        let (temp, db) = fresh().await;
        let mut beliefs = some();
        store(&db, &beliefs).await;
        beliefs.take(CauseKind::ProcessDown, ActionKind::Restart, Outcome::Helped);
        store(&db, &beliefs).await;
        db.close().await;
        let db = StateDb::open(temp.path()).await.expect("opens");
        assert_eq!(db.beliefs().await.expect("read"), beliefs);
    }

    #[tokio::test]
    async fn one_pair_one_kind_and_all_are_forgotten_as_asked() {
        let (_temp, db) = fresh().await;
        for (cause, action) in [
            (Some(CauseKind::BadSetting), Some(ActionKind::Restart)),
            (Some(CauseKind::BadSetting), None),
            (None, None),
        ] {
            store(&db, &some()).await;
            db.forget_beliefs(cause, action).await.expect("forgets");
            let mut expected = some();
            expected.forget(cause, action);
            assert_eq!(db.beliefs().await.expect("read"), expected);
        }
    }

    #[tokio::test]
    async fn kinds_of_another_version_are_left_out() {
        let (_temp, db) = fresh().await;
        sqlx::query("INSERT INTO beliefs VALUES ('gremlins', 'exorcise', 1, 1, 0, 1.0, 1.0)")
            .execute(&db.pool)
            .await
            .expect("insert");
        assert_eq!(db.beliefs().await.expect("read"), Beliefs::default());
    }
}
