//! Runs one declared command of a service to its end, its deadline, or until it is the service itself.
//!
//! Output goes to a file in the data directory, never to a pipe: a service that was started in the foreground keeps
//! its outputs when we die, and a daemon that inherits them cannot hold us up.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use wellkept_model::keep::Identity;

use crate::identity::processes_of;
use crate::procs::stat;
use crate::session;
use crate::tail::{TAIL_BYTES, presentable};
use crate::who::Who;

/// A log of outputs above this size is emptied at the next start and by [`trim_logs`], bytes.
const LOG_BYTES_MAX: u64 = 1024 * 1024;
/// How often it is looked whether a start command has become the service.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a foreground service must live before its start counts.
const SETTLE: Duration = Duration::from_millis(250);
/// What a command gets between SIGTERM and SIGKILL at its deadline.
const GRACE: Duration = Duration::from_secs(1);

/// How a command ended.
#[derive(Debug)]
pub(crate) enum End {
    /// By itself.
    Exited(ExitStatus),
    /// It goes on running and is the service: one of its processes carries the service's identity.
    IsService,
    /// A start command goes on running after its deadline, but the service's identity is not to be seen.
    GoesOn,
    /// It was ended at its deadline, with its whole group.
    Deadline,
    /// It could not be started.
    NotStarted(io::Error),
}

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) end: End,
    /// Its last output, fit to be shown.
    pub(crate) output: String,
}

/// Runs a command that ends; at `deadline` its group is killed.
pub(crate) async fn run(argv: &[String], log: &Path, deadline: Instant) -> Ran {
    let (mut child, from) = match start(argv, log, None) {
        Ok(started) => started,
        Err(e) => return Ran { end: End::NotStarted(e), output: String::new() },
    };
    let end = match timeout(deadline.saturating_duration_since(Instant::now()), child.wait()).await {
        Ok(Ok(status)) => End::Exited(status),
        Ok(Err(e)) => End::NotStarted(e),
        Err(_) => {
            kill_group(&mut child).await;
            End::Deadline
        }
    };
    Ran { end, output: output_since(log, from) }
}

/// Runs a start command. One that becomes the service, or is still there at `deadline`, is left running.
pub(crate) async fn run_start(
    argv: &[String],
    log: &Path,
    identity: &Identity,
    who: Option<&Who>,
    deadline: Instant,
) -> Ran {
    let (mut child, from) = match start(argv, log, who) {
        Ok(started) => started,
        Err(e) => return Ran { end: End::NotStarted(e), output: String::new() },
    };
    let session = child.id().unwrap_or(0);
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen_since: Option<Instant> = None;
    let end = loop {
        tokio::select! {
            ended = child.wait() => break match ended {
                Ok(status) => End::Exited(status),
                Err(e) => End::NotStarted(e),
            },
            now = look.tick() => {
                let seen = in_session(identity, session);
                seen_since = if seen { seen_since.or(Some(now)) } else { None };
                if seen_since.is_some_and(|since| now.duration_since(since) >= SETTLE) {
                    break End::IsService;
                }
                if now >= deadline {
                    break if processes_of(identity).is_empty() { End::GoesOn } else { End::IsService };
                }
            }
        }
    };
    if !matches!(end, End::Exited(_)) {
        // We are its parent: somebody has to take its exit status when it ends one day.
        tokio::spawn(async move { child.wait().await });
    }
    Ran { end, output: output_since(log, from) }
}

fn in_session(identity: &Identity, session: u32) -> bool {
    processes_of(identity).into_iter().any(|pid| stat(pid).is_some_and(|s| s.session == session))
}

fn start(argv: &[String], log: &Path, who: Option<&Who>) -> io::Result<(Child, u64)> {
    let (file, from) = open_log(log)?;
    Ok((session::spawn(argv, file, who)?, from))
}

/// The child is not reaped before the group got SIGKILL, so the group's number cannot belong to anybody else.
async fn kill_group(child: &mut Child) {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(group) = group {
        // A group that has ended meanwhile is what we want.
        let _ = kill_process_group(group, Signal::TERM);
        let gone = Instant::now() + GRACE;
        while Instant::now() < gone && child.id().and_then(stat).is_some_and(|s| s.lives()) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = timeout(GRACE, child.wait()).await;
}

/// The file that takes the outputs of a service's commands.
pub(crate) fn log_path(data_dir: &Path, service: &str) -> PathBuf {
    data_dir.join("logs").join(format!("{}.out", file_name(service)))
}

/// A name from a keep file as a file name: anything unusual is written by its code.
fn file_name(name: &str) -> String {
    name.chars().take(60).fold(String::new(), |mut out, c| {
        let plain = c.is_ascii_alphanumeric() || matches!(c, '-' | '_') || (c == '.' && !out.is_empty());
        if plain {
            out.push(c)
        } else {
            out.push_str(&format!("%{:x}", u32::from(c)))
        }
        out
    })
}

/// Opened for appending, so that emptying it never leaves a hole; the second value is where new output begins.
fn open_log(path: &Path) -> io::Result<(File, u64)> {
    if let Some(dir) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(path)?;
    let mut len = file.metadata()?.len();
    if len > LOG_BYTES_MAX {
        file.set_len(0)?;
        len = 0;
    }
    Ok((file, len))
}

/// Empties logs of outputs that have grown too big while their service runs.
pub(crate) fn trim_logs(data_dir: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(data_dir.join("logs")) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() && entry.metadata()?.len() > LOG_BYTES_MAX {
            OpenOptions::new().write(true).open(entry.path())?.set_len(0)?;
        }
    }
    Ok(())
}

fn output_since(log: &Path, from: u64) -> String {
    last_bytes(log, from, TAIL_BYTES).map(|(bytes, cut)| presentable(&bytes, cut)).unwrap_or_default()
}

/// At most `max` last bytes after `from`, and whether something before them was left out.
pub(crate) fn last_bytes(path: &Path, from: u64, max: u64) -> io::Result<(Vec<u8>, bool)> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    let from = if from > len { 0 } else { from };
    let start = from.max(len.saturating_sub(max));
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes)?;
    Ok((bytes, start > from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(words: &[&str]) -> Vec<String> {
        words.iter().map(|&w| w.to_owned()).collect()
    }

    fn soon(seconds: f64) -> Instant {
        Instant::now() + Duration::from_secs_f64(seconds)
    }

    #[tokio::test]
    async fn a_command_gets_a_clean_world_and_a_session_of_its_own() {
        let temp = tempfile::tempdir().expect("temp");
        let log = temp.path().join("logs/x.out");
        let script = "env | sort; pwd; read -r x || echo no input; cut -d' ' -f6 /proc/$$/stat; echo $$";
        let ran = run(&argv(&["sh", "-c", script]), &log, soon(20.0)).await;
        assert!(matches!(ran.end, End::Exited(status) if status.success()), "{ran:?}");
        let lines: Vec<&str> = ran.output.split(" | ").collect();
        assert!(lines.contains(&"LANG=C.UTF-8") && lines.contains(&"no input"), "{lines:?}");
        assert!(!lines.iter().any(|l| l.starts_with("CARGO") || l.starts_with("HOME=")), "{lines:?}");
        let last_two: Vec<_> = lines.iter().rev().take(2).collect();
        assert_eq!(last_two.first(), last_two.get(1), "the shell leads its session: {lines:?}");
    }

    #[tokio::test]
    async fn at_its_deadline_the_whole_group_ends() {
        let temp = tempfile::tempdir().expect("temp");
        let (log, pid_file) = (temp.path().join("x.out"), temp.path().join("pid"));
        let script = format!("trap '' TERM; sleep 600 & echo $! > {}; wait; wait", pid_file.display());
        let ran = run(&argv(&["sh", "-c", &script]), &log, soon(0.5)).await;
        assert!(matches!(ran.end, End::Deadline), "{ran:?}");
        let grandchild: u32 =
            std::fs::read_to_string(pid_file).expect("written").trim().parse().expect("a number");
        let gone = soon(20.0);
        while stat(grandchild).is_some_and(|s| s.lives()) {
            assert!(Instant::now() < gone, "the grandchild {grandchild} lives");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_says_so() {
        let temp = tempfile::tempdir().expect("temp");
        let ran = run(&argv(&["/no/such/program"]), &temp.path().join("x.out"), soon(5.0)).await;
        assert!(matches!(ran.end, End::NotStarted(e) if e.kind() == io::ErrorKind::NotFound));
    }

    #[tokio::test]
    async fn only_the_end_of_long_output_is_kept_and_only_of_this_run() {
        let temp = tempfile::tempdir().expect("temp");
        let log = temp.path().join("x.out");
        run(&argv(&["echo", "former run"]), &log, soon(20.0)).await;
        let ran = run(&argv(&["seq", "1", "20000"]), &log, soon(20.0)).await;
        assert!(ran.output.ends_with("19999 | 20000"), "{}", ran.output);
        assert!(ran.output.len() < 8192);
        let ran = run(&argv(&["true"]), &log, soon(20.0)).await;
        assert_eq!(ran.output, "");
    }

    #[test]
    fn a_log_that_has_grown_too_big_is_emptied() {
        let temp = tempfile::tempdir().expect("temp");
        let log = log_path(temp.path(), "app");
        drop(open_log(&log).expect("open"));
        std::fs::write(&log, vec![b'x'; LOG_BYTES_MAX as usize + 1]).expect("write");
        assert_eq!(open_log(&log).expect("open").1, 0);
        std::fs::write(&log, vec![b'x'; LOG_BYTES_MAX as usize + 1]).expect("write");
        trim_logs(temp.path()).expect("trim");
        assert_eq!(std::fs::metadata(&log).expect("there").len(), 0);
    }

    #[test]
    fn a_service_name_never_leaves_the_directory_of_logs() {
        let dir = Path::new("/d");
        for (name, want) in
            [("app", "app.out"), ("../../etc/x", "%2e.%2f..%2fetc%2fx.out"), ("a b", "a%20b.out")]
        {
            assert_eq!(log_path(dir, name), Path::new("/d/logs").join(want));
        }
    }
}
