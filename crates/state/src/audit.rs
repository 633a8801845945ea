//! The audit: who did what and when, each record holding the hash of the one before it.
//!
//! An edit, a cut in the middle or another order breaks the chain. A cut at the end is seen against the head that
//! is stored beside it, and, when somebody changed that too, against a head that was exported earlier.

use sha2::{Digest, Sha256};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use wellkept_model::TimestampMs;

use crate::db::sql_limit;
use crate::disk::hex;
use crate::{StateDb, StateError};

/// Says what is hashed, so that a hash of ours can never be taken for another one.
const DOMAIN: &[u8] = b"wellkept audit 1\0";
/// The hash before the first record.
const ORIGIN: [u8; 32] = [0; 32];
/// Longest text of a record, bytes; what is longer is cut and marked.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Records that verification reads at a time.
const PAGE: i64 = 1000;

/// One act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Counts from 1 without gaps.
    pub seq: i64,
    /// When.
    pub at: TimestampMs,
    /// Person, token or `wellkept` itself.
    pub who: String,
    /// What was done, a word.
    pub what: String,
    /// To what, and how. No secret may stand here.
    pub detail: String,
}

/// The end of the chain; exported now and then, it proves later that nothing was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditHead {
    /// Number of the last record; 0 when there is none.
    pub seq: i64,
    /// Its SHA-256 in hexadecimal.
    pub hash: String,
}

/// Where the chain is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditBreak {
    /// The first record that does not fit.
    pub seq: i64,
    /// In which way.
    pub why: String,
}

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReport {
    /// Records that fit.
    pub records: i64,
    /// The end of the part that fits.
    pub head: AuditHead,
    /// `None`: every record is as it was written.
    pub broken: Option<AuditBreak>,
}

impl StateDb {
    /// Adds a record; it is on disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written; the act must not be done then (the stop switch excepted).
    pub async fn audit(
        &self,
        at: TimestampMs,
        who: &str,
        what: &str,
        detail: &str,
    ) -> Result<AuditHead, StateError> {
        const ATTEMPT: &str = "write an audit record";
        let mut tx = self.write(ATTEMPT).await?;
        let head = append(&mut tx, at, who, what, detail).await?;
        tx.commit().await.map_err(StateError::db(ATTEMPT))?;
        Ok(head)
    }

    /// The newest records, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn audit_records(&self, limit: usize) -> Result<Vec<AuditRecord>, StateError> {
        const ATTEMPT: &str = "read the audit";
        let rows = sqlx::query(
            "SELECT seq, at, who, what, detail, previous, hash FROM audit ORDER BY seq DESC LIMIT ?",
        )
        .bind(sql_limit(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(StateError::db(ATTEMPT))?;
        rows.iter()
            .map(|row| Ok(read(row)?.record))
            .collect::<Result<_, _>>()
            .map_err(StateError::db(ATTEMPT))
    }

    /// Reads the whole chain and checks every link. `anchor`: a head that was exported earlier and must still be
    /// part of the chain.
    ///
    /// # Errors
    /// When the database refuses. A broken chain is no error: it is the report.
    pub async fn audit_verify(&self, anchor: Option<&AuditHead>) -> Result<AuditReport, StateError> {
        const ATTEMPT: &str = "verify the audit";
        let mut head = AuditHead { seq: 0, hash: hex(&ORIGIN) };
        let mut previous = ORIGIN.to_vec();
        let mut broken = None;
        let mut anchor_seen = anchor.is_none_or(|a| *a == head);
        while broken.is_none() {
            let rows = sqlx::query(
                "SELECT seq, at, who, what, detail, previous, hash FROM audit WHERE seq > ? ORDER BY seq LIMIT ?",
            )
            .bind(head.seq)
            .bind(PAGE)
            .fetch_all(&self.pool)
            .await
            .map_err(StateError::db(ATTEMPT))?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let link = read(&row).map_err(StateError::db(ATTEMPT))?;
                if let Some(why) = misfit(&link, head.seq, &previous) {
                    broken = Some(AuditBreak { seq: link.record.seq, why });
                    break;
                }
                head = AuditHead { seq: link.record.seq, hash: hex(&link.hash) };
                anchor_seen |= anchor == Some(&head);
                previous = link.hash;
            }
        }
        if broken.is_none() {
            broken = self.check_end(&head, anchor_seen).await?;
        }
        Ok(AuditReport { records: head.seq, head, broken })
    }

    async fn check_end(&self, head: &AuditHead, anchor_seen: bool) -> Result<Option<AuditBreak>, StateError> {
        const ATTEMPT: &str = "read the head of the audit";
        let stored = sqlx::query("SELECT seq, hash FROM audit_head")
            .fetch_optional(&self.pool)
            .await
            .map_err(StateError::db(ATTEMPT))?;
        let stored = stored
            .map(|row| Ok(AuditHead { seq: row.try_get(0)?, hash: hex(&row.try_get::<Vec<u8>, _>(1)?) }))
            .transpose()
            .map_err(StateError::db(ATTEMPT))?;
        let at_end = |why: &str| Some(AuditBreak { seq: head.seq + 1, why: why.to_owned() });
        Ok(match stored {
            Some(stored) if stored != *head => at_end("records at the end are missing"),
            None if head.seq != 0 => at_end("the stored head is missing"),
            _ if !anchor_seen => at_end("the exported head is not part of the chain"),
            _ => None,
        })
    }
}

/// Adds a record within a transaction that holds the write lock.
pub(crate) async fn append(
    tx: &mut sqlx::Transaction<'static, sqlx::Sqlite>,
    at: TimestampMs,
    who: &str,
    what: &str,
    detail: &str,
) -> Result<AuditHead, StateError> {
    const ATTEMPT: &str = "write an audit record";
    let last = sqlx::query("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
        .fetch_optional(&mut **tx)
        .await
        .map_err(StateError::db(ATTEMPT))?;
    let (seq, previous): (i64, Vec<u8>) = match last {
        Some(row) => {
            let read = |e| StateError::db(ATTEMPT)(e);
            (row.try_get(0).map_err(read)?, row.try_get(1).map_err(read)?)
        }
        None => (0, ORIGIN.to_vec()),
    };
    let record =
        AuditRecord { seq: seq + 1, at, who: bounded(who), what: bounded(what), detail: bounded(detail) };
    let hash = hash(&previous, &record);
    sqlx::query("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)")
        .bind(record.seq)
        .bind(at.0)
        .bind(&record.who)
        .bind(&record.what)
        .bind(&record.detail)
        .bind(&previous)
        .bind(&hash)
        .execute(&mut **tx)
        .await
        .map_err(StateError::db(ATTEMPT))?;
    sqlx::query(
        "INSERT INTO audit_head VALUES (1, ?, ?)
         ON CONFLICT (one) DO UPDATE SET seq = excluded.seq, hash = excluded.hash",
    )
    .bind(record.seq)
    .bind(&hash)
    .execute(&mut **tx)
    .await
    .map_err(StateError::db(ATTEMPT))?;
    Ok(AuditHead { seq: record.seq, hash: hex(&hash) })
}

struct Link {
    record: AuditRecord,
    previous: Vec<u8>,
    hash: Vec<u8>,
}

fn read(row: &SqliteRow) -> Result<Link, sqlx::Error> {
    Ok(Link {
        record: AuditRecord {
            seq: row.try_get(0)?,
            at: TimestampMs(row.try_get(1)?),
            who: row.try_get(2)?,
            what: row.try_get(3)?,
            detail: row.try_get(4)?,
        },
        previous: row.try_get(5)?,
        hash: row.try_get(6)?,
    })
}

fn misfit(link: &Link, last_seq: i64, previous: &[u8]) -> Option<String> {
    if link.record.seq != last_seq + 1 {
        Some(format!("records {} to {} are missing", last_seq + 1, link.record.seq - 1))
    } else if link.previous != previous {
        Some("it does not follow the record before it".to_owned())
    } else if link.hash != hash(previous, &link.record) {
        Some("its content is not what was written".to_owned())
    } else {
        None
    }
}

/// Every text goes in with its length, so that no two records have the same bytes.
fn hash(previous: &[u8], record: &AuditRecord) -> Vec<u8> {
    let mut sha = Sha256::new();
    sha.update(DOMAIN);
    sha.update(previous);
    sha.update(record.seq.to_be_bytes());
    sha.update(record.at.0.to_be_bytes());
    for text in [&record.who, &record.what, &record.detail] {
        sha.update((text.len() as u64).to_be_bytes());
        sha.update(text.as_bytes());
    }
    sha.finalize().to_vec()
}

fn bounded(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let end = (0..=TEXT_BYTES_MAX).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    format!("{}… ({} bytes in all)", text.get(..end).unwrap_or_default(), text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::tests::fresh;

    async fn with_five() -> (tempfile::TempDir, StateDb, AuditHead) {
        let (temp, db) = fresh().await;
        let mut head = None;
        for n in 1..=5 {
            head =
                Some(db.audit(TimestampMs(n), "ann", "freeze", &format!("number {n}")).await.expect("audit"));
        }
        // An attacker is not stopped by our triggers.
        for name in ["audit_keeps", "audit_holds"] {
            sqlx::query(sqlx::AssertSqlSafe(format!("DROP TRIGGER {name}")))
                .execute(&db.pool)
                .await
                .expect("drop");
        }
        (temp, db, head.expect("five were written"))
    }

    async fn broken_at(db: &StateDb, attack: &'static str) -> Option<i64> {
        sqlx::raw_sql(attack).execute(&db.pool).await.expect("attack");
        db.audit_verify(None).await.expect("verify").broken.map(|b| b.seq)
    }

    #[tokio::test]
    async fn an_untouched_chain_verifies_and_reads_newest_first() {
        let (_temp, db, head) = with_five().await;
        let report = db.audit_verify(Some(&head)).await.expect("verify");
        assert_eq!(report, AuditReport { records: 5, head, broken: None });
        let newest = db.audit_records(2).await.expect("read");
        assert_eq!(newest.iter().map(|r| r.seq).collect::<Vec<_>>(), [5, 4]);
    }

    #[tokio::test]
    async fn an_empty_chain_verifies() {
        let (_temp, db) = fresh().await;
        assert_eq!(db.audit_verify(None).await.expect("verify").broken, None);
    }

    #[tokio::test]
    async fn an_edited_record_is_found() {
        let (_temp, db, _) = with_five().await;
        assert_eq!(broken_at(&db, "UPDATE audit SET detail = 'nothing' WHERE seq = 3").await, Some(3));
    }

    #[tokio::test]
    async fn text_that_moved_between_fields_is_found() {
        let (_temp, db, _) = with_five().await;
        let attack = "UPDATE audit SET who = 'annf', what = 'reeze' WHERE seq = 2";
        assert_eq!(broken_at(&db, attack).await, Some(2));
    }

    #[tokio::test]
    async fn a_removed_record_is_found() {
        let (_temp, db, _) = with_five().await;
        assert_eq!(broken_at(&db, "DELETE FROM audit WHERE seq = 2").await, Some(3));
    }

    #[tokio::test]
    async fn a_removed_record_with_closed_ranks_is_found() {
        let (_temp, db, _) = with_five().await;
        let attack = "DELETE FROM audit WHERE seq = 2; UPDATE audit SET seq = seq - 1 WHERE seq > 2";
        assert_eq!(broken_at(&db, attack).await, Some(2));
    }

    #[tokio::test]
    async fn two_records_in_another_order_are_found() {
        let (_temp, db, _) = with_five().await;
        let attack = "UPDATE audit SET seq = -1 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3;
                      UPDATE audit SET seq = 3 WHERE seq = -1";
        assert_eq!(broken_at(&db, attack).await, Some(2));
    }

    #[tokio::test]
    async fn a_cut_end_is_found_by_the_head_and_by_an_exported_one() {
        let (_temp, db, head) = with_five().await;
        assert_eq!(broken_at(&db, "DELETE FROM audit WHERE seq > 3").await, Some(4));
        let attack = "UPDATE audit_head SET seq = 3, hash = (SELECT hash FROM audit WHERE seq = 3)";
        assert_eq!(broken_at(&db, attack).await, None, "without an exported head this cannot be seen");
        let report = db.audit_verify(Some(&head)).await.expect("verify");
        assert_eq!(report.broken.expect("seen with it").seq, 4);
    }

    #[tokio::test]
    async fn a_long_text_is_cut_and_marked() {
        let (_temp, db) = fresh().await;
        db.audit(TimestampMs(1), "ann", "x", &"值".repeat(20_000)).await.expect("audit");
        let record = db.audit_records(1).await.expect("read").remove(0);
        assert!(record.detail.len() < 17_000 && record.detail.ends_with("(60000 bytes in all)"));
        assert_eq!(db.audit_verify(None).await.expect("verify").broken, None);
    }
}
