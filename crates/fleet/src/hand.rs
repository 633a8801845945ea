//! Where commands run: on this machine, or over a connection. Both tell exactly how a command ended.

use std::process::Stdio;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use wellkept_ssh::{
    Become, Bounds, Command, CommandLine, Connection, Doubt, End, Input, NotRun, Output, Piece, Ran, Stream,
};

use crate::entrance::{Entered, enter};

/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;

/// Something that runs commands.
#[derive(Debug, Clone)]
pub enum Hand {
    /// This machine.
    Here,
    /// A host.
    There(Connection),
}

impl Hand {
    /// Runs a command to its end; each piece of output is shown as it comes.
    pub async fn exec(
        &self,
        who: Option<&Become>,
        command: &Command,
        live: &mut (dyn FnMut(&Piece) + Send),
    ) -> Ran {
        match (self, who) {
            (Self::Here, who) => here(who, command, live).await,
            (Self::There(connection), None) => connection.exec_live(command, live).await,
            (Self::There(connection), Some(who)) => connection.exec_as(who, command, live).await,
        }
    }
}

/// A result without any output.
pub(crate) fn ended(end: End) -> Ran {
    Ran { end, stdout: Output::default(), stderr: Output::default() }
}

/// A program that runs here, and what it wrote before we listened.
struct Here {
    child: tokio::process::Child,
    stdin: Option<tokio::process::ChildStdin>,
    stdout: Option<tokio::process::ChildStdout>,
    stderr: Option<tokio::process::ChildStderr>,
    first: Vec<u8>,
}

async fn begin(who: Option<&Become>, line: &CommandLine) -> Result<Here, End> {
    if let Some(who) = who {
        let Entered { child, stdin, stdout, stderr, first } = enter(who, line).await?;
        return Ok(Here { child, stdin: Some(stdin), stdout: Some(stdout), stderr: Some(stderr), first });
    }
    let mut program = tokio::process::Command::new("/bin/sh");
    program.args(["-c", line.as_str()]).kill_on_drop(true);
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().map_err(|e| End::NotRun(NotRun::Refused(e.to_string())))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    Ok(Here { child, stdin, stdout, stderr, first: Vec::new() })
}

async fn here(who: Option<&Become>, command: &Command, live: &mut (dyn FnMut(&Piece) + Send)) -> Ran {
    let deadline = Instant::now() + command.bounds.time;
    let mut child = match begin(who, &command.line).await {
        Ok(child) => child,
        Err(end) => return ended(end),
    };
    let input = match &command.input {
        Input::Empty => Bytes::new(),
        Input::Bytes(bytes) => bytes.clone(),
    };
    let stdin = child.stdin.take();
    // A program that ends without reading all of it is no error of ours.
    let feeding = tokio::spawn(async move {
        if let Some(mut stdin) = stdin {
            let _ = stdin.write_all(&input).await;
        }
    });
    let (pieces, mut inbox) = mpsc::channel(16);
    let first = std::io::Cursor::new(std::mem::take(&mut child.first));
    read(child.stdout.take().map(|stdout| first.chain(stdout)), Stream::Stdout, pieces.clone());
    read(child.stderr.take(), Stream::Stderr, pieces);
    let mut ran = ended(End::Unknown(Doubt::NoStatus));
    let cut = collect(&mut inbox, deadline, &command.bounds, &mut ran, live).await;
    ran.end = match cut {
        Some(doubt) => End::Unknown(doubt),
        None => match timeout_at(deadline, child.child.wait()).await {
            Err(_) => End::Unknown(Doubt::TimeLimit),
            Ok(Err(_)) => End::Unknown(Doubt::NoStatus),
            Ok(Ok(status)) => of_status(status),
        },
    };
    feeding.abort();
    ran
}

fn of_status(status: std::process::ExitStatus) -> End {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited { status: code.unsigned_abs() },
        (None, Some(signal)) => End::Signalled { signal: signal.to_string(), core: status.core_dumped() },
        (None, None) => End::Unknown(Doubt::NoStatus),
    }
}

fn read(pipe: Option<impl AsyncRead + Send + Unpin + 'static>, stream: Stream, pieces: mpsc::Sender<Piece>) {
    let Some(mut pipe) = pipe else { return };
    tokio::spawn(async move {
        let mut buffer = vec![0; CHUNK];
        while let Ok(read) = pipe.read(&mut buffer).await {
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { return };
            let piece = Piece { stream, bytes: Bytes::copy_from_slice(bytes) };
            if pieces.send(piece).await.is_err() {
                return;
            }
        }
    });
}

async fn collect(
    inbox: &mut mpsc::Receiver<Piece>,
    deadline: Instant,
    bounds: &Bounds,
    ran: &mut Ran,
    live: &mut (dyn FnMut(&Piece) + Send),
) -> Option<Doubt> {
    let mut total = 0;
    loop {
        let piece = match timeout_at(deadline, inbox.recv()).await {
            Err(_) => return Some(Doubt::TimeLimit),
            Ok(None) => return None,
            Ok(Some(piece)) => piece,
        };
        live(&piece);
        let output = if piece.stream == Stream::Stdout { &mut ran.stdout } else { &mut ran.stderr };
        let taken = piece.bytes.len().min(bounds.kept_bytes.saturating_sub(output.bytes.len()));
        output.bytes.extend_from_slice(piece.bytes.get(..taken).unwrap_or_default());
        output.dropped += (piece.bytes.len() - taken) as u64;
        total += piece.bytes.len() as u64;
        if total > bounds.total_bytes {
            return Some(Doubt::OutputLimit);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn sh(line: &str, input: &'static [u8], time: Duration) -> Ran {
        let mut command = Command::new(CommandLine::line(line).expect("a line"));
        command.input = Input::Bytes(Bytes::from_static(input));
        command.bounds = Bounds { time, kept_bytes: 8, total_bytes: 1000 };
        Hand::Here.exec(None, &command, &mut |_| {}).await
    }

    #[tokio::test]
    async fn a_command_here_ends_as_one_there() {
        let long = Duration::from_secs(20);
        let ran = sh("cat; echo x >&2; exit 3", b"hello world", long).await;
        assert_eq!(ran.end, End::Exited { status: 3 });
        assert_eq!(
            (ran.stdout.text().as_str(), ran.stdout.dropped, ran.stderr.text().as_str()),
            ("hello wo", 3, "x\n")
        );
        assert_eq!(sh("kill -9 $$", b"", long).await.end, End::Signalled { signal: "9".into(), core: false });
        assert_eq!(sh("sleep 60", b"", Duration::from_millis(50)).await.end, End::Unknown(Doubt::TimeLimit));
        assert_eq!(sh("yes", b"", long).await.end, End::Unknown(Doubt::OutputLimit));
    }
}
