//! Becoming another user on this machine, as [`wellkept_ssh`] does it on hosts: behind a mark that the other user's shell
//! prints first, with a password that goes in by standard input and only after it was asked for.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::time::timeout;
use wellkept_ssh::{BEFORE_MAX, Become, CommandLine, End, Marks, NotRun};
use zeroize::Zeroizing;

/// How long becoming may take.
const ENTERING: Duration = Duration::from_secs(60);

/// A program that runs as the other user.
pub(crate) struct Entered {
    pub(crate) child: Child,
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
    pub(crate) stderr: ChildStderr,
    /// What it has written already.
    pub(crate) first: Vec<u8>,
}

fn not_become(why: impl Into<String>) -> End {
    End::NotRun(NotRun::NotBecome(why.into()))
}

/// Starts a line as another user.
///
/// # Errors
/// Why nothing of it has run.
pub(crate) async fn enter(who: &Become, line: &CommandLine) -> Result<Entered, End> {
    if who.on_terminal() {
        return Err(not_become(
            "doas asks for its password on a terminal, and there is none between us and it",
        ));
    }
    let mut typed = who.typed()?;
    let marks = Marks::draw()?;
    let line = who.line(line, &marks).map_err(|e| not_become(e.to_string()))?;
    let mut command = tokio::process::Command::new("/bin/sh");
    command.args(["-c", &format!("exec {}", line.as_str())]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|e| not_become(e.to_string()))?;
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(not_become("it has no pipes"));
    };
    let entered = Entered { child, stdin, stdout, stderr, first: Vec::new() };
    match timeout(ENTERING, pass(entered, who, &marks, &mut typed)).await {
        Ok(end) => end,
        Err(_) => Err(not_become(format!("becoming {} takes too long", who.user))),
    }
}

async fn pass(
    mut entered: Entered,
    who: &Become,
    marks: &Marks,
    typed: &mut Option<Zeroizing<Vec<u8>>>,
) -> Result<Entered, End> {
    let (mut out, mut said) = (Vec::new(), Vec::new());
    let (mut from_out, mut from_said) = ([0; 4096], [0; 4096]);
    let (mut out_ended, mut said_ended, mut answered) = (false, false, false);
    loop {
        tokio::select! {
            read = entered.stdout.read(&mut from_out), if !out_ended => {
                out_ended = taken(read, &from_out, &mut out);
            }
            read = entered.stderr.read(&mut from_said), if !said_ended => {
                said_ended = taken(read, &from_said, &mut said);
            }
        }
        if let Some(rest) = marks.after(&out) {
            entered.first = rest.to_vec();
            return Ok(entered);
        }
        if out_ended && said_ended {
            let said = String::from_utf8_lossy(&said);
            let said = wellkept_catalogue::harmless(said.trim());
            let why = if said.is_empty() { "it does not say why" } else { &said };
            return Err(not_become(format!("cannot become {}: {why}", who.user)));
        }
        if out.len() + said.len() > BEFORE_MAX {
            return Err(not_become(format!("it says more than {} KiB before it begins", BEFORE_MAX / 1024)));
        }
        if who.asks(&said, marks) {
            if answered {
                return Err(not_become(format!("the password to become {} is refused", who.user)));
            }
            let Some(typed) = typed.take() else {
                return Err(not_become(format!("a password is asked for, to become {}", who.user)));
            };
            answered = true;
            said.clear();
            let wrote = entered.stdin.write_all(&typed).await;
            wrote.map_err(|e| not_become(format!("the password cannot be handed over: {e}")))?;
        }
    }
}

/// Keeps what was read; true at the end.
fn taken(read: std::io::Result<usize>, from: &[u8], to: &mut Vec<u8>) -> bool {
    let read = read.unwrap_or(0);
    to.extend_from_slice(from.get(..read).unwrap_or_default());
    read == 0
}
