//! What is wrong in a `prometheus.yml`, where, and what would be accepted.
//!
//! Messages are keys of the catalogue; `Display` says them in English. No message shows a line of the file: it could
//! hold a password.

use std::fmt;

use wellkept_catalogue::{Language, render};
use wellkept_model::Text;

/// Problems beyond this number are only counted.
pub const PROBLEMS_MAX: usize = 100;
/// Characters of a value that are shown.
const SHOWN_MAX: usize = 160;

/// A place in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1; 0 when the whole file is meant.
    pub line: u32,
    /// Column in characters, from 1; 0 when the whole file is meant.
    pub column: u32,
}

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

/// Collects problems and notes while a file is read.
pub(crate) struct Problems<'a> {
    file: &'a str,
    found: Vec<Problem>,
    notes: Vec<Problem>,
    not_shown: usize,
}

impl<'a> Problems<'a> {
    pub(crate) fn new(file: &'a str) -> Self {
        Self { file, found: Vec::new(), notes: Vec::new(), not_shown: 0 }
    }

    pub(crate) fn add(&mut self, place: Place, path: &str, message: Text, accepted: Text) {
        if self.found.len() >= PROBLEMS_MAX {
            self.not_shown += 1;
            return;
        }
        let problem = self.problem(place, path, message, accepted);
        self.found.push(problem);
    }

    /// Something that is no mistake, but has no effect.
    pub(crate) fn note(&mut self, place: Place, path: &str, message: Text, accepted: Text) {
        if self.notes.len() < PROBLEMS_MAX {
            let problem = self.problem(place, path, message, accepted);
            self.notes.push(problem);
        }
    }

    fn problem(&self, place: Place, path: &str, message: Text, accepted: Text) -> Problem {
        Problem { file: self.file.to_owned(), place, path: short(path), message, accepted }
    }

    /// What was read with the notes, or all problems in the order of the file.
    pub(crate) fn finish<T>(mut self, read: T) -> Result<(T, Vec<Problem>), ConfigErrors> {
        if self.found.is_empty() {
            return Ok((read, self.notes));
        }
        self.found.sort_by_key(|p| p.place);
        Err(ConfigErrors { problems: self.found, not_shown: self.not_shown })
    }
}

/// A value from the file for use in a message: not too long. The catalogue makes it harmless for terminals.
pub(crate) fn short(value: &str) -> String {
    let mut out: String = value.chars().take(SHOWN_MAX).collect();
    if value.chars().nth(SHOWN_MAX).is_some() {
        out.push('…');
    }
    out
}
