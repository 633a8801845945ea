//! Why a host could not be worked on.

use wellkept_ssh::config::ConfigError;
use wellkept_ssh::{ConnectError, NameError};

/// A host that cannot be reached; nothing has run there.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// SSH.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// `~/.ssh/config` says something that cannot be followed.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// A name that is refused.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A variable that cannot be used.
    #[error("{0}")]
    Variables(String),
}

/// The whole chain of an error in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
