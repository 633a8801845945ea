//! Targets as people ask for them: the model behind `/api/v1/targets`.

use std::time::Duration;

use wellkept_model::{Labels, TimestampMs};

use crate::scrape::Health;
use crate::target::Target;

/// A target that is scraped.
#[derive(Debug, Clone, PartialEq)]
pub struct ActiveTarget {
    /// Labels before relabeling.
    pub discovered_labels: Labels,
    /// Labels of its samples.
    pub labels: Labels,
    /// Its job.
    pub scrape_pool: String,
    /// Where it is asked.
    pub scrape_url: String,
    /// The same as seen from elsewhere: `localhost` replaced by this host's name, when that is given.
    pub global_url: String,
    /// Why its last scrape failed; empty when it was good.
    pub last_error: String,
    /// When its last scrape began.
    pub last_scrape: Option<TimestampMs>,
    /// How long that took.
    pub last_scrape_duration: Duration,
    /// `up`, `down`, or `unknown` before the first scrape.
    pub health: &'static str,
    /// Time between two scrapes.
    pub scrape_interval: Duration,
    /// How long a scrape may take.
    pub scrape_timeout: Duration,
    /// Scrapes that the store did not take.
    pub not_stored: u64,
    /// Samples that were left out because their series had one already.
    pub repeated_samples: u64,
}

impl ActiveTarget {
    pub(super) fn new(pool: &str, target: &Target, health: &Health) -> Self {
        Self {
            discovered_labels: target.discovered.clone(),
            labels: target.labels.clone(),
            scrape_pool: pool.to_owned(),
            scrape_url: target.url(),
            global_url: target.url(),
            last_error: health.last_error.clone(),
            last_scrape: health.last_scrape,
            last_scrape_duration: health.last_duration,
            health: match health.up {
                Some(true) => "up",
                Some(false) => "down",
                None => "unknown",
            },
            scrape_interval: target.interval,
            scrape_timeout: target.timeout,
            not_stored: health.not_stored,
            repeated_samples: health.repeated,
        }
    }
}

/// A target that rules dropped, or that cannot be scraped.
#[derive(Debug, Clone, PartialEq)]
pub struct DroppedTarget {
    /// Labels before relabeling.
    pub discovered_labels: Labels,
    /// Its job.
    pub scrape_pool: String,
    /// Why it cannot be scraped; empty when rules dropped it.
    pub reason: String,
}

/// A source of targets that failed at its last look.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceError {
    /// The job.
    pub scrape_pool: String,
    /// What went wrong.
    pub error: String,
}

/// All targets at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Targets {
    /// Those that are scraped, by job and labels.
    pub active: Vec<ActiveTarget>,
    /// Those that are not; of each job as many as are remembered.
    pub dropped: Vec<DroppedTarget>,
    /// How many are not scraped, by job, with those that are not remembered.
    pub dropped_counts: Vec<(String, usize)>,
    /// Sources in trouble.
    pub source_errors: Vec<SourceError>,
}

impl Targets {
    /// Puts a name in the place of this host's own in the addresses that are shown.
    #[must_use]
    pub fn seen_from_elsewhere(mut self, host: &str) -> Self {
        for target in &mut self.active {
            for own in ["://localhost", "://127.0.0.1", "://[::1]"] {
                let Some((scheme, rest)) = target.scrape_url.split_once(own) else { continue };
                if rest.is_empty() || rest.starts_with([':', '/']) {
                    target.global_url = format!("{scheme}://{host}{rest}");
                }
            }
        }
        self
    }
}
