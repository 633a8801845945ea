//! Reads refused logins from the other side's log, and compares the copies of a credential with its store.
//!
//! Values stay here: nothing but "equal" or "not equal" leaves this file.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wellkept_model::TimestampMs;
use wellkept_model::keep::Credential;
use wellkept_model::observe::{CredentialSeen, REFUSALS_WINDOW_S};

use super::{Shared, program};
use crate::{beat, clock};

/// How often the log is looked at; that costs one call of the kernel while nothing is new.
const EVERY: Duration = Duration::from_secs(1);
/// How many of these looks pass between two comparisons while nothing is wrong.
const COMPARE_EVERY: u32 = 10;
/// How many of these looks pass between two tests of the store's value.
const TEST_EVERY: u32 = 4;
/// How much of a log is read at once, bytes; of more only the end counts.
const READ_MAX: u64 = 256 << 10;
/// Longest credential, bytes.
const VALUE_MAX: u64 = 64 << 10;
/// Refusals that are remembered.
const REFUSALS_MAX: usize = 1000;

pub(super) async fn watch(shared: Shared, declared: Credential) {
    let mut closely = shared.closely.subscribe();
    let mut log = declared.log.clone().map(Tail::new);
    let mut refused: VecDeque<TimestampMs> = VecDeque::new();
    let (mut looks, mut tested) = (0u32, None::<u32>);
    let mut seen = CredentialSeen::default();
    loop {
        seen.at = clock::wall();
        let lines = log.as_mut().map(Tail::new_lines).unwrap_or_default();
        let new = lines.lines().filter(|l| is_refusal(l) && names_user(l, &declared.user)).count();
        refused.extend(std::iter::repeat_n(seen.at, new.min(REFUSALS_MAX)));
        let old = |at: &TimestampMs| seen.at.since(*at) > Duration::from_secs(REFUSALS_WINDOW_S);
        while refused.front().is_some_and(old) || refused.len() > REFUSALS_MAX {
            refused.pop_front();
        }
        seen.refusals = u32::try_from(refused.len()).unwrap_or(u32::MAX);
        seen.refused_at = refused.back().copied().or(seen.refused_at);
        let asked = closely.has_changed().unwrap_or(false);
        closely.mark_unchanged();
        if new > 0 || asked || looks.is_multiple_of(COMPARE_EVERY) {
            (seen.differs, seen.problem) = match differing(&declared.store, &declared.copies) {
                Ok(differs) => (differs, None),
                Err(problem) => (None, Some(problem)),
            };
        }
        let due = tested.is_none_or(|at| looks.wrapping_sub(at) >= TEST_EVERY);
        if let Some(test) = declared.test.as_ref().filter(|_| due && seen.refusals > 0) {
            let ran = program::run(&test.argv, test.within.min(Duration::from_secs(5))).await;
            seen.store_accepted = ran.ok().map(|r| r.good);
            tested = Some(looks);
        } else if seen.refusals == 0 {
            seen.store_accepted = None;
        }
        shared.lock().credentials.insert(declared.name.clone(), seen.clone());
        looks = looks.wrapping_add(1);
        beat::wait(EVERY).await;
    }
}

/// What servers say when they do not accept a login.
const PHRASES: [&str; 6] = [
    "authentication failed",
    "access denied for user",
    "wrongpass",
    "invalid username-password pair",
    "login failed",
    "invalid password",
];

/// True for a line that tells of a refused login.
pub(super) fn is_refusal(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    PHRASES.iter().any(|p| line.contains(p))
}

/// The name stands in quotation marks, as servers write it.
fn names_user(line: &str, user: &str) -> bool {
    ['"', '\''].iter().any(|q| line.contains(&format!("{q}{user}{q}")))
}

/// The first copy that is not what the store holds; line ends at the end do not count.
fn differing(store: &Path, copies: &[PathBuf]) -> Result<Option<String>, String> {
    let read = |path: &Path| -> Result<Vec<u8>, String> {
        let mut value = Vec::new();
        let file = File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
        file.take(VALUE_MAX).read_to_end(&mut value).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(value.trim_ascii_end().to_vec())
    };
    let truth = read(store)?;
    for copy in copies {
        if read(copy)? != truth {
            return Ok(Some(copy.to_string_lossy().into_owned()));
        }
    }
    Ok(None)
}

/// The end of a log that grows, is cut or is replaced.
pub(super) struct Tail {
    path: PathBuf,
    /// Inode and how far it was read; `None`: not looked at yet, so what is there is old.
    read: Option<(u64, u64)>,
}

impl Tail {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, read: None }
    }

    /// What was written since the last call; a log that cannot be read says nothing.
    pub(super) fn new_lines(&mut self) -> String {
        let Ok(meta) = std::fs::metadata(&self.path) else { return String::new() };
        let (inode, len) = (meta.ino(), meta.len());
        let Some((known, at)) = self.read.replace((inode, len)) else { return String::new() };
        let from = if known == inode && at <= len { at } else { 0 };
        if from == len {
            return String::new();
        }
        let from = from.max(len.saturating_sub(READ_MAX));
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.take(len - from).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn only_refusals_of_this_account_count() {
        let line = "FATAL:  password authentication failed for user \"shop\"";
        assert!(is_refusal(line) && names_user(line, "shop") && !names_user(line, "sho"));
        assert!(is_refusal("ERROR 1045: Access denied for user 'shop'@'10.0.0.1'"));
        assert!(!is_refusal("connection authorized: user=shop"));
    }

    #[test]
    fn copies_are_compared_without_their_line_ends() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = |n: &str| dir.path().join(n);
        for (name, value) in [("store", "one"), ("same", "one\n"), ("other", "two")] {
            std::fs::write(path(name), value).expect("written");
        }
        assert_eq!(differing(&path("store"), &[path("same")]), Ok(None));
        let differs = differing(&path("store"), &[path("same"), path("other")]).expect("read");
        assert!(differs.is_some_and(|p| p.ends_with("other")));
        assert!(differing(&path("none"), &[]).is_err());
    }

    #[test]
    fn a_log_is_read_from_where_it_was_and_again_from_the_start_when_replaced() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let log = dir.path().join("log");
        std::fs::write(&log, "old\n").expect("written");
        let mut tail = Tail::new(log.clone());
        assert_eq!(tail.new_lines(), "");
        let mut file = std::fs::OpenOptions::new().append(true).open(&log).expect("there");
        writeln!(file, "new").expect("written");
        assert_eq!((tail.new_lines().as_str(), tail.new_lines().as_str()), ("new\n", ""));
        std::fs::write(&log, "x\n").expect("written");
        assert_eq!(tail.new_lines(), "x\n");
    }
}
