//! Lines of logs, wired: where they come from, where they go, what of them is a finding.
//!
//! Wiring only: decoding, following, mining and storing have crates of their own.

mod findings;
mod outlet;
mod page;
mod run;
mod settings;
mod sources;
mod stories;
mod upkeep;
mod views;

pub(crate) use findings::findings;
pub(crate) use page::page;
pub(crate) use run::{Around, LogsRunning, Opened, Taken};
use settings::config;
pub(crate) use settings::plan;
use sources::Sockets;
pub(crate) use sources::Sources;
use stories::Stories;
use upkeep::Upkeep;
pub(crate) use views::LogHouse;

/// Folder of the log store below the data directory. `logs` holds the outputs of services.
pub(crate) const FOLDER: &str = "logstore";
