//! What is wrong in a rule file or unit-test file, where, and what would be accepted.
//!
//! Messages are keys of the catalogue; `Display` says them in English. Words of the PromQL parser and of templates
//! stay as they are: they are Prometheus' and Go's own.

use std::fmt;

use wellkept_catalogue::{Language, render};
use wellkept_model::Text;
use wellkept_yamltree::{Found, Mistakes, cut, one_line};

pub use wellkept_yamltree::{PROBLEMS_MAX, Place};

use crate::yaml::Words;

/// Characters of a value that are shown.
const SHOWN_MAX: usize = 200;

/// One mistake, or one thing that looks wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file as the caller named it.
    pub file: String,
    /// Where.
    pub place: Place,
    /// Keys that lead there, for example `groups[0].rules[3].for`; empty for the whole file.
    pub path: String,
    /// What is wrong.
    pub message: Text,
    /// What would be accepted.
    pub accepted: Text,
}

impl Problem {
    /// One line for a terminal in one language: `file:line:column: path: message; what is accepted`.
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
pub struct FileErrors {
    /// At most [`PROBLEMS_MAX`].
    pub problems: Vec<Problem>,
    /// How many more there were.
    pub not_shown: usize,
}

impl std::error::Error for FileErrors {}

impl fmt::Display for FileErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if i > 0 { "\n" } else { "" })?;
        }
        if self.not_shown > 0 {
            write!(f, "\n+{}", self.not_shown)?;
        }
        Ok(())
    }
}

impl From<Mistakes> for FileErrors {
    fn from(mistakes: Mistakes) -> Self {
        let problems = mistakes.found.into_iter().map(Problem::from).collect();
        Self { problems, not_shown: mistakes.not_shown }
    }
}

/// Collects problems while a file is read.
pub(crate) type Problems<'a> = wellkept_yamltree::Problems<'a, Words>;

/// A value for use in a message, cut to a readable length.
pub(crate) fn short(value: &str) -> String {
    cut(value, SHOWN_MAX)
}
