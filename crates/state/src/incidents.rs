//! Incidents as documents: the whole incident in one row, with the columns that lists need beside it.

use sqlx::Row;
use wellkept_model::{Incident, IncidentId};

use crate::db::sql_limit;
use crate::{StateDb, StateError};

/// Format of the stored document.
const DOCUMENT_FORMAT: i64 = 1;
/// Biggest document that is stored, bytes. An incident of hundreds of findings takes some hundred kilobytes.
const DOCUMENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What could be read, and what could not.
#[derive(Debug, Default)]
pub struct LoadedIncidents {
    /// Newest first.
    pub incidents: Vec<Incident>,
    /// Incidents whose document cannot be read, with the reason. The rest serves.
    pub damaged: Vec<(IncidentId, String)>,
}

impl StateDb {
    /// An id that no incident of this data directory has had.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn next_incident_id(&self) -> Result<IncidentId, StateError> {
        const ATTEMPT: &str = "give out an incident id";
        let mut tx = self.write(ATTEMPT).await?;
        let id: i64 = sqlx::query(
            "INSERT INTO counters VALUES ('incident', (SELECT coalesce(max(id), 0) FROM incidents) + 1)
             ON CONFLICT (name) DO UPDATE
             SET value = max(value, (SELECT coalesce(max(id), 0) FROM incidents)) + 1
             RETURNING value",
        )
        .fetch_one(&mut *tx)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(StateError::db(ATTEMPT))?;
        tx.commit().await.map_err(StateError::db(ATTEMPT))?;
        Ok(IncidentId(id.unsigned_abs()))
    }

    /// Stores an incident as it is now, over an earlier state of it.
    ///
    /// # Errors
    /// [`StateError::TooBig`] above 8 MiB; when the database refuses.
    pub async fn save_incident(&self, incident: &Incident) -> Result<(), StateError> {
        let what = || format!("incident {}", incident.id);
        let document = serde_json::to_string(incident)
            .map_err(|e| StateError::Damaged { what: what(), why: e.to_string() })?;
        if document.len() > DOCUMENT_BYTES_MAX {
            return Err(StateError::TooBig { what: what(), len: document.len(), max: DOCUMENT_BYTES_MAX });
        }
        sqlx::query(
            "INSERT INTO incidents VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET status = excluded.status, updated_at = excluded.updated_at,
                format = excluded.format, document = excluded.document",
        )
        .bind(sql_id(incident.id))
        .bind(incident.status.word())
        .bind(incident.opened_at.0)
        .bind(incident.updated_at.0)
        .bind(DOCUMENT_FORMAT)
        .bind(document)
        .execute(&self.pool)
        .await
        .map_err(StateError::db("save an incident"))?;
        Ok(())
    }

    /// The newest incidents, at most `limit`.
    ///
    /// # Errors
    /// When the database refuses. A damaged document is no error: it is named in the result.
    pub async fn load_incidents(&self, limit: usize) -> Result<LoadedIncidents, StateError> {
        let rows = sqlx::query("SELECT id, format, document FROM incidents ORDER BY id DESC LIMIT ?")
            .bind(sql_limit(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(StateError::db("read incidents"))?;
        let mut loaded = LoadedIncidents::default();
        for row in rows {
            let read = |e| StateError::db("read an incident")(e);
            let id: i64 = row.try_get(0).map_err(read)?;
            let format: i64 = row.try_get(1).map_err(read)?;
            let document: String = row.try_get(2).map_err(read)?;
            match decode(format, &document) {
                Ok(incident) => loaded.incidents.push(incident),
                Err(why) => loaded.damaged.push((IncidentId(id.unsigned_abs()), why)),
            }
        }
        Ok(loaded)
    }
}

fn decode(format: i64, document: &str) -> Result<Incident, String> {
    if format != DOCUMENT_FORMAT {
        return Err(format!("format {format}; this version reads {DOCUMENT_FORMAT}"));
    }
    serde_json::from_str(document).map_err(|e| e.to_string())
}

/// Ids count from 1 and come from SQLite, so they fit; one that does not is never stored by us.
pub(crate) fn sql_id(id: IncidentId) -> i64 {
    i64::try_from(id.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::tests::fresh;
    use wellkept_model::{EntityId, IncidentStatus, Severity, Text, TimestampMs};

    fn incident(id: u64) -> Incident {
        Incident {
            id: IncidentId(id),
            title: Text::new("incident.title").with("service", "app"),
            status: IncidentStatus::Open,
            severity: Severity::Critical,
            began_at: TimestampMs(1),
            opened_at: TimestampMs(2),
            updated_at: TimestampMs(3),
            resolved_at: None,
            entity: EntityId::service("app"),
            findings: vec![],
            active: 0,
            holding: vec![],
            causes: vec![],
            plan: None,
            actions: vec![],
            timeline: vec![],
            times: 0,
            prevention: None,
        }
    }

    #[tokio::test]
    async fn what_is_saved_is_loaded_newest_first() {
        let (_temp, db) = fresh().await;
        for id in 1..=3 {
            db.save_incident(&incident(id)).await.expect("save");
        }
        let mut changed = incident(2);
        changed.status = IncidentStatus::Resolved;
        db.save_incident(&changed).await.expect("save over");
        let loaded = db.load_incidents(2).await.expect("load");
        assert_eq!(loaded.incidents, [incident(3), changed]);
    }

    #[tokio::test]
    async fn a_damaged_document_is_named_and_the_rest_serves() {
        let (_temp, db) = fresh().await;
        db.save_incident(&incident(1)).await.expect("save");
        db.save_incident(&incident(2)).await.expect("save");
        sqlx::query("UPDATE incidents SET document = '{' WHERE id = 2")
            .execute(&db.pool)
            .await
            .expect("damage");
        let loaded = db.load_incidents(10).await.expect("load");
        assert_eq!(loaded.incidents, [incident(1)]);
        assert_eq!(loaded.damaged.len(), 1);
        assert_eq!(loaded.damaged[0].0, IncidentId(2));
    }

    #[tokio::test]
    async fn ids_rise_and_never_repeat_also_beside_stored_incidents() {
        let (temp, db) = fresh().await;
        assert_eq!(db.next_incident_id().await.expect("id"), IncidentId(1));
        db.save_incident(&incident(41)).await.expect("save");
        assert_eq!(db.next_incident_id().await.expect("id"), IncidentId(42));
        drop(db);
        let db = StateDb::open(temp.path()).await.expect("opens");
        assert_eq!(db.next_incident_id().await.expect("id"), IncidentId(43));
    }

    /// SQLite reports its own limit of pages as it reports a full disk. The limit is each connection's own.
    async fn limit_pages(db: &StateDb, pragma: &'static str) {
        let mut connections = Vec::new();
        for _ in 0..db.pool.options().get_max_connections() {
            let mut connection = db.pool.acquire().await.expect("connection");
            sqlx::raw_sql(pragma).execute(&mut *connection).await.expect("limit");
            connections.push(connection);
        }
    }

    #[tokio::test]
    async fn a_full_disk_is_named_and_what_was_saved_stays() {
        let (_temp, db) = fresh().await;
        db.save_incident(&incident(1)).await.expect("save");
        limit_pages(&db, "PRAGMA max_page_count = 1").await;
        let mut big = incident(2);
        big.title = Text::new("incident.title").with("name", "x".repeat(100_000));
        assert!(matches!(db.save_incident(&big).await, Err(StateError::DiskFull { .. })));
        limit_pages(&db, "PRAGMA max_page_count = 1000000").await;
        db.save_incident(&big).await.expect("goes on when there is space");
        assert_eq!(db.load_incidents(9).await.expect("load").incidents.len(), 2);
    }
}
