//! What is wrong in a rule file or unit-test file, where, and what would be accepted.
//!
//! Messages are keys of the catalogue; `Display` says them in English. Words of the PromQL parser and of templates
//! stay as they are: they are Prometheus' and Go's own.

use std::fmt;

use wellkept_catalogue::{Language, render};
use wellkept_model::Text;

/// Problems beyond this number are only counted.
pub const PROBLEMS_MAX: usize = 100;
/// Characters of a value that are shown.
const SHOWN_MAX: usize = 200;

/// A place in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1; 0 when the whole file is meant.
    pub line: u32,
    /// Column in characters, from 1; 0 when the whole file is meant.
    pub column: u32,
}

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
        let mut out = self.file.clone();
        if self.place.line > 0 {
            out.push_str(&format!(":{}:{}", self.place.line, self.place.column));
        }
        if !self.path.is_empty() {
            out.push_str(&format!(": {}", self.path));
        }
        format!("{out}: {}; {}", render(language, &self.message), render(language, &self.accepted))
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

/// Collects problems while a file is read.
pub(crate) struct Problems<'a> {
    file: &'a str,
    found: Vec<Problem>,
    not_shown: usize,
}

impl<'a> Problems<'a> {
    pub(crate) fn new(file: &'a str) -> Self {
        Self { file, found: Vec::new(), not_shown: 0 }
    }

    pub(crate) fn add(&mut self, place: Place, path: &str, message: Text, accepted: Text) {
        if self.found.len() >= PROBLEMS_MAX {
            self.not_shown += 1;
            return;
        }
        let path = short(path);
        self.found.push(Problem { file: self.file.to_owned(), place, path, message, accepted });
    }

    /// The problems in the order of the file, or `read` when there are none.
    pub(crate) fn finish<T>(mut self, read: T) -> Result<T, FileErrors> {
        if self.found.is_empty() {
            return Ok(read);
        }
        self.found.sort_by_key(|p| p.place);
        Err(FileErrors { problems: self.found, not_shown: self.not_shown })
    }
}

/// A value for use in a message, cut to a readable length.
pub(crate) fn short(value: &str) -> String {
    let mut out: String = value.chars().take(SHOWN_MAX).collect();
    if out.len() < value.len() {
        out.push('…');
    }
    out
}
