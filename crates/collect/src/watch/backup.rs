//! Looks at the newest file of a backup: its size, its age, and what a gzip file says it holds.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use wellkept_model::TimestampMs;
use wellkept_model::keep::Backup;
use wellkept_model::observe::BackupSeen;

use super::{Shared, pause, program};
use crate::clock;
use crate::space::{is_open_anywhere, name_matches};

/// Entries of the folder that are looked at; more than that is a mistake of the pattern.
const ENTRIES_MAX: usize = 20_000;
/// How much of the end of a log is read, bytes.
const LOG_TAIL: u64 = 8 << 10;
/// How young a file may be to count as finished.
const SETTLED: Duration = Duration::from_millis(1000);

pub(super) async fn watch(shared: Shared, declared: Backup) {
    let mut closely = shared.closely.subscribe();
    loop {
        let (backup, now) = (declared.clone(), clock::wall());
        let look = tokio::task::spawn_blocking(move || look(&backup, now)).await;
        if let Ok(Some(seen)) = look {
            shared.lock().backups.insert(declared.name.clone(), seen);
        }
        pause(declared.every, &mut closely).await;
    }
}

/// `None` while the newest file is being written: what was known before still holds.
fn look(declared: &Backup, now: TimestampMs) -> Option<BackupSeen> {
    let mut seen = BackupSeen { at: now, ..BackupSeen::default() };
    let (folder, pattern) = declared.glob.rsplit_once('/').unwrap_or(("", &declared.glob));
    let newest = match newest(Path::new(if folder.is_empty() { "/" } else { folder }), pattern) {
        Err(e) => {
            seen.problem = Some(format!("{folder}: {e}"));
            return Some(seen);
        }
        Ok(None) => return Some(seen),
        Ok(Some(newest)) => newest,
    };
    let (path, meta) = newest;
    seen.size = meta.len();
    seen.modified_at = modified(&meta);
    seen.content = gzip_content(&path);
    let suspicious = seen.size < declared.min_size || seen.content == Some(0);
    if suspicious && (now.since(seen.modified_at) < SETTLED || is_open_anywhere(meta.dev(), meta.ino())) {
        return None;
    }
    if suspicious {
        seen.refused_login = declared.log.as_deref().and_then(refused_login);
    }
    seen.newest = Some(path.to_string_lossy().into_owned());
    Some(seen)
}

fn newest(folder: &Path, pattern: &str) -> std::io::Result<Option<(PathBuf, fs::Metadata)>> {
    let mut newest: Option<(PathBuf, fs::Metadata)> = None;
    for entry in fs::read_dir(folder)?.take(ENTRIES_MAX) {
        let entry = entry?;
        if !name_matches(pattern, &entry.file_name()) {
            continue;
        }
        // One that was removed meanwhile is none.
        let Ok(meta) = entry.metadata() else { continue };
        let newer = |old: &(PathBuf, fs::Metadata)| modified(&meta) > modified(&old.1);
        if meta.is_file() && newest.as_ref().is_none_or(newer) {
            newest = Some((entry.path(), meta));
        }
    }
    Ok(newest)
}

fn modified(meta: &fs::Metadata) -> TimestampMs {
    let since = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    TimestampMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The last four bytes of a gzip file: the length of its content modulo 2^32 (RFC 1952, section 2.3.1).
fn gzip_content(path: &Path) -> Option<u64> {
    let mut file = fs::File::open(path).ok()?;
    let mut magic = [0; 2];
    file.read_exact(&mut magic).ok()?;
    if magic != [0x1f, 0x8b] {
        return None;
    }
    file.seek(SeekFrom::End(-4)).ok()?;
    let mut length = [0; 4];
    file.read_exact(&mut length).ok()?;
    Some(u64::from(u32::from_le_bytes(length)))
}

/// The last line about a refused login in the end of a log.
fn refused_login(log: &Path) -> Option<String> {
    let mut file = fs::File::open(log).ok()?;
    let len = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(LOG_TAIL))).ok()?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().rev().find(|l| super::credential::is_refusal(l)).map(program::last_words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(folder: &Path) -> Backup {
        Backup {
            name: "b".into(),
            glob: format!("{}/*.gz", folder.display()),
            min_size: 100,
            max_age: None,
            log: Some(folder.join("log")),
            run: None,
            test: None,
            keep_old: None,
            credential: None,
            every: Duration::from_secs(1),
            may: vec![],
        }
    }

    /// What `gzip` makes of nothing.
    const EMPTY: [u8; 20] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    #[test]
    fn an_empty_dump_is_told_with_the_refusal_of_its_job() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::write(dir.path().join("a.gz"), EMPTY).expect("written");
        fs::write(dir.path().join("log"), "pg_dump: password authentication failed for user \"b\"\nbye\n")
            .expect("written");
        let later = clock::wall() + Duration::from_secs(60);
        let seen = look(&declared(dir.path()), later).expect("finished");
        assert_eq!((seen.size, seen.content), (20, Some(0)));
        assert!(seen.refused_login.is_some_and(|l| l.contains("authentication failed")));
    }

    #[test]
    fn a_small_file_that_is_still_written_says_nothing_yet() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let open = fs::File::create(dir.path().join("a.gz")).expect("written");
        let later = clock::wall() + Duration::from_secs(60);
        assert_eq!(look(&declared(dir.path()), later), None);
        drop(open);
        assert!(look(&declared(dir.path()), later).is_some());
    }

    #[test]
    fn no_file_at_all_is_told_and_other_files_do_not_count() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::write(dir.path().join("a.txt"), "x").expect("written");
        assert_eq!(look(&declared(dir.path()), clock::wall()).map(|s| s.newest), Some(None));
    }
}
