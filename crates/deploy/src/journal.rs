//! What a deployment is and how far it came, line by line: a line is on disk before its step begins.
//!
//! A file that was torn at its end is read up to there. A deployment without a last line was interrupted, unless it
//! is under way.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use wellkept_model::{Text, TimestampMs};

use crate::error::DeployError;

/// The version of the format.
pub(crate) const FORMAT: u32 = 1;
/// The largest journal that is read, bytes.
const FILE_MAX: u64 = 64 << 20;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A version is brought to the hosts.
    Deploy,
    /// The hosts go back to a version that they have.
    Rollback,
}

/// How a deployment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All hosts have it, and their checks hold.
    Done,
    /// It was not well, and every host that was switched is as before.
    RolledBack,
    /// It was not well, and not every host could be put back.
    Failed,
    /// What became of a host cannot be proven.
    Unknown,
    /// It has no end: it was stopped or killed.
    Interrupted,
}

impl Status {
    /// The word in records and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A host of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPlan {
    /// Its name in the inventory.
    pub name: String,
    /// The release that was current before; `None` when there was none.
    pub before: Option<String>,
}

/// A deployment with every choice made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Version of the format.
    pub format: u32,
    /// Unique on this controller.
    pub id: String,
    /// The app.
    pub app: String,
    /// What is done.
    pub act: Act,
    /// The version.
    pub version: String,
    /// The user on the controller.
    pub who: String,
    /// The controller.
    pub controller: String,
    /// Milliseconds since the epoch.
    pub began_ms: i64,
    /// The app's folder on the hosts.
    pub to: String,
    /// The hosts that it is for.
    pub hosts: Vec<HostPlan>,
    /// Hosts that had it already and are left alone.
    pub already: Vec<String>,
    /// Names of hosts, batch by batch.
    pub batches: Vec<Vec<String>>,
    /// SHA-256 of the packed artefact; `None` when nothing is brought.
    pub sha256: Option<String>,
    /// The commit that it was made of.
    pub commit: Option<String>,
    /// The share of errors before, where one is declared and there was one.
    pub errors_before: Option<f64>,
}

impl Head {
    /// The marker that a host carries meanwhile: whose it is, for people and for ourselves.
    pub(crate) fn marker(&self) -> String {
        format!("{} {} of {} by {}@{}", self.id, self.version, self.app, self.who, self.controller)
    }

    /// What was current on a host before.
    pub(crate) fn before(&self, host: &str) -> Option<&str> {
        self.hosts.iter().find(|h| h.name == host)?.before.as_deref()
    }
}

/// A step on one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    Mark,
    Stage,
    Before,
    Switch,
    Restart,
    After,
    Back,
    BackRestart,
}

impl Step {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Mark => "mark",
            Self::Stage => "stage",
            Self::Before => "before",
            Self::Switch => "switch",
            Self::Restart => "restart",
            Self::After => "after",
            Self::Back => "back",
            Self::BackRestart => "back_restart",
        }
    }

    /// Whether doing it twice is the same as doing it once. What the operator declared as `before` and `after` may be
    /// anything, a migration for instance.
    pub(crate) fn repeatable(self) -> bool {
        !matches!(self, Self::Before | Self::After)
    }
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    Ok,
    Failed,
    Unreachable,
    Unknown,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "k", rename_all = "snake_case")]
enum Line {
    Head(Box<Head>),
    Begun {
        host: String,
        step: Step,
    },
    Ended {
        host: String,
        step: Step,
        how: How,
        why: Option<Text>,
    },
    /// The batch of this number has held.
    Held {
        batch: usize,
    },
    /// From here on it goes back.
    Turned {
        why: Text,
    },
    Over {
        at_ms: i64,
        status: Status,
        why: Option<Text>,
    },
    /// A person has looked after what was left open.
    Settled {
        at_ms: i64,
        who: String,
    },
}

/// What is known of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Begun,
    Ended(How),
}

/// What a journal says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    pub(crate) head: Option<Head>,
    steps: HashMap<(String, Step), Known>,
    held: Vec<usize>,
    pub(crate) turned: Option<Text>,
    pub(crate) over: Option<(i64, Status, Option<Text>)>,
    pub(crate) failed: Option<(String, Step)>,
    settled: bool,
}

impl Told {
    fn take(&mut self, line: Line) {
        match line {
            Line::Head(head) => self.head = Some(*head),
            Line::Begun { host, step } => {
                self.steps.insert((host, step), Known::Begun);
            }
            Line::Ended { host, step, how, .. } => {
                if how != How::Ok && !matches!(step, Step::Back | Step::BackRestart) {
                    self.failed.get_or_insert((host.clone(), step));
                }
                self.steps.insert((host, step), Known::Ended(how));
            }
            Line::Held { batch } => self.held.push(batch),
            Line::Turned { why } => self.turned = Some(why),
            Line::Over { at_ms, status, why } => self.over = Some((at_ms, status, why)),
            Line::Settled { .. } => self.settled = true,
        }
    }

    /// Whether somebody has to go on with it: it has no end, or hosts could not be put back.
    pub(crate) fn is_open(&self) -> bool {
        match &self.over {
            _ if self.settled => false,
            None => true,
            Some((_, status, _)) => {
                self.turned.is_some() && matches!(status, Status::Failed | Status::Unknown)
            }
        }
    }

    /// Steps that were begun, have no known end, and must not be done twice.
    pub(crate) fn doubtful(&self) -> Vec<(String, Step)> {
        let open = |known: &Known| matches!(known, Known::Begun | Known::Ended(How::Unknown));
        let steps = self.steps.iter().filter(|((_, step), known)| !step.repeatable() && open(known));
        let mut doubtful: Vec<_> = steps.map(|(step, _)| step.clone()).collect();
        doubtful.sort_by(|a, b| (&a.0, a.1.word()).cmp(&(&b.0, b.1.word())));
        doubtful
    }
}

/// A journal that is written.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    state: Mutex<(File, Told)>,
}

impl Journal {
    pub(crate) fn new(path: &Path, head: &Head) -> Result<Self, DeployError> {
        let open = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path);
        let file = open.map_err(DeployError::disk("make", path))?;
        let journal = Self { path: path.to_owned(), state: Mutex::new((file, Told::default())) };
        journal.write(Line::Head(Box::new(head.clone())))?;
        if let Some(folder) = path.parent() {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(DeployError::disk("write", folder))?;
        }
        Ok(journal)
    }

    /// Goes on with one that has no end.
    pub(crate) fn resume(path: &Path) -> Result<Self, DeployError> {
        let told = read(path)?;
        let open = OpenOptions::new().append(true).open(path);
        let mut file = open.map_err(DeployError::disk("open", path))?;
        // A line that was torn when it stopped ends here.
        file.write_all(b"\n").map_err(DeployError::disk("write", path))?;
        Ok(Self { path: path.to_owned(), state: Mutex::new((file, told)) })
    }

    fn write(&self, line: Line) -> Result<(), DeployError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = DeployError::disk("write", &self.path);
        let written = serde_json::to_vec(&line).map_err(std::io::Error::from).and_then(|mut bytes| {
            bytes.push(b'\n');
            state.0.write_all(&bytes)?;
            state.0.sync_data()
        });
        written.map_err(failed)?;
        state.1.take(line);
        Ok(())
    }

    pub(crate) fn told<T>(&self, look: impl FnOnce(&Told) -> T) -> T {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner).1)
    }

    pub(crate) fn known(&self, host: &str, step: Step) -> Option<Known> {
        self.told(|told| told.steps.get(&(host.to_owned(), step)).copied())
    }

    pub(crate) fn has_held(&self, batch: usize) -> bool {
        self.told(|told| told.held.contains(&batch))
    }

    pub(crate) fn begin(&self, host: &str, step: Step) -> Result<(), DeployError> {
        self.write(Line::Begun { host: host.to_owned(), step })
    }

    pub(crate) fn end(&self, host: &str, step: Step, how: How, why: Option<Text>) -> Result<(), DeployError> {
        self.write(Line::Ended { host: host.to_owned(), step, how, why })
    }

    pub(crate) fn held(&self, batch: usize) -> Result<(), DeployError> {
        self.write(Line::Held { batch })
    }

    pub(crate) fn turned(&self, why: &Text) -> Result<(), DeployError> {
        self.write(Line::Turned { why: why.clone() })
    }

    pub(crate) fn settled(&self, at: TimestampMs, who: &str) -> Result<(), DeployError> {
        self.write(Line::Settled { at_ms: at.0, who: who.to_owned() })
    }

    pub(crate) fn over(&self, at: TimestampMs, status: Status, why: Option<Text>) -> Result<(), DeployError> {
        self.write(Line::Over { at_ms: at.0, status, why })
    }
}

/// What a file says; lines that are none of ours are passed over.
pub(crate) fn read(path: &Path) -> Result<Told, DeployError> {
    let failed = DeployError::disk("read", path);
    let file = File::open(path).map_err(DeployError::disk("read", path))?;
    let mut told = Told::default();
    for line in BufReader::new(file.take(FILE_MAX)).split(b'\n') {
        let line = match line {
            Ok(line) => line,
            Err(error) => return Err(failed(error)),
        };
        if let Ok(line) = serde_json::from_slice(&line) {
            told.take(line);
        }
    }
    Ok(told)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn head(id: &str, version: &str) -> Head {
        Head {
            format: FORMAT,
            id: id.to_owned(),
            app: "shop".to_owned(),
            act: Act::Deploy,
            version: version.to_owned(),
            who: "ann".to_owned(),
            controller: "c".to_owned(),
            began_ms: 1,
            to: "/srv/shop".to_owned(),
            hosts: vec![HostPlan { name: "h1".to_owned(), before: None }],
            already: Vec::new(),
            batches: vec![vec!["h1".to_owned()]],
            sha256: None,
            commit: None,
            errors_before: None,
        }
    }

    #[test]
    fn what_was_written_is_known_after_a_torn_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.jsonl");
        let journal = Journal::new(&path, &head("1", "2")).unwrap();
        journal.begin("h1", Step::Stage).unwrap();
        journal.end("h1", Step::Stage, How::Ok, None).unwrap();
        journal.begin("h1", Step::Before).unwrap();
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let journal = Journal::resume(&path).unwrap();
            journal.held(7).unwrap();
            let told = read(&path).unwrap();
            assert!(told.held == [7] && told.over.is_none(), "cut at {cut}: a new line is never lost");
        }
        std::fs::write(&path, &whole).unwrap();
        let journal = Journal::resume(&path).unwrap();
        assert_eq!(journal.known("h1", Step::Stage), Some(Known::Ended(How::Ok)));
        assert_eq!(journal.known("h1", Step::Before), Some(Known::Begun));
        assert_eq!(journal.known("h1", Step::Switch), None);
        journal.over(TimestampMs(9), Status::Done, None).unwrap();
        assert_eq!(read(&path).unwrap().over, Some((9, Status::Done, None)));
    }
}
