//! How far each agent's queue is stored, and when it spoke last: one small file each.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Registry, folder};

/// Largest file, bytes.
const FILE_MAX: u64 = 16 << 10;

/// What is kept of one agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Heard {
    /// Which queue of it.
    pub(super) queue: String,
    /// Everything up to here is stored.
    pub(super) acked: u64,
    /// Milliseconds since the epoch.
    pub(super) heard_ms: i64,
    /// Records that the agent itself had to drop.
    #[serde(default)]
    pub(super) dropped: u64,
    /// Records that were wrong in themselves.
    #[serde(default)]
    pub(super) refused: u64,
    /// Records that wait there.
    #[serde(default)]
    pub(super) waiting: u64,
    /// Its version.
    #[serde(default)]
    pub(super) version: String,
}

/// An agent as it was heard last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeardView {
    /// Its name.
    pub name: String,
    /// Milliseconds since the epoch.
    pub heard_ms: i64,
    /// Records that the agent had to drop.
    pub dropped: u64,
    /// Records that were wrong in themselves.
    pub refused: u64,
    /// Records that wait there.
    pub waiting: u64,
    /// Its version.
    pub version: String,
}

impl Heard {
    pub(super) fn view(&self, name: &str) -> HeardView {
        HeardView {
            name: name.to_owned(),
            heard_ms: self.heard_ms,
            dropped: self.dropped,
            refused: self.refused,
            waiting: self.waiting,
            version: self.version.clone(),
        }
    }
}

fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join("heard").join(format!("{name}.json"))
}

/// What is kept of all agents of the registry. One that never spoke is there with the time at which it joined.
pub(super) fn load(folder: &Path, registry: &Registry) -> io::Result<HashMap<String, Heard>> {
    folder::make(&folder.join("heard"))?;
    let mut all = HashMap::new();
    for agent in registry.list()? {
        let heard: Option<Heard> = folder::read_json(&file(folder, &agent.name), FILE_MAX)?;
        let heard = heard.unwrap_or(Heard { heard_ms: agent.joined_ms, ..Heard::default() });
        all.insert(agent.name, heard);
    }
    Ok(all)
}

/// Puts it on disk.
pub(super) fn save(folder: &Path, name: &str, heard: &Heard) -> io::Result<()> {
    folder::replace_json(&file(folder, name), heard)
}
