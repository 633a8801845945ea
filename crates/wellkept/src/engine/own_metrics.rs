//! Metrics of Wellkept itself, in Prometheus' text format.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that the engine and the writer bump.
#[derive(Debug, Default)]
pub(crate) struct OwnMetrics {
    pub(crate) rounds: AtomicU64,
    pub(crate) round_micros: AtomicU64,
    pub(crate) samples: AtomicU64,
    pub(crate) samples_dropped: AtomicU64,
    pub(crate) commits_failed: AtomicU64,
    pub(crate) incidents_open: AtomicU64,
    pub(crate) findings: AtomicU64,
    pub(crate) steps: AtomicU64,
}

impl OwnMetrics {
    pub(crate) fn add(counter: &AtomicU64, n: usize) {
        counter.fetch_add(n as u64, Ordering::Relaxed);
    }

    pub(crate) fn set(gauge: &AtomicU64, n: usize) {
        gauge.store(n as u64, Ordering::Relaxed);
    }

    /// The page.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of work stay far below 2^53")]
    pub(crate) fn page(&self) -> String {
        let get = |c: &AtomicU64| c.load(Ordering::Relaxed);
        let mut page = String::new();
        let mut line = |name: &str, kind: &str, help: &str, value: String| {
            // Writing into a String cannot fail.
            let _ = write!(page, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        };
        let int = |c: &AtomicU64| get(c).to_string();
        line("wellkept_rounds_total", "counter", "Rounds of collection.", int(&self.rounds));
        let seconds = get(&self.round_micros) as f64 / 1e6;
        line("wellkept_round_seconds_total", "counter", "Time spent in rounds.", seconds.to_string());
        line("wellkept_samples_total", "counter", "Samples handed to the store.", int(&self.samples));
        line(
            "wellkept_samples_dropped_total",
            "counter",
            "Samples that the store did not take.",
            int(&self.samples_dropped),
        );
        line(
            "wellkept_store_commits_failed_total",
            "counter",
            "Commits of the store that failed.",
            int(&self.commits_failed),
        );
        line(
            "wellkept_incidents_open",
            "gauge",
            "Incidents that are not resolved.",
            int(&self.incidents_open),
        );
        line("wellkept_findings", "gauge", "Findings that hold now.", int(&self.findings));
        line("wellkept_steps_total", "counter", "Steps begun.", int(&self.steps));
        page
    }
}
