//! Files of a release that were lost or altered come back, and a release that breaks its service is left again.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use std::os::unix::fs::symlink;
use std::process::Command;

use common::{Home, Tiny, Up, wait_for};
use serde_json::{Value, json};
use wellkept_collect::sha256_hex;

struct Scene {
    up: Up,
    tiny: Tiny,
    home: Home,
}

/// The tiny service with two releases of one page, of which the first is current.
fn scene(may: &[&str], more: impl FnOnce(&Home, &mut Value)) -> Scene {
    let home = Home::new();
    let tiny = Tiny::new(&home);
    for release in ["1", "2"] {
        let folder = home.path("releases").join(release);
        std::fs::create_dir_all(&folder).unwrap();
        let page = format!("page of release {release}");
        std::fs::write(folder.join("page"), &page).unwrap();
        let sum = sha256_hex(page.as_bytes());
        std::fs::write(folder.join("SUMS"), format!("{sum}  page\n")).unwrap();
        let archive = home.path(&format!("release-{release}.tar.gz"));
        let packed = Command::new("tar").arg("-czf").arg(archive).arg("-C").arg(folder).arg(".").status();
        assert!(packed.unwrap().success());
    }
    symlink("releases/1", home.path("current")).unwrap();
    let mut keep: Value = serde_json::from_str(&tiny.keep("act", may)).unwrap();
    keep["evidence"] = json!(home.path("kept"));
    std::fs::create_dir(home.path("kept")).unwrap();
    keep["services"]["tiny"]["release"] = json!({
        "current": home.path("current"),
        "from": home.path("releases"),
        "manifest": "SUMS",
        "artefact": home.path("release-{release}.tar.gz"),
    });
    more(&home, &mut keep);
    let keep = home.keep(keep.to_string());
    tiny.start();
    let up = Up::start(&home, Some(&keep));
    tiny.wait_well(&up);
    Scene { up, tiny, home }
}

fn resolved(incident: &Value) -> bool {
    incident["status"] == "resolved"
}

fn kinds(incident: &Value) -> Vec<&str> {
    incident["actions"].as_array().unwrap().iter().map(|a| a["kind"].as_str().unwrap()).collect()
}

#[test]
fn a_lost_file_comes_back_from_the_artefact_without_a_restart() {
    let s = scene(&["restore"], |_, _| {});
    let pid = s.tiny.pid();
    let page = s.home.path("releases/1/page");
    std::fs::remove_file(&page).unwrap();
    let (incident, _) = s.up.wait_for_incident("it is resolved", resolved);
    assert_eq!(incident["causes"][0]["kind"], "missing_file");
    assert_eq!(kinds(&incident), ["restore"]);
    assert_eq!(std::fs::read_to_string(page).unwrap(), "page of release 1");
    assert_eq!(s.tiny.pid(), pid);
}

#[test]
fn an_altered_file_comes_back_its_alteration_is_kept_and_a_person_is_called() {
    let s = scene(&["restore"], |_, _| {});
    let page = s.home.path("releases/1/page");
    std::fs::write(&page, "free prizes").unwrap();
    let (incident, _) = s.up.wait_for_incident("it is resolved", resolved);
    assert_eq!(incident["causes"][0]["component"], "security");
    assert_eq!(incident["causes"][0]["kind"], "unauthorised_file_change");
    assert_eq!(kinds(&incident), ["restore", "escalate"]);
    assert_eq!(std::fs::read_to_string(page).unwrap(), "page of release 1");
    let kept = std::fs::read_dir(s.home.path("kept")).unwrap().flatten();
    assert!(kept.into_iter().any(|e| std::fs::read_to_string(e.path()).unwrap() == "free prizes"));
}

#[test]
fn without_the_word_an_altered_file_stays_and_waits_for_a_person() {
    let s = scene(&["restart"], |_, _| {});
    let page = s.home.path("releases/1/page");
    std::fs::write(&page, "free prizes").unwrap();
    let (incident, _) = s.up.wait_for_incident("it is proposed", |i| i["plan"].is_object());
    assert_eq!(incident["plan"]["automatic"], false);
    assert_eq!(std::fs::read_to_string(page).unwrap(), "free prizes");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the window must be open while the test runs")]
fn in_a_maintenance_window_files_may_change() {
    let s = scene(&["restore"], |home, keep| {
        let windows = json!({ "windows": [{
            "from": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z", "components": ["other"],
        }] });
        std::fs::write(home.path("windows.json"), windows.to_string()).unwrap();
        keep["maintenance"] = json!({ "files": [home.path("windows.json")] });
    });
    let now = jiff::Timestamp::now();
    let hour = std::time::Duration::from_secs(3600);
    let windows = json!({ "windows": [{
        "from": now.checked_sub(hour).unwrap().to_string(),
        "until": now.checked_add(hour).unwrap().to_string(),
        "components": ["tiny"],
    }] });
    std::fs::write(s.home.path("windows.json"), windows.to_string()).unwrap();
    let page = s.home.path("releases/1/page");
    std::fs::write(&page, "a hot fix").unwrap();
    // Outside of a window it is found within two rounds.
    let rounds = || {
        let answer = s.up.query("count_over_time(wellkept_service_up[1h])");
        let value = answer.json["data"]["result"][0]["value"][1].as_str().and_then(|v| v.parse::<u32>().ok());
        value.unwrap_or(0)
    };
    let before = rounds();
    wait_for("some rounds have passed", || (rounds() >= before + 5).then_some(()));
    assert!(s.up.incidents().is_empty());
    assert_eq!(std::fs::read_to_string(page).unwrap(), "a hot fix");
}

#[test]
fn a_release_with_which_the_service_cannot_start_is_left_again() {
    // The start command needs a file that only the first release has.
    let s = scene(&["restart", "rollback"], |home, keep| {
        let guard = home.path("current/works").display().to_string();
        std::fs::write(home.path("releases/1/works"), "").unwrap();
        let words: Vec<String> = serde_json::from_value(keep["services"]["tiny"]["start"].take()).unwrap();
        let script = format!("test -e {guard} || exit 7; exec {}", words.join(" "));
        keep["services"]["tiny"]["start"] = json!(["/bin/sh", "-c", script]);
    });
    std::fs::remove_file(s.home.path("current")).unwrap();
    symlink("releases/2", s.home.path("current")).unwrap();
    s.tiny.signal(rustix::process::Signal::KILL);
    let (incident, _) = s.up.wait_for_incident("it is resolved", resolved);
    assert_eq!(incident["causes"][0]["kind"], "bad_release", "{incident}");
    assert_eq!(kinds(&incident), ["rollback"]);
    let current = std::fs::read_link(s.home.path("current")).unwrap();
    assert_eq!(current.to_str(), Some("releases/1"));
    assert!(s.tiny.answers());
}
