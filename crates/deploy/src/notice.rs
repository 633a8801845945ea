//! Notices of work under way, for the healing of the same machine: a service that a deployment stops is not started, and a
//! release that it brings is not left again by automation, while it lasts.
//!
//! A notice is one file in the data directory and is believed only while it can be true: until its time is over, and while
//! the process that wrote it runs. So a deployment that was killed keeps automation away for no longer than it lived.

use std::fs::DirBuilder;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wellkept_model::TimestampMs;

/// The folder of notices in a data directory.
const FOLDER: &str = "under-way";
/// Largest notice that is read, bytes.
const FILE_MAX: u64 = 64 * 1024;
/// So many notices are read.
const NOTICES_MAX: usize = 100;
/// No notice is believed for longer than this after it was written.
const LENGTH_MAX_MS: i64 = 24 * 3_600_000;

/// What is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What, for people.
    pub what: String,
    /// The user.
    pub who: String,
    /// Services of this machine that it concerns.
    pub services: Vec<String>,
    /// When it began, milliseconds since the epoch.
    pub began_ms: i64,
    /// From when on it is not believed any more, milliseconds since the epoch.
    pub until_ms: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    notice: Notice,
    pid: u32,
    /// When that process began, in the kernel's ticks since `boot`.
    ticks: u64,
    boot: String,
}

/// A notice that was put up. It is taken down when this is dropped.
#[derive(Debug)]
pub struct PutUp {
    folder: PathBuf,
    path: PathBuf,
    pid: u32,
    ticks: u64,
    boot: String,
}

impl Drop for PutUp {
    fn drop(&mut self) {
        // One that stays is not believed any more when this process has ended.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Puts a notice up; it is there when this returns. `name`: tells different works of one process apart.
///
/// # Errors
/// The disk.
pub fn put_up(data_dir: &Path, name: &str, notice: &Notice) -> io::Result<PutUp> {
    let folder = data_dir.join(FOLDER);
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let (pid, boot) = (std::process::id(), boot()?);
    let ticks = began(pid).ok_or_else(|| io::Error::other("/proc does not tell when this process began"))?;
    take_down_old(&folder, notice.began_ms);
    let put = PutUp { path: folder.join(format!("{name}-{pid}.json")), folder, pid, ticks, boot };
    put.change(notice)?;
    Ok(put)
}

impl PutUp {
    /// Says something else from now on.
    ///
    /// # Errors
    /// The disk.
    pub fn change(&self, notice: &Notice) -> io::Result<()> {
        let stored =
            Stored { notice: notice.clone(), pid: self.pid, ticks: self.ticks, boot: self.boot.clone() };
        let mut file = tempfile::Builder::new().prefix(".notice-").tempfile_in(&self.folder)?;
        file.write_all(&serde_json::to_vec(&stored)?)?;
        file.persist(&self.path)?;
        Ok(())
    }
}

/// What is under way now. A notice that cannot be read says nothing.
#[must_use]
pub fn under_way(data_dir: &Path, now: TimestampMs) -> Vec<Notice> {
    let all = stored(&data_dir.join(FOLDER));
    all.into_iter().filter(|(_, one)| is_believed(one, now.0)).map(|(_, one)| one.notice).collect()
}

fn is_believed(one: &Stored, now_ms: i64) -> bool {
    let until = one.notice.until_ms.min(one.notice.began_ms.saturating_add(LENGTH_MAX_MS));
    now_ms < until && began(one.pid) == Some(one.ticks) && boot().is_ok_and(|boot| boot == one.boot)
}

fn stored(folder: &Path) -> Vec<(PathBuf, Stored)> {
    // There is no folder before the first notice.
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    let notices = paths.filter(|path| path.extension().is_some_and(|e| e == "json")).take(NOTICES_MAX);
    let read = |path: PathBuf| {
        let mut bytes = Vec::new();
        std::fs::File::open(&path).ok()?.take(FILE_MAX).read_to_end(&mut bytes).ok()?;
        Some((path, serde_json::from_slice(&bytes).ok()?))
    };
    notices.filter_map(read).collect()
}

/// Removes what killed processes have left.
fn take_down_old(folder: &Path, now_ms: i64) {
    for (path, _) in stored(folder).iter().filter(|(_, one)| !is_believed(one, now_ms)) {
        // What is not believed does no harm where it is.
        let _ = std::fs::remove_file(path);
    }
}

fn boot() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// When a process began: the 22nd field of its `stat`, behind a name that may hold anything. A zombie has ended.
fn began(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    (!matches!(state, "Z" | "X")).then(|| fields.nth(18)?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice() -> Notice {
        Notice {
            what: "deploy shop 1.4.2".to_owned(),
            who: "ops".to_owned(),
            services: vec!["shop".to_owned()],
            began_ms: 1000,
            until_ms: 5000,
        }
    }

    fn change(folder: &Path, change: impl FnOnce(&mut Stored)) {
        let (path, mut one) = stored(folder).remove(0);
        change(&mut one);
        std::fs::write(path, serde_json::to_vec(&one).unwrap()).unwrap();
    }

    #[test]
    fn work_is_known_while_it_lasts_and_not_beyond_its_time() {
        let data = tempfile::tempdir().unwrap();
        assert!(under_way(data.path(), TimestampMs(1)).is_empty(), "nothing was put up yet");
        let put = put_up(data.path(), "deploy-shop", &notice()).unwrap();
        let known = |at| under_way(data.path(), TimestampMs(at)).len();
        assert_eq!(under_way(data.path(), TimestampMs(1000)), [notice()]);
        assert_eq!((known(4999), known(5000)), (1, 0));
        put.change(&Notice { until_ms: 6000, ..notice() }).unwrap();
        assert_eq!((known(5999), known(6000)), (1, 0));
        drop(put);
        assert_eq!(known(1000), 0, "it was taken down");
    }

    #[test]
    fn a_process_that_is_gone_has_nothing_under_way() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join(FOLDER);
        let known = || under_way(data.path(), TimestampMs(1000)).len();
        for spoil in [
            (|one: &mut Stored| one.ticks += 1) as fn(&mut Stored),
            |one| one.pid = u32::MAX,
            |one| one.boot = "another".to_owned(),
        ] {
            let put = put_up(data.path(), "deploy-shop", &notice()).unwrap();
            assert_eq!(known(), 1);
            change(&folder, spoil);
            assert_eq!(known(), 0, "somebody else has its number, or nobody");
            drop(put);
        }
        let mut child = std::process::Command::new("true").spawn().unwrap();
        while began(child.id()).is_some() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }

    #[test]
    fn nothing_is_believed_for_ever_and_what_is_left_is_swept() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join(FOLDER);
        let endless = Notice { until_ms: i64::MAX, ..notice() };
        let put = put_up(data.path(), "deploy-shop", &endless).unwrap();
        let known = |at| under_way(data.path(), TimestampMs(at)).len();
        assert_eq!((known(LENGTH_MAX_MS), known(1000 + LENGTH_MAX_MS)), (1, 0));
        change(&folder, |one| one.ticks += 1);
        std::fs::write(folder.join("torn.json"), "{").unwrap();
        let _other = put_up(data.path(), "deploy-api", &notice()).unwrap();
        assert!(!put.path.exists(), "what nobody has under way is gone");
        assert_eq!(known(1000), 1);
    }
}
