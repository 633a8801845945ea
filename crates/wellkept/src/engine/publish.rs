//! What the engine shows to the outside: the overview, incidents and changes, always the newest only.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use wellkept_model::keep::Keep;
use wellkept_model::observe::{Observation, ServiceSeen};
use wellkept_model::{
    Beliefs, Change, FilesystemOverview, Incident, Overview, ServiceOverview, Severity, TimestampMs,
};

/// The sending ends of what the API reads.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) overview: watch::Sender<Arc<Overview>>,
    pub(crate) incidents: watch::Sender<Arc<Vec<Incident>>>,
    pub(crate) changes: watch::Sender<Arc<Vec<Change>>>,
    pub(crate) beliefs: watch::Sender<Arc<Beliefs>>,
    pub(crate) ready: watch::Sender<bool>,
}

/// The receiving ends.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) overview: watch::Receiver<Arc<Overview>>,
    pub(crate) incidents: watch::Receiver<Arc<Vec<Incident>>>,
    pub(crate) changes: watch::Receiver<Arc<Vec<Change>>>,
    pub(crate) beliefs: watch::Receiver<Arc<Beliefs>>,
    pub(crate) ready: watch::Receiver<bool>,
}

pub(crate) fn channel() -> (Publisher, Published) {
    let (overview, overview_rx) = watch::channel(Arc::default());
    let (incidents, incidents_rx) = watch::channel(Arc::default());
    let (changes, changes_rx) = watch::channel(Arc::default());
    let (beliefs, beliefs_rx) = watch::channel(Arc::default());
    let (ready, ready_rx) = watch::channel(false);
    (
        Publisher { overview, incidents, changes, beliefs, ready },
        Published {
            overview: overview_rx,
            incidents: incidents_rx,
            changes: changes_rx,
            beliefs: beliefs_rx,
            ready: ready_rx,
        },
    )
}

/// What the overview is made from.
pub(crate) struct View<'a> {
    pub(crate) host: &'a str,
    pub(crate) started_at: TimestampMs,
    pub(crate) keep: &'a Keep,
    pub(crate) keep_file: Option<String>,
    pub(crate) frozen: Option<String>,
    pub(crate) seen: &'a Observation,
    pub(crate) series: usize,
    pub(crate) worst: Option<Severity>,
    pub(crate) full_in: &'a BTreeMap<String, f64>,
    pub(crate) cpu: &'a BTreeMap<String, f64>,
}

pub(crate) fn overview(v: &View<'_>) -> Overview {
    let services = v.keep.services.keys().map(|name| service(name, v)).collect();
    let filesystems = v.seen.filesystems.iter().map(|fs| FilesystemOverview {
        mountpoint: fs.mountpoint.clone(),
        size_bytes: fs.size_bytes,
        avail_bytes: fs.avail_bytes,
        full_in_seconds: v.full_in.get(&fs.mountpoint).copied(),
    });
    Overview {
        host: v.host.to_owned(),
        started_at: v.started_at,
        last_sample_at: (v.seen.at.0 > 0).then_some(v.seen.at),
        mode: v.keep.automation.mode.word().to_owned(),
        frozen: v.frozen.clone(),
        keep_file: v.keep_file.clone(),
        services,
        filesystems: filesystems.collect(),
        series: v.series,
        worst: v.worst,
    }
}

fn service(name: &str, v: &View<'_>) -> ServiceOverview {
    let declared = v.keep.services.get(name);
    let seen = v.seen.services.get(name);
    let main = seen.and_then(|s| s.processes.first());
    let checks = v.seen.health.iter().filter(|h| h.service == name);
    let healthy = checks.filter(|h| h.failure.is_none()).count();
    ServiceOverview {
        name: name.to_owned(),
        state: state_word(seen).to_owned(),
        pid: main.map(|p| p.pid),
        since: main.map(|p| p.started_at).or_else(|| seen.and_then(|s| s.down_since)),
        healthy: (healthy, declared.map_or(0, |d| d.health.len())),
        cpu: v.cpu.get(name).copied().unwrap_or(0.0),
        rss_bytes: seen.map_or(0, |s| s.processes.iter().map(|p| p.rss_bytes).sum()),
        depends_on: declared.map_or_else(Vec::new, |d| d.depends_on.clone()),
    }
}

fn state_word(seen: Option<&ServiceSeen>) -> &'static str {
    match seen {
        None => "unknown",
        Some(s) => match s.processes.first() {
            Some(p) if p.state == 'T' => "stopped",
            Some(_) => "running",
            None => "down",
        },
    }
}

/// Share of one core that each service used between two rounds.
#[expect(clippy::cast_precision_loss, reason = "milliseconds between two rounds are few")]
pub(crate) fn cpu_shares(before: &Observation, after: &Observation) -> BTreeMap<String, f64> {
    let seconds = after.at.since(before.at).as_millis() as f64 / 1000.0;
    let used = |s: &ServiceSeen, pid: u32| s.processes.iter().find(|p| p.pid == pid).map(|p| p.cpu_seconds);
    let shares = after.services.iter().filter_map(|(name, now)| {
        let then = before.services.get(name)?;
        let grown =
            now.processes.iter().filter_map(|p| used(then, p.pid).map(|old| (p.cpu_seconds - old).max(0.0)));
        (seconds > 0.0).then(|| (name.clone(), grown.sum::<f64>() / seconds))
    });
    shares.collect()
}
