//! What a module gives back: a map, or a failure with a message and more.

use std::io;

use serde_json::{Map, Value};

use super::python;

/// A module that failed: what people read, and the rest of the result.
#[derive(Debug, thiserror::Error)]
#[error("{msg}")]
pub(crate) struct Fail {
    pub(crate) msg: String,
    pub(crate) more: Map<String, Value>,
}

pub(crate) type Result<T> = std::result::Result<T, Fail>;
/// The end of a module.
pub(crate) type Done = Result<Map<String, Value>>;

impl Fail {
    pub(crate) fn new(msg: impl Into<String>) -> Self {
        Self { msg: msg.into(), more: Map::new() }
    }

    /// A failure that Ansible would not have foreseen, in the words that it has for such.
    pub(crate) fn crash(why: impl std::fmt::Display) -> Self {
        Self::new(format!("Task failed: Module failed: {why}"))
    }

    /// A failure with what the system said of it, which results keep apart as `exception`.
    pub(crate) fn caused(msg: impl Into<String>, error: &io::Error) -> Self {
        let msg = msg.into();
        let whole = format!("{}: {}", msg.trim_end_matches('.'), python::errno(error));
        Self::new(msg).with("exception", whole)
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.more.insert(key.to_owned(), value.into());
        self
    }

    pub(crate) fn into_map(self) -> Map<String, Value> {
        let mut map = self.more;
        map.insert("failed".to_owned(), true.into());
        map.insert("msg".to_owned(), self.msg.into());
        map
    }
}

/// A failure with this message.
pub(crate) fn fail<T>(msg: impl Into<String>) -> Result<T> {
    Err(Fail::new(msg))
}

/// A map out of pairs.
pub(crate) fn map<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A map that tells nothing of the file it names.
pub(crate) fn plain<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    let mut map = map(pairs);
    map.insert(PLAIN.to_owned(), true.into());
    map
}

/// Marks such maps until they are complete.
pub(crate) const PLAIN: &str = "_plain";

/// Errors of files, with what was tried.
pub(crate) trait ResultExt<T> {
    /// `msg: [Errno 2] No such file or directory: 'path'`
    fn or_fail(self, msg: impl FnOnce() -> String) -> Result<T>;
}

impl<T> ResultExt<T> for io::Result<T> {
    fn or_fail(self, msg: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Fail::new(format!("{}: {}", msg(), python::errno(&error))))
    }
}
