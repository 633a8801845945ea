//! What a person marked as harmless: never told again, counted, and taken back when asked.

use std::io;

use serde::{Deserialize, Serialize};
use wellkept_logmine::anomaly::stream::Kind;
use wellkept_model::{TemplateId, TimestampMs};
use wellkept_tsdb::Disk;

use crate::learned::replace;

const FILE: &str = "harmless.json";
const TEMPORARY: &str = "harmless.json.tmp";
/// Most marks. A log in which more is odd and harmless should not be watched.
pub(crate) const MARKS_MAX: usize = 10_000;
const BYTES_MAX: usize = 64 << 20;

/// One mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The template.
    pub template: TemplateId,
    /// Its text when it was marked, for people.
    pub text: String,
    /// What is harmless about it: see [`word_of`].
    pub kind: String,
    /// Which parameter, for values.
    pub parameter: Option<u8>,
    /// Who said so.
    pub by: String,
    /// When.
    pub at: TimestampMs,
}

/// Why a mark was not made.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// Nothing is called so.
    #[error(
        "`{0}` is no kind of oddity; accepted: new_template, rate, missing_beat, session, value (with `parameter`)"
    )]
    Kind(String),
    /// No line had it.
    #[error("no template has the id {0}")]
    Template(String),
    /// Too many.
    #[error("{MARKS_MAX} things are marked as harmless; take some back first")]
    TooMany,
    /// The disk's.
    #[error("the mark could not be stored")]
    Io(#[from] io::Error),
}

/// The word of a kind in the API.
#[must_use]
pub fn word_of(kind: Kind) -> &'static str {
    match kind {
        Kind::NewTemplate => "new_template",
        Kind::Rate => "rate",
        Kind::MissingBeat => "missing_beat",
        Kind::Value(_) => "value",
        Kind::Session => "session",
    }
}

/// The parameter that a kind is about.
#[must_use]
pub fn parameter_of(kind: Kind) -> Option<u8> {
    if let Kind::Value(parameter) = kind { Some(parameter) } else { None }
}

/// The kind with this word.
#[must_use]
pub fn kind_of_word(word: &str, parameter: Option<u8>) -> Option<Kind> {
    match (word, parameter) {
        ("new_template", None) => Some(Kind::NewTemplate),
        ("rate", None) => Some(Kind::Rate),
        ("missing_beat", None) => Some(Kind::MissingBeat),
        ("session", None) => Some(Kind::Session),
        ("value", Some(parameter)) => Some(Kind::Value(parameter)),
        _ => None,
    }
}

/// Reads the marks. A file that cannot be read is an error: a person's word must not be lost in silence.
pub(crate) fn read(disk: &dyn Disk) -> io::Result<Vec<Mark>> {
    match disk.read(FILE, 0, BYTES_MAX) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

/// Writes them; on disk when it returns.
pub(crate) fn write(disk: &dyn Disk, marks: &[Mark]) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(marks).map_err(io::Error::other)?;
    replace(disk, TEMPORARY, FILE, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_words_that_lead_back() {
        for kind in [Kind::NewTemplate, Kind::Rate, Kind::MissingBeat, Kind::Session, Kind::Value(3)] {
            assert_eq!(kind_of_word(word_of(kind), parameter_of(kind)), Some(kind));
        }
        assert_eq!(kind_of_word("value", None), None);
        assert_eq!(kind_of_word("rate", Some(1)), None);
    }
}
