//! Agents on other hosts, and whose playbooks are believed.

use std::net::SocketAddr;
use std::time::Duration;

/// Agents on other hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agents {
    /// Where they are listened to; nowhere when it is not said.
    pub listen: Option<SocketAddr>,
    /// How long one may say nothing before that is a finding.
    pub silent_after: Option<Duration>,
}

/// A key whose holder's playbooks are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// For messages.
    pub name: String,
    /// As `wellkept sign keygen` prints it.
    pub key: String,
    /// It is known and not believed any more.
    pub revoked: bool,
}
