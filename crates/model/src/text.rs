//! Texts for people, before a language is chosen.

use serde::{Deserialize, Serialize};

/// A key of the message catalogue with its arguments.
///
/// The pure crates never write sentences: they name a message and give its values. `wellkept-catalogue` turns
/// it into English or Simplified Chinese at the edge. Argument values come from hosts and are data: they are
/// inserted once and never looked up or rendered again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Text {
    /// Key in `messages/<language>/*.json`, for example `finding.process_gone`.
    pub key: String,
    /// Named values in the order given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<(String, String)>,
}

impl Text {
    /// A message without arguments.
    #[must_use]
    pub fn new(key: &str) -> Self {
        Self { key: key.to_owned(), args: Vec::new() }
    }

    /// Adds one named value.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.args.push((name.to_owned(), value.to_string()));
        self
    }

    /// The value of one argument.
    #[must_use]
    pub fn arg(&self, name: &str) -> Option<&str> {
        self.args.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}
