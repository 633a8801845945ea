//! It can be killed at any time and takes up its work on the same directory.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "this is test code")]

mod common;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::{Home, Tiny, Up, run, wait_for, wellkept};
use rustix::process::Signal;

/// What was answered this long before the end was acknowledged and is on disk.
const SETTLED: Duration = Duration::from_millis(1500);

fn seconds_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Times and values of a metric that moves, of a counter and of one that hardly changes.
fn answered(up: &Up) -> BTreeMap<String, Vec<(f64, String)>> {
    ["node_load1", "node_context_switches_total", "node_boot_time_seconds"]
        .map(|name| (name.to_owned(), up.samples(&format!("{name}[10m]"))))
        .into()
}

#[test]
fn samples_that_were_answered_survive_kill_9() {
    let home = Home::new();
    let mut known: BTreeMap<String, Vec<(f64, String)>> = BTreeMap::new();
    for (round, more) in [2, 4, 3].into_iter().enumerate() {
        let up = Up::start(&home, None);
        let again = answered(&up);
        for (name, before) in &known {
            let missing: Vec<_> = before.iter().filter(|s| !again[name].contains(s)).collect();
            assert!(missing.is_empty(), "{name} after kill {round}: {missing:?} of {before:?}");
        }
        let had = again["node_load1"].len();
        wait_for("some more rounds", || (up.samples("node_load1[10m]").len() >= had + more).then_some(()));
        let asked = seconds_now();
        known = answered(&up);
        known.values_mut().for_each(|v| v.retain(|(at, _)| *at <= asked));
        assert!(known.values().all(|v| v.len() >= had + more), "{known:?}");
        // Not at the same point of a round each time.
        let wait = SETTLED + Duration::from_millis(u64::from(up.pid()) * 7919 % 900);
        let until = Instant::now() + wait;
        wait_for("the moment of the kill", || (Instant::now() >= until).then_some(()));
        up.kill();
    }
    let up = Up::start(&home, None);
    let again = answered(&up);
    for (name, before) in &known {
        assert!(before.iter().all(|s| again[name].contains(s)), "{name}");
        let mut times: Vec<_> = again[name].iter().map(|(at, _)| *at).collect();
        let n = times.len();
        times.dedup();
        assert_eq!(times.len(), n, "{name}: no sample is there twice");
    }
    println!("{} samples of node_load1 after three kills", again["node_load1"].len());
}

#[test]
fn a_start_that_was_killed_at_any_moment_can_be_repeated() {
    for (n, moment_ms) in (0..60).step_by(4).enumerate() {
        let home = Home::new();
        // A first start on nothing, and one over what that left behind.
        for twice in [moment_ms, 60 - moment_ms] {
            let mut command = wellkept();
            command.args(["up", "--listen", "127.0.0.1:0", "--data-dir"]).arg(home.data());
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            // Nothing is waited for: the moments are what is tested.
            std::thread::sleep(Duration::from_millis(twice));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let up = Up::start(&home, None);
        assert_eq!(up.token().len(), 64, "{n}");
        wait_for("a first sample", || (!up.samples("node_load1[1m]").is_empty()).then_some(()));
    }
}

#[test]
fn incidents_survive_kill_9() {
    let home = Home::new();
    let tiny = Tiny::new(&home);
    let keep = home.keep(tiny.keep("act", &["restart"]));
    tiny.start();
    let up = Up::start(&home, Some(&keep));
    tiny.wait_well(&up);
    tiny.signal(Signal::KILL);
    let (before, _) = up.wait_for_incident("it was recovered", |i| i["status"] == "resolved");
    // The writer of incidents works behind the loop; the freeze is written after them.
    up.acts("/api/v1/freeze", &serde_json::json!({ "reason": "test" }));
    up.kill();

    let up = Up::start(&home, Some(&keep));
    let after = up.incident(before["id"].as_str().unwrap());
    assert_eq!(after, before);
    assert!(up.overview()["frozen"].is_string(), "the stop switch survives");
}

#[test]
fn a_second_process_on_the_same_directory_is_refused() {
    let home = Home::new();
    let mut up = Up::start(&home, None);
    let mut second = wellkept();
    second.args(["up", "--listen", "127.0.0.1:0", "--data-dir"]).arg(home.data());
    let ended = run(&mut second);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains(home.data().to_str().unwrap()), "{ended:?}");
    assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
    assert!(up.is_alive());
}

#[test]
fn an_action_that_ran_at_kill_9_is_unknown_after_it_and_waits_for_a_person() {
    let home = Home::new();
    let tiny = Tiny::new(&home);
    let mut keep: serde_json::Value = serde_json::from_str(&tiny.keep("act", &["restart"])).unwrap();
    // Starts nothing, and is at it for long enough to be cut off.
    let begun = home.path("begun");
    let line = format!("echo x >> {}; sleep 20", begun.display());
    keep["services"]["tiny"]["start"] = serde_json::json!({ "shell": line, "within": "60s" });
    let keep = home.keep(keep.to_string());
    tiny.start();
    let up = Up::start(&home, Some(&keep));
    tiny.wait_well(&up);
    tiny.signal(Signal::KILL);
    wait_for("the action is at work", || begun.exists().then_some(()));
    up.kill();

    let up = Up::start(&home, Some(&keep));
    let (after, _) = up.wait_for_incident("a person is called", |i| i["status"] == "escalated");
    assert_eq!(
        (&after["actions"][0]["kind"], &after["actions"][0]["status"]),
        (&"restart".into(), &"unknown".into())
    );
    let had = up.samples("node_load1[10m]").len();
    wait_for("some more rounds", || (up.samples("node_load1[10m]").len() >= had + 4).then_some(()));
    let incident = up.incident(after["id"].as_str().unwrap());
    assert_eq!(
        (incident["actions"].as_array().unwrap().len(), &incident["status"]),
        (1, &"escalated".into())
    );
    assert_eq!(std::fs::read_to_string(&begun).unwrap(), "x\n", "it was done once");
}
