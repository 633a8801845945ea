//! What was seen of this host's own workings besides services: releases, deleted files that live on, the process table.
//!
//! Everything here is read rarely or in bounded slices; each part says when it was read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::TimestampMs;
use crate::observe::{FileState, MountsSeen, StrainSeen};

/// The parts that are read at a pace of their own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LocalSeen {
    /// Files of current releases that differ from the manifest; empty is well.
    pub release_files: Vec<ReleaseFileSeen>,
    /// The current release of each service that declares one.
    pub releases: BTreeMap<String, ReleaseSeen>,
    /// Deleted files that services still write to, biggest first.
    pub deleted: Vec<DeletedOpenSeen>,
    /// What the descriptors are of services that have many for their limit.
    pub descriptors: BTreeMap<String, DescriptorsSeen>,
    /// The last look at memory, disks, connection tracking and time.
    pub strain: Option<StrainSeen>,
    /// Declared mount points; `None`: they could not be looked at.
    pub mounts: Option<MountsSeen>,
    /// Connections that this host asked for and that were refused or given up, a second over the last ten seconds.
    pub refused: Option<f64>,
    /// How fast declared logs grow, bytes a second over the last ten seconds, by service.
    pub log_growth: BTreeMap<String, f64>,
    /// When declared signs of progress were written last, by service.
    pub progress: BTreeMap<String, TimestampMs>,
    /// Tasks of the whole host, and how many there can be.
    pub tasks: Option<TasksSeen>,
    /// The last look at all processes.
    pub table: Option<ProcessTableSeen>,
    /// Services that fail their checks and wait for one another, at most a hundred.
    pub waits: Vec<WaitSeen>,
    /// Services that are declared as daemons of the system.
    pub daemons: BTreeSet<String>,
}

/// A service that waits for another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitSeen {
    /// Who waits.
    pub service: String,
    /// For whom.
    pub on: String,
    /// At what: an address that was asked and does not answer, or a file whose lock the other one holds.
    pub at: String,
    /// For how long, milliseconds.
    pub for_ms: u64,
}

/// A file of a release that is not as its manifest says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseFileSeen {
    /// Service that declares the release.
    pub service: String,
    /// Its path, below the release's own folder (not the link).
    pub path: String,
    /// As the manifest wants it.
    pub wanted: WantedFile,
    /// As it is.
    pub now: FileState,
    /// Since when it has been so, as far as we saw.
    pub since: TimestampMs,
}

/// A file as a manifest describes it. What the manifest does not say is not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedFile {
    /// SHA-256, hex.
    pub sha256: String,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Permission bits.
    pub mode: Option<u32>,
}

/// Which release is current.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseSeen {
    /// What the link holds.
    pub target: String,
    /// When it was switched to it.
    pub since: TimestampMs,
    /// What it held before, when it was switched under our eyes to a release that was not current before.
    pub before: Option<String>,
}

/// A deleted file that a process of a service holds open for writing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedOpenSeen {
    /// The service.
    pub service: String,
    /// The process.
    pub pid: u32,
    /// Its descriptor.
    pub fd: u32,
    /// The path that the file had.
    pub path: String,
    /// Space that it takes, bytes.
    pub bytes: u64,
    /// Mount point of its file system, when it is one of the observed ones.
    pub mountpoint: String,
}

/// What the descriptors of one process are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescriptorsSeen {
    /// The process.
    pub pid: u32,
    /// When they were counted.
    pub at: TimestampMs,
    /// All of them.
    pub total: u64,
    /// By kind.
    pub kinds: BTreeMap<DescriptorKind, u64>,
    /// Where most of the commonest kind lead to: the other end of sockets, the folder of files. May be empty.
    pub most: String,
    /// How many lead there.
    pub most_count: u64,
}

/// What a descriptor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DescriptorKind {
    /// A file or device with a name.
    Files,
    /// A socket.
    Sockets,
    /// A pipe.
    Pipes,
    /// Something without a name in any folder: timers, events, memory.
    Anonymous,
    /// A file that was deleted.
    Deleted,
}

impl DescriptorKind {
    /// The word of the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Sockets => "sockets",
            Self::Pipes => "pipes",
            Self::Anonymous => "anonymous",
            Self::Deleted => "deleted",
        }
    }
}

/// Tasks (processes with all their threads) of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TasksSeen {
    /// How many there are.
    pub used: u64,
    /// How many the kernel allows: the smaller of `pid_max` and `threads-max`.
    pub limit: u64,
}

/// All processes of the host, summed up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessTableSeen {
    /// When it was read.
    pub at: TimestampMs,
    /// Processors of this host.
    pub cores: u32,
    /// Share of the time since the last look in which a task waited for a processor, 0 to 1.
    pub cpu_pressure: Option<f64>,
    /// Share of their time on the processors or in line for them that processes of services spent in line, since the
    /// look before; only looked at while others wait.
    pub services_wait: Option<f64>,
    /// Parents with ended children that nobody waited for, most children first, at most ten.
    pub zombies: Vec<ZombiesSeen>,
    /// Sessions with many processes of one program, biggest first, at most ten.
    pub crowds: Vec<CrowdSeen>,
    /// Programs of which one user has many processes in many sessions, biggest first, at most ten; only looked for
    /// while process numbers run out.
    pub swarms: Vec<SwarmSeen>,
    /// Processes that used the most processor time since the look before, most first, at most ten.
    pub consumers: Vec<ConsumerSeen>,
}

/// A parent whose ended children pile up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZombiesSeen {
    /// The parent.
    pub parent: u32,
    /// Its short name.
    pub comm: String,
    /// Service that it belongs to.
    pub service: Option<String>,
    /// How many of its children are zombies.
    pub count: u32,
}

/// Many processes of one program in one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrowdSeen {
    /// Session id.
    pub session: u32,
    /// Owner of all of them.
    pub uid: u32,
    /// Name of the owner.
    pub user: String,
    /// Their short name.
    pub comm: String,
    /// How many.
    pub count: u32,
    /// True when one of them belongs to a declared service.
    pub of_service: bool,
    /// Control group with the number of processes limited in which one of them is, `/` for none.
    pub group: String,
}

/// Many processes of one program and one user in one control group, spread over sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwarmSeen {
    /// Owner of all of them.
    pub uid: u32,
    /// Name of the owner.
    pub user: String,
    /// Their short name.
    pub comm: String,
    /// How many.
    pub count: u32,
    /// When the first of them or who forked them began, clock ticks since boot. One that began long before is none of
    /// them.
    pub first_ticks: u64,
    /// True when a process of this user in this group that began since then belongs to a declared service.
    pub of_service: bool,
    /// Control group with the number of processes limited in which they are, `/` for none.
    pub group: String,
    /// True when no other process is in that group or below it: nobody else's, none from before, no declared service's.
    pub alone: bool,
}

/// A process that uses much processor time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConsumerSeen {
    /// Which.
    pub process: ProcessRef,
    /// Short name.
    pub comm: String,
    /// Owner.
    pub user: String,
    /// Nice value.
    pub nice: i32,
    /// Service that it belongs to.
    pub service: Option<String>,
    /// Processors used, on average since the look before.
    pub cores: f64,
}

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessRef {
    /// Process id.
    pub pid: u32,
    /// When it began, in the kernel's clock ticks after the host's start.
    pub start_ticks: u64,
}

impl fmt::Display for ProcessRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.pid, self.start_ticks)
    }
}

impl FromStr for ProcessRef {
    type Err = ParseProcessSetError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let parts = s.split_once('@').and_then(|(p, t)| Some((p.parse().ok()?, t.parse().ok()?)));
        let (pid, start_ticks) = parts.ok_or_else(|| ParseProcessSetError(s.to_owned()))?;
        Ok(Self { pid, start_ticks })
    }
}

/// Processes that an action is for, as its subject writes them. Never empty, never "all".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessSet {
    /// These: `pids 12@4455 13@4460`.
    Some(Vec<ProcessRef>),
    /// All of a session that this user owns: `session 42 uid 1001`.
    Session {
        /// Session id.
        id: u32,
        /// Owner.
        uid: u32,
    },
    /// All of a control group and those below it: `cgroup /batch/report`. Never the root.
    Cgroup(String),
    /// All of a user in a control group and those below it that began at a tick since boot or later:
    /// `uid 1001 since 4455 in /batch`. `/` is the whole host. Root's are never meant.
    Since {
        /// Owner.
        uid: u32,
        /// Clock ticks since boot.
        ticks: u64,
        /// Path of the group.
        group: String,
    },
}

/// Longest name of a control group.
const CGROUP_MAX: usize = 4096;

/// A path from the root of its hierarchy that leads to one place only, and not to the root.
fn is_cgroup(path: &str) -> bool {
    let part = |p: &str| !p.is_empty() && p != "." && p != ".." && !p.chars().any(char::is_control);
    path.len() <= CGROUP_MAX && path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part))
}

impl fmt::Display for ProcessSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Some(processes) => {
                f.write_str("pids")?;
                processes.iter().try_for_each(|p| write!(f, " {p}"))
            }
            Self::Session { id, uid } => write!(f, "session {id} uid {uid}"),
            Self::Cgroup(path) => write!(f, "cgroup {path}"),
            Self::Since { uid, ticks, group } => write!(f, "uid {uid} since {ticks} in {group}"),
        }
    }
}

/// A text that names no set of processes.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` names no processes: write `pids PID@START …`, `session ID uid UID`, `cgroup /PATH` or `uid UID since TICKS in /PATH`"
)]
pub struct ParseProcessSetError(String);

impl FromStr for ProcessSet {
    type Err = ParseProcessSetError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseProcessSetError(s.to_owned());
        if let Some(path) = s.strip_prefix("cgroup ") {
            return is_cgroup(path).then(|| Self::Cgroup(path.to_owned())).ok_or_else(wrong);
        }
        if let Some(rest) = s.strip_prefix("uid ") {
            return since(rest).ok_or_else(wrong);
        }
        let words: Vec<&str> = s.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["pids", rest @ ..] if !rest.is_empty() => {
                rest.iter().map(|w| w.parse()).collect::<Result<_, _>>().map(Self::Some)
            }
            ["session", id, "uid", uid] => Ok(Self::Session {
                id: id.parse().map_err(|_| wrong())?,
                uid: uid.parse().map_err(|_| wrong())?,
            }),
            _ => Err(wrong()),
        }
    }
}

/// `UID since TICKS in /PATH`.
fn since(text: &str) -> Option<ProcessSet> {
    let (uid, rest) = text.split_once(" since ")?;
    let (ticks, group) = rest.split_once(" in ")?;
    let (uid, ticks) = (uid.parse().ok().filter(|uid| *uid != 0)?, ticks.parse().ok()?);
    (group == "/" || is_cgroup(group)).then(|| ProcessSet::Since { uid, ticks, group: group.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_processes_survives_being_written_and_read() {
        let some = ProcessSet::Some(vec![
            ProcessRef { pid: 12, start_ticks: 4455 },
            ProcessRef { pid: 13, start_ticks: 1 },
        ]);
        let group = ProcessSet::Cgroup("/batch.slice/a report".to_owned());
        let since = |group: &str| ProcessSet::Since { uid: 1001, ticks: 4455, group: group.to_owned() };
        let session = ProcessSet::Session { id: 42, uid: 1001 };
        for set in [some, session, group, since("/"), since("/batch in 7/a since 5 in b")] {
            assert_eq!(set.to_string().parse(), Ok(set));
        }
    }

    #[test]
    fn the_empty_set_and_all_processes_cannot_be_written() {
        for bad in ["", "pids", "all", "session 1", "pids 12", "pids *@1", "session 42 uid x", "cgroup /"] {
            assert!(bad.parse::<ProcessSet>().is_err(), "{bad}");
        }
        for bad in
            ["cgroup", "cgroup ", "cgroup a", "cgroup //", "cgroup /a/../..", "cgroup /a/", "cgroup /./a"]
        {
            assert!(bad.parse::<ProcessSet>().is_err(), "{bad}");
        }
        for bad in
            ["uid 7", "uid 0 since 1 in /", "uid 7 since x in /", "uid 7 since 1 in a", "uid 7 since 1 in "]
        {
            assert!(bad.parse::<ProcessSet>().is_err(), "{bad}");
        }
    }
}
