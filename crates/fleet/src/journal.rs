//! The steps of a play, written down before they begin and when they have ended, so that a run that was stopped or
//! killed goes on where it stopped and no step is done twice.
//!
//! A resumed run is the same run again from its beginning: steps that have ended are answered from the journal, a step
//! that was begun and has no end is unknown, and the first one that was never begun is the first that is done. Steps
//! are named by their host and their number on it; each holds a digest of what it was, so that a playbook that says
//! something else by now is not taken for the same.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use wellkept_playbook::run::{Outcome, Work};

use crate::values::{from_json, to_json};

/// The version of the format.
const FORMAT: u32 = 1;
/// The largest journal that is read, bytes.
const FILE_MAX: u64 = 1024 * 1024 * 1024;
/// So many journals are kept.
const JOURNALS_MAX: usize = 50;

/// A step: the so-many-th of its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    host: String,
    number: u64,
    digest: String,
    no_log: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "k")]
enum Line {
    #[serde(rename = "head")]
    Head { format: u32, name: String },
    #[serde(rename = "b")]
    Begun { host: String, n: u64, digest: String },
    #[serde(rename = "e")]
    Ended { host: String, n: u64, how: String, result: Json },
    #[serde(rename = "v")]
    Void { host: String, n: u64 },
    #[serde(rename = "over")]
    Over { exit: u8 },
}

enum Known {
    Begun(String),
    Ended(String, Outcome),
}

/// A journal that is written.
pub struct Journal {
    file: File,
    numbers: HashMap<String, u64>,
    known: HashMap<(String, u64), Known>,
    doubtful: BTreeSet<String>,
}

/// The folder of journals in a data directory; `None` when there is no such directory.
pub fn folder(data_dir: &Path) -> Option<PathBuf> {
    data_dir.join("VERSION").is_file().then(|| data_dir.join("fleet/journal"))
}

impl Journal {
    /// A new one. `name`: what is run, so that it is found again.
    ///
    /// # Errors
    /// The disk.
    pub fn new(folder: &Path, name: &str, now_ms: i64) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let names = names(folder)?;
        for old in names.iter().take((names.len() + 1).saturating_sub(JOURNALS_MAX)) {
            std::fs::remove_file(folder.join(old))?;
        }
        let path = folder.join(format!("{now_ms:015}-{}.jsonl", std::process::id()));
        let file = std::fs::OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        let mut journal =
            Self { file, numbers: HashMap::new(), known: HashMap::new(), doubtful: BTreeSet::new() };
        journal.write(&Line::Head { format: FORMAT, name: name.to_owned() })?;
        Ok(journal)
    }

    /// Goes on with the newest one of this name, when it is not over. Older ones are not looked at: what they knew was
    /// true before the newest one ran.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when there is none, or it is over; the disk.
    pub fn resume(folder: &Path, name: &str) -> io::Result<Self> {
        for file in names(folder)?.iter().rev() {
            let path = folder.join(file);
            let known = match read(&path, name)? {
                Read::Other => continue,
                Read::Over => break,
                Read::Stopped(known) => known,
            };
            let file = std::fs::OpenOptions::new().append(true).open(&path)?;
            let mut journal = Self { file, numbers: HashMap::new(), known, doubtful: BTreeSet::new() };
            // A line that was torn when it stopped ends here.
            journal.file.write_all(b"\n")?;
            return Ok(journal);
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "there is no stopped run of this playbook to go on with"))
    }

    /// Hosts with a step of which nobody knows whether it was done.
    pub fn doubtful(&self) -> &BTreeSet<String> {
        &self.doubtful
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.file.write_all(&bytes)
    }

    /// The name of the next step of the work's host.
    pub fn step(&mut self, work: &Work) -> Step {
        let number = self.numbers.entry(work.host.clone()).or_default();
        *number += 1;
        let mut hash = Sha256::new();
        for part in
            [work.module.as_str(), &work.target].into_iter().chain(work.args.iter().map(|(n, _)| n.as_str()))
        {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let digest = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Step { host: work.host.clone(), number: *number, digest, no_log: work.no_log }
    }

    /// What became of it in the run that is resumed; `None` when it is to be done.
    pub fn known(&mut self, step: &Step) -> Option<Outcome> {
        let known = self.known.remove(&(step.host.clone(), step.number))?;
        let (digest, outcome) = match known {
            Known::Begun(digest) => (
                digest,
                Outcome::Unknown("this step was begun in the run that stopped, and has no end".to_owned()),
            ),
            Known::Ended(digest, outcome) => (digest, outcome),
        };
        let outcome = match digest == step.digest {
            true => outcome,
            false => Outcome::Unknown(
                "the playbook is not the one that was stopped: another step stands here".to_owned(),
            ),
        };
        if matches!(outcome, Outcome::Unknown(_)) {
            self.doubtful.insert(step.host.clone());
        }
        // A step that is known not to have run is done now.
        (!matches!(outcome, Outcome::Unreachable(_))).then_some(outcome)
    }

    /// Whether steps of the run that is resumed are still to come.
    pub fn is_replaying(&self) -> bool {
        !self.known.is_empty()
    }

    /// Written down and on disk before they begin.
    ///
    /// # Errors
    /// The disk; the steps must not begin then.
    pub fn begin<'s>(&mut self, steps: impl IntoIterator<Item = &'s Step>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for step in steps {
            let line = Line::Begun { host: step.host.clone(), n: step.number, digest: step.digest.clone() };
            serde_json::to_writer(&mut bytes, &line)?;
            bytes.push(b'\n');
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.file.write_all(&bytes)?;
        self.file.sync_data()
    }

    /// Written down when it has ended. What may not be logged is not kept either: only whether it changed or failed.
    ///
    /// # Errors
    /// The disk.
    pub fn end(&mut self, step: &Step, outcome: &Outcome) -> io::Result<()> {
        let (how, result) = match outcome {
            Outcome::Done(value) => ("done", to_json(value)),
            Outcome::Unreachable(why) => ("unreachable", why.clone().into()),
            Outcome::Unknown(why) => {
                self.doubtful.insert(step.host.clone());
                ("unknown", why.clone().into())
            }
        };
        let result = match result {
            Json::Object(mut map) if step.no_log => {
                map.retain(|name, _| matches!(name.as_str(), "changed" | "failed" | "skipped" | "rc"));
                Json::Object(map)
            }
            other => other,
        };
        let line = Line::Ended { host: step.host.clone(), n: step.number, how: how.to_owned(), result };
        self.write(&line)
    }

    /// The newest step of its host was not begun after all; its number is given to the next one.
    ///
    /// # Errors
    /// The disk.
    pub fn void(&mut self, step: &Step) -> io::Result<()> {
        if let Some(number) = self.numbers.get_mut(&step.host).filter(|number| **number == step.number) {
            *number -= 1;
        }
        self.write(&Line::Void { host: step.host.clone(), n: step.number })
    }

    /// The run is over and is not gone on with.
    ///
    /// # Errors
    /// The disk.
    pub fn over(&mut self, exit: u8) -> io::Result<()> {
        self.write(&Line::Over { exit })?;
        self.file.sync_data()
    }
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        entries => entries?.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect(),
    };
    names.retain(|name| name.ends_with(".jsonl"));
    names.sort_unstable();
    Ok(names)
}

/// What a journal is to somebody who wants to go on.
enum Read {
    /// Another playbook's, or none that we understand.
    Other,
    /// Nothing is left to be done.
    Over,
    /// What is known of its steps.
    Stopped(HashMap<(String, u64), Known>),
}

/// Reads a journal. Lines that were torn are passed over.
fn read(path: &Path, name: &str) -> io::Result<Read> {
    let file = File::open(path)?;
    if file.metadata()?.len() > FILE_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{} is too large", path.display())));
    }
    let mut known = HashMap::new();
    for (at, line) in BufReader::new(file).split(b'\n').enumerate() {
        let line = serde_json::from_slice::<Line>(&line?);
        match line {
            Ok(Line::Head { format, name: found }) if at == 0 => {
                if format != FORMAT || found != name {
                    return Ok(Read::Other);
                }
            }
            _ if at == 0 => return Ok(Read::Other),
            Ok(Line::Begun { host, n, digest }) => {
                known.insert((host, n), Known::Begun(digest));
            }
            Ok(Line::Ended { host, n, how, result }) => {
                let why = || result.as_str().unwrap_or_default().to_owned();
                let outcome = match how.as_str() {
                    "done" => Outcome::Done(from_json(&result)),
                    "unreachable" => Outcome::Unreachable(why()),
                    _ => Outcome::Unknown(why()),
                };
                let begun = known.remove(&(host.clone(), n));
                if let Some(Known::Begun(digest) | Known::Ended(digest, _)) = begun {
                    known.insert((host, n), Known::Ended(digest, outcome));
                }
            }
            Ok(Line::Void { host, n }) => {
                known.remove(&(host, n));
            }
            Ok(Line::Over { .. }) => return Ok(Read::Over),
            Ok(Line::Head { .. }) | Err(_) => {}
        }
    }
    Ok(Read::Stopped(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wellkept_inventory::Value;

    fn step(host: &str, number: u64) -> Step {
        Step { host: host.to_owned(), number, digest: "d".to_owned(), no_log: false }
    }

    fn done(changed: bool) -> Outcome {
        Outcome::Done(Value::Map(vec![(Value::Unsafe("changed".into()), Value::Bool(changed))]))
    }

    #[test]
    fn a_stopped_run_knows_what_ended_and_what_is_in_doubt() {
        let folder = tempfile::tempdir().expect("temp");
        let mut journal = Journal::new(folder.path(), "site.yml", 1).expect("a journal");
        for number in 1..=3 {
            journal.begin([&step("h", number)]).expect("begun");
        }
        journal.end(&step("h", 1), &done(true)).expect("ended");
        journal.end(&step("h", 2), &Outcome::Unreachable("away".into())).expect("ended");
        journal.file.write_all(b"{\"k\":\"e\",\"host\":\"h\",\"n\":3,\"ho").expect("torn");
        drop(journal);
        assert!(Journal::resume(folder.path(), "other.yml").is_err());
        let mut again = Journal::resume(folder.path(), "site.yml").expect("a stopped run");
        assert_eq!(again.known(&step("h", 1)), Some(done(true)));
        assert_eq!(again.known(&step("h", 2)), None, "known not to have run");
        assert!(matches!(again.known(&step("h", 3)), Some(Outcome::Unknown(_))));
        assert_eq!(again.known(&step("h", 4)), None);
        again.begin([&step("h", 4)]).expect("begun");
        again.begin([&step("h", 5)]).expect("begun");
        again.void(&step("h", 5)).expect("void");
        again.end(&step("h", 4), &done(false)).expect("ended");
        drop(again);
        let mut again = Journal::resume(folder.path(), "site.yml").expect("still stopped");
        assert_eq!((again.known(&step("h", 4)), again.known(&step("h", 5))), (Some(done(false)), None));
        again.over(0).expect("over");
        assert!(Journal::resume(folder.path(), "site.yml").is_err());
    }

    #[test]
    fn a_stopped_run_is_not_taken_up_again_after_a_newer_one_has_ended() {
        let folder = tempfile::tempdir().expect("temp");
        let mut old = Journal::new(folder.path(), "site.yml", 1).expect("a journal");
        old.begin([&step("h", 1)]).expect("begun");
        assert!(Journal::resume(folder.path(), "site.yml").is_ok());
        let mut doubt = Journal::resume(folder.path(), "site.yml").expect("a stopped run");
        assert!(doubt.doubtful().is_empty());
        doubt.known(&step("h", 1));
        assert!(doubt.doubtful().contains("h"));
        Journal::new(folder.path(), "other.yml", 2).expect("a journal").over(0).expect("over");
        assert!(Journal::resume(folder.path(), "site.yml").is_ok(), "another playbook's end says nothing");
        Journal::new(folder.path(), "site.yml", 3).expect("a journal").over(0).expect("over");
        assert!(Journal::resume(folder.path(), "site.yml").is_err());
    }

    #[test]
    fn another_step_in_its_place_is_never_taken_for_the_same() {
        let folder = tempfile::tempdir().expect("temp");
        let mut journal = Journal::new(folder.path(), "site.yml", 1).expect("a journal");
        journal.begin([&step("h", 1)]).expect("begun");
        journal.end(&step("h", 1), &done(true)).expect("ended");
        let mut again = Journal::resume(folder.path(), "site.yml").expect("a stopped run");
        let other = Step { digest: "other".to_owned(), ..step("h", 1) };
        assert!(matches!(again.known(&other), Some(Outcome::Unknown(_))));
    }

    #[test]
    fn what_may_not_be_logged_is_not_in_the_journal() {
        let folder = tempfile::tempdir().expect("temp");
        let mut journal = Journal::new(folder.path(), "site.yml", 1).expect("a journal");
        let secret = Step { no_log: true, ..step("h", 1) };
        let result = Value::Map(vec![(Value::Unsafe("stdout".into()), Value::Unsafe("s3cret".into()))]);
        journal.begin([&secret]).expect("begun");
        journal.end(&secret, &Outcome::Done(result)).expect("ended");
        let name = names(folder.path()).expect("names").remove(0);
        assert!(!std::fs::read_to_string(folder.path().join(name)).expect("read").contains("s3cret"));
    }
}
