//! Becoming another user on the host: by `sudo`, `su` or `doas`, with a password that goes in by standard input.
//!
//! The command is started behind a mark: a random word that the other user's shell prints first. Until it is seen, what
//! the program says is about becoming, and if it ends there, the command is known not to have run. The password is
//! written only after it was asked for, so that it never becomes the command's input, and only once.

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use crate::connection::Connection;
use crate::exec::{Bounds, Command, Input, Ran};
use crate::name::UserName;
use crate::pipe::Pipe;
use crate::process::{Doubt, End, NotRun, Piece, Process, PtySize, Start, Stream, Terminal};
use crate::quote::{CommandLine, LineError};
use crate::secret::Secret;
use crate::text::harmless;

/// The most that is said before the mark, bytes: lectures, warnings, prompts.
pub const BEFORE_MAX: usize = 64 * 1024;

/// By which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `sudo`, which has to be allowed for the user.
    Sudo,
    /// `su`, with the other user's password.
    Su,
    /// `doas`. It takes a password from a terminal only: both outputs are one then, and there is no input.
    Doas,
}

/// Who is to be become, and how.
#[derive(Clone)]
pub struct Become {
    /// By which program.
    pub method: Method,
    /// Whom.
    pub user: UserName,
    /// What is answered when a password is asked for. `None`: then it fails at once.
    pub password: Option<Secret>,
}

/// Words that nobody can guess, one pair for each start.
pub struct Marks {
    begun: String,
    prompt: String,
}

impl Marks {
    /// Fresh ones.
    ///
    /// # Errors
    /// The system has no random numbers: nothing has run.
    pub fn draw() -> Result<Self, End> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|e| not_become(format!("no random numbers: {e}")))?;
        let random: String = random.iter().map(|b| format!("{b:02x}")).collect();
        Ok(Self { begun: format!("wellkept-begun-{random}"), prompt: format!("wellkept-asks-{random}:") })
    }

    /// What of the program's output comes after the mark and its line end; `None` before that.
    pub fn after<'o>(&self, out: &'o [u8]) -> Option<&'o [u8]> {
        let mark = self.begun.as_bytes();
        let at = out.windows(mark.len()).position(|w| w == mark)?;
        let rest = out.get(at + mark.len()..)?;
        let end = rest.iter().position(|&b| b == b'\n')?;
        rest.get(end + 1..)
    }
}

fn not_become(why: impl Into<String>) -> End {
    End::NotRun(NotRun::NotBecome(why.into()))
}

impl Become {
    /// The line that becomes the user, prints the mark, and goes on with the command.
    ///
    /// # Errors
    /// It becomes too long.
    pub fn line(&self, command: &CommandLine, marks: &Marks) -> Result<CommandLine, LineError> {
        // The line is an argument of this script, never a part of it.
        let script = "printf '%s\\n' \"$1\" && exec /bin/sh -c \"$2\"";
        let inner = ["/bin/sh", "-c", script, "sh", &marks.begun, command.as_str()];
        let user = self.user.as_str();
        match (self.method, &self.password) {
            (Method::Sudo, Some(_)) => {
                let sudo = ["sudo", "-H", "-S", "-p", &marks.prompt, "-u", user, "--"];
                CommandLine::argv(&[&sudo[..], &inner].concat())
            }
            (Method::Sudo, None) => {
                CommandLine::argv(&[&["sudo", "-H", "-n", "-u", user, "--"][..], &inner].concat())
            }
            (Method::Su, _) => {
                let inner = CommandLine::argv(&inner)?;
                CommandLine::argv(&["su", "-s", "/bin/sh", "-c", inner.as_str(), user])
            }
            (Method::Doas, Some(_)) => CommandLine::argv(&[&["doas", "-u", user, "--"][..], &inner].concat()),
            (Method::Doas, None) => {
                CommandLine::argv(&[&["doas", "-n", "-u", user, "--"][..], &inner].concat())
            }
        }
    }

    /// What is typed when a password is asked for; `None` without one.
    ///
    /// # Errors
    /// It cannot be typed.
    pub fn typed(&self) -> Result<Option<Zeroizing<Vec<u8>>>, End> {
        let Some(password) = self.password.as_ref().map(Secret::expose) else { return Ok(None) };
        if password.contains(['\n', '\0']) {
            return Err(not_become("the password holds a line end, and cannot be typed"));
        }
        let mut typed = Zeroizing::new(Vec::with_capacity(password.len() + 1));
        typed.extend_from_slice(password.as_bytes());
        typed.push(b'\n');
        Ok(Some(typed))
    }

    /// The password is taken from a terminal only.
    pub fn on_terminal(&self) -> bool {
        self.method == Method::Doas && self.password.is_some()
    }

    /// Whether what was said so far on standard error ends with a question for a password.
    pub fn asks(&self, said: &[u8], marks: &Marks) -> bool {
        match self.method {
            Method::Sudo => said.ends_with(marks.prompt.as_bytes()),
            // Their prompts are in the host's language; all end with a colon.
            Method::Su | Method::Doas => {
                let text = String::from_utf8_lossy(said);
                text.ends_with([':', '：']) || text.ends_with(": ") || text.ends_with("： ")
            }
        }
    }
}

impl Connection {
    /// Runs a command as another user, as [`Connection::exec_live`] does. The command is read by `/bin/sh` then.
    pub async fn exec_as(
        &self,
        who: &Become,
        command: &Command,
        live: &mut (dyn FnMut(&Piece) + Send),
    ) -> Ran {
        let deadline = Instant::now() + command.bounds.time;
        let input = match &command.input {
            Input::Bytes(_) if who.on_terminal() => {
                return Ran::ended(not_become(
                    "doas asks for its password on a terminal, which takes no input",
                ));
            }
            Input::Bytes(bytes) => bytes.clone(),
            Input::Empty => Bytes::new(),
        };
        let (mut process, first) = match self.begin_as(who, command, deadline).await {
            Ok(begun) => begun,
            Err(end) => return Ran::ended(end),
        };
        let mut ran = Ran::ended(End::NotRun(NotRun::TimeLimit));
        if !first.is_empty() {
            let piece = Piece { stream: Stream::Stdout, bytes: first };
            live(&piece);
            ran.take(&piece, command.bounds.kept_bytes);
        }
        process.drive(input, &command.bounds, deadline, &mut ran, live).await;
        ran
    }

    /// Starts a program as another user with its streams for a protocol, as [`Connection::pipe`] does.
    ///
    /// # Errors
    /// The end that it came to before it began.
    pub async fn pipe_as(&self, who: &Become, command: &CommandLine) -> Result<Pipe, End> {
        if who.on_terminal() {
            return Err(not_become(
                "doas asks for its password on a terminal, which no protocol passes unharmed",
            ));
        }
        let command = Command { bounds: Bounds::default(), ..Command::new(command.clone()) };
        let deadline = Instant::now() + self.target().times.request;
        let (process, first) = self.begin_as(who, &command, deadline).await?;
        Ok(Pipe::new(process, first))
    }

    /// To the mark; also what the command wrote in the same breath.
    async fn begin_as(
        &self,
        who: &Become,
        command: &Command,
        deadline: Instant,
    ) -> Result<(Process, Bytes), End> {
        let typed = who.typed()?;
        let marks = Marks::draw()?;
        let line = who.line(&command.line, &marks).map_err(|e| not_become(e.to_string()))?;
        let size = command.terminal.unwrap_or(PtySize { columns: 80, rows: 24 });
        let raw = who.on_terminal();
        let terminal = (raw || command.terminal.is_some()).then_some(Terminal { name: "dumb", size, raw });
        let mut process = self.start(Start::Command(&line), terminal, Some(deadline)).await?;
        let first =
            Entrance { who, marks: &marks, said: Vec::new(), out: Vec::new(), answered: false, typed };
        let first = first.pass(&mut process, deadline).await?;
        Ok((process, first))
    }
}

/// What happens before the mark.
struct Entrance<'a> {
    who: &'a Become,
    marks: &'a Marks,
    /// Standard error; on a terminal, everything.
    said: Vec<u8>,
    out: Vec<u8>,
    answered: bool,
    typed: Option<Zeroizing<Vec<u8>>>,
}

impl Entrance<'_> {
    async fn pass(mut self, process: &mut Process, deadline: Instant) -> Result<Bytes, End> {
        loop {
            let piece = match timeout_at(deadline, process.next()).await {
                // The password may have been on its way, and the command may begin yet.
                Err(_) => return Err(End::Unknown(Doubt::TimeLimit)),
                Ok(None) => return Err(self.ended(process)),
                Ok(Some(piece)) => piece,
            };
            let heard = if piece.stream == Stream::Stdout { &mut self.out } else { &mut self.said };
            heard.extend_from_slice(&piece.bytes);
            if let Some(rest) = self.after_mark() {
                return Ok(rest);
            }
            if self.out.len() + self.said.len() > BEFORE_MAX {
                return Err(not_become(format!(
                    "it says more than {} KiB before it begins",
                    BEFORE_MAX / 1024
                )));
            }
            let asked = if self.who.on_terminal() { &self.out } else { &self.said };
            if self.who.asks(asked, self.marks) {
                self.answer(process).await?;
            }
        }
    }

    /// What comes after the mark and its line end.
    fn after_mark(&self) -> Option<Bytes> {
        self.marks.after(&self.out).map(Bytes::copy_from_slice)
    }

    async fn answer(&mut self, process: &Process) -> Result<(), End> {
        if self.answered {
            return Err(not_become(format!("the password to become {} is refused", self.who.user)));
        }
        let Some(typed) = self.typed.take() else {
            return Err(not_become(format!("a password is asked for, to become {}", self.who.user)));
        };
        self.answered = true;
        // What is heard from here on is about the answer.
        self.said.clear();
        if self.who.on_terminal() {
            self.out.clear();
        }
        process.write(Bytes::from_owner(typed)).await
    }

    fn ended(&self, process: &Process) -> End {
        match process.end() {
            Some(End::Exited { .. } | End::Signalled { .. }) => {
                let said = if self.who.on_terminal() { &self.out } else { &self.said };
                let said = harmless(&String::from_utf8_lossy(said));
                let why = if said.is_empty() { "it does not say why".to_owned() } else { said };
                not_become(format!("cannot become {}: {why}", self.who.user))
            }
            Some(end) => end.clone(),
            None => End::Unknown(Doubt::NoStatus),
        }
    }
}
