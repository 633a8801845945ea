//! What the data directory holds of work on many hosts, as the API tells it: runs, agents, deployments.
//!
//! Everything is read anew when it is asked for, because other processes write it. What cannot be read is named beside
//! what can.

mod agents;
mod deployments;
pub(crate) mod runs;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use wellkept_api::{FleetViews, Refusal, RefusalKind, RunsAsked};
use wellkept_catalogue::Language;
use wellkept_model::keep::Agents;
use wellkept_model::{Text, TimestampMs};

use crate::agents::SILENT_AFTER;
use deployments::Deployments;

/// The records of one data directory.
#[derive(Debug)]
pub(crate) struct FleetBook {
    data_dir: PathBuf,
    silent_after: Duration,
    /// Agents are listened to.
    listens: bool,
    deployments: Deployments,
}

impl FleetBook {
    pub(crate) fn new(data_dir: PathBuf, agents: &Agents) -> Self {
        let silent_after = agents.silent_after.unwrap_or(SILENT_AFTER);
        let deployments = Deployments::new(data_dir.join("deploy"));
        Self { data_dir, silent_after, listens: agents.listen.is_some(), deployments }
    }
}

impl FleetViews for FleetBook {
    fn runs(&self, asked: &RunsAsked) -> Result<Value, Refusal> {
        runs::list(&self.data_dir, asked)
    }

    fn run(&self, id: &str, host: Option<&str>) -> Result<Value, Refusal> {
        runs::whole(&self.data_dir, id, host)
    }

    fn agents(&self, now: TimestampMs) -> Result<Value, Refusal> {
        agents::all(&self.data_dir, self.silent_after, self.listens, now).map_err(|e| unreadable(&e))
    }

    fn deployments(&self, language: Language) -> Result<Value, Refusal> {
        self.deployments.all(language).map_err(|e| unreadable(&e))
    }
}

fn unreadable(error: &std::io::Error) -> Refusal {
    let text = Text::new("api.fleet_folder").with("error", error);
    Refusal { kind: RefusalKind::Unavailable, text }
}
