//! A program's outputs and input as byte streams, for protocols that run over them: SFTP, the frames of a helper.
//!
//! A task of its own moves standard output into a small buffer, keeps the first bytes of standard error, and notes how
//! the program ended. It stops when the pipe is dropped.

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::connection::Connection;
use crate::exec::Ran;
use crate::process::{Doubt, End, Process, Start, Stream};
use crate::quote::CommandLine;

/// Bytes between the connection and whoever reads.
const BUFFER: usize = 256 * 1024;
/// How much of standard error is kept, bytes.
const STDERR_MAX: usize = 64 * 1024;

/// A running program with its streams.
pub struct Pipe {
    /// Its standard output.
    pub reader: DuplexStream,
    /// Its standard input; shutting it down ends it.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
    rest: Rest,
}

/// What holds a pipe's program while its streams are in use elsewhere. Dropping it ends the program.
pub struct Rest {
    pump: JoinHandle<Ran>,
    _stop: oneshot::Sender<()>,
}

impl Connection {
    /// Starts a program whose output and input are for a protocol, not for people.
    ///
    /// # Errors
    /// The end that it came to before it began.
    pub async fn pipe(&self, command: &CommandLine) -> Result<Pipe, End> {
        Ok(Pipe::new(self.start(Start::Command(command), None, None).await?, Bytes::new()))
    }

    pub(crate) async fn subsystem(&self, name: &'static str) -> Result<Pipe, End> {
        Ok(Pipe::new(self.start(Start::Subsystem(name), None, None).await?, Bytes::new()))
    }
}

impl Pipe {
    /// `first`: what the program has written already.
    pub(crate) fn new(process: Process, first: Bytes) -> Self {
        let (reader, inside) = tokio::io::duplex(BUFFER);
        let writer: Box<dyn AsyncWrite + Send + Unpin> = match process.write.0.as_deref() {
            Some(half) => Box::new(Box::pin(half.make_writer())),
            None => Box::new(tokio::io::sink()),
        };
        let (stop, stopped) = oneshot::channel();
        let rest = Rest { pump: tokio::spawn(pump(process, first, inside, stopped)), _stop: stop };
        Self { reader, writer, rest }
    }

    /// The streams by themselves, and what holds the program while they are in use.
    pub fn into_parts(self) -> (DuplexStream, Box<dyn AsyncWrite + Send + Unpin>, Rest) {
        (self.reader, self.writer, self.rest)
    }

    /// Waits until the program has ended. What it still writes to standard output is dropped.
    pub async fn finish(mut self) -> Ran {
        // The program may be waiting for the end of its input.
        let _ = self.writer.shutdown().await;
        drop(self.reader);
        self.rest.finish().await
    }
}

impl Rest {
    /// Waits until the program has ended; whoever has the streams ends its input.
    pub async fn finish(self) -> Ran {
        self.pump.await.unwrap_or_else(|_| Ran::ended(End::Unknown(Doubt::NoStatus)))
    }
}

async fn pump(
    mut process: Process,
    first: Bytes,
    mut inside: DuplexStream,
    mut stopped: oneshot::Receiver<()>,
) -> Ran {
    let mut ran = Ran::ended(End::Unknown(Doubt::NoStatus));
    let mut read = tokio::select! {
        written = inside.write_all(&first) => written.is_ok(),
        _ = &mut stopped => return ran,
    };
    loop {
        let piece = tokio::select! {
            piece = process.next() => piece,
            _ = &mut stopped => return ran,
        };
        let Some(piece) = piece else { break };
        if piece.stream == Stream::Stderr {
            ran.take(&piece, STDERR_MAX);
        } else if read {
            tokio::select! {
                written = inside.write_all(&piece.bytes) => read = written.is_ok(),
                _ = &mut stopped => return ran,
            }
        }
    }
    ran.end = process.end().cloned().unwrap_or(End::Unknown(Doubt::NoStatus));
    ran
}
