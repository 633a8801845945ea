//! The folder of an app in the data directory: its lock, its deployments, the artefact of the one under way.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use wellkept_model::Text;

use crate::error::DeployError;
use crate::journal::{self, Act, Head, Journal, Status, Told};

/// So many deployments of an app are remembered.
const PAST_MAX: usize = 200;
/// Folders in which artefacts are prepared begin so; one that was left behind is removed with the next deployment.
pub(crate) const TEMP_PREFIX: &str = ".artefact-";

/// The folder of one app.
#[derive(Debug, Clone)]
pub struct House {
    folder: PathBuf,
}

/// Held while a deployment of the app is under way; the kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Held {
    _file: File,
}

/// A deployment of the past, or one that was interrupted.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// What it was.
    pub head: Head,
    /// How it ended.
    pub status: Status,
    /// When it ended, milliseconds since the epoch.
    pub ended_ms: Option<i64>,
    /// Why it ended so.
    pub why: Option<Text>,
}

impl House {
    /// `data_dir`: an existing data directory. `app`: a name that the keep file accepted.
    ///
    /// # Errors
    /// The disk.
    pub fn of(data_dir: &Path, app: &str) -> Result<Self, DeployError> {
        let folder = data_dir.join("deploy").join(app);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(DeployError::disk("make", &folder))?;
        Ok(Self { folder })
    }

    /// # Errors
    /// [`DeployError::Refused`] while another process holds it.
    pub(crate) fn lock(&self) -> Result<Held, DeployError> {
        let path = self.folder.join("LOCK");
        let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = open.map_err(DeployError::disk("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Held { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => DeployError::refused(Text::new("deploy.under_way")),
            Err(error) => Err(DeployError::disk("lock", &path)(error.into())),
        }
    }

    pub(crate) fn journal_path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.jsonl"))
    }

    pub(crate) fn artefact_path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.tar.gz"))
    }

    /// Ids of deployments, oldest first.
    fn ids(&self) -> Result<Vec<String>, DeployError> {
        let entries = std::fs::read_dir(&self.folder).map_err(DeployError::disk("read", &self.folder))?;
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut ids: Vec<String> =
            names.filter_map(|name| name.strip_suffix(".jsonl").map(str::to_owned)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    fn told(&self, id: &str) -> Result<Told, DeployError> {
        journal::read(&self.journal_path(id))
    }

    /// The newest deployment, when somebody has to go on with it. The lock must be held: else it may be under way.
    pub(crate) fn open_one(&self) -> Result<Option<String>, DeployError> {
        for id in self.ids()?.into_iter().rev() {
            let told = self.told(&id)?;
            if told.head.is_none() {
                // It was stopped before it was written down: nothing was done.
                continue;
            }
            return Ok(told.is_open().then_some(id));
        }
        Ok(None)
    }

    /// What happened, newest first. One without an end is [`Status::Interrupted`], also while it is under way.
    ///
    /// # Errors
    /// The disk.
    pub fn past(&self) -> Result<Vec<Past>, DeployError> {
        let mut past = Vec::new();
        for id in self.ids()?.into_iter().rev() {
            let told = self.told(&id)?;
            let Some(head) = told.head else { continue };
            let (ended_ms, status, why) = match told.over {
                Some((at, status, why)) => (Some(at), status, why),
                None => (None, Status::Interrupted, told.turned),
            };
            past.push(Past { head, status, ended_ms, why });
        }
        Ok(past)
    }

    /// Whether another process works on the app now.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        matches!(self.lock(), Err(DeployError::Refused(_)))
    }

    /// Whether somebody has to go on with the newest deployment.
    ///
    /// # Errors
    /// The disk.
    pub fn is_open(&self) -> Result<bool, DeployError> {
        Ok(self.open_one()?.is_some())
    }

    /// The version that was there before the present one came: what to go back to when nobody names it.
    ///
    /// # Errors
    /// [`DeployError::Refused`] when that is not one version on all hosts.
    pub fn version_before(&self) -> Result<String, DeployError> {
        let unclear = || DeployError::Refused(Text::new("deploy.which_version"));
        let done: Vec<Past> = self.past()?.into_iter().filter(|p| p.status == Status::Done).collect();
        let present = done.first().map(|p| p.head.version.clone()).ok_or_else(unclear)?;
        let came =
            |p: &&Past| p.head.act == Act::Deploy && p.head.version == present && !p.head.hosts.is_empty();
        let came = done.iter().find(came).ok_or_else(unclear)?;
        let mut before: Vec<Option<&str>> = came.head.hosts.iter().map(|h| h.before.as_deref()).collect();
        before.dedup();
        match before.as_slice() {
            [Some(before)] if *before != present => Ok((*before).to_owned()),
            _ => Err(unclear()),
        }
    }

    /// Makes room: the oldest journals go, and what is left of artefacts that no open deployment needs. The lock must be
    /// held.
    pub(crate) fn tidy(&self) -> Result<(), DeployError> {
        let ids = self.ids()?;
        let mut needed = Vec::new();
        for id in &ids {
            if self.told(id)?.is_open() {
                needed.push(format!("{id}.tar.gz"));
            }
        }
        let entries = std::fs::read_dir(&self.folder).map_err(DeployError::disk("read", &self.folder))?;
        for entry in entries.flatten() {
            let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
            if name.starts_with(TEMP_PREFIX) {
                std::fs::remove_dir_all(&path).map_err(DeployError::disk("remove", &path))?;
            } else if name.ends_with(".tar.gz") && !needed.contains(&name) {
                std::fs::remove_file(&path).map_err(DeployError::disk("remove", &path))?;
            }
        }
        for id in ids.iter().take(ids.len().saturating_sub(PAST_MAX)) {
            let path = self.journal_path(id);
            std::fs::remove_file(&path).map_err(DeployError::disk("remove", &path))?;
        }
        Ok(())
    }

    /// A journal for a new deployment.
    pub(crate) fn begin(&self, head: &Head) -> Result<Journal, DeployError> {
        Journal::new(&self.journal_path(&head.id), head)
    }
}

#[cfg(test)]
mod tests {
    use wellkept_model::TimestampMs;

    use super::*;
    use crate::journal::tests::head;

    #[test]
    fn only_one_process_works_on_an_app() {
        let data = tempfile::tempdir().unwrap();
        let (shop, api) = (House::of(data.path(), "shop").unwrap(), House::of(data.path(), "api").unwrap());
        let held = shop.lock().unwrap();
        assert!(matches!(shop.lock(), Err(DeployError::Refused(t)) if t.key == "deploy.under_way"));
        assert!(api.lock().is_ok(), "another app");
        drop(held);
        assert!(shop.lock().is_ok(), "free again");
    }

    #[test]
    fn only_the_newest_can_be_interrupted_and_the_past_tells_how_it_ended() {
        let data = tempfile::tempdir().unwrap();
        let house = House::of(data.path(), "shop").unwrap();
        assert_eq!(house.open_one().unwrap(), None);
        house.begin(&head("1", "1.0")).unwrap().over(TimestampMs(5), Status::Done, None).unwrap();
        house.begin(&head("2", "1.1")).unwrap();
        assert_eq!(house.open_one().unwrap().as_deref(), Some("2"));
        std::fs::write(house.journal_path("3"), "{torn").unwrap();
        assert_eq!(house.open_one().unwrap().as_deref(), Some("2"), "one without a beginning did nothing");
        let past: Vec<_> = house.past().unwrap().into_iter().map(|p| (p.head.version, p.status)).collect();
        assert_eq!(past, [("1.1".to_owned(), Status::Interrupted), ("1.0".to_owned(), Status::Done)]);
    }

    #[test]
    fn back_means_the_version_that_the_present_one_replaced() {
        let data = tempfile::tempdir().unwrap();
        let house = House::of(data.path(), "shop").unwrap();
        assert!(house.version_before().is_err(), "nothing happened yet");
        let happened = |id: &str, act, version: &str, before: Option<&str>, status| {
            let mut head = head(id, version);
            head.act = act;
            head.hosts[0].before = before.map(str::to_owned);
            house.begin(&head).unwrap().over(TimestampMs(1), status, None).unwrap();
        };
        happened("1", Act::Deploy, "1.0", None, Status::Done);
        assert!(house.version_before().is_err(), "there was none");
        happened("2", Act::Deploy, "1.1", Some("1.0"), Status::Done);
        happened("3", Act::Deploy, "1.2", Some("1.1"), Status::Done);
        happened("4", Act::Deploy, "1.3", Some("1.2"), Status::RolledBack);
        assert_eq!(house.version_before().unwrap(), "1.1");
        happened("5", Act::Rollback, "1.1", Some("1.2"), Status::Done);
        assert_eq!(house.version_before().unwrap(), "1.0", "not forth again to what was left");
    }

    #[test]
    fn what_a_kill_left_behind_is_removed_but_not_what_an_open_deployment_needs() {
        let data = tempfile::tempdir().unwrap();
        let house = House::of(data.path(), "shop").unwrap();
        house.begin(&head("1", "1.0")).unwrap().over(TimestampMs(1), Status::Done, None).unwrap();
        house.begin(&head("2", "1.1")).unwrap();
        for id in ["1", "2", "3"] {
            std::fs::write(house.artefact_path(id), "x").unwrap();
        }
        std::fs::create_dir_all(house.folder.join(".artefact-x/tree")).unwrap();
        house.tidy().unwrap();
        let left = |id| house.artefact_path(id).exists();
        assert_eq!((left("1"), left("2"), left("3")), (false, true, false));
        assert!(!house.folder.join(".artefact-x").exists());
    }
}
