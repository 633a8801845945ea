//! A program ends with status 0.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

/// What a check finds when it names a program without a folder. The environment is otherwise empty, so that a check
/// gives the same answer however we were started.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs the program and kills it, with everything that it started, at the limit or when it is dropped.
pub(super) async fn check(argv: &[String], within: Duration) -> Result<(), String> {
    let Some((program, arguments)) = argv.split_first() else { return Err("no program is named".to_owned()) };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", PATH).current_dir("/");
    // What it says is thrown away by the kernel: it can neither fill our memory nor block on a full pipe.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.process_group(0);
    let child = command.spawn().map_err(|e| format!("{program}: {e}"))?;
    let mut group = Group::of(child);
    let status = match tokio::time::timeout(within, group.child.wait()).await {
        Err(_) => return Err(format!("no answer within {}", super::seconds(within))),
        Ok(Err(e)) => return Err(format!("{program}: {e}")),
        Ok(Ok(status)) => status,
    };
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(format!("status {code}")),
        (None, Some(signal)) => Err(format!("signal {signal}")),
        (None, None) => Err("ended without status".to_owned()),
    }
}

/// The process group of a check; killed when the check is over, so that nothing of it stays behind.
pub(crate) struct Group {
    child: Child,
    id: Option<Pid>,
}

impl Group {
    pub(crate) fn of(child: Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Self { child, id }
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            // Fails when nobody is left, which is the usual end. The number cannot be somebody else's group: a group
            // id is not given out again while a member lives, and without members there is nothing to kill; in the
            // instant after the last one is collected no new leader can have taken it, for numbers go round.
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(line: &str, within: Duration) -> Result<(), String> {
        check(&["/bin/sh", "-c", line].map(str::to_owned), within).await
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn the_exit_status_decides() {
        assert_eq!(run("exit 0", LONG).await, Ok(()));
        assert_eq!(run("exit 3", LONG).await, Err("status 3".to_owned()));
        assert_eq!(run("kill -9 $$", LONG).await, Err("signal 9".to_owned()));
        assert!(check(&["/no/such/program".to_owned()], LONG).await.is_err());
    }

    #[tokio::test]
    async fn the_environment_is_empty_but_for_the_path() {
        assert_eq!(run("test -z \"$HOME\" && test -n \"$PATH\" && test \"$PWD\" = /", LONG).await, Ok(()));
    }

    #[tokio::test]
    async fn endless_output_is_thrown_away() {
        assert_eq!(run("head -c 10000000 /dev/zero", LONG).await, Ok(()));
    }

    #[tokio::test]
    async fn what_a_check_started_dies_with_it() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("pid");
        let line = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display());
        let got = run(&line, Duration::from_millis(500)).await;
        assert_eq!(got, Err("no answer within 0.5 s".to_owned()));
        let pid = std::fs::read_to_string(&file).expect("it was written");
        let is_gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
            stat.map_or(true, |s| s.contains(") Z"))
        };
        while !is_gone() {
            tokio::task::yield_now().await;
        }
    }
}
