//! A command from start to end: input in, bounded output and an exact end out.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout, timeout_at};

use crate::connection::Connection;
use crate::process::{Doubt, End, NotRun, Piece, Process, PtySize, Start, Stream, Terminal};
use crate::quote::CommandLine;

/// How long a command that was told to end may take for it.
const GRACE: Duration = Duration::from_secs(2);

/// What is run.
#[derive(Clone)]
pub struct Command {
    /// For the host's shell.
    pub line: CommandLine,
    /// What it reads.
    pub input: Input,
    /// In a terminal of this size: its two outputs are one then.
    pub terminal: Option<PtySize>,
    /// Bounds.
    pub bounds: Bounds,
}

impl Command {
    /// A command without input, within the usual bounds.
    pub fn new(line: CommandLine) -> Self {
        Self { line, input: Input::Empty, terminal: None, bounds: Bounds::default() }
    }
}

/// What a command reads.
#[derive(Clone, Default)]
pub enum Input {
    /// Nothing.
    #[default]
    Empty,
    /// These bytes. Larger ones are better sent as a file.
    Bytes(Bytes),
}

/// Bounds of one command.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// From asking for a channel to the end.
    pub time: Duration,
    /// So much of each output is kept; the rest is counted and dropped.
    pub kept_bytes: usize,
    /// A command that writes more than this, both outputs together, is told to end.
    pub total_bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { time: Duration::from_secs(300), kept_bytes: 1024 * 1024, total_bytes: 1024 * 1024 * 1024 }
    }
}

/// One output of a command: its first bytes, as they came. To be escaped before they are shown on a terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// At most [`Bounds::kept_bytes`].
    pub bytes: Vec<u8>,
    /// How many more there were.
    pub dropped: u64,
}

impl Output {
    fn add(&mut self, bytes: &[u8], max: usize) {
        let taken = bytes.len().min(max.saturating_sub(self.bytes.len()));
        self.bytes.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        self.dropped += (bytes.len() - taken) as u64;
    }

    /// As text; bytes that are none become `�`.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub end: End,
    /// Its standard output.
    pub stdout: Output,
    /// Its standard error.
    pub stderr: Output,
}

impl Ran {
    pub(crate) fn ended(end: End) -> Self {
        Self { end, stdout: Output::default(), stderr: Output::default() }
    }

    pub(crate) fn take(&mut self, piece: &Piece, max: usize) {
        let output = match piece.stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        output.add(&piece.bytes, max);
    }

    fn total(&self) -> u64 {
        [&self.stdout, &self.stderr].map(|o| o.bytes.len() as u64 + o.dropped).iter().sum()
    }
}

impl Connection {
    /// Runs a command to its end. Several may run at once; they share the connection.
    pub async fn exec(&self, command: &Command) -> Ran {
        self.exec_live(command, &mut |_| {}).await
    }

    /// Runs a command to its end and shows each piece of output as it comes. `live` must not block: everything on this
    /// connection waits for it.
    pub async fn exec_live(&self, command: &Command, live: &mut (dyn FnMut(&Piece) + Send)) -> Ran {
        let deadline = Instant::now() + command.bounds.time;
        let terminal = command.terminal.map(|size| Terminal { name: "dumb", size, raw: false });
        let mut process = match self.start(Start::Command(&command.line), terminal, Some(deadline)).await {
            Ok(process) => process,
            Err(end) => return Ran::ended(end),
        };
        let input = match &command.input {
            Input::Empty => Bytes::new(),
            Input::Bytes(bytes) => bytes.clone(),
        };
        let mut ran = Ran::ended(End::NotRun(NotRun::TimeLimit));
        process.drive(input, &command.bounds, deadline, &mut ran, live).await;
        ran
    }
}

impl Process {
    /// Feeds and reads until the end, or until a bound is reached; sets `ran.end`.
    pub(crate) async fn drive(
        &mut self,
        input: Bytes,
        bounds: &Bounds,
        deadline: Instant,
        ran: &mut Ran,
        live: &mut (dyn FnMut(&Piece) + Send),
    ) {
        // Writing has a future of its own: a program that reads late must not keep us from reading it.
        let writer = self.write.0.clone();
        let feeding = async {
            if let Some(writer) = &writer {
                // A program that ends without reading all of it is no error of ours.
                if writer.data_bytes(input).await.is_ok() {
                    let _ = writer.eof().await;
                }
            }
        };
        let mut feeding = std::pin::pin!(feeding);
        let mut fed = false;
        let cut = loop {
            tokio::select! {
                biased;
                piece = timeout_at(deadline, self.next()) => match piece {
                    Err(_) => break Some(Doubt::TimeLimit),
                    Ok(None) => break None,
                    Ok(Some(piece)) => {
                        live(&piece);
                        ran.take(&piece, bounds.kept_bytes);
                        if ran.total() > bounds.total_bytes {
                            break Some(Doubt::OutputLimit);
                        }
                    }
                },
                () = &mut feeding, if !fed => fed = true,
            }
        };
        ran.end = match cut {
            None => self.end().cloned().unwrap_or(End::Unknown(Doubt::NoStatus)),
            Some(doubt) => {
                self.wind_up().await;
                End::Unknown(doubt)
            }
        };
    }

    /// Tells the program to end and waits a little; dropping us then closes the channel.
    async fn wind_up(&mut self) {
        let asking = async {
            if self.terminate().await.is_ok() {
                while self.next().await.is_some() {}
            }
        };
        // Whether it ended in time changes nothing: what it did until then nobody knows.
        let _ = timeout(GRACE, asking).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_keeps_its_first_bytes_and_counts_the_rest() {
        let mut output = Output::default();
        for piece in [&b"abc"[..], b"defg", b"hi"] {
            output.add(piece, 5);
        }
        assert_eq!((output.bytes.as_slice(), output.dropped), (&b"abcde"[..], 4));
    }
}
