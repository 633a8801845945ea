//! What breaks is found, explained, put right as far as it is allowed, and verified.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is test code")]

mod common;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use common::{Home, Tiny, Up, wait_for};
use rustix::process::Signal;
use serde_json::{Value, json};

const BROKEN: &str = "# somebody edited this file\n";

struct Scene {
    up: Up,
    tiny: Tiny,
    home: Home,
}

fn scene(mode: &str, may: &[&str]) -> Scene {
    let home = Home::new();
    let tiny = Tiny::new(&home);
    let keep = home.keep(tiny.keep(mode, may));
    tiny.start();
    let up = Up::start(&home, Some(&keep));
    Scene { up, tiny, home }
}

fn resolved(incident: &Value) -> bool {
    incident["status"] == "resolved"
}

/// Kind and status of the actions, in order.
fn actions(incident: &Value) -> Vec<(&str, &str)> {
    let all = incident["actions"].as_array().unwrap().iter();
    all.map(|a| (a["kind"].as_str().unwrap(), a["status"].as_str().unwrap())).collect()
}

/// Content, owner, group and mode.
fn file(path: &Path) -> (Vec<u8>, u32, u32, u32) {
    let meta = std::fs::metadata(path).unwrap();
    (std::fs::read(path).unwrap(), meta.uid(), meta.gid(), meta.mode() & 0o7777)
}

#[test]
fn a_service_that_was_killed_runs_again() {
    let s = scene("act", &["restart"]);
    s.tiny.wait_well(&s.up);
    let killed = s.tiny.signal(Signal::KILL);
    let (pid, again) = wait_for("it runs again", || s.tiny.pid().filter(|pid| *pid != killed));
    let (incident, took) = s.up.wait_for_incident("it is resolved", resolved);
    println!("process back after {again:.2?}, verified {took:.2?} later");
    assert_eq!(actions(&incident), [("restart", "succeeded")]);
    assert_eq!(incident["actions"][0]["automatic"], true);
    assert_eq!(incident["actions"][0]["target"], "tiny");
    assert_eq!(incident["causes"][0]["component"], "tiny");
    assert_eq!(incident["causes"][0]["kind"], "process_crash");
    assert_eq!(s.tiny.pid(), Some(pid), "it was started once");
    assert!(s.tiny.answers());
    assert_eq!(s.up.incidents_of("tiny").len(), 1);
}

#[test]
fn a_service_that_was_stopped_goes_on() {
    let s = scene("act", &["restart", "resume"]);
    s.tiny.wait_well(&s.up);
    let stopped = s.tiny.signal(Signal::STOP);
    let (incident, took) = s.up.wait_for_incident("it is resolved", resolved);
    println!("stopped and going on, verified after {took:.2?}");
    assert_eq!(actions(&incident), [("resume", "succeeded")]);
    assert_eq!(incident["causes"][0]["kind"], "process_stopped");
    assert_eq!(s.tiny.pid(), Some(stopped), "the same process");
    assert!(s.tiny.answers());
}

#[test]
fn a_lost_setting_is_put_back_and_can_be_taken_back() {
    let s = scene("act", &["restart", "rollback"]);
    let settings = &s.tiny.settings;
    std::fs::set_permissions(settings, std::fs::Permissions::from_mode(0o640)).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(settings, Some(65_534), Some(65_533)).unwrap();
    }
    let good = file(settings);
    s.tiny.wait_good(&s.up);

    let edited = s.home.path("edited");
    std::fs::write(&edited, BROKEN).unwrap();
    std::fs::set_permissions(&edited, std::fs::Permissions::from_mode(0o604)).unwrap();
    std::fs::rename(&edited, settings).unwrap();
    let broken = file(settings);
    s.tiny.signal(Signal::KILL);
    let (incident, took) = s.up.wait_for_incident("it is resolved", resolved);
    println!("lost setting: put back and verified after {took:.2?}");
    assert_eq!(incident["causes"][0]["kind"], "bad_setting", "{incident}");
    // A first restart is no mistake: when the process ends, the file's change is not yet older than its hold time.
    let done: Vec<_> = actions(&incident).into_iter().filter(|(_, status)| *status == "succeeded").collect();
    assert!(done.ends_with(&[("rollback", "succeeded"), ("restart", "succeeded")]), "{incident}");
    assert_eq!(file(settings), good);
    assert!(s.tiny.answers());

    // Nobody may be left without a way back, not even from a repair.
    s.up.acts("/api/v1/freeze", &json!({ "reason": "look at it" }));
    let id = incident["id"].as_str().unwrap();
    let rollback = incident["actions"].as_array().unwrap().iter().find(|a| a["kind"] == "rollback").unwrap();
    assert_eq!(rollback["undoable"], true);
    s.up.acts("/api/v1/unfreeze", &json!({}));
    let undone = s.up.cli(&["undo", rollback["id"].as_str().unwrap()]);
    assert_eq!(undone.code, Some(0), "{undone:?}");
    s.up.wait_for_incident("it is taken back", |i| {
        i["id"] == id && actions(i).contains(&("rollback", "rolled_back"))
    });
    assert_eq!(file(settings), broken);
}

#[test]
fn a_recorded_change_is_no_finding() {
    let s = scene("watch", &[]);
    s.tiny.wait_good(&s.up);
    let path = s.tiny.settings.to_str().unwrap();
    let answer = s.up.act("/api/v1/changes", &json!({ "what": path, "kind": "setting", "who": "ann" }));
    assert_eq!(answer.status, 200, "{}", answer.text);
    std::fs::write(&s.tiny.settings, "GREETING=good day\n").unwrap();
    // It becomes the good version only when nothing was found wrong with it.
    s.tiny.wait_good(&s.up);
    assert_eq!(s.up.incidents_of("tiny"), Vec::<Value>::new());
    assert_eq!(s.up.get("/api/v1/changes")["changes"][0]["who"], "ann");

    let ended = s.up.cli(&["change", path, "--kind", "setting", "--who", "bob"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(s.up.get("/api/v1/changes")["changes"][0]["who"], "bob");
}

#[test]
fn an_unrecorded_change_is_a_finding() {
    let s = scene("watch", &[]);
    s.tiny.wait_good(&s.up);
    std::fs::write(&s.tiny.settings, "GREETING=owned\n").unwrap();
    let (incident, _) = s.up.wait_for_incident("it is found", |i| {
        i["findings"].as_array().unwrap().iter().any(|f| f["kind"] == "file_changed")
    });
    assert!(actions(&incident).iter().all(|(_, status)| *status == "planned"), "{incident}");
    let text = incident.to_string();
    assert!(text.contains("GREETING") && !text.contains("owned"), "keys are named, values are not: {text}");
}

#[test]
fn a_proposal_waits_for_the_yes_to_exactly_this_plan() {
    let s = scene("propose", &["restart"]);
    s.tiny.wait_well(&s.up);
    let killed = s.tiny.signal(Signal::KILL);
    let (incident, _) = s.up.wait_for_incident("a plan waits", |i| i["plan"]["withheld"].is_string());
    let id = incident["id"].as_str().unwrap();
    let generation = incident["plan"]["generation"].as_u64().unwrap();
    assert_eq!(incident["plan"]["automatic"], false);
    assert_eq!(s.tiny.pid(), None);

    let path = format!("/api/v1/incidents/{id}/approve");
    let wrong = s.up.act(&path, &json!({ "generation": generation + 1 }));
    assert_eq!((wrong.status, &wrong.json["errorType"]), (409, &json!("conflict")), "{}", wrong.text);
    assert_eq!(s.tiny.pid(), None, "nothing was started");
    let refused = s.up.cli(&["approve", id, "--generation", "4000"]);
    assert_eq!(refused.code, Some(5), "{refused:?}");

    let approved = s.up.cli(&["approve", id, "--generation", &generation.to_string()]);
    assert_eq!(approved.code, Some(0), "{approved:?}");
    wait_for("it runs again", || s.tiny.pid().filter(|pid| *pid != killed));
    let (incident, _) = s.up.wait_for_incident("it is resolved", resolved);
    let done: Vec<_> = actions(&incident).into_iter().filter(|(_, status)| *status == "succeeded").collect();
    assert_eq!(done, [("restart", "succeeded")], "{incident}");
    let again = s.up.act(&path, &json!({ "generation": generation }));
    assert_eq!(again.status, 409, "a plan runs once: {}", again.text);
}
