//! One program on a host, in its own channel: what it says, what it is told, and how it ended.
//!
//! What nobody reads stops the whole connection after some MiB, because SSH has one stream for all channels. Whoever
//! holds a [`Process`] therefore keeps reading it, or drops it; [`crate::Connection::exec`] does so by itself.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Pty, Sig};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use crate::connection::{Connection, FAREWELL, Inner};
use crate::quote::CommandLine;
use crate::text::harmless;

/// Which output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output; with a terminal, everything.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of output, as it came: bytes of the host, not fit for a terminal before they were escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where it was written to.
    pub stream: Stream,
    /// At most 256 KiB.
    pub bytes: Bytes,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It ran and ended by itself.
    Exited {
        /// 0 for success.
        status: u32,
    },
    /// It ran and was ended by a signal.
    Signalled {
        /// Such as `KILL`.
        signal: String,
        /// It left a core file.
        core: bool,
    },
    /// It is known not to have run: trying again repeats nothing.
    NotRun(NotRun),
    /// Nobody knows whether it ran, ran to its end, or still runs. Trying again may repeat it.
    Unknown(Doubt),
}

impl End {
    /// Ended by itself, with status 0.
    pub fn success(&self) -> bool {
        matches!(self, Self::Exited { status: 0 })
    }

    /// The one case in which trying again repeats nothing.
    pub fn known_not_run(&self) -> bool {
        matches!(self, Self::NotRun(_))
    }
}

/// Why a command is known not to have run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRun {
    /// The connection had ended before the command was handed over.
    #[error("the connection had ended before: {0}")]
    Disconnected(String),
    /// The host opens no channel, or refuses the request.
    #[error("the host refuses to run it: {0}")]
    Refused(String),
    /// No channel became free or was opened in time.
    #[error("no channel within the time limit")]
    TimeLimit,
    /// `sudo`, `su` or `doas` did not let us become the other user.
    #[error("{0}")]
    NotBecome(String),
}

/// Why nobody knows what became of a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// The connection broke off after the command was handed over.
    #[error("the connection was lost while it ran: {0}")]
    ConnectionLost(String),
    /// It did not end in time. It was asked to end, but may still run.
    #[error("it did not end within its time limit and may still run")]
    TimeLimit,
    /// It wrote more than it may. It was asked to end, but may still run.
    #[error("it wrote more than it may, was told to end, and may still run")]
    OutputLimit,
    /// The host closed the channel without saying how it ended.
    #[error("the host did not say how it ended")]
    NoStatus,
}

/// The size of a terminal, characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PtySize {
    /// Characters in a line.
    pub columns: u32,
    /// Lines.
    pub rows: u32,
}

/// What is to be started.
pub(crate) enum Start<'a> {
    Shell,
    Command(&'a CommandLine),
    Subsystem(&'static str),
}

/// A terminal to be asked for.
pub(crate) struct Terminal<'a> {
    pub(crate) name: &'a str,
    pub(crate) size: PtySize,
    /// No echo and no translation of line ends: for programs that want a terminal but are driven by us.
    pub(crate) raw: bool,
}

/// Until when something is waited for.
#[derive(Clone, Copy)]
struct Limit {
    each: Duration,
    deadline: Option<Instant>,
}

impl Limit {
    fn at(self) -> Instant {
        let own = Instant::now() + self.each;
        self.deadline.map_or(own, |deadline| deadline.min(own))
    }

    /// For a free channel: as long as the commands before us take, which have limits of their own.
    fn until_free(self) -> Instant {
        self.deadline.unwrap_or_else(|| Instant::now() + FREE_CHANNEL)
    }
}

/// How long a start without a deadline waits for a free channel.
const FREE_CHANNEL: Duration = Duration::from_secs(600);

/// A running program.
pub struct Process {
    pub(crate) read: ChannelReadHalf,
    pub(crate) write: Input,
    inner: Arc<Inner>,
    end: Option<End>,
    closed: bool,
    _permit: OwnedSemaphorePermit,
}

/// The writing half; when it is dropped, the program is told to end and the channel is closed.
///
/// A program that goes on, as those of root do unless they write, keeps its session at the host until it ends.
pub(crate) struct Input(pub(crate) Option<Arc<ChannelWriteHalf<Msg>>>);

impl Drop for Input {
    fn drop(&mut self) {
        let (Some(write), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        runtime.spawn(async move {
            // It is of no use to anybody whether this arrives; a full queue must not hold us forever.
            let _ = timeout(FAREWELL, async {
                let _ = write.signal(Sig::TERM).await;
                write.close().await
            })
            .await;
        });
    }
}

impl Connection {
    /// `deadline`: for asking, besides the connection's own limit of each request.
    pub(crate) async fn start(
        &self,
        what: Start<'_>,
        terminal: Option<Terminal<'_>>,
        deadline: Option<Instant>,
    ) -> Result<Process, End> {
        let inner = &self.0;
        let limit = Limit { each: inner.target.times.request, deadline };
        let gone = || End::NotRun(NotRun::Disconnected(inner.ear.end("it was closed")));
        let permit = match timeout_at(limit.until_free(), Arc::clone(&inner.sessions).acquire_owned()).await {
            Err(_) => return Err(End::NotRun(NotRun::TimeLimit)),
            Ok(permit) => permit.map_err(|_| gone())?,
        };
        let channel = match timeout_at(limit.at(), inner.handle.channel_open_session()).await {
            Err(_) => return Err(End::NotRun(NotRun::TimeLimit)),
            Ok(Ok(channel)) => channel,
            Ok(Err(russh::Error::ChannelOpenFailure(why))) => {
                return Err(End::NotRun(NotRun::Refused(format!("no channel ({why:?})"))));
            }
            Ok(Err(_)) => return Err(gone()),
        };
        let (read, write) = channel.split();
        let inner = Arc::clone(inner);
        let mut process = Process {
            read,
            write: Input(Some(Arc::new(write))),
            inner,
            end: None,
            closed: false,
            _permit: permit,
        };
        if let Some(terminal) = terminal {
            process.ask_for(terminal).await.map_err(|_| gone())?;
            if let Err(refusal) = process.granted("a terminal", limit).await {
                // Without the terminal nothing was started yet.
                return Err(match refusal {
                    End::Unknown(Doubt::ConnectionLost(why)) => End::NotRun(NotRun::Disconnected(why)),
                    End::Unknown(_) => End::NotRun(NotRun::TimeLimit),
                    other => other,
                });
            }
        }
        let (sent, name) = {
            let write = process.writer().ok_or_else(gone)?;
            match what {
                Start::Shell => (write.request_shell(true).await, "a shell"),
                Start::Command(line) => (write.exec(true, line.as_str()).await, "the command"),
                Start::Subsystem(name) => (write.request_subsystem(true, name).await, name),
            }
        };
        // Not even queued: the connection's task had ended.
        sent.map_err(|_| gone())?;
        process.granted(name, limit).await?;
        Ok(process)
    }

    /// Starts the user's shell, or a command, in a terminal or without one, and leaves reading and writing to the
    /// caller. `terminal`: its kind, such as `xterm-256color`, and its size.
    ///
    /// # Errors
    /// The end that it came to before it began.
    pub async fn shell(
        &self,
        command: Option<&CommandLine>,
        terminal: Option<(&str, PtySize)>,
    ) -> Result<Process, End> {
        let what = command.map_or(Start::Shell, Start::Command);
        let terminal = terminal.map(|(name, size)| Terminal { name, size, raw: false });
        self.start(what, terminal, None).await
    }
}

impl Process {
    fn writer(&self) -> Option<&ChannelWriteHalf<Msg>> {
        self.write.0.as_deref()
    }

    async fn ask_for(&self, terminal: Terminal<'_>) -> Result<(), russh::Error> {
        let modes: &[(Pty, u32)] = if terminal.raw {
            &[(Pty::ECHO, 0), (Pty::OPOST, 0), (Pty::ONLCR, 0), (Pty::ICRNL, 0)]
        } else {
            &[]
        };
        let write = self.writer().ok_or(russh::Error::SendError)?;
        write.request_pty(true, terminal.name, terminal.size.columns, terminal.size.rows, 0, 0, modes).await
    }

    /// Waits for the answer to a request. Any doubt whether the program was started is told as doubt.
    async fn granted(&mut self, what: &str, limit: Limit) -> Result<(), End> {
        loop {
            match timeout_at(limit.at(), self.read.wait()).await {
                Err(_) => return Err(End::Unknown(Doubt::TimeLimit)),
                Ok(Some(ChannelMsg::Success)) => return Ok(()),
                Ok(Some(ChannelMsg::Failure)) => {
                    return Err(End::NotRun(NotRun::Refused(format!("it does not give {what}"))));
                }
                Ok(Some(ChannelMsg::Close)) => return Err(End::Unknown(Doubt::NoStatus)),
                Ok(None) => return Err(self.lost()),
                Ok(Some(_)) => {}
            }
        }
    }

    fn lost(&self) -> End {
        End::Unknown(Doubt::ConnectionLost(self.inner.ear.end("it broke off")))
    }

    /// The next piece of output; `None` once it has ended, and [`Self::end`] says how.
    ///
    /// Safe to be given up and called again.
    pub async fn next(&mut self) -> Option<Piece> {
        while !self.closed {
            match self.read.wait().await {
                Some(ChannelMsg::Data { data }) => {
                    return Some(Piece { stream: Stream::Stdout, bytes: data });
                }
                Some(ChannelMsg::ExtendedData { data, ext: 1 }) => {
                    return Some(Piece { stream: Stream::Stderr, bytes: data });
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => {
                    self.end = Some(End::Exited { status: exit_status });
                }
                Some(ChannelMsg::ExitSignal { signal_name, core_dumped, .. }) => {
                    self.end = Some(End::Signalled { signal: signal(&signal_name), core: core_dumped });
                }
                Some(ChannelMsg::Close) => {
                    self.closed = true;
                    self.end.get_or_insert(End::Unknown(Doubt::NoStatus));
                }
                None => {
                    self.closed = true;
                    // A status that came before the line was cut is still a status.
                    if self.end.is_none() {
                        self.end = Some(self.lost());
                    }
                }
                Some(_) => {}
            }
        }
        None
    }

    /// How it ended, after [`Self::next`] gave `None`.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref().filter(|_| self.closed)
    }

    /// Writes to its standard input; waits while the host takes no more.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn write(&self, bytes: impl Into<Bytes>) -> Result<(), End> {
        let write = self.writer().ok_or_else(|| self.lost())?;
        write.data_bytes(bytes).await.map_err(|_| self.lost())
    }

    /// Ends its standard input.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn end_input(&self) -> Result<(), End> {
        let write = self.writer().ok_or_else(|| self.lost())?;
        write.eof().await.map_err(|_| self.lost())
    }

    /// Tells the terminal's new size.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn resize(&self, size: PtySize) -> Result<(), End> {
        let write = self.writer().ok_or_else(|| self.lost())?;
        write.window_change(size.columns, size.rows, 0, 0).await.map_err(|_| self.lost())
    }

    /// Asks the host to send it SIGTERM. OpenSSH does since 7.9, but not for logins as root; nobody says whether it did.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn terminate(&self) -> Result<(), End> {
        let write = self.writer().ok_or_else(|| self.lost())?;
        write.signal(Sig::TERM).await.map_err(|_| self.lost())
    }
}

fn signal(name: &Sig) -> String {
    match name {
        Sig::Custom(name) => harmless(name),
        known => format!("{known:?}"),
    }
}
