//! `~/.ssh/config`: what people have already written down about their hosts.
//!
//! A file is read once into [`SshConfig`] and asked for each host. The first value wins, as for `ssh`. What `ssh` would
//! do and we do not (programs that it starts, forwarding, algorithms) is told by [`Notice`]s when it is harmless to
//! leave out, and refused for that host when it is not: a connection that goes another way than the file says is worse
//! than none. Reading files is left to [`Files`]; [`disk`] has the real ones.

pub mod disk;
mod keyword;
mod read;
mod resolve;
mod route;
mod settings;
mod tokens;
mod words;

use std::path::PathBuf;

pub use read::{Files, SshConfig};
pub use resolve::Asked;
pub use route::Route;
pub use settings::{Caller, Jump, Settings};

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// A line that cannot be used; the file as a whole is refused, as by `ssh`, or the host that it is about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ConfigError {
    /// Where.
    pub place: Place,
    /// What is wrong, and what would be accepted.
    pub problem: String,
}

impl ConfigError {
    fn new(place: &Place, problem: impl Into<String>) -> Self {
        Self { place: place.clone(), problem: problem.into() }
    }
}

/// A setting that applies to a host and is not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Where.
    pub place: Place,
    /// The keyword as `ssh` has it.
    pub keyword: String,
    /// Why not.
    pub why: &'static str,
}
