//! What fills a file system, and what may be removed from it.
//!
//! [`candidates`] is the one place that decides what a `free_space` rule matches; looking ([`inspect`]) and deleting
//! (elsewhere) both use it. A candidate is a regular file, reached without following any symbolic link, on the same
//! device as the mount point, not below a path that is never touched, and not open. What cannot be proven counts
//! against removing: when some process does not show its open files to us, every match counts as open.
//!
//! Everything here blocks and may take seconds: call it from a thread that may wait.

mod glob;
mod open_files;
mod rule;
mod walk;
mod way;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use wellkept_model::TimestampMs;
use wellkept_model::keep::Filesystem;
use wellkept_model::observe::{RuleUse, SpaceUse};

pub use rule::{CANDIDATES_MAX, Candidate, Matches, SpaceError, candidates};

use crate::accounts::Accounts;

/// Directories that are named.
const BIGGEST_MAX: usize = 10;

/// Owners that are named for one rule.
const OWNERS_MAX: usize = 10;

/// What an inspection may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Files and directories that are looked at.
    pub entries: usize,
    /// Time for the walk.
    pub time: Duration,
}

impl Default for Budget {
    /// A million entries or five seconds, whatever comes first.
    fn default() -> Self {
        Self { entries: 1_000_000, time: Duration::from_secs(5) }
    }
}

/// What fills a file system now: what each rule could free, and the biggest directories. `incomplete` is set where
/// anything stopped at its bound or could not be read.
#[must_use]
pub fn inspect(fs: &Filesystem, now: TimestampMs, budget: Budget) -> SpaceUse {
    inspect_with(fs, now, budget, Path::new("/proc"))
}

fn inspect_with(fs: &Filesystem, now: TimestampMs, budget: Budget, proc: &Path) -> SpaceUse {
    let walked = walk::biggest(fs.mountpoint.as_ref(), budget);
    let mut space = SpaceUse {
        mountpoint: fs.mountpoint.clone(),
        biggest: walked.biggest,
        incomplete: walked.incomplete,
        ..SpaceUse::default()
    };
    space.biggest.truncate(BIGGEST_MAX);
    let accounts = Accounts::read();
    match rule::candidates_with(fs, now, proc) {
        Ok(matches) => {
            space.incomplete |= matches.incomplete;
            for (nth, rule) in fs.free_space.iter().enumerate() {
                let of_rule: Vec<&Candidate> = matches.files.iter().filter(|c| c.rule == nth).collect();
                space.rules.push(rule_use(&rule.glob, &of_rule, &accounts));
            }
        }
        Err(_) => {
            space.incomplete = true;
            space.rules = fs.free_space.iter().map(|r| rule_use(&r.glob, &[], &accounts)).collect();
        }
    }
    space
}

fn rule_use(glob: &str, matched: &[&Candidate], accounts: &Accounts) -> RuleUse {
    let free: Vec<&&Candidate> = matched.iter().filter(|c| !c.open).collect();
    let owners: BTreeSet<String> = matched.iter().map(|c| accounts.name(c.uid)).collect();
    RuleUse {
        glob: glob.to_owned(),
        files: free.len() as u64,
        bytes: free.iter().map(|c| c.blocks_bytes).sum(),
        open: (matched.len() - free.len()) as u64,
        owners: owners.into_iter().take(OWNERS_MAX).collect(),
        newest_at: matched.iter().map(|c| c.modified_at).max(),
    }
}

/// True when any process is seen to have this file open. Looks at every process: for rare looks only.
pub(crate) fn is_open_anywhere(device: u64, inode: u64) -> bool {
    !open_files::among(std::path::Path::new("/proc"), &[(device, inode)].into()).open.is_empty()
}

/// True when a file name fits a pattern for one name.
pub(crate) fn name_matches(pattern: &str, name: &std::ffi::OsStr) -> bool {
    use std::os::unix::ffi::OsStrExt;
    glob::matches(pattern.as_bytes(), name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wellkept_model::keep::FreeSpaceRule;

    #[test]
    fn an_inspection_names_what_could_be_freed_and_what_is_big() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let tmp = dir.path().join("tmp");
        std::fs::create_dir(&tmp).expect("it can be made");
        std::fs::write(tmp.join("export-1.bin"), vec![1; 50_000]).expect("it can be written");
        std::fs::write(tmp.join("export-2.bin"), vec![1; 50_000]).expect("it can be written");
        let proc = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir_all(proc.path().join("42/fd")).expect("it can be made");
        std::os::unix::fs::symlink(tmp.join("export-2.bin"), proc.path().join("42/fd/3"))
            .expect("a link can be made");
        let fs = Filesystem {
            mountpoint: dir.path().to_string_lossy().into_owned(),
            full_at: 0.9,
            free_space: vec![FreeSpaceRule {
                glob: format!("{}/export-*.bin", tmp.display()),
                unless_open: true,
                older_than: None,
            }],
            ..Filesystem::default()
        };
        let got = inspect_with(&fs, crate::clock::wall(), Budget::default(), proc.path());
        let rule = &got.rules[0];
        assert_eq!((rule.files, rule.open), (1, 1));
        assert!(rule.bytes >= 50_000);
        assert_eq!(rule.owners.len(), 1);
        assert_eq!(got.biggest[0].0, tmp.to_string_lossy());
        assert!(got.biggest[0].1 >= 100_000);
    }
}
