//! Why a host could not be reached. Until a command was sent, all of these mean that nothing ran.

use std::io;
use std::time::Duration;

use crate::hosts::HostKeyRefusal;

/// Whether trying again can help. No command has run in any of these cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// After a pause, unchanged.
    Later,
    /// Not before a person has changed something.
    Never,
}

/// No connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address, or none of the wanted family.
    #[error("{host} has no address: {reason}")]
    NoAddress {
        /// `user@host:port`.
        host: String,
        /// What the resolver says.
        reason: String,
    },
    /// No address answers.
    #[error("{host} cannot be reached")]
    Unreachable {
        /// `user@host:port`.
        host: String,
        /// What the last address says.
        #[source]
        source: io::Error,
    },
    /// A jump host did not pass us on.
    #[error("{via} does not pass on to {host}: {reason}")]
    NotPassedOn {
        /// The jump host.
        via: String,
        /// The next one.
        host: String,
        /// Why.
        reason: String,
    },
    /// It took too long.
    #[error("{host}: no {what} within {limit:?}")]
    TimeLimit {
        /// `user@host:port`.
        host: String,
        /// What was waited for.
        what: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The other side does not speak SSH as it should, or broke off.
    #[error("{host}: {reason}")]
    Protocol {
        /// `user@host:port`.
        host: String,
        /// What happened; texts of the host are made harmless.
        reason: String,
    },
    /// The host is not who it should be. No credential was offered.
    #[error(transparent)]
    HostKey(Box<HostKeyRefusal>),
    /// The host does not let us in.
    #[error("{host} does not let us in; tried: {}{}", list(.tried), reason.as_ref().map(|r| format!("; {r}")).unwrap_or_default())]
    Denied {
        /// `user@host:port`.
        host: String,
        /// Every way that was tried, and what came of it; never a secret.
        tried: Vec<String>,
        /// What else is known.
        reason: Option<String>,
    },
}

fn list(tried: &[String]) -> String {
    if tried.is_empty() { "nothing, as there is nothing to try".to_owned() } else { tried.join(", ") }
}

impl ConnectError {
    /// Whether trying again can help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Unreachable { .. } | Self::TimeLimit { .. } | Self::Protocol { .. } => Retry::Later,
            Self::NotPassedOn { .. } | Self::NoAddress { .. } => Retry::Later,
            Self::HostKey(_) | Self::Denied { .. } => Retry::Never,
        }
    }
}
