//! Where a connection goes, as whom, and within which bounds: a value with every choice made.

use std::path::PathBuf;
use std::time::Duration;

use crate::hosts::HostId;
use crate::hosts::store::HostKeys;
use crate::name::{HostName, UserName};

/// One host on the way. Made from a configuration by [`crate::config`], or by hand.
#[derive(Debug, Clone)]
pub struct Target {
    /// What is connected to: a name or an address.
    pub host: HostName,
    /// TCP port.
    pub port: u16,
    /// As whom.
    pub user: UserName,
    /// Under which name the host's key is kept; usually host and port.
    pub known_as: HostId,
    /// Which files know the hosts.
    pub host_keys: HostKeys,
    /// How we prove who we are.
    pub identity: Identity,
    /// Only addresses of this family.
    pub family: Family,
    /// Time limits.
    pub times: Times,
    /// How many commands run at once over the one connection; half of what the host allows (`MaxSessions`) is safe.
    pub sessions_at_once: usize,
}

/// Which addresses of a name are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    /// All, in the resolver's order.
    #[default]
    Any,
    /// IPv4 only.
    Inet,
    /// IPv6 only.
    Inet6,
}

/// How we prove who we are. Passwords and passphrases come from [`crate::Prompts`].
#[derive(Debug, Clone)]
pub struct Identity {
    /// The socket of an agent.
    pub agent: Option<PathBuf>,
    /// Private keys; those that are not there are skipped.
    pub key_files: Vec<PathBuf>,
    /// Certificates of users; `KEY-cert.pub` beside a key is found without being listed.
    pub certificate_files: Vec<PathBuf>,
    /// Of the agent's keys only those that are listed here.
    pub only_listed: bool,
    /// Keys are tried.
    pub public_key: bool,
    /// Prompts of the host are answered.
    pub keyboard_interactive: bool,
    /// A password is sent.
    pub password: bool,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            agent: None,
            key_files: Vec::new(),
            certificate_files: Vec::new(),
            only_listed: false,
            public_key: true,
            keyboard_interactive: true,
            password: true,
        }
    }
}

/// Time limits of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// From the first packet to agreed keys.
    pub connect: Duration,
    /// From there to being let in; a person's typing counts.
    pub authenticate: Duration,
    /// For the host to open a channel or to answer a request about it.
    pub request: Duration,
    /// After this silence the host is asked whether it is still there.
    pub keep_alive: Option<Duration>,
    /// After so many unanswered questions the connection is given up.
    pub keep_alive_max: usize,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            authenticate: Duration::from_secs(60),
            request: Duration::from_secs(30),
            keep_alive: Some(Duration::from_secs(15)),
            keep_alive_max: 3,
        }
    }
}

impl Target {
    /// How many commands run at once unless told otherwise.
    ///
    /// Half of the ten that OpenSSH allows: it counts an ended session until it has gone round its loop once more, so
    /// that with each of ours ending and a new one following in the same breath twice as many are counted.
    pub const SESSIONS_AT_ONCE: usize = 5;

    /// A target with usual bounds and no files: no host is known, and no key is offered.
    pub fn new(host: HostName, port: u16, user: UserName) -> Self {
        let known_as = HostId { host: host.clone(), port };
        Self {
            host,
            port,
            user,
            known_as,
            host_keys: HostKeys::default(),
            identity: Identity::default(),
            family: Family::Any,
            times: Times::default(),
            sessions_at_once: Self::SESSIONS_AT_ONCE,
        }
    }

    /// `user@host:port`, for people.
    pub fn shown(&self) -> String {
        format!("{}@{}", self.user, self.known_as)
    }
}
