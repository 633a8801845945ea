//! The tables of `state.db`, as a list of steps from each version to the next.
//!
//! Steps are only ever added. Journal and audit are append-only by trigger: not even our own code can change a
//! record by mistake.

use std::path::Path;

use sqlx::Row;

use crate::{StateDb, StateError};

/// The schema that this version reads and writes.
pub const SCHEMA_VERSION: i64 = STEPS.len() as i64;

const STEPS: [&str; 2] = [V1, V2];

const V1: &str = "
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;

CREATE TABLE incidents (
    id INTEGER PRIMARY KEY,
    status TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    format INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;

CREATE TABLE journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    incident INTEGER NOT NULL,
    number INTEGER NOT NULL,
    event TEXT NOT NULL CHECK (event IN ('begin', 'undo', 'end')),
    at INTEGER NOT NULL,
    generation INTEGER,
    automatic INTEGER,
    planned TEXT,
    status TEXT,
    outcome TEXT
) STRICT;
CREATE UNIQUE INDEX journal_begins_once ON journal (incident, number) WHERE event = 'begin';
CREATE UNIQUE INDEX journal_undoes_once ON journal (incident, number) WHERE event = 'undo';
CREATE INDEX journal_by_action ON journal (incident, number, seq);
CREATE TRIGGER journal_keeps BEFORE UPDATE ON journal
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_holds BEFORE DELETE ON journal
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    detail TEXT NOT NULL,
    previous BLOB NOT NULL,
    hash BLOB NOT NULL
) STRICT;
CREATE TABLE audit_head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;
CREATE TRIGGER audit_keeps BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_holds BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;

CREATE TABLE freeze (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    since INTEGER NOT NULL,
    who TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;

CREATE TABLE changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;
CREATE INDEX changes_by_time ON changes (at);

CREATE TABLE learned (
    cause TEXT NOT NULL,
    action TEXT NOT NULL,
    tried INTEGER NOT NULL,
    helped INTEGER NOT NULL,
    PRIMARY KEY (cause, action)
) STRICT;

CREATE TABLE file_versions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    service TEXT NOT NULL,
    path TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    mode INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    seen_order INTEGER NOT NULL,
    good_since INTEGER,
    good_order INTEGER,
    UNIQUE (service, path, sha256, uid, gid, mode)
) STRICT;
CREATE INDEX file_versions_by_copy ON file_versions (sha256);
";

/// Counts became beliefs: results that were taken back, and weights that fade. What was counted goes over.
const V2: &str = "
CREATE TABLE beliefs (
    cause TEXT NOT NULL,
    action TEXT NOT NULL,
    helped INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    undone INTEGER NOT NULL,
    weight_for REAL NOT NULL,
    weight_against REAL NOT NULL,
    PRIMARY KEY (cause, action)
) STRICT;
INSERT INTO beliefs
    SELECT cause, action, helped, tried - helped, 0,
        helped * min(1.0, 32.0 / tried), (tried - helped) * min(1.0, 32.0 / tried)
    FROM learned WHERE tried > 0;
DROP TABLE learned;
";

/// Brings the database to [`SCHEMA_VERSION`]; one step is applied wholly or not at all.
pub(crate) async fn migrate(db: &StateDb, path: &Path) -> Result<(), StateError> {
    const ATTEMPT: &str = "bring the schema up to date";
    let mut tx = db.write(ATTEMPT).await?;
    sqlx::query("CREATE TABLE IF NOT EXISTS schema_version (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL) STRICT")
        .execute(&mut *tx)
        .await
        .map_err(StateError::db(ATTEMPT))?;
    let found: i64 = sqlx::query("SELECT version FROM schema_version")
        .fetch_optional(&mut *tx)
        .await
        .and_then(|row| row.map_or(Ok(0), |r| r.try_get(0)))
        .map_err(StateError::db(ATTEMPT))?;
    if found > SCHEMA_VERSION {
        return Err(StateError::Newer { path: path.to_owned(), found, supported: SCHEMA_VERSION });
    }
    let done = usize::try_from(found).map_err(|_| StateError::Damaged {
        what: path.display().to_string(),
        why: format!("schema {found} has never existed"),
    })?;
    for step in STEPS.iter().skip(done) {
        sqlx::raw_sql(*step).execute(&mut *tx).await.map_err(StateError::db(ATTEMPT))?;
    }
    sqlx::query(
        "INSERT INTO schema_version VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET version = excluded.version",
    )
    .bind(SCHEMA_VERSION)
    .execute(&mut *tx)
    .await
    .map_err(StateError::db(ATTEMPT))?;
    tx.commit().await.map_err(StateError::db(ATTEMPT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::tests::fresh;

    #[tokio::test]
    async fn a_newer_schema_is_refused_in_words_and_left_alone() {
        let (temp, db) = fresh().await;
        sqlx::query("UPDATE schema_version SET version = 7").execute(&db.pool).await.expect("update");
        db.close().await;
        let error = StateDb::open(temp.path()).await.expect_err("newer");
        assert!(matches!(error, StateError::Newer { found: 7, supported: SCHEMA_VERSION, .. }), "{error}");
        assert!(error.to_string().contains("use a newer wellkept"), "{error}");
    }

    #[tokio::test]
    async fn what_an_older_version_counted_is_believed() {
        use wellkept_model::{ActionKind, CauseKind};
        let temp = tempfile::tempdir().expect("temp");
        let path = temp.path().join("state.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let old = sqlx::SqlitePool::connect_with(options).await.expect("opens");
        sqlx::raw_sql(V1).execute(&old).await.expect("makes");
        sqlx::raw_sql(
            "CREATE TABLE schema_version (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL) STRICT;
             INSERT INTO schema_version VALUES (1, 1);
             INSERT INTO learned VALUES ('process_down', 'restart', 64, 48), ('bad_setting', 'rollback', 2, 1);",
        )
        .execute(&old)
        .await
        .expect("fills");
        old.close().await;
        let db = StateDb::open(temp.path()).await.expect("opens");
        let beliefs = db.beliefs().await.expect("reads");
        let down = beliefs.of(CauseKind::ProcessDown, ActionKind::Restart);
        assert_eq!((down.helped, down.failed, down.undone), (48, 16, 0));
        assert!((down.weight_for - 24.0).abs() < 1e-9 && (down.weight_against - 8.0).abs() < 1e-9);
        let bad = beliefs.of(CauseKind::BadSetting, ActionKind::Rollback);
        assert_eq!((bad.helped, bad.failed), (1, 1));
    }

    #[tokio::test]
    async fn opening_again_changes_nothing() {
        let (temp, db) = fresh().await;
        db.next_incident_id().await.expect("id");
        db.close().await;
        let db = StateDb::open(temp.path()).await.expect("opens again");
        assert_eq!(db.next_incident_id().await.expect("id").0, 2);
    }
}
