//! People and tools at work: deployments, restarts, rotation.

use wellkept_model::ChangeKind;
use wellkept_model::local::{DeletedOpenSeen, ReleaseSeen};
use wellkept_model::observe::{Exit, ListenerSeen};

use crate::play::Play;

#[test]
fn a_planned_deployment_in_its_window() {
    let mut p = Play::new();
    p.for_seconds(180, |p, second| {
        match second {
            5 => p.maintenance(&["app"], 120),
            10 => {
                let (target, before) = ("releases/2".to_owned(), Some("releases/1".to_owned()));
                p.seen.local.releases.insert("app".into(), ReleaseSeen { target, since: p.now, before });
                p.records(ChangeKind::Release, "/srv/app/current");
                p.ends("app", Exit::Signal(15));
            }
            // A migration comes first.
            40 => p.up("app", 501),
            _ => {}
        }
        if (10..52).contains(&second) {
            p.fails("app", "connection refused", second - 9);
            p.fails("web", "status 502", second - 9);
        }
    });
    p.is_quiet();
    assert!(p.findings().is_empty(), "{:?}", p.findings());
}

#[test]
fn a_slow_start_after_a_planned_restart() {
    let mut p = Play::new();
    p.for_seconds(120, |p, second| {
        match second {
            10 => {
                p.records(ChangeKind::Restart, "app");
                p.ends("app", Exit::Signal(15));
            }
            11 => p.up("app", 502),
            _ => {}
        }
        if (10..19).contains(&second) {
            p.fails("app", "connection refused", second - 9);
        }
    });
    p.is_quiet();
}

#[test]
fn log_rotation() {
    let mut p = Play::new();
    p.for_seconds(120, |p, second| {
        // The old file is deleted, and the service opens the new one two seconds later.
        p.seen.local.deleted.clear();
        if (30..32).contains(&second) {
            p.seen.local.deleted.push(DeletedOpenSeen {
                service: "app".into(),
                pid: 101,
                fd: 4,
                path: "/var/log/app.log.1".into(),
                bytes: 2 << 30,
                mountpoint: "/var/log".into(),
            });
        }
        p.used("/var/log", if second < 32 { 0.6 } else { 0.4 });
    });
    p.is_quiet();
}

#[test]
fn a_setting_that_was_changed_with_a_record() {
    use wellkept_model::{ChangeId, FileOrigin, FileVersionChange, TimestampMs};
    let mut p = Play::new();
    p.for_seconds(90, |p, second| {
        if second == 10 {
            p.records(ChangeKind::Setting, "/srv/app/env");
            p.file_changes = vec![FileVersionChange {
                service: "app".into(),
                path: "/srv/app/env".into(),
                at: p.now,
                modified_at: Some(TimestampMs(p.now.0 - 500)),
                good_sha256: "aa".into(),
                now_sha256: Some("bb".into()),
                recorded: Some(ChangeId("c0".into())),
                keys_removed: Vec::new(),
                keys_changed: vec!["LEVEL".into()],
                keys_added: Vec::new(),
                only_metadata: false,
                origin: FileOrigin::Kept,
            }];
        }
    });
    p.is_quiet();
}

/// A second port of the cache is closed for so long, and clients go on asking.
fn port_closed_for(seconds: u32) -> Play {
    let mut p = Play::new();
    p.keep.services.get_mut("cache").unwrap().listens = vec!["127.0.0.1:6380".parse().unwrap()];
    p.for_seconds(120, |p, second| {
        let closed = (30..30 + seconds).contains(&second);
        let (protocol, address) = ("tcp".to_owned(), "127.0.0.1:6380".to_owned());
        let open = ListenerSeen { protocol, address, uid: 0, pid: None, holder: None };
        p.seen.listeners = if closed { Vec::new() } else { vec![open] };
        p.seen.local.refused = Some(if closed { 5.0 } else { 0.0 });
    });
    p
}

#[test]
fn a_port_that_is_closed_while_last_requests_end() {
    port_closed_for(25).is_quiet();
}

#[test]
fn a_port_that_stays_closed_while_others_ask_is_not_quiet() {
    let p = port_closed_for(60);
    assert!(p.acts().iter().any(|act| act.starts_with("restart") && act.contains("cache")), "{:?}", p.acts());
}
