//! The action journal: append-only, written before a step is done, so that a step runs at most once.
//!
//! A record says `begin`, `undo` (the taking back has begun) or `end`. Begin and undo exist once per action, by a
//! unique index; whoever comes second is told so and must not act. An action whose last record is no `end` was
//! cut off by a crash: nobody knows whether it was done, and the caller ends it as `unknown`.

use sqlx::{Row, Sqlite, Transaction};
use wellkept_model::{ActionId, ActionStatus, IncidentId, PlannedAction, Text, TimestampMs};

use crate::incidents::sql_id;
use crate::{StateDb, StateError};

/// Most records that [`StateDb::journal_of`] reads; an action has two to five.
const ENTRIES_MAX: i64 = 100;

/// Whether the step may be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalOutcome {
    /// The record is on disk; do it.
    Begun,
    /// It was begun before; never do it again.
    AlreadyBegun,
    /// A step of a newer plan of this incident was begun before; this plan has no effect any more.
    OlderPlan {
        /// The newest generation that has begun.
        newest: u32,
    },
}

/// An action that was begun, as the journal knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunAction {
    /// Which.
    pub id: ActionId,
    /// When.
    pub at: TimestampMs,
    /// What.
    pub planned: PlannedAction,
    /// False when a person approved or asked for it.
    pub automatic: bool,
    /// Its last end; `None`: it was cut off.
    pub ended: Option<ActionStatus>,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// `begin`, `undo` or `end`.
    pub event: String,
    /// When.
    pub at: TimestampMs,
    /// How it ended: a word of [`ActionStatus`]; only on `end`.
    pub status: Option<String>,
}

impl StateDb {
    /// Records that an action is about to be done. Returns after the record is on disk.
    ///
    /// # Errors
    /// When the record cannot be written; the action must not be done then.
    pub async fn journal_begin(
        &self,
        id: ActionId,
        generation: u32,
        planned: &PlannedAction,
        automatic: bool,
        at: TimestampMs,
    ) -> Result<JournalOutcome, StateError> {
        const ATTEMPT: &str = "begin an action";
        let document = serde_json::to_string(planned)
            .map_err(|e| StateError::Damaged { what: format!("action {id}"), why: e.to_string() })?;
        let mut tx = self.write(ATTEMPT).await?;
        if last_event(&mut tx, id).await?.is_some() {
            return Ok(JournalOutcome::AlreadyBegun);
        }
        let newest: Option<u32> = sqlx::query("SELECT max(generation) FROM journal WHERE incident = ?")
            .bind(sql_id(id.incident))
            .fetch_one(&mut *tx)
            .await
            .and_then(|row| row.try_get(0))
            .map_err(StateError::db(ATTEMPT))?;
        if let Some(newest) = newest.filter(|n| *n > generation) {
            return Ok(JournalOutcome::OlderPlan { newest });
        }
        sqlx::query(
            "INSERT INTO journal (incident, number, event, at, generation, automatic, planned)
             VALUES (?, ?, 'begin', ?, ?, ?, ?)",
        )
        .bind(sql_id(id.incident))
        .bind(id.number)
        .bind(at.0)
        .bind(generation)
        .bind(automatic)
        .bind(document)
        .execute(&mut *tx)
        .await
        .map_err(StateError::db(ATTEMPT))?;
        tx.commit().await.map_err(StateError::db(ATTEMPT))?;
        Ok(JournalOutcome::Begun)
    }

    /// Records that an action is about to be taken back; once per action. Returns after the record is on disk.
    ///
    /// # Errors
    /// [`StateError::NotBegun`]; when the record cannot be written.
    pub async fn journal_undo_begin(
        &self,
        id: ActionId,
        at: TimestampMs,
    ) -> Result<JournalOutcome, StateError> {
        const ATTEMPT: &str = "begin to take an action back";
        let mut tx = self.write(ATTEMPT).await?;
        if last_event(&mut tx, id).await?.is_none() {
            return Err(StateError::NotBegun(id.to_string()));
        }
        let done = sqlx::query(
            "INSERT INTO journal (incident, number, event, at) VALUES (?, ?, 'undo', ?) ON CONFLICT DO NOTHING",
        )
        .bind(sql_id(id.incident))
        .bind(id.number)
        .bind(at.0)
        .execute(&mut *tx)
        .await
        .map_err(StateError::db(ATTEMPT))?;
        tx.commit().await.map_err(StateError::db(ATTEMPT))?;
        Ok(if done.rows_affected() == 1 { JournalOutcome::Begun } else { JournalOutcome::AlreadyBegun })
    }

    /// Records how an action, or its taking back, ended.
    ///
    /// # Errors
    /// [`StateError::NotBegun`]; when the record cannot be written.
    pub async fn journal_end(
        &self,
        id: ActionId,
        status: ActionStatus,
        outcome: &Text,
        at: TimestampMs,
    ) -> Result<(), StateError> {
        const ATTEMPT: &str = "end an action";
        let document = serde_json::to_string(outcome)
            .map_err(|e| StateError::Damaged { what: format!("outcome of {id}"), why: e.to_string() })?;
        let mut tx = self.write(ATTEMPT).await?;
        if last_event(&mut tx, id).await?.is_none() {
            return Err(StateError::NotBegun(id.to_string()));
        }
        sqlx::query(
            "INSERT INTO journal (incident, number, event, at, status, outcome) VALUES (?, ?, 'end', ?, ?, ?)",
        )
        .bind(sql_id(id.incident))
        .bind(id.number)
        .bind(at.0)
        .bind(status.word())
        .bind(document)
        .execute(&mut *tx)
        .await
        .map_err(StateError::db(ATTEMPT))?;
        tx.commit().await.map_err(StateError::db(ATTEMPT))
    }

    /// Actions that began and have no end: read at start, ended as `unknown` by the caller.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn unfinished(&self) -> Result<Vec<ActionId>, StateError> {
        const ATTEMPT: &str = "read the journal";
        let rows = sqlx::query(
            "SELECT incident, number FROM journal j
             WHERE event != 'end' AND seq = (SELECT max(seq) FROM journal k
                                             WHERE k.incident = j.incident AND k.number = j.number)
             ORDER BY seq",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(StateError::db(ATTEMPT))?;
        rows.iter()
            .map(|row| {
                let incident: i64 = row.try_get(0)?;
                Ok(ActionId { incident: IncidentId(incident.unsigned_abs()), number: row.try_get(1)? })
            })
            .collect::<Result<_, _>>()
            .map_err(StateError::db(ATTEMPT))
    }

    /// The newest actions that were begun, at most `limit`, oldest first. What is damaged is left out: it has an id, and
    /// that is never given again.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn begun(&self, limit: usize) -> Result<Vec<BegunAction>, StateError> {
        const ATTEMPT: &str = "read the journal";
        let rows = sqlx::query(
            "SELECT incident, number, at, planned, automatic,
                    (SELECT status FROM journal k WHERE k.incident = j.incident AND k.number = j.number
                     ORDER BY seq DESC LIMIT 1)
             FROM journal j WHERE event = 'begin' ORDER BY seq DESC LIMIT ?",
        )
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(StateError::db(ATTEMPT))?;
        let mut found = Vec::new();
        for row in rows.iter().rev() {
            found.extend(begun(row).map_err(StateError::db(ATTEMPT))?);
        }
        Ok(found)
    }

    /// The highest number of an incident of which an action was begun; 0 without any.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn highest_begun(&self) -> Result<u64, StateError> {
        let row = sqlx::query("SELECT coalesce(max(incident), 0) FROM journal").fetch_one(&self.pool).await;
        let highest: i64 = row.and_then(|r| r.try_get(0)).map_err(StateError::db("read the journal"))?;
        Ok(highest.unsigned_abs())
    }

    /// The records of one action, oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn journal_of(&self, id: ActionId) -> Result<Vec<JournalEntry>, StateError> {
        const ATTEMPT: &str = "read the journal of an action";
        let rows = sqlx::query(
            "SELECT event, at, status FROM journal WHERE incident = ? AND number = ? ORDER BY seq LIMIT ?",
        )
        .bind(sql_id(id.incident))
        .bind(id.number)
        .bind(ENTRIES_MAX)
        .fetch_all(&self.pool)
        .await
        .map_err(StateError::db(ATTEMPT))?;
        rows.iter()
            .map(|row| {
                Ok(JournalEntry {
                    event: row.try_get(0)?,
                    at: TimestampMs(row.try_get(1)?),
                    status: row.try_get(2)?,
                })
            })
            .collect::<Result<_, _>>()
            .map_err(StateError::db(ATTEMPT))
    }
}

/// `None` when its document is damaged.
fn begun(row: &sqlx::sqlite::SqliteRow) -> Result<Option<BegunAction>, sqlx::Error> {
    let incident: i64 = row.try_get(0)?;
    let document: String = row.try_get(3)?;
    let status: Option<String> = row.try_get(5)?;
    let Ok(planned) = serde_json::from_str(&document) else { return Ok(None) };
    Ok(Some(BegunAction {
        id: ActionId { incident: IncidentId(incident.unsigned_abs()), number: row.try_get(1)? },
        at: TimestampMs(row.try_get(2)?),
        planned,
        automatic: row.try_get(4)?,
        ended: ActionStatus::ALL.into_iter().find(|s| status.as_deref() == Some(s.word())),
    }))
}

async fn last_event(
    tx: &mut Transaction<'static, Sqlite>,
    id: ActionId,
) -> Result<Option<String>, StateError> {
    sqlx::query("SELECT event FROM journal WHERE incident = ? AND number = ? ORDER BY seq DESC LIMIT 1")
        .bind(sql_id(id.incident))
        .bind(id.number)
        .fetch_optional(&mut **tx)
        .await
        .and_then(|row| row.map(|r| r.try_get(0)).transpose())
        .map_err(StateError::db("read the journal"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::tests::fresh;
    use wellkept_model::{ActionKind, EntityId, Undo};

    fn planned() -> PlannedAction {
        PlannedAction {
            kind: ActionKind::Restart,
            target: EntityId::service("app"),
            subject: String::new(),
            to_version: None,
            deadline_ms: 1000,
            verify: vec![],
            undo: Undo::Irreversible,
            reason: Text::new("reason.x"),
        }
    }

    fn id(incident: u64, number: u32) -> ActionId {
        ActionId { incident: IncidentId(incident), number }
    }

    const AT: TimestampMs = TimestampMs(5);

    #[tokio::test]
    async fn a_step_begins_once_also_after_its_end() {
        let (_temp, db) = fresh().await;
        let step = planned();
        let begin = || db.journal_begin(id(1, 1), 1, &step, true, AT);
        assert_eq!(begin().await.expect("begin"), JournalOutcome::Begun);
        assert_eq!(begin().await.expect("begin"), JournalOutcome::AlreadyBegun);
        db.journal_end(id(1, 1), ActionStatus::Failed, &Text::new("outcome.x"), AT).await.expect("end");
        assert_eq!(begin().await.expect("begin"), JournalOutcome::AlreadyBegun);
        assert_eq!(db.journal_of(id(1, 1)).await.expect("read").len(), 2);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_many_that_begin_at_once_one_may_act() {
        let (temp, db) = fresh().await;
        let other = StateDb::open(temp.path()).await.expect("a second process");
        let tasks: Vec<_> = (0..16)
            .map(|n| {
                let db = if n % 2 == 0 { db.clone() } else { other.clone() };
                tokio::spawn(async move { db.journal_begin(id(1, 1), 1, &planned(), true, AT).await })
            })
            .collect();
        let mut begun = 0;
        for task in tasks {
            begun += usize::from(task.await.expect("task").expect("begin") == JournalOutcome::Begun);
        }
        assert_eq!(begun, 1);
    }

    #[tokio::test]
    async fn a_plan_that_is_older_than_one_that_began_has_no_effect() {
        let (_temp, db) = fresh().await;
        db.journal_begin(id(1, 1), 2, &planned(), true, AT).await.expect("begin");
        let older = db.journal_begin(id(1, 2), 1, &planned(), true, AT).await.expect("begin");
        assert_eq!(older, JournalOutcome::OlderPlan { newest: 2 });
        let other_incident = db.journal_begin(id(2, 1), 1, &planned(), true, AT).await.expect("begin");
        assert_eq!(other_incident, JournalOutcome::Begun);
    }

    #[tokio::test]
    async fn an_end_without_a_begin_is_refused() {
        let (_temp, db) = fresh().await;
        let end = db.journal_end(id(1, 1), ActionStatus::Succeeded, &Text::new("outcome.x"), AT).await;
        assert!(matches!(end, Err(StateError::NotBegun(_))));
        assert!(matches!(db.journal_undo_begin(id(1, 1), AT).await, Err(StateError::NotBegun(_))));
    }

    #[tokio::test]
    async fn after_a_crash_the_cut_off_actions_are_listed() {
        let (temp, db) = fresh().await;
        for number in 1..=3 {
            db.journal_begin(id(1, number), 1, &planned(), true, AT).await.expect("begin");
        }
        db.journal_end(id(1, 2), ActionStatus::Succeeded, &Text::new("outcome.x"), AT).await.expect("end");
        // What kill -9 leaves: the files as they are now, with the WAL not folded in.
        let crashed = tempfile::tempdir().expect("temp");
        for name in ["state.db", "state.db-wal"] {
            std::fs::copy(temp.path().join(name), crashed.path().join(name)).expect("copy");
        }
        let db = StateDb::open(crashed.path()).await.expect("opens after the crash");
        assert_eq!(db.unfinished().await.expect("read"), [id(1, 1), id(1, 3)]);
        for action in [id(1, 1), id(1, 3)] {
            db.journal_end(action, ActionStatus::Unknown, &Text::new("outcome.x"), AT).await.expect("end");
        }
        assert_eq!(db.unfinished().await.expect("read"), []);
    }

    #[tokio::test]
    async fn taking_back_begins_once_and_is_unfinished_until_its_end() {
        let (_temp, db) = fresh().await;
        db.journal_begin(id(1, 1), 1, &planned(), true, AT).await.expect("begin");
        db.journal_end(id(1, 1), ActionStatus::Succeeded, &Text::new("outcome.x"), AT).await.expect("end");
        assert_eq!(db.journal_undo_begin(id(1, 1), AT).await.expect("undo"), JournalOutcome::Begun);
        assert_eq!(db.journal_undo_begin(id(1, 1), AT).await.expect("undo"), JournalOutcome::AlreadyBegun);
        assert_eq!(db.unfinished().await.expect("read"), [id(1, 1)]);
        db.journal_end(id(1, 1), ActionStatus::RolledBack, &Text::new("outcome.x"), AT).await.expect("end");
        assert_eq!(db.unfinished().await.expect("read"), []);
    }

    #[tokio::test]
    async fn a_record_cannot_be_changed_or_removed() {
        let (_temp, db) = fresh().await;
        db.journal_begin(id(1, 1), 1, &planned(), true, AT).await.expect("begin");
        assert!(sqlx::query("UPDATE journal SET at = 9").execute(&db.pool).await.is_err());
        assert!(sqlx::query("DELETE FROM journal").execute(&db.pool).await.is_err());
    }

    #[tokio::test]
    async fn what_was_begun_is_told_with_how_it_ended() {
        let (_dir, db) = fresh().await;
        for (incident, automatic) in [(3, true), (4, false), (9, true)] {
            let at = TimestampMs(i64::try_from(incident).unwrap());
            db.journal_begin(id(incident, 1), 1, &planned(), automatic, at).await.unwrap();
        }
        db.journal_end(id(4, 1), ActionStatus::Failed, &Text::new("x"), TimestampMs(7)).await.unwrap();
        let told: Vec<_> =
            db.begun(2).await.unwrap().into_iter().map(|b| (b.id, b.at, b.automatic, b.ended)).collect();
        let want = [
            (id(4, 1), TimestampMs(4), false, Some(ActionStatus::Failed)),
            (id(9, 1), TimestampMs(9), true, None),
        ];
        assert_eq!((told, db.highest_begun().await.unwrap()), (want.to_vec(), 9));
    }
}
