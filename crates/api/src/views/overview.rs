//! The one-page answer.

use std::time::Duration;

use serde::Serialize;
use wellkept_model::{
    FilesystemOverview, Incident, IncidentStatus, Overview, ServiceOverview, Severity, TimestampMs,
};

/// After this long without a sample nothing can be called well: silence is not health.
const SILENCE_MAX: Duration = Duration::from_secs(10);

#[derive(Serialize)]
pub(crate) struct OverviewView<'a> {
    host: &'a str,
    version: &'static str,
    started_at: i64,
    now: i64,
    last_sample_at: Option<i64>,
    mode: &'a str,
    frozen: Option<&'a str>,
    keep_file: Option<&'a str>,
    series: usize,
    well: bool,
    worst: Option<&'static str>,
    services: Vec<ServiceView<'a>>,
    filesystems: Vec<FilesystemView<'a>>,
    incidents_open: usize,
}

#[derive(Serialize)]
struct ServiceView<'a> {
    name: &'a str,
    state: &'a str,
    pid: Option<u32>,
    since: Option<i64>,
    healthy: usize,
    checks: usize,
    cpu: f64,
    rss_bytes: u64,
    depends_on: &'a [String],
}

#[derive(Serialize)]
struct FilesystemView<'a> {
    mountpoint: &'a str,
    size_bytes: u64,
    avail_bytes: u64,
    full_in_seconds: Option<f64>,
}

impl<'a> OverviewView<'a> {
    pub(crate) fn new(
        overview: &'a Overview,
        incidents: &[Incident],
        version: &'static str,
        now: TimestampMs,
    ) -> Self {
        let incidents_open = incidents.iter().filter(|i| i.status != IncidentStatus::Resolved).count();
        let heard = overview.last_sample_at.is_some_and(|at| now.since(at) <= SILENCE_MAX);
        let calm = overview.worst.is_none_or(|worst| worst < Severity::Warning);
        Self {
            host: &overview.host,
            version,
            started_at: overview.started_at.0,
            now: now.0,
            last_sample_at: overview.last_sample_at.map(|at| at.0),
            mode: &overview.mode,
            frozen: overview.frozen.as_deref(),
            keep_file: overview.keep_file.as_deref(),
            series: overview.series,
            well: heard && calm && incidents_open == 0,
            worst: overview.worst.map(Severity::word),
            services: overview.services.iter().map(ServiceView::new).collect(),
            filesystems: overview.filesystems.iter().map(FilesystemView::new).collect(),
            incidents_open,
        }
    }
}

impl<'a> ServiceView<'a> {
    fn new(service: &'a ServiceOverview) -> Self {
        Self {
            name: &service.name,
            state: &service.state,
            pid: service.pid,
            since: service.since.map(|at| at.0),
            healthy: service.healthy.0,
            checks: service.healthy.1,
            cpu: service.cpu,
            rss_bytes: service.rss_bytes,
            depends_on: &service.depends_on,
        }
    }
}

impl<'a> FilesystemView<'a> {
    fn new(filesystem: &'a FilesystemOverview) -> Self {
        Self {
            mountpoint: &filesystem.mountpoint,
            size_bytes: filesystem.size_bytes,
            avail_bytes: filesystem.avail_bytes,
            full_in_seconds: filesystem.full_in_seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well(last_sample_at: Option<i64>, worst: Option<Severity>) -> bool {
        let overview =
            Overview { last_sample_at: last_sample_at.map(TimestampMs), worst, ..Overview::default() };
        OverviewView::new(&overview, &[], "0", TimestampMs(100_000)).well
    }

    #[test]
    fn a_host_that_is_heard_and_calm_is_well() {
        assert!(well(Some(99_000), None));
        assert!(well(Some(99_000), Some(Severity::Info)));
        assert!(!well(Some(99_000), Some(Severity::Warning)));
    }

    #[test]
    fn silence_is_not_health() {
        assert!(!well(Some(80_000), None));
        assert!(!well(None, None));
    }
}
