//! What is wrong in a `prometheus.yml`, where, and what would be accepted.
//!
//! Messages are keys of the catalogue; `Display` says them in English. No message shows a line of the file: it could
//! hold a password.

use std::fmt;

use wellkept_catalogue::{Language, render};
use wellkept_model::Text;
use wellkept_yamltree::{Found, Mistakes, cut, one_line};

pub use wellkept_yamltree::{PROBLEMS_MAX, Place};

use super::yaml::Words;

/// Characters of a value that are shown.
const SHOWN_MAX: usize = 160;

/// One mistake, or one key that has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file as the caller named it.
    pub file: String,
    /// Where.
    pub place: Place,
    /// Keys that lead there, for example `scrape_configs[0].scheme`; empty for the whole file.
    pub path: String,
    /// What is wrong.
    pub message: Text,
    /// What would be accepted.
    pub accepted: Text,
}

impl Problem {
    /// One line in one language: `file:line:column: path: message; what is accepted`.
    #[must_use]
    pub fn line(&self, language: Language) -> String {
        let (message, accepted) = (render(language, &self.message), render(language, &self.accepted));
        one_line(&self.file, self.place, &self.path, &message, &accepted)
    }
}

impl From<Found> for Problem {
    fn from(found: Found) -> Self {
        Self {
            file: found.file,
            place: found.at.place,
            path: found.at.path,
            message: found.message,
            accepted: found.accepted,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line(Language::En))
    }
}

/// All mistakes of a file in the order of the file; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// At most [`PROBLEMS_MAX`].
    pub problems: Vec<Problem>,
    /// How many more there were.
    pub not_shown: usize,
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.problems.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))?;
        if self.not_shown > 0 { write!(f, "\n(+{})", self.not_shown) } else { Ok(()) }
    }
}

impl From<Mistakes> for ConfigErrors {
    fn from(mistakes: Mistakes) -> Self {
        let problems = mistakes.found.into_iter().map(Problem::from).collect();
        Self { problems, not_shown: mistakes.not_shown }
    }
}

/// Collects problems and notes while a file is read.
pub(crate) type Problems<'a> = wellkept_yamltree::Problems<'a, Words>;

/// A value from the file for use in a message: not too long. The catalogue makes it harmless for terminals.
pub(crate) fn short(value: &str) -> String {
    cut(value, SHOWN_MAX)
}
