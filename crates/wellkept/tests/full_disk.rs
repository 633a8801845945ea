//! With a full disk it goes on watching, answers, and can be stopped; with room again it stores again.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "this is test code")]

mod common;

use std::time::{Duration, Instant};

use common::{Home, Mounted, Tiny, Up, skipped, wait_for};
use serde_json::json;

/// What is promised of the stop switch, also with a full disk.
const FROZEN_WITHIN: Duration = Duration::from_secs(5);

fn own_metric(up: &Up, name: &str) -> f64 {
    let page = up.call("GET", "/metrics").send().text;
    let line = page.lines().find(|l| l.starts_with(name) && !l.starts_with('#'));
    line.and_then(|l| l.rsplit_once(' ')?.1.parse().ok()).unwrap_or_else(|| panic!("no {name} in {page}"))
}

#[test]
fn a_full_data_directory_stops_the_storing_and_nothing_else() {
    let home = Home::new();
    let disk = match Mounted::new(&home.path("disk"), 16 << 10) {
        Ok(disk) => disk,
        Err(why) => return skipped(&why),
    };
    let data = disk.outside("data");
    let mut up = Up::start_on(&home, &disk, None);
    wait_for("some samples are stored", || (up.samples("node_load1[5m]").len() > 2).then_some(()));
    let before = up.samples("node_load1[5m]");
    disk.fill();
    let (_, fails) = wait_for("storing fails", || {
        (own_metric(&up, "wellkept_store_commits_failed_total") > 0.0).then_some(())
    });

    println!("storing failed {fails:.2?} after the disk was full");
    let rounds = own_metric(&up, "wellkept_rounds_total");
    wait_for("it goes on looking", || {
        (own_metric(&up, "wellkept_rounds_total") > rounds + 1.0).then_some(())
    });
    let still = up.samples("node_load1[5m]");
    assert!(before.iter().all(|s| still.contains(s)), "what was stored is answered");
    assert!(up.log().contains("samples cannot be stored"), "{}", up.log());
    assert_eq!(up.log().matches("samples cannot be stored").count(), 1, "it is told once");
    assert_eq!(up.call("GET", "/-/healthy").send().status, 200);

    let asked = Instant::now();
    up.acts("/api/v1/freeze", &json!({ "reason": "full" }));
    assert!(up.overview()["frozen"].is_string());
    println!("frozen {:.2?} after it was asked on a full disk", asked.elapsed());
    assert!(asked.elapsed() < FROZEN_WITHIN);
    assert!(data.join("FREEZE").exists(), "the switch survives the process");
    std::fs::remove_file(data.join("FREEZE")).unwrap();
    let by_hand = up.cli(&["freeze", "again"]);
    assert_eq!(by_hand.code, Some(0), "{by_hand:?}");
    assert!(data.join("FREEZE").exists());
    assert!(up.is_alive());

    disk.empty();
    let had = up.samples("node_load1[5m]").len();
    let (_, took) =
        wait_for("samples are stored again", || (up.samples("node_load1[5m]").len() > had + 2).then_some(()));
    println!("stored again {took:.2?} after space was freed");
    assert!(up.log().contains("samples are stored again"), "{}", up.log());
    assert_eq!(up.cli(&["unfreeze"]).code, Some(0));
    assert_eq!(up.terminate(), Some(0));

    let up = Up::start_on(&home, &disk, None);
    let again = up.samples("node_load1[10m]");
    assert!(before.iter().all(|s| again.contains(s)), "nothing that was acknowledged is lost");
}

#[test]
fn the_file_works_on_a_disk_that_was_full_before() {
    let home = Home::new();
    let disk = match Mounted::new(&home.path("disk"), 16 << 10) {
        Ok(disk) => disk,
        Err(why) => return skipped(&why),
    };
    let up = Up::start_on(&home, &disk, None);
    disk.fill();
    let mut command = common::wellkept();
    command.args(["freeze", "--address", "127.0.0.1:1", "--data-dir"]).arg(&up.data);
    let ended = common::run(&mut command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    wait_for("the running one sees it", || up.overview()["frozen"].is_string().then_some(()));
}

#[test]
fn no_step_is_done_without_its_record() {
    let home = Home::new();
    let disk = match Mounted::new(&home.path("disk"), 16 << 10) {
        Ok(disk) => disk,
        Err(why) => return skipped(&why),
    };
    let tiny = Tiny::new(&home);
    let keep = home.keep(tiny.keep("act", &["restart"]));
    tiny.start();
    let up = Up::start_on(&home, &disk, Some(&keep));
    tiny.wait_well(&up);
    disk.fill();
    // What room the database has kept for itself is used up, one recorded change after the other.
    let long = "x".repeat(4000);
    let change = json!({ "what": long, "kind": "other", "who": "test" });
    wait_for("the database is full", || (up.act("/api/v1/changes", &change).status == 503).then_some(()));
    tiny.signal(rustix::process::Signal::KILL);
    let (incident, _) = up.wait_for_incident("the step is refused", |i| {
        i["actions"].as_array().unwrap().iter().any(|a| a["kind"] == "restart" && a["status"] == "skipped")
    });
    assert!(incident.to_string().contains("record could not be written"), "{incident}");
    assert!(!tiny.answers(), "nothing was done");

    // With room again it goes on by itself, with a new step and its record.
    disk.empty();
    let (incident, _) = up.wait_for_incident("it is recovered", |i| i["status"] == "resolved");
    let actions = incident["actions"].as_array().unwrap();
    assert!(actions.iter().any(|a| a["kind"] == "restart" && a["status"] == "succeeded"), "{incident}");
    assert!(tiny.answers());
}
