//! The person at the terminal: passwords without echo, host keys by their fingerprint.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal as _, Write};
use std::sync::Mutex;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use wellkept_catalogue::{Language, harmless};
use wellkept_fleet::desk::Desk;
use wellkept_model::Text;
use wellkept_ssh::hosts::HostKeyRefusal;
use zeroize::Zeroizing;

use crate::say;

/// The longest answer, bytes.
const ANSWER_MAX: u64 = 4096;

/// Asks at `/dev/tty`; nobody is there when it cannot be opened or standard input is no terminal.
#[derive(Debug)]
pub(crate) struct Terminal {
    language: Language,
    tty: Option<Mutex<File>>,
}

impl Terminal {
    pub(crate) fn new(language: Language) -> Self {
        let attended = std::io::stdin().is_terminal();
        let tty = attended.then(|| File::options().read(true).write(true).open("/dev/tty").ok()).flatten();
        Self { language, tty: tty.map(Mutex::new) }
    }

    fn ask(&self, question: &str, echo: bool) -> Option<Zeroizing<String>> {
        use std::io::Read as _;
        let mut tty = self.tty.as_ref()?.lock().ok()?;
        write!(tty, "{question}").ok()?;
        let before = if echo { None } else { Some(Hidden::begin(&tty)?) };
        let mut answer = Zeroizing::new(String::new());
        let read = BufReader::new((&*tty).take(ANSWER_MAX)).read_line(&mut answer);
        if before.is_some() {
            writeln!(tty).ok()?;
        }
        drop(before);
        read.ok().filter(|bytes| *bytes > 0)?;
        let trimmed = answer.trim_end_matches(['\n', '\r']).len();
        answer.truncate(trimmed);
        Some(answer)
    }
}

/// Echo is off until this is dropped.
struct Hidden {
    tty: File,
    before: Termios,
}

impl Hidden {
    fn begin(tty: &File) -> Option<Self> {
        let tty = tty.try_clone().ok()?;
        let before = tcgetattr(&tty).ok()?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&tty, OptionalActions::Flush, &hidden).ok()?;
        Some(Self { tty, before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _ = tcsetattr(&self.tty, OptionalActions::Now, &self.before);
    }
}

impl Desk for Terminal {
    fn secret(&self, question: &str) -> Option<Zeroizing<String>> {
        self.ask(&harmless(question), false)
    }

    fn line(&self, question: &str) -> Option<String> {
        self.ask(&harmless(question), true).map(|answer| answer.to_string())
    }

    fn accept_key(&self, refusal: &HostKeyRefusal) -> bool {
        let HostKeyRefusal::Unknown { host, kind, fingerprint, .. } = refusal else { return false };
        let text = Text::new("fleet.key.unknown")
            .with("host", host)
            .with("kind", kind)
            .with("fingerprint", fingerprint);
        let question = format!("{} ", say::text(self.language, &text));
        // The whole word, as ssh wants it: this is not to be done by a slip.
        self.ask(&question, true).is_some_and(|answer| answer.trim() == "yes")
    }
}
