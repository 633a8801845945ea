//! Which lines follow which in the stack traces of Java, Python, Go, Rust, Node, .NET, PHP and others.

use wellkept_model::Level;

use super::{ANY_NOW_NS, is_stamped};
use crate::{Zone, reading};

/// Which kind of trace is open, as far as it decides what may follow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    /// An ordinary line.
    #[default]
    Plain,
    /// Indented lines of no known kind.
    Indented,
    /// An exception's name; `at …` and causes follow.
    Exception,
    /// Python, before the line that names the exception.
    PythonBody,
    /// Python, behind it: only a chained exception follows.
    PythonEnd,
    /// Go.
    Go,
    /// Rust, whose message stands on the next line.
    RustMessage,
    /// Rust, behind the message.
    Rust,
    /// Node, before the line that names the error.
    NodePreface,
    /// Numbered frames: PHP, gdb.
    Numbered,
}

/// The state of an open group.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trace {
    kind: Kind,
    /// The last line was empty.
    gap: bool,
}

impl Trace {
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.kind, Kind::Plain | Kind::PythonEnd)
    }

    /// Whether a line belongs to the group.
    /// `held`: the group.
    pub(super) fn continues(&self, line: &[u8], held: &[u8]) -> bool {
        let Some(first) = line.first() else { return self.empty_continues() };
        if matches!(first, b' ' | b'\t') {
            let text = line.trim_ascii_start();
            return !text.is_empty() && !is_stamped(text);
        }
        match self.kind {
            Kind::PythonBody => names_exception(line) || is_closing(line) || starts_any(line, &PYTHON_CHAIN),
            Kind::PythonEnd if self.gap => starts_any(line, &PYTHON_CHAIN),
            Kind::PythonEnd => false,
            Kind::Go => is_go(line),
            Kind::RustMessage => !is_stamped(line),
            Kind::Rust => starts_any(line, &[b"stack backtrace:", b"note: "]),
            Kind::NodePreface => !is_stamped(line),
            Kind::Numbered => is_frame(line),
            Kind::Plain | Kind::Indented | Kind::Exception => self.follows(line, held),
        }
    }

    /// What may follow an ordinary line or an exception.
    fn follows(&self, line: &[u8], held: &[u8]) -> bool {
        if starts_any(
            line,
            &[b"Caused by: ", b"Suppressed: ", b"Stack trace:", b"Stacktrace:", b"...", b"--- End of"],
        ) {
            return true;
        }
        if self.kind != Kind::Plain && (is_closing(line) || line.starts_with(b"Node.js v")) {
            return true;
        }
        let told = self.kind == Kind::Plain
            && matches!(kind_of(line), Kind::Exception | Kind::PythonBody | Kind::Numbered);
        // Behind a line that tells of something wrong, a trace without a stamp belongs to it.
        told && !is_uncaught(line) && !is_stamped(line) && tells_of_something_wrong(held)
    }

    fn empty_continues(&self) -> bool {
        !self.gap
            && matches!(
                self.kind,
                Kind::PythonBody | Kind::PythonEnd | Kind::Go | Kind::NodePreface | Kind::Exception
            )
    }

    /// Goes on behind a line that was added.
    pub(super) fn advance(&mut self, line: &[u8], first: bool) {
        if first {
            *self = Self { kind: kind_of(line), gap: false };
            return;
        }
        self.gap = line.is_empty();
        if self.gap {
            return;
        }
        let indented = matches!(line.first(), Some(b' ' | b'\t'));
        self.kind = match self.kind {
            Kind::PythonBody if !indented && !is_closing(line) && !starts_any(line, &PYTHON_CHAIN) => {
                Kind::PythonEnd
            }
            Kind::RustMessage => Kind::Rust,
            Kind::NodePreface if names_exception(line) => Kind::Exception,
            Kind::Plain if indented => Kind::Indented,
            kind => match kind_of(line) {
                Kind::Plain => kind,
                next if indented => {
                    // A frame's text does not change what is open.
                    if kind == Kind::Indented { next } else { kind }
                }
                next => next,
            },
        };
    }
}

const PYTHON_CHAIN: [&[u8]; 3] =
    [b"During handling of the above", b"The above exception was", b"Traceback (most recent call last)"];

/// Which kind of trace a line begins.
fn kind_of(line: &[u8]) -> Kind {
    let text = line.trim_ascii_start();
    if starts_any(text, &PYTHON_CHAIN) || line.ends_with(b"Traceback (most recent call last):") {
        return Kind::PythonBody;
    }
    if starts_any(text, &[b"panic: ", b"fatal error: ", b"goroutine ", b"[signal SIG", b"runtime: "]) {
        return Kind::Go;
    }
    if text.starts_with(b"thread '")
        && let Some(at) = find(text, b" panicked at ")
    {
        // Older versions put the message before the place.
        let place = text.get(at..).unwrap_or_default();
        return if place.ends_with(b":") && !place.contains(&b'\'') { Kind::RustMessage } else { Kind::Rust };
    }
    if is_frame(text) || text.ends_with(b"Stack trace:") {
        return Kind::Numbered;
    }
    if is_place(text) {
        return Kind::NodePreface;
    }
    if is_uncaught(text) || names_exception(text) { Kind::Exception } else { Kind::Plain }
}

/// A program's own report of an exception that nobody caught; it begins a group, whatever stands before.
fn is_uncaught(line: &[u8]) -> bool {
    starts_any(line, &[b"Exception in thread ", b"Unhandled exception", b"Uncaught "])
}

/// A line with a stamp whose level, if it has one, is at least a warning.
fn tells_of_something_wrong(line: &[u8]) -> bool {
    let mild =
        || reading::level_of(line, ANY_NOW_NS, &Zone::utc()).is_some_and(|level| level < Level::Warning);
    is_stamped(line) && !mild()
}

fn starts_any(line: &[u8], starts: &[&[u8]]) -> bool {
    starts.iter().any(|start| line.starts_with(start))
}

fn find(line: &[u8], word: &[u8]) -> Option<usize> {
    memchr::memmem::find(line.get(..400).unwrap_or(line), word)
}

/// `java.lang.IllegalStateException: text`, `ValueError: text`, `KeyboardInterrupt`, `Error: text`.
fn names_exception(line: &[u8]) -> bool {
    let name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'$');
    let end = line.iter().take(200).take_while(|b| name(b)).count();
    let (word, rest) = line.split_at(end);
    if !(rest.is_empty() || rest.starts_with(b": ") || rest == b":" || rest.starts_with(b" [")) {
        return false;
    }
    let last = word.rsplit(|b| *b == b'.').next().unwrap_or_default();
    if !last.first().is_some_and(u8::is_ascii_uppercase) {
        return false;
    }
    let named =
        [&b"Exception"[..], b"Error", b"Throwable", b"Interrupt", b"Exit", b"Warning", b"Failure", b"Fault"];
    // Python's exceptions may have any name, but then stand behind a module.
    let dotted = last.len() < word.len() && rest.starts_with(b": ");
    dotted || named.iter().any(|end| last.ends_with(end))
}

/// A line of closing brackets, as behind the properties of an error.
fn is_closing(line: &[u8]) -> bool {
    line.len() < 8 && line.iter().all(|b| matches!(b, b'}' | b']' | b')' | b';' | b','))
}

/// Lines of a Go trace that are not indented.
fn is_go(line: &[u8]) -> bool {
    if starts_any(
        line,
        &[b"goroutine ", b"created by ", b"[signal ", b"panic: ", b"exit status ", b"runtime: ", b"..."],
    ) {
        return true;
    }
    let call = line.last() == Some(&b')') && line.contains(&b'(');
    if call && !is_stamped(line) {
        // `main.(*T).run(0x1)`: what stands before the arguments has no blank.
        let open = line.iter().rposition(|b| *b == b'(').unwrap_or(0);
        return !line.get(..open).unwrap_or_default().contains(&b' ');
    }
    // Registers, as they are printed behind a signal.
    let name = line.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
    name > 0 && name < 7 && find(line, b" 0x").is_some_and(|at| at < 12)
}

/// `#0 …`: a numbered frame.
fn is_frame(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"#") else { return false };
    let digits = rest.iter().take(4).take_while(|b| b.is_ascii_digit()).count();
    digits > 0 && rest.get(digits) == Some(&b' ')
}

/// `/srv/app/index.js:12`: where Node says an error was thrown.
fn is_place(line: &[u8]) -> bool {
    let begins = starts_any(line, &[b"/", b"file:///", b"node:"]);
    let Some(colon) = line.iter().rposition(|b| *b == b':') else { return false };
    let number = line.get(colon + 1..).unwrap_or_default();
    let path = line.get(..colon).unwrap_or_default();
    let script = [&b".js"[..], b".mjs", b".cjs", b".ts"].iter().any(|end| path.ends_with(end))
        || path.starts_with(b"node:");
    begins && script && !number.is_empty() && number.iter().all(u8::is_ascii_digit)
}
