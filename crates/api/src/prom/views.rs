//! What Prometheus' API tells besides series. The binary implements it over the crates that know.

use serde_json::Value;
use wellkept_model::{Matcher, TimestampMs};

/// Which targets are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TargetState {
    /// Those that are scraped.
    Active,
    /// Those that relabeling left out.
    Dropped,
    /// Both.
    #[default]
    Any,
}

/// Which rules are asked for; empty lists ask for all.
#[derive(Debug, Clone, Default)]
pub struct RuleFilter {
    /// `alert` or `record`.
    pub kind: Option<String>,
    /// Names of rules.
    pub names: Vec<String>,
    /// Names of groups.
    pub groups: Vec<String>,
    /// Files.
    pub files: Vec<String>,
    /// Selectors over the labels that rules carry.
    pub selectors: Vec<Vec<Matcher>>,
    /// Leave out the alerts themselves.
    pub without_alerts: bool,
}

/// One look at exemplars.
#[derive(Debug, Clone)]
pub struct ExemplarQuery {
    /// The selectors of the query.
    pub selectors: Vec<Vec<Matcher>>,
    /// Earliest time.
    pub from: TimestampMs,
    /// Latest time.
    pub to: TimestampMs,
}

/// Answers as Prometheus' `data` field has them.
pub trait PrometheusViews: Send + Sync {
    /// `/api/v1/metadata`.
    fn metadata(&self, metric: Option<&str>, limit: usize, per_metric: usize) -> Value;
    /// `/api/v1/targets`.
    fn targets(&self, state: TargetState, pool: Option<&str>) -> Value;
    /// `/api/v1/rules`.
    fn rules(&self, filter: &RuleFilter) -> Value;
    /// `/api/v1/alerts`.
    fn alerts(&self) -> Value;
    /// `/api/v1/query_exemplars`.
    fn exemplars(&self, query: &ExemplarQuery) -> Value;
    /// The configuration as YAML, without secrets.
    fn config(&self) -> String;
    /// Settings of the command line.
    fn flags(&self) -> Value;
    /// `/api/v1/status/runtimeinfo`.
    fn runtime(&self) -> Value;
    /// `/api/v1/status/tsdb`, with so many lines in each list.
    fn tsdb(&self, limit: usize) -> Value;
}

/// A server that scrapes nothing and knows no rules.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoViews;

impl PrometheusViews for NoViews {
    fn metadata(&self, _: Option<&str>, _: usize, _: usize) -> Value {
        serde_json::json!({})
    }

    fn targets(&self, _: TargetState, _: Option<&str>) -> Value {
        serde_json::json!({"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}})
    }

    fn rules(&self, _: &RuleFilter) -> Value {
        serde_json::json!({"groups": []})
    }

    fn alerts(&self) -> Value {
        serde_json::json!({"alerts": []})
    }

    fn exemplars(&self, _: &ExemplarQuery) -> Value {
        serde_json::json!([])
    }

    fn config(&self) -> String {
        String::new()
    }

    fn flags(&self) -> Value {
        serde_json::json!({})
    }

    fn runtime(&self) -> Value {
        serde_json::json!({})
    }

    fn tsdb(&self, _: usize) -> Value {
        serde_json::json!({})
    }
}
