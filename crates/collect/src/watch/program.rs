//! Runs a declared read-only program to its end or its time limit, with bounded output.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use crate::health::Group;

/// Same world as health checks have.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Most that is kept of what a program says, bytes.
const OUTPUT_MAX: u64 = 1 << 20;

/// What a program said and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ran {
    /// It ended with status 0.
    pub(super) good: bool,
    pub(super) output: String,
    pub(super) errors: String,
}

/// A command that finds programs by the usual path and nothing else in its environment.
pub(super) fn command(argv: &[String]) -> Option<Command> {
    let (program, arguments) = argv.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", PATH).env("LANG", "C.UTF-8").current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    Some(command)
}

/// Runs it; an error says why there is no end.
pub(super) async fn run(argv: &[String], within: Duration) -> Result<Ran, String> {
    let mut command = command(argv).ok_or("no program is named")?;
    let name = argv.first().cloned().unwrap_or_default();
    let mut group = Group::of(command.spawn().map_err(|e| format!("{name}: {e}"))?);
    let (out, err) = (group.child().stdout.take(), group.child().stderr.take());
    let work = async {
        let (output, errors) = tokio::join!(read(out), read(err));
        let status = group.child().wait().await.map_err(|e| format!("{name}: {e}"))?;
        Ok(Ran { good: status.success(), output, errors })
    };
    let limit = tokio::time::timeout(within, work).await;
    limit.unwrap_or_else(|_| Err(format!("{name}: no end within {} s", within.as_secs_f64())))
}

async fn read(from: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        // What could be read before an error is what there is.
        let _ = from.take(OUTPUT_MAX).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last line that says something, at most 300 characters, without control characters.
pub(super) fn last_words(text: &str) -> String {
    let line = text.lines().rev().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sh(line: &str, ms: u64) -> Result<Ran, String> {
        run(&["/bin/sh", "-c", line].map(str::to_owned), Duration::from_millis(ms)).await
    }

    #[tokio::test]
    async fn output_errors_and_status_are_told() {
        let ran = sh("echo a; echo b >&2; exit 1", 20_000).await;
        assert_eq!(ran, Ok(Ran { good: false, output: "a\n".into(), errors: "b\n".into() }));
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_ended_at_its_limit() {
        assert!(sh("sleep 600", 100).await.is_err_and(|e| e.contains("no end within 0.1 s")));
    }
}
