//! Versions of kept files: which content, owner and mode a file had, and which of them was good.
//!
//! A version is content *and* owner, group and mode: a change of the mode alone is another version. The order of
//! being seen and of being good is counted, not timed, so a clock that steps back changes nothing.

use std::path::Path;
use std::sync::Arc;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};
use tokio::sync::Mutex;
use wellkept_model::TimestampMs;

use crate::blobs::Blobs;
use crate::{StateDb, StateError};

/// How many versions of one file are kept.
pub const VERSIONS_PER_PATH_MAX: usize = 50;

/// Content, owner and mode of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMeta {
    /// SHA-256 of the content, hexadecimal.
    pub sha256: String,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// One version of a kept file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileVersion {
    /// What it is.
    pub meta: FileMeta,
    /// When it was first seen.
    pub first_seen: TimestampMs,
    /// When it was last seen to appear.
    pub last_seen: TimestampMs,
    /// Since when it counts as good; `None`: it never did.
    pub good_since: Option<TimestampMs>,
}

/// Copies in `<data dir>/files` and their versions in `state.db`. Clones share both.
#[derive(Debug, Clone)]
pub struct FileVersions {
    blobs: Blobs,
    db: StateDb,
    /// Held while a copy gets its version or loses its last one, so that nobody forgets a copy that is just needed.
    gate: Arc<Mutex<()>>,
}

impl FileVersions {
    /// Opens the copies of a data directory.
    ///
    /// # Errors
    /// When the directory cannot be made or read.
    pub fn open(data_dir: &Path, db: StateDb) -> Result<Self, StateError> {
        Ok(Self { blobs: Blobs::open(data_dir)?, db, gate: Arc::default() })
    }

    /// Keeps content and gives its SHA-256. It is on disk when this returns.
    ///
    /// # Errors
    /// [`StateError::TooBig`], [`StateError::DiskFull`], or another failure of the file.
    pub async fn put(&self, content: Vec<u8>) -> Result<String, StateError> {
        let blobs = self.blobs.clone();
        blocking(move || blobs.put(&content)).await
    }

    /// The content with this SHA-256, checked.
    ///
    /// # Errors
    /// [`StateError::NoSuchCopy`], [`StateError::Damaged`], [`StateError::NotASha256`].
    pub async fn get(&self, sha256: &str) -> Result<Vec<u8>, StateError> {
        let (blobs, sha256) = (self.blobs.clone(), sha256.to_owned());
        blocking(move || blobs.get(&sha256)).await
    }

    /// Keeps content together with its version; the usual way to keep a file.
    ///
    /// # Errors
    /// As [`Self::put`] and [`Self::see_version`].
    pub async fn keep(
        &self,
        service: &str,
        path: &str,
        content: Vec<u8>,
        (uid, gid, mode): (u32, u32, u32),
        at: TimestampMs,
    ) -> Result<FileMeta, StateError> {
        let _gate = self.gate.lock().await;
        let meta = FileMeta { sha256: self.put(content).await?, uid, gid, mode };
        self.see_and_prune(service, path, &meta, at).await?;
        Ok(meta)
    }

    /// Records that a file has this content, owner and mode now. True when this version is new. The oldest versions
    /// above [`VERSIONS_PER_PATH_MAX`] are forgotten: first those that were never good, never the last good one.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn see_version(
        &self,
        service: &str,
        path: &str,
        meta: &FileMeta,
        at: TimestampMs,
    ) -> Result<bool, StateError> {
        let _gate = self.gate.lock().await;
        self.see_and_prune(service, path, meta, at).await
    }

    async fn see_and_prune(
        &self,
        service: &str,
        path: &str,
        meta: &FileMeta,
        at: TimestampMs,
    ) -> Result<bool, StateError> {
        const ATTEMPT: &str = "record a file version";
        let mut tx = self.db.write(ATTEMPT).await?;
        let new = see(&mut tx, service, path, meta, at).await?;
        let forgotten = prune(&mut tx, service, path).await?;
        tx.commit().await.map_err(StateError::db(ATTEMPT))?;
        if !forgotten.is_empty() {
            let blobs = self.blobs.clone();
            blocking(move || forgotten.iter().try_for_each(|sha256| blobs.remove(sha256))).await?;
        }
        Ok(new)
    }

    /// Says that this version is good: the service ran well with it. It becomes the last good one.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn mark_good(
        &self,
        service: &str,
        path: &str,
        meta: &FileMeta,
        at: TimestampMs,
    ) -> Result<(), StateError> {
        const ATTEMPT: &str = "mark a file version as good";
        if self.last_good(service, path).await?.is_some_and(|last| last.meta == *meta) {
            return Ok(());
        }
        let mut tx = self.db.write(ATTEMPT).await?;
        see(&mut tx, service, path, meta, at).await?;
        sqlx::query(
            "UPDATE file_versions SET good_since = ?,
                good_order = (SELECT coalesce(max(good_order), 0) + 1 FROM file_versions)
             WHERE service = ? AND path = ? AND sha256 = ? AND uid = ? AND gid = ? AND mode = ?",
        )
        .bind(at.0)
        .bind(service)
        .bind(path)
        .bind(&meta.sha256)
        .bind(meta.uid)
        .bind(meta.gid)
        .bind(meta.mode)
        .execute(&mut *tx)
        .await
        .map_err(StateError::db(ATTEMPT))?;
        tx.commit().await.map_err(StateError::db(ATTEMPT))
    }

    /// The version that was marked as good last.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn last_good(&self, service: &str, path: &str) -> Result<Option<FileVersion>, StateError> {
        const SQL: &str =
            "SELECT sha256, uid, gid, mode, first_seen, last_seen, good_since FROM file_versions
             WHERE service = ? AND path = ? AND good_order IS NOT NULL ORDER BY good_order DESC LIMIT 1";
        self.one(sqlx::query(SQL).bind(service).bind(path)).await
    }

    /// The version with this content: the one that was good last, else the one that was seen last.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn version(
        &self,
        service: &str,
        path: &str,
        sha256: &str,
    ) -> Result<Option<FileVersion>, StateError> {
        const SQL: &str =
            "SELECT sha256, uid, gid, mode, first_seen, last_seen, good_since FROM file_versions
             WHERE service = ? AND path = ? AND sha256 = ?
             ORDER BY good_order DESC NULLS LAST, seen_order DESC LIMIT 1";
        self.one(sqlx::query(SQL).bind(service).bind(path).bind(sha256)).await
    }

    /// All kept versions of a file, the one seen last first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn versions(&self, service: &str, path: &str) -> Result<Vec<FileVersion>, StateError> {
        const SQL: &str =
            "SELECT sha256, uid, gid, mode, first_seen, last_seen, good_since FROM file_versions
             WHERE service = ? AND path = ? ORDER BY seen_order DESC";
        const ATTEMPT: &str = "read file versions";
        let rows = sqlx::query(SQL)
            .bind(service)
            .bind(path)
            .fetch_all(&self.db.pool)
            .await
            .map_err(StateError::db(ATTEMPT))?;
        rows.iter().map(read).collect::<Result<_, _>>().map_err(StateError::db(ATTEMPT))
    }

    async fn one(
        &self,
        query: sqlx::query::Query<'_, Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<Option<FileVersion>, StateError> {
        const ATTEMPT: &str = "read a file version";
        let row = query.fetch_optional(&self.db.pool).await.map_err(StateError::db(ATTEMPT))?;
        row.as_ref().map(read).transpose().map_err(StateError::db(ATTEMPT))
    }
}

async fn see(
    tx: &mut Transaction<'static, Sqlite>,
    service: &str,
    path: &str,
    meta: &FileMeta,
    at: TimestampMs,
) -> Result<bool, StateError> {
    const ATTEMPT: &str = "record a file version";
    let fail = |e| StateError::db(ATTEMPT)(e);
    let known = sqlx::query(
        "UPDATE file_versions SET last_seen = ?1,
            seen_order = (SELECT coalesce(max(seen_order), 0) + 1 FROM file_versions)
         WHERE service = ?2 AND path = ?3 AND sha256 = ?4 AND uid = ?5 AND gid = ?6 AND mode = ?7",
    );
    let bind = |q: sqlx::query::Query<'static, Sqlite, sqlx::sqlite::SqliteArguments>| {
        q.bind(at.0)
            .bind(service.to_owned())
            .bind(path.to_owned())
            .bind(meta.sha256.clone())
            .bind(meta.uid)
            .bind(meta.gid)
            .bind(meta.mode)
    };
    if bind(known).execute(&mut **tx).await.map_err(fail)?.rows_affected() > 0 {
        return Ok(false);
    }
    let new = sqlx::query(
        "INSERT INTO file_versions (first_seen, last_seen, service, path, sha256, uid, gid, mode, seen_order)
         VALUES (?1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, (SELECT coalesce(max(seen_order), 0) + 1 FROM file_versions))",
    );
    bind(new).execute(&mut **tx).await.map_err(fail)?;
    Ok(true)
}

/// Forgets what is too much and gives the copies that nothing refers to any more.
async fn prune(
    tx: &mut Transaction<'static, Sqlite>,
    service: &str,
    path: &str,
) -> Result<Vec<String>, StateError> {
    const ATTEMPT: &str = "forget old file versions";
    let fail = |e| StateError::db(ATTEMPT)(e);
    let gone = sqlx::query(
        "DELETE FROM file_versions WHERE id IN (
            SELECT id FROM file_versions WHERE service = ?1 AND path = ?2
            -- Kept first: the last good one, the one that is there now, good ones, newer ones.
            ORDER BY (good_order IS (SELECT max(good_order) FROM file_versions WHERE service = ?1 AND path = ?2)
                      AND good_order IS NOT NULL) DESC,
                     (seen_order = (SELECT max(seen_order) FROM file_versions WHERE service = ?1 AND path = ?2)) DESC,
                     good_order DESC NULLS LAST, seen_order DESC
            LIMIT -1 OFFSET ?3)
         RETURNING sha256",
    )
    .bind(service)
    .bind(path)
    .bind(VERSIONS_PER_PATH_MAX as i64)
    .fetch_all(&mut **tx)
    .await
    .map_err(fail)?;
    let mut unused = Vec::new();
    for row in gone {
        let sha256: String = row.try_get(0).map_err(fail)?;
        let used = sqlx::query("SELECT 1 FROM file_versions WHERE sha256 = ? LIMIT 1")
            .bind(&sha256)
            .fetch_optional(&mut **tx)
            .await
            .map_err(fail)?;
        if used.is_none() {
            unused.push(sha256);
        }
    }
    Ok(unused)
}

fn read(row: &SqliteRow) -> Result<FileVersion, sqlx::Error> {
    Ok(FileVersion {
        meta: FileMeta {
            sha256: row.try_get(0)?,
            uid: row.try_get(1)?,
            gid: row.try_get(2)?,
            mode: row.try_get(3)?,
        },
        first_seen: TimestampMs(row.try_get(4)?),
        last_seen: TimestampMs(row.try_get(5)?),
        good_since: row.try_get::<Option<i64>, _>(6)?.map(TimestampMs),
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StateError> + Send + 'static,
) -> Result<T, StateError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| {
        Err(StateError::Damaged { what: "the store of file copies".to_owned(), why: e.to_string() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::tests::fresh as fresh_db;

    async fn fresh() -> (tempfile::TempDir, FileVersions) {
        let (temp, db) = fresh_db().await;
        let files = FileVersions::open(temp.path(), db).expect("opens");
        (temp, files)
    }

    async fn keep(files: &FileVersions, content: &str, at: i64) -> FileMeta {
        let owner = (7, 8, 0o640);
        files.keep("app", "/srv/env", content.into(), owner, TimestampMs(at)).await.expect("keep")
    }

    #[tokio::test]
    async fn the_last_good_version_is_the_one_marked_last_also_when_it_is_an_old_one() {
        let (_temp, files) = fresh().await;
        let one = keep(&files, "A=1", 10).await;
        let two = keep(&files, "A=2", 20).await;
        assert_eq!(files.last_good("app", "/srv/env").await.expect("read"), None);
        files.mark_good("app", "/srv/env", &one, TimestampMs(11)).await.expect("mark");
        files.mark_good("app", "/srv/env", &two, TimestampMs(21)).await.expect("mark");
        // The clock steps back; the order of marking counts.
        files.mark_good("app", "/srv/env", &one, TimestampMs(5)).await.expect("mark");
        let last = files.last_good("app", "/srv/env").await.expect("read").expect("there");
        assert_eq!((last.meta, last.good_since), (one, Some(TimestampMs(5))));
        assert_eq!(files.last_good("web", "/srv/env").await.expect("read"), None);
    }

    #[tokio::test]
    async fn marking_the_last_good_version_again_keeps_its_time() {
        let (_temp, files) = fresh().await;
        let one = keep(&files, "A=1", 10).await;
        for at in [11, 99] {
            files.mark_good("app", "/srv/env", &one, TimestampMs(at)).await.expect("mark");
        }
        let last = files.last_good("app", "/srv/env").await.expect("read").expect("there");
        assert_eq!(last.good_since, Some(TimestampMs(11)));
    }

    #[tokio::test]
    async fn another_mode_is_another_version_of_the_same_content() {
        let (_temp, files) = fresh().await;
        let one = keep(&files, "A=1", 10).await;
        let wide = FileMeta { mode: 0o666, ..one.clone() };
        assert!(files.see_version("app", "/srv/env", &wide, TimestampMs(20)).await.expect("see"));
        assert!(!files.see_version("app", "/srv/env", &wide, TimestampMs(30)).await.expect("see"));
        files.mark_good("app", "/srv/env", &one, TimestampMs(11)).await.expect("mark");
        let found = files.version("app", "/srv/env", &one.sha256).await.expect("read").expect("there");
        assert_eq!(found.meta.mode, 0o640, "the good one is preferred");
        assert_eq!(files.versions("app", "/srv/env").await.expect("read").len(), 2);
    }

    #[tokio::test]
    async fn at_most_fifty_versions_stay_and_the_last_good_one_is_among_them() {
        let (_temp, files) = fresh().await;
        let good = keep(&files, "good", 1).await;
        files.mark_good("app", "/srv/env", &good, TimestampMs(2)).await.expect("mark");
        let mut metas = Vec::new();
        for n in 0..60 {
            metas.push(keep(&files, &format!("A={n}"), 10 + n).await);
        }
        let versions = files.versions("app", "/srv/env").await.expect("read");
        assert_eq!(versions.len(), VERSIONS_PER_PATH_MAX);
        assert!(versions.iter().any(|v| v.meta == good));
        assert_eq!(versions[0].meta, metas[59], "the newest stays");
        let oldest = files.get(&metas[0].sha256).await;
        assert!(matches!(oldest, Err(StateError::NoSuchCopy(_))), "its copy is gone too");
        files.get(&good.sha256).await.expect("the good copy stays");
    }

    #[tokio::test]
    async fn a_copy_that_another_file_needs_stays() {
        let (_temp, files) = fresh().await;
        let shared = keep(&files, "shared", 1).await;
        files.see_version("web", "/srv/other", &shared, TimestampMs(1)).await.expect("see");
        for n in 0..60 {
            keep(&files, &format!("A={n}"), 10 + n).await;
        }
        files.get(&shared.sha256).await.expect("still there");
    }
}
