//! Host keys: who is known, and what an unknown or changed key means.
//!
//! [`known`] reads files as OpenSSH writes them and judges keys, without IO; [`certificate`] judges certificates of
//! hosts; [`store`] reads the files and adds a line once a person has accepted a key. Any doubt is a refusal before any
//! credential is offered.

pub mod certificate;
pub mod known;
pub mod store;

use std::fmt;
use std::path::PathBuf;

use russh::keys::{HashAlg, PublicKey};

use crate::name::HostName;
use known::{KnownHosts, Verdict};

/// Under which name a host's key is kept: the host and the port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostId {
    /// Name, address or `HostKeyAlias`.
    pub host: HostName,
    /// TCP port.
    pub port: u16,
}

impl HostId {
    /// As it stands in a file: `host`, or `[host]:port` when the port is not 22.
    pub fn entry(&self) -> String {
        if self.port == 22 { self.host.to_string() } else { format!("[{}]:{}", self.host, self.port) }
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.entry())
    }
}

/// `SHA256:…` of a key, as `ssh-keygen -l` shows it.
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Judges a plain key.
///
/// # Errors
/// The refusal, unless the key is known.
pub fn judge(known: &KnownHosts, host: &HostId, key: &PublicKey) -> Result<(), HostKeyRefusal> {
    let (host, kind, fingerprint) = (host.clone(), key.algorithm().to_string(), fingerprint(key));
    match known.check(&host, key) {
        Verdict::Known => Ok(()),
        Verdict::Unknown => {
            Err(HostKeyRefusal::Unknown { host, kind, fingerprint, key: Box::new(key.clone()) })
        }
        Verdict::Changed { at, known } => {
            Err(HostKeyRefusal::Changed { host, kind, fingerprint, at: Box::new(at), known })
        }
        Verdict::Revoked { at } => Err(HostKeyRefusal::Revoked { host, fingerprint, at }),
    }
}

/// Where something stands in a file of known hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// The file.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// Why a host was refused, before any credential was offered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HostKeyRefusal {
    /// No file knows the host. A person may look at the fingerprint and accept the key once.
    #[error("{host} is not known; its {kind} key has the fingerprint {fingerprint}")]
    Unknown {
        /// The host.
        host: HostId,
        /// Its kind of key, such as `ssh-ed25519`.
        kind: String,
        /// `SHA256:…`
        fingerprint: String,
        /// The key itself, to be given to [`store::HostKeys::accept`].
        key: Box<PublicKey>,
    },
    /// The host is known by another key, or by another kind of key. Never to be accepted on the way.
    #[error(
        "the key of {host} has changed: it shows {kind} {fingerprint}, but {at} says {known}; \
         either the host was set up anew, or somebody else answers"
    )]
    Changed {
        /// The host.
        host: HostId,
        /// The kind of key that was shown.
        kind: String,
        /// `SHA256:…` of what was shown.
        fingerprint: String,
        /// The first line that knows the host.
        at: Box<At>,
        /// Kind and fingerprint of the known key.
        known: String,
    },
    /// The key, or the authority behind it, is marked `@revoked`.
    #[error("the key {fingerprint} of {host} is revoked by {at}")]
    Revoked {
        /// The host.
        host: HostId,
        /// `SHA256:…`
        fingerprint: String,
        /// The line that revokes it.
        at: At,
    },
    /// A certificate that cannot be accepted.
    #[error("the certificate of {host} is not accepted: {problem}")]
    Certificate {
        /// The host.
        host: HostId,
        /// What is wrong with it.
        problem: certificate::CertificateProblem,
    },
    /// A file of known hosts cannot be read, so that nothing can be checked.
    #[error("{file} cannot be read, so the key of {host} cannot be checked: {reason}")]
    Unreadable {
        /// The host.
        host: HostId,
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
}
