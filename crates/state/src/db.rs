//! The connection to `state.db`.
//!
//! WAL with `synchronous=FULL`: a commit that has returned is on disk. Writes begin with `BEGIN IMMEDIATE`, so two
//! writers wait for each other instead of failing half-way. The file is made with mode 0600 before SQLite sees it;
//! SQLite gives its WAL and shared-memory file the same mode.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection, Sqlite, SqliteConnection, Transaction};

use crate::{StateError, disk, schema};

/// The database file inside the data directory.
const DB_FILE: &str = "state.db";
/// Page size of a new file, bytes. Twenty tables and indices that hold little take a page each, and the file lies on
/// every small host; SQLite's usual 4 KiB made it 86 kB when empty.
const PAGE_BYTES: u32 = 1024;
/// Connections at once: one that writes and a few that read.
const CONNECTIONS_MAX: u32 = 4;
/// How long a writer waits for another one; the longest write of ours takes far less.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// `state.db`, open. Clones share the connections.
#[derive(Debug, Clone)]
pub struct StateDb {
    pub(crate) pool: SqlitePool,
}

impl StateDb {
    /// Opens `state.db` in `data_dir`, makes it when it is not there, and brings it to the present schema.
    ///
    /// # Errors
    /// [`StateError::Newer`] for a schema of a newer version, [`StateError::DiskFull`], [`StateError::NotWritable`],
    /// [`StateError::Database`] for anything that SQLite refuses.
    pub async fn open(data_dir: &Path) -> Result<Self, StateError> {
        let path = make_private(data_dir)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .page_size(PAGE_BYTES)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(BUSY_TIMEOUT * 2)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .after_release(|connection, _| Box::pin(usable(connection)))
            .connect_with(options)
            .await
            .map_err(StateError::db("open the database"))?;
        let db = Self { pool };
        schema::migrate(&db, &path).await?;
        Ok(db)
    }

    /// Closes all connections; what was committed is on disk without it.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// A transaction that holds the write lock from its first moment.
    pub(crate) async fn write(
        &self,
        attempt: &'static str,
    ) -> Result<Transaction<'static, Sqlite>, StateError> {
        self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(StateError::db(attempt))
    }
}

/// Whether a connection may be used again.
///
/// SQLite ends a transaction by itself when the disk is full. The rollback that follows then fails, and sqlx
/// believes for ever that a transaction is open and begins no other: such a connection is replaced by a fresh one.
async fn usable(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // Commands are done in order: after this one, a rollback that was only sent is done.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

fn make_private(data_dir: &Path) -> Result<PathBuf, StateError> {
    let path = data_dir.join(DB_FILE);
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(&path)
        .map_err(|e| StateError::io("open", &path, e))?;
    disk::sync_parent(&path)?;
    Ok(path)
}

/// A limit for SQL, which counts in `i64`.
pub(crate) fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A database in a fresh directory.
    pub(crate) async fn fresh() -> (tempfile::TempDir, StateDb) {
        let temp = tempfile::tempdir().expect("temp");
        let db = StateDb::open(temp.path()).await.expect("opens");
        (temp, db)
    }

    #[tokio::test]
    async fn the_files_are_private_and_every_commit_is_synced() {
        use std::os::unix::fs::MetadataExt;
        let (temp, db) = fresh().await;
        for name in ["state.db", "state.db-wal", "state.db-shm"] {
            let mode = std::fs::metadata(temp.path().join(name)).expect("there").mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let (mode,): (String,) =
            sqlx::query_as("PRAGMA journal_mode").fetch_one(&db.pool).await.expect("query");
        let (sync,): (i64,) = sqlx::query_as("PRAGMA synchronous").fetch_one(&db.pool).await.expect("query");
        let (keys,): (i64,) = sqlx::query_as("PRAGMA foreign_keys").fetch_one(&db.pool).await.expect("query");
        assert_eq!((mode.as_str(), sync, keys), ("wal", 2, 1));
    }

    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_by_itself_spoils_no_connection() {
        let (_temp, db) = fresh().await;
        for _ in 0..=CONNECTIONS_MAX {
            let mut tx = db.write("test").await.expect("begins");
            // What SQLite does when the disk is full.
            sqlx::query("ROLLBACK").execute(&mut *tx).await.expect("ends");
        }
        db.next_incident_id().await.expect("is written");
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_refused() {
        let temp = tempfile::tempdir().expect("temp");
        std::fs::write(temp.path().join("state.db"), [b'x'; 8192]).expect("write");
        let error = StateDb::open(temp.path()).await.expect_err("no database");
        assert!(matches!(error, StateError::Database { .. }), "{error}");
    }
}
