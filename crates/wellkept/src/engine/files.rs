//! Kept files: which version is good, and what differs from it now.
//!
//! A version becomes good when its service has run well with it for a while and, unless it is the first one,
//! somebody recorded the change. An unrecorded version never becomes good by itself: accepting it in silence
//! would teach us the attacker's file.

use std::collections::BTreeMap;
use std::time::Duration;

use wellkept_model::local::ReleaseFileSeen;
use wellkept_model::observe::{FileSeen, FileState};
use wellkept_model::{Change, ChangeId, FileOrigin, FileVersionChange, TimestampMs};
use wellkept_state::{FileMeta, FileVersions, KeyDiff, StateError, diff_keys};

/// How long a service must be well with a version before it counts as good.
const GOOD_AFTER: Duration = Duration::from_secs(5);
/// A record explains a change that was seen at most this long before or after it.
const RECORD_SLACK: Duration = Duration::from_secs(30);

/// One kept file.
#[derive(Debug, Default)]
struct Kept {
    good: Option<FileMeta>,
    now: Option<FileMeta>,
    first_seen: TimestampMs,
    modified_at: Option<TimestampMs>,
    well_since: Option<TimestampMs>,
    diff: KeyDiff,
    missing: bool,
    loaded: bool,
}

/// All kept files of this host.
#[derive(Debug)]
pub(crate) struct FileKeeper {
    versions: FileVersions,
    files: BTreeMap<(String, String), Kept>,
}

impl FileKeeper {
    pub(crate) fn new(versions: FileVersions) -> Self {
        Self { versions, files: BTreeMap::new() }
    }

    /// Takes what is there now; `well`: whether the file's service is well. Failures of the store are logged and
    /// leave the file as it was known: nothing is called good that could not be kept.
    pub(crate) async fn observe(
        &mut self,
        now: TimestampMs,
        seen: &[FileSeen],
        well: &dyn Fn(&str) -> bool,
        changes: &[Change],
    ) {
        let named = |key: &(String, String)| seen.iter().any(|f| f.service == key.0 && f.path == key.1);
        self.files.retain(|key, _| named(key));
        for file in seen {
            if let Err(error) = self.one(now, file, well(&file.service), changes).await {
                tracing::warn!(path = %file.path, %error, "a kept file could not be kept");
            }
        }
    }

    /// Files that differ from their last good version now.
    pub(crate) fn changed(&self, changes: &[Change]) -> Vec<FileVersionChange> {
        self.files
            .iter()
            .filter_map(|((service, path), kept)| difference(service, path, kept, changes))
            .collect()
    }

    async fn one(
        &mut self,
        now: TimestampMs,
        file: &FileSeen,
        well: bool,
        changes: &[Change],
    ) -> Result<(), StateError> {
        let key = (file.service.clone(), file.path.clone());
        let kept = self.files.entry(key).or_default();
        if !kept.loaded {
            kept.good = self.versions.last_good(&file.service, &file.path).await?.map(|v| v.meta);
            kept.loaded = true;
        }
        match &file.state {
            FileState::Unreadable(_) => return Ok(()),
            FileState::Missing => {
                if !kept.missing {
                    (kept.missing, kept.first_seen, kept.modified_at, kept.now) = (true, now, None, None);
                }
                return Ok(());
            }
            FileState::Present { sha256, uid, gid, mode, modified_at, .. } => {
                let meta = FileMeta { sha256: sha256.clone(), uid: *uid, gid: *gid, mode: *mode };
                kept.missing = false;
                if kept.now.as_ref() != Some(&meta) {
                    see(&self.versions, file, kept, meta, now, *modified_at).await?;
                }
            }
        }
        let Some(meta) = kept.now.clone().filter(|m| kept.good.as_ref() != Some(m)) else { return Ok(()) };
        let acceptable = kept.good.is_none() || recorded(&file.path, kept, changes).is_some();
        if !(well && acceptable) {
            kept.well_since = None;
            return Ok(());
        }
        let since = *kept.well_since.get_or_insert(now);
        if now.since(since) >= GOOD_AFTER {
            self.versions.mark_good(&file.service, &file.path, &meta, now).await?;
            kept.good = Some(meta);
        }
        Ok(())
    }
}

/// Keeps a new version and names the keys in which it differs from the good one.
async fn see(
    versions: &FileVersions,
    file: &FileSeen,
    kept: &mut Kept,
    meta: FileMeta,
    now: TimestampMs,
    modified_at: TimestampMs,
) -> Result<(), StateError> {
    let path = file.path.clone();
    let read = tokio::task::spawn_blocking(move || wellkept_collect::read_kept(path.as_ref())).await;
    let Ok(Ok(found)) = read else { return Ok(()) };
    kept.diff = match &kept.good {
        Some(good) => diff_keys(&versions.get(&good.sha256).await?, &found.bytes),
        None => KeyDiff::default(),
    };
    versions.keep(&file.service, &file.path, found.bytes, (found.uid, found.gid, found.mode), now).await?;
    kept.now = Some(meta);
    (kept.first_seen, kept.modified_at, kept.well_since) = (now, Some(modified_at), None);
    Ok(())
}

fn difference(service: &str, path: &str, kept: &Kept, changes: &[Change]) -> Option<FileVersionChange> {
    let good = kept.good.as_ref()?;
    if !kept.missing && kept.now.as_ref().is_none_or(|m| m == good) {
        return None;
    }
    let now_sha256 = kept.now.as_ref().map(|m| m.sha256.clone());
    Some(FileVersionChange {
        service: service.to_owned(),
        path: path.to_owned(),
        at: kept.first_seen,
        modified_at: kept.modified_at,
        good_sha256: good.sha256.clone(),
        only_metadata: now_sha256.as_ref() == Some(&good.sha256),
        now_sha256,
        recorded: recorded(path, kept, changes),
        keys_removed: kept.diff.removed.clone(),
        keys_changed: kept.diff.changed.clone(),
        keys_added: kept.diff.added.clone(),
        origin: FileOrigin::Kept,
    })
}

/// Files of releases that differ from their manifest, as changes of files.
pub(super) fn of_releases(seen: &[ReleaseFileSeen], changes: &[Change]) -> Vec<FileVersionChange> {
    let change = |file: &ReleaseFileSeen| {
        let (now_sha256, modified_at) = match &file.now {
            FileState::Present { sha256, modified_at, .. } => (Some(sha256.clone()), Some(*modified_at)),
            FileState::Missing => (None, None),
            FileState::Unreadable(_) => (Some(String::new()), None),
        };
        // A record explains what happened at its own time; the file's time alone may be forged.
        let explains = |c: &&Change| {
            let near = |at: TimestampMs| c.at.since(at).max(at.since(c.at)) <= RECORD_SLACK;
            c.what == file.path && (c.at + RECORD_SLACK >= file.since || modified_at.is_some_and(near))
        };
        let recorded = changes.iter().filter(explains).max_by_key(|c| c.at);
        FileVersionChange {
            service: file.service.clone(),
            path: file.path.clone(),
            at: file.since,
            modified_at,
            good_sha256: file.wanted.sha256.clone(),
            only_metadata: now_sha256.as_ref() == Some(&file.wanted.sha256),
            now_sha256,
            recorded: recorded.map(|c| c.id.clone()),
            keys_removed: Vec::new(),
            keys_changed: Vec::new(),
            keys_added: Vec::new(),
            origin: FileOrigin::Release,
        }
    };
    seen.iter().map(change).collect()
}

/// The newest record about this path at about the time when the version appeared.
fn recorded(path: &str, kept: &Kept, changes: &[Change]) -> Option<ChangeId> {
    let began = kept.modified_at.unwrap_or(kept.first_seen).min(kept.first_seen) - RECORD_SLACK;
    changes.iter().filter(|c| c.what == path && c.at >= began).max_by_key(|c| c.at).map(|c| c.id.clone())
}
