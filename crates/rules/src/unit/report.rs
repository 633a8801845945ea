//! What a run of unit tests has to say.

use std::fmt;

use wellkept_catalogue::{Language, render};
use wellkept_model::Text;

use crate::problem::Problem;

/// All tests of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The test file as the caller named it.
    pub file: String,
    /// In the order of the file.
    pub tests: Vec<TestReport>,
    /// What looks wrong but fails no test, for example a pattern that no rule file matches.
    pub warnings: Vec<Problem>,
}

/// One test.
#[derive(Debug, Clone, PartialEq)]
pub struct TestReport {
    /// Its place in the file, from 0.
    pub index: usize,
    /// Its name; may be empty.
    pub name: String,
    /// None when it passed.
    pub failures: Vec<Failure>,
}

/// One thing that was not as the test wants it.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// What was looked at, when, and what went wrong.
    pub text: Text,
    /// Wanted and found, line by line; empty when something could not be evaluated.
    pub diff: Vec<DiffLine>,
}

/// One line of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiffLine {
    /// As wanted.
    Same(String),
    /// Wanted and not there.
    Missing(String),
    /// There and not wanted.
    Unwanted(String),
}

impl Report {
    /// Whether all tests passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.tests.iter().all(|t| t.failures.is_empty())
    }

    /// The report as text for a terminal: failures with their comparison, and a summary.
    #[must_use]
    pub fn show(&self, language: Language) -> String {
        let mut out = String::new();
        for warning in &self.warnings {
            out.push_str(&format!("{}\n", warning.line(language)));
        }
        for test in &self.tests {
            for failure in &test.failures {
                let name =
                    if test.name.is_empty() { format!("#{}", test.index + 1) } else { test.name.clone() };
                out.push_str(&format!("{}: {name}: {}\n", self.file, render(language, &failure.text)));
                failure.diff.iter().for_each(|line| out.push_str(&format!("    {line}\n")));
            }
        }
        let failed = self.tests.iter().filter(|t| !t.failures.is_empty()).count();
        let sum = Text::new(if failed == 0 { "rules.test.passed" } else { "rules.test.failed" })
            .with("file", &self.file)
            .with("count", self.tests.len())
            .with("failed", failed);
        out.push_str(&format!("{}\n", render(language, &sum)));
        out
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show(Language::En))
    }
}

impl fmt::Display for DiffLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, line) = match self {
            Self::Same(line) => (' ', line),
            Self::Missing(line) => ('-', line),
            Self::Unwanted(line) => ('+', line),
        };
        write!(f, "{sign} {}", wellkept_catalogue::harmless(line))
    }
}

/// Compares two lists in which order does not matter; `None` when they agree.
pub(crate) fn diff<T>(
    wanted: &[T],
    found: &[T],
    same: impl Fn(&T, &T) -> bool,
    show: impl Fn(&T) -> String,
) -> Option<Vec<DiffLine>> {
    let mut left: Vec<&T> = found.iter().collect();
    let mut lines = Vec::new();
    let mut differ = false;
    for item in wanted {
        match left.iter().position(|f| same(item, f)) {
            Some(at) => {
                left.swap_remove(at);
                lines.push(DiffLine::Same(show(item)));
            }
            None => {
                differ = true;
                lines.push(DiffLine::Missing(show(item)));
            }
        }
    }
    differ |= !left.is_empty();
    let mut unwanted: Vec<String> = left.into_iter().map(show).collect();
    unwanted.sort();
    lines.extend(unwanted.into_iter().map(DiffLine::Unwanted));
    differ.then_some(lines)
}
