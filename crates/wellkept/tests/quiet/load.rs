//! Much to do, and done well.

use wellkept_model::local::{ConsumerSeen, ProcessTableSeen};
use wellkept_model::observe::Exit;
use wellkept_model::{ProcessRef, TimestampMs};

use crate::play::Play;

/// A host of four processors on which one user's work takes some of them.
pub(crate) fn table(
    at: TimestampMs,
    user: &str,
    cores: f64,
    cpu_pressure: f64,
    services_wait: f64,
) -> ProcessTableSeen {
    let consumer = ConsumerSeen {
        process: ProcessRef { pid: 900, start_ticks: 1 },
        comm: "job".into(),
        user: user.into(),
        nice: 0,
        service: None,
        cores,
    };
    ProcessTableSeen {
        at,
        cores: 4,
        cpu_pressure: Some(cpu_pressure),
        services_wait: Some(services_wait),
        consumers: vec![consumer],
        ..ProcessTableSeen::default()
    }
}

#[test]
fn the_nightly_batch() {
    let mut p = Play::new();
    p.for_seconds(600, |p, second| {
        // All processors are busy, and services still get theirs at once.
        let runs = (60..500).contains(&second);
        p.seen.local.table = runs.then(|| table(p.now, "batch", 3.8, 0.7, 0.05));
        p.value("time to answer", Some("app"), 0.010 + f64::from(second % 7) / 1000.0);
    });
    p.is_quiet();
}

#[test]
fn three_times_the_traffic_with_the_usual_latency() {
    let mut p = Play::new();
    p.for_seconds(600, |p, second| {
        let busy = (120..480).contains(&second);
        for name in ["web", "app", "db"] {
            let process = &mut p.seen.services.get_mut(name).unwrap().processes[0];
            process.open_fds = Some(if busy { 400 } else { 130 } + u64::from(second % 11));
            process.rss_bytes = if busy { 420 << 20 } else { 140 << 20 };
            process.cpu_seconds += if busy { 0.6 } else { 0.2 };
        }
        p.value("time to answer", Some("app"), 0.010 + f64::from(second % 7) / 1000.0);
    });
    p.is_quiet();
    assert!(p.findings().is_empty(), "{:?}", p.findings());
}

#[test]
fn a_client_that_leaves_its_connections_in_time_wait() {
    let mut p = Play::new();
    p.for_seconds(500, |p, _| {
        p.value("sockets in use", None, 200.0 + f64::from((p.now.0 / 1000 % 9) as i32))
    });
    // A burst: thousands of sockets that the kernel forgets by itself within a minute; each counts for little.
    p.for_seconds(120, |p, second| {
        let left = if second < 25 { 6000.0 } else { 200.0 };
        p.value("sockets in use", None, left);
    });
    p.is_quiet();
}

#[test]
fn a_cache_that_starts_cold() {
    let mut p = Play::new();
    p.for_seconds(400, |p, second| {
        p.value("time to answer", Some("app"), 0.01 + f64::from(second % 7) / 1000.0)
    });
    p.for_seconds(180, |p, second| {
        match second {
            10 => p.ends("cache", Exit::Signal(15)),
            11 => p.up("cache", 603),
            _ => {}
        }
        if second == 10 {
            p.fails("cache", "connection refused", 1);
        }
        // Everything is asked of the database until the cache is warm.
        let cold = (11..36).contains(&second);
        p.takes(if cold { 400 } else { 5 });
        p.value("time to answer", Some("app"), if cold { 0.2 } else { 0.01 });
    });
    p.is_quiet();
}

#[test]
fn one_lost_probe() {
    let mut p = Play::new();
    p.for_seconds(240, |p, second| {
        if matches!(second, 30 | 170) {
            p.fails("app", "no answer within 2 s", 1);
        }
    });
    p.is_quiet();
    assert!(p.findings().is_empty(), "{:?}", p.findings());
}
