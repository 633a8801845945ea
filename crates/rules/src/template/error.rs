//! What is wrong with a template, and where.

use std::fmt;

/// A template that cannot be read or expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// Line in the template, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The part of the template that failed; empty when it could not even be read.
    pub at: String,
    /// What is wrong, in Go's words where Go has some.
    pub message: String,
}

impl std::error::Error for TemplateError {}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.at.is_empty() {
            write!(f, "at <{}>: ", self.at)?;
        }
        f.write_str(&self.message)
    }
}

/// An error at a byte of the template; lines are counted only when it is shown.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) pos: usize,
    pub(crate) at: String,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(pos: usize, message: impl Into<String>) -> Self {
        Self { pos, at: String::new(), message: message.into() }
    }

    pub(crate) fn within(self, text: &str) -> TemplateError {
        let before = text.get(..self.pos).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        TemplateError { line: before.matches('\n').count() + 1, column, at: self.at, message: self.message }
    }
}
