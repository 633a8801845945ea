//! A line of a log, what a template is, and who takes lines.
//!
//! Doors and tails hand lines on borrowed; the miner splits a line into a shape and its parameters; the store
//! keeps both. Shape and parameters together are the line, byte for byte.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Labels;

/// How grave a line says it is. Ordered: later is graver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Finest detail.
    Trace,
    /// For developers.
    Debug,
    /// Normal work.
    Info,
    /// Normal, but worth a look (syslog's notice).
    Notice,
    /// May become a fault.
    Warning,
    /// Something failed.
    Error,
    /// The program or the system is in danger (syslog's critical, alert, emergency; fatal, panic).
    Critical,
}

impl Level {
    /// All levels, mildest first.
    pub const ALL: [Self; 7] =
        [Self::Trace, Self::Debug, Self::Info, Self::Notice, Self::Warning, Self::Error, Self::Critical];

    /// The word used in labels, queries and the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// One line as a door or a tail hands it on.
#[derive(Debug, Clone, Copy)]
pub struct LogLine<'a> {
    /// Its own time stamp, or that of its arrival. Nanoseconds since the Unix epoch, UTC.
    pub at_ns: i64,
    /// Labels of its stream: `service`, `host`, `filename` and what a protocol names.
    pub labels: &'a Labels,
    /// What the line or the protocol says of its gravity.
    pub level: Option<Level>,
    /// The line as it came, without its line end. Any bytes; a stack trace keeps its inner line ends.
    pub text: &'a [u8],
    /// Fields that the protocol carried beside the text (structured metadata). Not those parsed out of the text.
    pub fields: &'a [(&'a str, &'a str)],
}

/// Takes lines.
pub trait LogSink {
    /// Takes one line. The sink bounds and counts what it cannot keep.
    fn line(&mut self, line: &LogLine<'_>);
}

/// Name of a template: stays the same when the template is generalised, and across restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TemplateId(pub u64);

/// Type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamKind {
    /// Integer or decimal number, without a unit.
    Number,
    /// Hexadecimal number of any length, with or without `0x`.
    Hex,
    /// IPv4, IPv6 or MAC address, with or without a port.
    Address,
    /// Path of a file or a URL.
    Path,
    /// UUID or another opaque identifier (letters and digits mixed).
    Id,
    /// Time with its unit: `15ms`, `00:01:02`.
    Duration,
    /// Amount of data with its unit: `4 KiB`.
    Size,
    /// Date or time of day.
    Time,
    /// Anything else.
    Text,
}

/// One form of a template: what stands still around the parameters. A line is `literals[0]`, first parameter,
/// `literals[1]`, …, last parameter, `literals[n]`. A generalised template gets a new shape with the same id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// The template.
    pub template: TemplateId,
    /// One more than parameters; may be empty pieces.
    pub literals: Vec<Box<[u8]>>,
    /// Type of each parameter.
    pub kinds: Vec<ParamKind>,
}

/// Splits lines into shape and parameters.
pub trait TemplateMiner {
    /// Shape of the line; `params` is emptied and takes the byte ranges of the parameters in the text, in order.
    fn split(&mut self, text: &[u8], params: &mut Vec<Range<u32>>) -> Arc<Shape>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_ordered_and_their_words_are_those_of_serde() {
        assert!(Level::ALL.is_sorted());
        for level in Level::ALL {
            assert_eq!(serde_json::to_string(&level).unwrap(), format!("\"{}\"", level.word()));
        }
    }
}
