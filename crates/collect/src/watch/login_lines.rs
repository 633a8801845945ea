//! Where lines of sshd come from: the authentication log, or the journal where there is no such file.
//!
//! The journal is read by `journalctl`, and only what sshd wrote as root: anybody may write lines that look like sshd's
//! there, but nobody else can have its name and its user at once.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::ChildStdout;
use tokio::task::AbortHandle;

use super::credential::Tail;
use super::program;
use crate::health::Group;

/// Lines of the journal that wait to be read; of a flood the newest count.
const LINES_MAX: usize = 10_000;
/// Longest line that is read, bytes.
const LINE_MAX: u64 = 8 << 10;
/// Looks until an ended `journalctl` is begun again.
const AGAIN_AFTER: u32 = 30;

/// The lines, from wherever they come.
pub(super) struct Lines {
    file: Option<(PathBuf, Tail)>,
    argv: Vec<String>,
    journal: Option<Journal>,
    wait: u32,
}

/// A `journalctl` that follows.
struct Journal {
    lines: Arc<Mutex<(VecDeque<String>, bool)>>,
    reader: AbortHandle,
    _group: Group,
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Lines {
    pub(super) fn new(file: Option<&Path>) -> Self {
        let ours = ["_COMM=sshd", "_UID=0", "+", "_COMM=sshd-session", "_UID=0"];
        let argv = ["journalctl", "--follow", "--lines=0", "--output=short", "--no-pager", "--quiet"];
        Self::with(file, argv.into_iter().chain(ours).map(str::to_owned).collect())
    }

    fn with(file: Option<&Path>, argv: Vec<String>) -> Self {
        let file = file.map(|f| (f.to_owned(), Tail::new(f.to_owned())));
        Self { file, argv, journal: None, wait: 0 }
    }

    /// What was written since the last call, and why nothing can be read.
    pub(super) fn take(&mut self) -> (String, Option<String>) {
        let missing = match &mut self.file {
            Some((path, tail)) => match std::fs::metadata(&*path) {
                Ok(_) => {
                    self.journal = None;
                    return (tail.new_lines(), None);
                }
                Err(e) => Some(format!("{}: {e}", path.display())),
            },
            None => None,
        };
        let (lines, problem) = self.journal_lines();
        // Of both, the file is what somebody declared.
        (lines, problem.map(|p| missing.unwrap_or(p)))
    }

    fn journal_lines(&mut self) -> (String, Option<String>) {
        let Some(journal) = &self.journal else {
            if self.wait > 0 {
                self.wait -= 1;
                return (String::new(), Some("the journal: journalctl has ended".to_owned()));
            }
            return match follow(&self.argv) {
                Ok(journal) => {
                    self.journal = Some(journal);
                    (String::new(), None)
                }
                Err(problem) => {
                    self.wait = AGAIN_AFTER;
                    (String::new(), Some(format!("the journal: {problem}")))
                }
            };
        };
        let (lines, ended) = {
            let mut shared = journal.lines.lock().unwrap_or_else(PoisonError::into_inner);
            (shared.0.drain(..).fold(String::new(), |all, line| all + &line + "\n"), shared.1)
        };
        if ended {
            (self.journal, self.wait) = (None, AGAIN_AFTER);
        }
        (lines, None)
    }
}

fn follow(argv: &[String]) -> Result<Journal, String> {
    let mut command = program::command(argv).ok_or("no program is named")?;
    command.stderr(std::process::Stdio::null());
    let name = argv.first().cloned().unwrap_or_default();
    let mut group = Group::of(command.spawn().map_err(|e| format!("{name}: {e}"))?);
    let output = group.child().stdout.take().ok_or("no pipe")?;
    let lines = Arc::new(Mutex::new((VecDeque::new(), false)));
    let reader = tokio::spawn(read(output, Arc::clone(&lines))).abort_handle();
    Ok(Journal { lines, reader, _group: group })
}

async fn read(output: ChildStdout, lines: Arc<Mutex<(VecDeque<String>, bool)>>) {
    let mut output = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        let got = (&mut output).take(LINE_MAX).read_until(b'\n', &mut line).await;
        let mut shared = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if !got.is_ok_and(|n| n > 0) {
            shared.1 = true;
            return;
        }
        if shared.0.len() >= LINES_MAX {
            shared.0.pop_front();
        }
        shared.0.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::testing::wait_for;

    fn shell(line: &str) -> Vec<String> {
        ["/bin/sh", "-c", line].map(str::to_owned).to_vec()
    }

    #[tokio::test]
    async fn without_a_file_the_journal_is_followed_until_the_file_is_there() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("auth.log");
        let mut lines = Lines::with(Some(&file), shell("echo one; echo two; sleep 600"));
        let told = wait_for("its lines", async || Some(lines.take()).filter(|(l, _)| !l.is_empty())).await;
        assert!(told.0.starts_with("one\n") && told.1.is_none(), "{told:?}");
        std::fs::write(&file, "old\n").expect("written");
        assert_eq!(lines.take(), (String::new(), None), "what was there before is past");
        assert!(lines.journal.is_none());
        std::fs::write(&file, "old\nnew\n").expect("written");
        assert_eq!(lines.take().0, "new\n");
    }

    #[tokio::test]
    async fn where_neither_is_there_the_declared_file_is_named() {
        let mut lines =
            Lines::with(Some(Path::new("/nowhere/auth.log")), vec!["/nowhere/journalctl".to_owned()]);
        let (_, problem) = lines.take();
        assert!(problem.is_some_and(|p| p.starts_with("/nowhere/auth.log")));
        let mut lines = Lines::with(None, vec!["/nowhere/journalctl".to_owned()]);
        assert!(lines.take().1.is_some_and(|p| p.starts_with("the journal: ")));
    }

    #[tokio::test]
    async fn a_journal_that_ends_is_not_begun_again_at_once() {
        let mut lines = Lines::with(None, shell("exit 0"));
        lines.take();
        let ended = async || (lines.take().1.is_some() && lines.journal.is_none()).then_some(());
        wait_for("it ends", ended).await;
        assert!(lines.wait > 0);
    }
}
