//! What Prometheus' API tells besides series.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use wellkept_api::{ExemplarQuery, PrometheusViews, RuleFilter, TargetState};
use wellkept_doors::Doors;
use wellkept_model::keep::Retention;
use wellkept_model::{Labels, TimestampMs};
use wellkept_scrape::manager::{ActiveTarget, DroppedTarget};
use wellkept_scrape::show_duration;
use wellkept_tsdb::Store;

use super::{Ruler, Scraping, cardinality};

/// Everything that the views look at.
pub(crate) struct Views {
    pub(crate) doors: Arc<Doors>,
    pub(crate) store: Arc<Store>,
    pub(crate) scraping: Arc<Scraping>,
    pub(crate) ruler: Arc<Ruler>,
    pub(crate) started_at: TimestampMs,
    /// Settings of the command line, by name.
    pub(crate) flags: Vec<(&'static str, String)>,
    pub(crate) kept: Retention,
}

impl PrometheusViews for Views {
    fn metadata(&self, metric: Option<&str>, limit: usize, per_metric: usize) -> Value {
        self.doors.metadata().view(metric, limit, per_metric)
    }

    fn targets(&self, state: TargetState, pool: Option<&str>) -> Value {
        let targets = self.scraping.targets();
        let wanted = |name: &str| pool.is_none_or(|p| p == name);
        let active: Vec<Value> = match state {
            TargetState::Dropped => Vec::new(),
            _ => targets.active.iter().filter(|t| wanted(&t.scrape_pool)).map(active).collect(),
        };
        let dropped: Vec<Value> = match state {
            TargetState::Active => Vec::new(),
            _ => targets.dropped.iter().filter(|t| wanted(&t.scrape_pool)).map(dropped).collect(),
        };
        let counts: Map<String, Value> =
            targets.dropped_counts.iter().map(|(pool, n)| (pool.clone(), json!(n))).collect();
        json!({"activeTargets": active, "droppedTargets": dropped, "droppedTargetCounts": counts})
    }

    fn rules(&self, filter: &RuleFilter) -> Value {
        self.ruler.rules_view(filter)
    }

    fn alerts(&self) -> Value {
        self.ruler.alerts_view()
    }

    fn exemplars(&self, query: &ExemplarQuery) -> Value {
        self.doors.exemplars().view(&query.selectors, query.from, query.to)
    }

    fn config(&self) -> String {
        self.scraping.shown_config()
    }

    fn flags(&self) -> Value {
        Value::Object(self.flags.iter().map(|(n, v)| ((*n).to_owned(), json!(v))).collect())
    }

    fn runtime(&self) -> Value {
        json!({
            "startTime": rfc3339(self.started_at), "CWD": "", "reloadConfigSuccess": true,
            "lastConfigTime": rfc3339(self.started_at), "corruptionCount": self.store.stats().quarantined_total,
            "goroutineCount": 0, "GOMAXPROCS": 0, "GOGC": "", "GODEBUG": "", "GOMEMLIMIT": 0,
            "storageRetention": cardinality::in_words(&self.kept),
        })
    }

    fn tsdb(&self, limit: usize) -> Value {
        cardinality::view(&self.store, &self.kept, limit)
    }
}

fn active(target: &ActiveTarget) -> Value {
    json!({
        "discoveredLabels": object(&target.discovered_labels), "labels": object(&target.labels),
        "scrapePool": target.scrape_pool, "scrapeUrl": target.scrape_url, "globalUrl": target.global_url,
        "lastError": target.last_error,
        "lastScrape": target.last_scrape.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), rfc3339),
        "lastScrapeDuration": target.last_scrape_duration.as_secs_f64(), "health": target.health,
        "scrapeInterval": show_duration(target.scrape_interval),
        "scrapeTimeout": show_duration(target.scrape_timeout),
    })
}

fn dropped(target: &DroppedTarget) -> Value {
    json!({"discoveredLabels": object(&target.discovered_labels), "scrapePool": target.scrape_pool})
}

fn object(labels: &Labels) -> Value {
    Value::Object(labels.iter().map(|(n, v)| (n.to_owned(), json!(v))).collect())
}

fn rfc3339(at: TimestampMs) -> String {
    jiff::Timestamp::from_millisecond(at.0).map(|t| t.to_string()).unwrap_or_default()
}
