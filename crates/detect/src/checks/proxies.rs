//! A proxy runs with an older configuration than the one in its file, or cannot reach what it sends requests to.
//!
//! When a configuration was loaded is told by the workers, which begin anew with each: the youngest counts, because old
//! ones may still serve their last requests. A worker that was begun anew for another reason hides a drift; none is invented.

use std::time::Duration;

use wellkept_model::keep::{Keep, Proxy};
use wellkept_model::observe::{FileState, ServiceSeen};
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text, TimestampMs};

use super::{finding, seen_at, seen_in};
use crate::Round;

/// A file may be written this long after it was read, as far as clocks of files and processes tell.
const SLACK: Duration = Duration::from_secs(2);
/// How long a changed file may wait to be loaded, milliseconds: whoever changed it may be about to.
const STALE_HOLD_MS: u64 = 60_000;
/// Failures in a minute that make a finding.
const UNREACHABLE_MIN: u64 = 3;
/// Connections dropped in a minute that make a finding.
const DROPPED_MIN: u64 = 5;

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (service, declared) in &keep.watched.proxies {
        found.extend(stale(declared, round));
        found.extend(unreachable(service, round));
        found.extend(dropping(service, round));
    }
    found
}

fn stale(declared: &Proxy, round: &Round<'_>) -> Option<Finding> {
    let service = round.seen.services.get(&declared.service)?;
    let loaded_at = loaded_at(service, declared.loaded_by_workers)?;
    let files = round.seen.files.iter().filter(|f| f.service == declared.service);
    let changed = files.filter_map(|f| match &f.state {
        FileState::Present { modified_at, .. } => Some((*modified_at, &f.path)),
        FileState::Missing | FileState::Unreadable(_) => None,
    });
    let (modified_at, path) = changed.max().filter(|(at, _)| *at > loaded_at + SLACK)?;
    let (entity, kind) = (EntityId::service(&declared.service), FindingKind::ConfigStale);
    let mut f = finding(entity, kind, "", Severity::Warning, modified_at, round.now);
    f.hold_ms = STALE_HOLD_MS;
    f.text = f.text.with("path", path);
    let text = Text::new("evidence.config_stale").with("path", path);
    f.evidence.push(seen_at(modified_at, text.with("loaded", loaded_at)));
    Some(f)
}

fn loaded_at(service: &ServiceSeen, by_workers: bool) -> Option<TimestampMs> {
    let (main, workers) = service.processes.split_first()?;
    let youngest = workers.iter().map(|p| p.started_at).max().filter(|_| by_workers);
    Some(youngest.unwrap_or(main.started_at).max(main.started_at))
}

fn unreachable(service: &str, round: &Round<'_>) -> Vec<Finding> {
    let Some(seen) = round.seen.watched.proxies.get(service).filter(|s| s.problem.is_none()) else {
        return Vec::new();
    };
    let often = seen.unreachable.iter().filter(|(_, count)| **count >= UNREACHABLE_MIN);
    let found = often.take(10).map(|(address, count)| {
        let (entity, kind) = (EntityId::service(service), FindingKind::UpstreamFailing);
        let mut f = finding(entity, kind, address, Severity::Warning, seen.at, round.now);
        f.text = f.text.with("address", address).with("count", count);
        f.evidence.push(seen_at(seen.at, Text::new("evidence.proxy_says").with("line", &seen.last_line)));
        f
    });
    found.collect()
}

/// Connections that were accepted and not served: its own limit of them is reached.
fn dropping(service: &str, round: &Round<'_>) -> Option<Finding> {
    let seen = round.seen.watched.proxies.get(service)?;
    let told = seen.connections.filter(|c| c.dropped >= DROPPED_MIN)?;
    let (entity, kind) = (EntityId::service(service), FindingKind::ConnectionsFull);
    let mut f = finding(entity, kind, "dropped", Severity::Critical, seen.at, round.now);
    f.text.key = "finding.connections_full.dropped".to_owned();
    f.text = f.text.with("count", told.dropped).with("active", told.active);
    let text =
        Text::new("evidence.connections_dropped").with("count", told.dropped).with("active", told.active);
    let query = "rate(nginx_connections_accepted[1m]) - rate(nginx_connections_handled[1m])";
    f.evidence.push(seen_in(seen.at, text.with("waiting", told.waiting), query.to_owned()));
    Some(f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::World;
    use wellkept_model::observe::{FileSeen, ProxySeen};

    /// A master since 900, a worker since `worker`, a file since `file` (seconds).
    fn world(worker: i64, file: i64, loaded_by_workers: bool) -> World {
        let mut w = World::new(&["web"]);
        w.up("web", 1);
        w.up("web", 1);
        let service = w.seen.services.get_mut("web").unwrap();
        service.processes.push(service.processes[0].clone());
        service.processes[0].started_at = TimestampMs(900_000);
        service.processes[1].started_at = TimestampMs(worker * 1000);
        let (sha256, modified_at) = ("a".to_owned(), TimestampMs(file * 1000));
        let state = FileState::Present { sha256, len: 1, uid: 0, gid: 0, mode: 0o644, modified_at };
        w.seen.files = vec![FileSeen { service: "web".into(), path: "/etc/web".into(), state }];
        let proxy = Proxy { service: "web".into(), error_log: None, status: None, loaded_by_workers };
        w.keep.watched.proxies.insert("web".into(), proxy);
        w
    }

    #[test]
    fn a_file_that_is_younger_than_the_workers_was_not_loaded() {
        assert!(world(950, 940, true).kinds().is_empty());
        assert!(world(950, 951, true).kinds().is_empty());
        assert_eq!(world(950, 960, true).kinds(), [FindingKind::ConfigStale]);
        assert_eq!(world(950, 940, false).kinds(), [FindingKind::ConfigStale], "its workers read nothing");
    }

    #[test]
    fn connections_that_are_dropped_again_and_again_are_told() {
        use wellkept_model::observe::ProxyConnections;
        for (dropped, kinds) in [(4, vec![]), (5, vec![FindingKind::ConnectionsFull])] {
            let mut w = world(950, 940, true);
            let connections = Some(ProxyConnections { dropped, active: 512, ..ProxyConnections::default() });
            let seen = ProxySeen { connections, ..ProxySeen::default() };
            w.seen.watched.proxies.insert("web".into(), seen);
            assert_eq!(w.kinds(), kinds);
        }
    }

    #[test]
    fn what_cannot_be_reached_again_and_again_is_told() {
        for (count, kinds) in [(2, vec![]), (3, vec![FindingKind::UpstreamFailing])] {
            let mut w = world(950, 940, true);
            let unreachable = [("127.0.0.1:9".to_owned(), count)].into();
            let seen = ProxySeen { unreachable, ..ProxySeen::default() };
            w.seen.watched.proxies.insert("web".into(), seen);
            assert_eq!(w.kinds(), kinds);
        }
    }
}
