//! What is known of work on many hosts: runs, agents, deployments. The binary implements it over what lies in the data
//! directory.

use serde_json::{Value, json};
use wellkept_catalogue::Language;
use wellkept_model::{Text, TimestampMs};

use crate::{Refusal, RefusalKind};

/// Which runs are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunsAsked {
    /// Only of this kind: `run`, `play`, …
    pub kind: Option<String>,
    /// Only with a host whose name holds this.
    pub host: Option<String>,
    /// Only those before the run of this id.
    pub before: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// Answers as the `data` field has them. Every method may wait for the disk.
pub trait FleetViews: Send + Sync {
    /// `/api/v1/fleet/runs`: newest first, without outputs.
    ///
    /// # Errors
    /// A [`Refusal`] in words for people.
    fn runs(&self, asked: &RunsAsked) -> Result<Value, Refusal>;

    /// `/api/v1/fleet/runs/{id}`: with outputs, up to a bound; of one host, when one is named.
    ///
    /// # Errors
    /// A [`Refusal`] in words for people, also for an id that no run has.
    fn run(&self, id: &str, host: Option<&str>) -> Result<Value, Refusal>;

    /// `/api/v1/fleet/agents`.
    ///
    /// # Errors
    /// A [`Refusal`] in words for people.
    fn agents(&self, now: TimestampMs) -> Result<Value, Refusal>;

    /// `/api/v1/fleet/deployments`.
    ///
    /// # Errors
    /// A [`Refusal`] in words for people.
    fn deployments(&self, language: Language) -> Result<Value, Refusal>;
}

/// A server that knows of no other hosts.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFleet;

impl FleetViews for NoFleet {
    fn runs(&self, _: &RunsAsked) -> Result<Value, Refusal> {
        Ok(json!({"runs": [], "next": null}))
    }

    fn run(&self, id: &str, _: Option<&str>) -> Result<Value, Refusal> {
        Err(Refusal { kind: RefusalKind::NotFound, text: Text::new("api.no_run").with("id", id) })
    }

    fn agents(&self, _: TimestampMs) -> Result<Value, Refusal> {
        Ok(json!({"agents": [], "listens": false}))
    }

    fn deployments(&self, _: Language) -> Result<Value, Refusal> {
        Ok(json!({"apps": []}))
    }
}
