//! Lines that belong together: stack traces and indented continuations become one line with inner line ends.
//!
//! A joiner holds at most one group. Whether a line continues it is decided by what stands in the line and which kind of
//! trace is open; nothing is looked up ahead. So that a live view is quick, an ordinary line waits only for the moment
//! in which its continuation would follow, and an open trace a little longer. Lines, bytes and waiting are bounded, and
//! time is an argument.

mod trace;

use regex::bytes::Regex;

use crate::{Zone, stamp};
use trace::Trace;

/// How lines are joined.
#[derive(Debug, Clone)]
pub struct JoinConfig {
    /// What begins a new group.
    pub begins: Begins,
    /// Most lines of a group.
    pub lines: usize,
    /// Most bytes of a group.
    pub bytes: usize,
    /// How long an ordinary line waits for its continuation, nanoseconds.
    pub wait_ns: i64,
    /// How long a trace waits for its next line, nanoseconds.
    pub trace_wait_ns: i64,
}

impl Default for JoinConfig {
    fn default() -> Self {
        Self {
            begins: Begins::Auto,
            lines: 500,
            bytes: 256 << 10,
            wait_ns: 10_000_000,
            trace_wait_ns: 1_000_000_000,
        }
    }
}

/// What begins a new group.
#[derive(Debug, Clone, Default)]
pub enum Begins {
    /// Whatever is not indented and does not belong to an open stack trace.
    #[default]
    Auto,
    /// Every line: nothing is joined.
    Every,
    /// A line that begins with a time stamp.
    Stamp,
    /// A line in which this is found.
    Pattern(Regex),
}

/// Joins lines.
#[derive(Debug)]
pub struct Joiner {
    config: JoinConfig,
    held: Vec<u8>,
    lines: usize,
    trace: Trace,
    /// When the last line came.
    at_ns: i64,
}

impl Joiner {
    /// A joiner that holds nothing.
    #[must_use]
    pub fn new(config: JoinConfig) -> Self {
        Self { config, held: Vec::new(), lines: 0, trace: Trace::default(), at_ns: 0 }
    }

    /// Whether a line continues the group that is held. When it does not, the group is complete: to be taken with
    /// [`Self::group`] and [`Self::clear`] before the line is held.
    #[must_use]
    pub fn continues(&self, line: &[u8]) -> bool {
        let fits = self.lines < self.config.lines && self.held.len() + 1 + line.len() <= self.config.bytes;
        if self.lines == 0 || !fits {
            return false;
        }
        match &self.config.begins {
            Begins::Every => false,
            Begins::Auto => self.trace.continues(line, &self.held),
            Begins::Stamp => !is_stamped(line),
            Begins::Pattern(pattern) => !pattern.is_match(line),
        }
    }

    /// Adds a line to what is held.
    pub fn hold(&mut self, line: &[u8], now_ns: i64) {
        if self.lines > 0 {
            self.held.push(b'\n');
        }
        self.held.extend_from_slice(line);
        self.trace.advance(line, self.lines == 0);
        self.lines += 1;
        self.at_ns = now_ns;
    }

    /// What is held; nothing when no line is.
    #[must_use]
    pub fn group(&self) -> Option<&[u8]> {
        (self.lines > 0).then_some(self.held.as_slice())
    }

    /// When what is held is complete although nothing follows.
    #[must_use]
    pub fn due_ns(&self) -> Option<i64> {
        let wait = match self.config.begins {
            Begins::Every => 0,
            _ if self.trace.is_open() => self.config.trace_wait_ns,
            _ => self.config.wait_ns,
        };
        (self.lines > 0).then(|| self.at_ns.saturating_add(wait))
    }

    /// Whether what is held is complete at `now_ns`: its time has come, or the clock stepped back.
    #[must_use]
    pub fn is_due(&self, now_ns: i64) -> bool {
        self.due_ns().is_some_and(|due| now_ns >= due || now_ns < self.at_ns)
    }

    /// Lets go of what is held.
    pub fn clear(&mut self) {
        self.held.clear();
        self.held.shrink_to(64 << 10);
        self.lines = 0;
        self.trace = Trace::default();
    }
}

/// A clock for looking only whether there is a stamp: late enough for stamps without a year to have one.
const ANY_NOW_NS: i64 = 4_000_000_000_000_000_000;

/// Whether a line begins with a time stamp, brackets and the like apart.
fn is_stamped(line: &[u8]) -> bool {
    /// Bytes that may stand before the stamp of a line that begins with one: `[2024-…`, `INFO  2024-…`.
    const BEFORE_MAX: usize = 12;
    stamp::find(line, ANY_NOW_NS, &Zone::utc()).is_some_and(|s| s.start <= BEFORE_MAX)
}

#[cfg(test)]
mod tests;
