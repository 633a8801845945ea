//! What can be ill.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The kinds of things that can be ill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityKind {
    /// A machine.
    Host,
    /// A declared or discovered service.
    Service,
    /// One process that belongs to no declared service.
    Process,
    /// A mounted file system, named by its mount point.
    Filesystem,
    /// A network interface.
    Interface,
    /// A file named in the keep file, named by its path.
    File,
    /// A set of dumps, named in the keep file.
    Backup,
    /// A service of somebody else, named in the keep file.
    Dependency,
    /// Links and packet filter of a network namespace, named in the keep file.
    Network,
    /// A listening socket that nobody declared: `tcp 0.0.0.0:31337`.
    Listener,
    /// A network address of somebody else.
    Address,
    /// An account of this host.
    Account,
}

impl EntityKind {
    /// All kinds, in the order of declaration.
    pub const ALL: [Self; 12] = [
        Self::Host,
        Self::Service,
        Self::Process,
        Self::Filesystem,
        Self::Interface,
        Self::File,
        Self::Backup,
        Self::Dependency,
        Self::Network,
        Self::Listener,
        Self::Address,
        Self::Account,
    ];

    /// The word used in ids, the API and labels.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Service => "service",
            Self::Process => "process",
            Self::Filesystem => "filesystem",
            Self::Interface => "interface",
            Self::File => "file",
            Self::Backup => "backup",
            Self::Dependency => "dependency",
            Self::Network => "network",
            Self::Listener => "listener",
            Self::Address => "address",
            Self::Account => "account",
        }
    }
}

/// One thing that can be ill: `service:app`, `filesystem:/data`, `host:web-1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntityId {
    /// Its kind.
    pub kind: EntityKind,
    /// Its name, unique within the kind.
    pub name: String,
}

impl EntityId {
    /// An entity of any kind.
    #[must_use]
    pub fn new(kind: EntityKind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }

    /// A service.
    #[must_use]
    pub fn service(name: impl Into<String>) -> Self {
        Self::new(EntityKind::Service, name)
    }

    /// A file system, by mount point.
    #[must_use]
    pub fn filesystem(mountpoint: impl Into<String>) -> Self {
        Self::new(EntityKind::Filesystem, mountpoint)
    }

    /// A machine.
    #[must_use]
    pub fn host(name: impl Into<String>) -> Self {
        Self::new(EntityKind::Host, name)
    }

    /// The component that the outside world knows: a service by its name; a file that is ill by itself (changed
    /// by nobody known) is a matter of security; the rest belongs to the host.
    #[must_use]
    pub fn component(&self) -> &str {
        match self.kind {
            EntityKind::Service | EntityKind::Backup | EntityKind::Dependency => &self.name,
            EntityKind::Interface | EntityKind::Network => "network",
            EntityKind::File | EntityKind::Listener | EntityKind::Address | EntityKind::Account => "security",
            // `report-gen [session 42]`: the program, without the number that changes with every run.
            EntityKind::Process => self.name.split(" [").next().unwrap_or(&self.name),
            EntityKind::Host | EntityKind::Filesystem => "host",
        }
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.word(), self.name)
    }
}

/// A text that is no entity id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not an entity: write KIND:NAME, for example service:app or filesystem:/data")]
pub struct ParseEntityError(String);

impl FromStr for EntityId {
    type Err = ParseEntityError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let (word, name) = s.split_once(':').ok_or_else(|| ParseEntityError(s.to_owned()))?;
        let kind = EntityKind::ALL
            .into_iter()
            .find(|k| k.word() == word)
            .filter(|_| !name.is_empty())
            .ok_or_else(|| ParseEntityError(s.to_owned()))?;
        Ok(Self::new(kind, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_being_written_and_read() {
        for id in [EntityId::service("app"), EntityId::filesystem("/data"), EntityId::host("a:b")] {
            assert_eq!(id.to_string().parse::<EntityId>(), Ok(id));
        }
    }

    #[test]
    fn a_word_without_kind_or_name_is_refused() {
        for bad in ["app", "service:", "planet:mars", ""] {
            assert!(bad.parse::<EntityId>().is_err(), "{bad}");
        }
    }
}
