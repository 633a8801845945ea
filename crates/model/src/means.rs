//! Which declaration of the keep file says how a step is done, where its target alone does not.
//!
//! It is the subject of the step as text, so that plans are stored and shown in one form; hands and guards read it back
//! into this type. Names come from the keep file and hold no spaces.

use std::fmt;
use std::str::FromStr;

/// The means of a step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Means {
    /// Ends sessions of this application for which others wait, while they wait for nobody.
    Blockers(String),
    /// Hands the stored credential of this name to those who use it.
    Credential(String),
    /// Moves the next entry of a queue (`key fingerprint`) to its dead letter list, if it still is the next one.
    DeadLetter(String),
    /// Switches the fallback of this dependency on.
    FallbackOn(String),
    /// Switches the fallback of this dependency off again.
    FallbackOff(String),
    /// Keeps old backups of this name from being removed.
    KeepOld(String),
    /// Brings this link up.
    Link(String),
    /// Sets the limit of a cache's memory, bytes.
    Memory(String),
    /// Takes back the recorded migration with this id.
    Migration(String),
    /// Puts the queueing discipline of this link back.
    Queue(String),
    /// Schedules this job again, as it is declared.
    JobEntry(String),
    /// Runs this job once, now.
    RunJob(String),
    /// Blocks this address for the declared time.
    Block(String),
    /// Lets this address in again.
    Admit(String),
    /// Moves this file aside and keeps it.
    Quarantine(String),
    /// Puts this file back from where it was moved to.
    PutBack(String),
    /// Puts this declared route back.
    Route(String),
    /// Gives this link its declared size of packets.
    Mtu(String),
    /// Turns a declared knob of the service.
    Knob(String),
    /// Mounts the file system.
    Mount,
    /// Has the service load this certificate again.
    Reload(String),
    /// Makes the key or token of this name anew.
    Renew(String),
    /// Lets a standby apply what it received.
    Replay,
    /// Moves an entry (`key fingerprint`) from the dead letter list back into its queue.
    Requeue(String),
    /// Puts this table of the packet filter (`family name`) back to its declared rules, or away when it has none.
    Rules(String),
    /// Ends sessions of this application that are idle in a transaction.
    Sessions(String),
    /// Cleans this table of dead rows.
    Vacuum(String),
}

impl Means {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Blockers(application) => ("blockers", application),
            Self::Credential(name) => ("credential", name),
            Self::DeadLetter(entry) => ("dead-letter", entry),
            Self::FallbackOn(name) => ("fallback-on", name),
            Self::FallbackOff(name) => ("fallback-off", name),
            Self::KeepOld(name) => ("keep-old", name),
            Self::Link(name) => ("link", name),
            Self::Memory(bytes) => ("memory", bytes),
            Self::Migration(id) => ("migration", id),
            Self::Queue(link) => ("queue", link),
            Self::JobEntry(name) => ("job-entry", name),
            Self::RunJob(name) => ("run-job", name),
            Self::Block(address) => ("block", address),
            Self::Admit(address) => ("admit", address),
            Self::Quarantine(path) => ("quarantine", path),
            Self::PutBack(path) => ("put-back", path),
            Self::Route(to) => ("route", to),
            Self::Mtu(link) => ("mtu", link),
            Self::Knob(word) => ("knob", word),
            Self::Mount => ("mount", ""),
            Self::Reload(name) => ("reload", name),
            Self::Replay => ("replay", ""),
            Self::Renew(name) => ("renew", name),
            Self::Requeue(entry) => ("requeue", entry),
            Self::Rules(table) => ("rules", table),
            Self::Sessions(application) => ("sessions", application),
            Self::Vacuum(table) => ("vacuum", table),
        }
    }
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, name) = self.parts();
        if name.is_empty() { f.write_str(word) } else { write!(f, "{word} {name}") }
    }
}

/// A subject that names no means; most are paths.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` names no means: write WORD NAME, for example `credential db` or `link eth0`")]
pub struct ParseMeansError(String);

impl FromStr for Means {
    type Err = ParseMeansError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (word, name) = text.split_once(' ').unwrap_or((text, ""));
        let named = || Some(name.to_owned()).filter(|n| !n.is_empty());
        let plain = |means: Self| Some(means).filter(|_| name.is_empty());
        let means = match word {
            "blockers" => named().map(Self::Blockers),
            "credential" => named().map(Self::Credential),
            "dead-letter" => named().map(Self::DeadLetter),
            "fallback-on" => named().map(Self::FallbackOn),
            "fallback-off" => named().map(Self::FallbackOff),
            "keep-old" => named().map(Self::KeepOld),
            "link" => named().map(Self::Link),
            "memory" => named().map(Self::Memory),
            "migration" => named().map(Self::Migration),
            "queue" => named().map(Self::Queue),
            "job-entry" => named().map(Self::JobEntry),
            "run-job" => named().map(Self::RunJob),
            "block" => named().map(Self::Block),
            "admit" => named().map(Self::Admit),
            "quarantine" => named().map(Self::Quarantine),
            "put-back" => named().map(Self::PutBack),
            "route" => named().map(Self::Route),
            "mtu" => named().map(Self::Mtu),
            "knob" => named().map(Self::Knob),
            "mount" => plain(Self::Mount),
            "reload" => named().map(Self::Reload),
            "replay" => plain(Self::Replay),
            "renew" => named().map(Self::Renew),
            "requeue" => named().map(Self::Requeue),
            "rules" => named().map(Self::Rules),
            "sessions" => named().map(Self::Sessions),
            "vacuum" => named().map(Self::Vacuum),
            _ => None,
        };
        means.ok_or_else(|| ParseMeansError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_survive_being_written_and_read() {
        for means in [
            Means::Blockers("report gen".into()),
            Means::Credential("db".into()),
            Means::FallbackOn("pay".into()),
            Means::FallbackOff("pay".into()),
            Means::KeepOld("b".into()),
            Means::Link("eth0".into()),
            Means::Migration("c 7".into()),
            Means::Queue("eth0".into()),
            Means::Reload("www".into()),
            Means::Knob("more_cpu".into()),
            Means::Mount,
            Means::Route("10.0.0.0/8 via 10.0.0.1".into()),
            Means::Mtu("eth0".into()),
            Means::Block("::1".into()),
            Means::Admit("::1".into()),
            Means::Quarantine("/a b".into()),
            Means::PutBack("/a b".into()),
            Means::JobEntry("j".into()),
            Means::RunJob("j".into()),
            Means::Replay,
            Means::Rules("inet f".into()),
            Means::Sessions("report gen".into()),
            Means::Vacuum("orders".into()),
            Means::DeadLetter("jobs 0a".into()),
            Means::Requeue("jobs 0a".into()),
            Means::Memory("1024".into()),
            Means::Renew("api".into()),
        ] {
            assert_eq!(means.to_string().parse::<Means>(), Ok(means));
        }
    }

    #[test]
    fn a_path_or_half_a_means_is_none() {
        for text in ["", "/etc/x", "link", "link ", "rules", "replay all", "sql x"] {
            assert!(text.parse::<Means>().is_err(), "{text}");
        }
    }
}
