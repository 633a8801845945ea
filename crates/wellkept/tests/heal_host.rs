//! Faults of the host beside its services are found and put right as far as the keep file declares, and no further.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use std::path::PathBuf;

use common::{Home, Tiny, Up, wait_for};
use serde_json::{Value, json};

const LINE: &str = "*/5 * * * * root /usr/local/bin/heartbeat";

struct Scene {
    up: Up,
    home: Home,
    _tiny: Tiny,
}

/// A tiny service that runs, a crontab with its line, and a folder that is looked at for malware.
fn scene(may: &[&str], quarantine: bool) -> Scene {
    let home = Home::new();
    let tiny = Tiny::new(&home);
    std::fs::create_dir(home.path("uploads")).unwrap();
    std::fs::write(home.path("crontab"), format!("MAILTO=ops\n{LINE}\n")).unwrap();
    let mut keep: Value = serde_json::from_str(&tiny.keep("act", &["restart"])).unwrap();
    let job = json!({ "crontab": home.path("crontab"), "line": LINE, "service": "tiny", "every": "500ms", "may": may });
    keep["jobs"] = json!({ "heartbeat": job });
    let scan = json!({ "folders": [home.path("uploads")], "quarantine": quarantine, "every": "500ms" });
    keep["security"] = json!({ "scan": scan });
    let keep = home.keep(keep.to_string());
    tiny.start();
    let up = Up::start(&home, Some(&keep));
    tiny.wait_well(&up);
    Scene { up, home, _tiny: tiny }
}

impl Scene {
    /// The first incident with this cause and status, in full.
    fn incident(&self, kind: &str, status: &str) -> Value {
        let found = || {
            let all = self.up.incidents();
            let full = all.iter().map(|i| self.up.incident(i["id"].as_str().unwrap()));
            full.into_iter().find(|i| i["causes"][0]["kind"] == kind && i["status"] == status)
        };
        wait_for(&format!("{kind} is {status}"), found).0
    }

    fn upload(&self) -> PathBuf {
        let path = self.home.path("uploads").join("test.txt");
        // In two halves: whole, it would make scanners move this test aside.
        let halves = [r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*"];
        std::fs::write(&path, halves.concat()).unwrap();
        path
    }
}

#[test]
fn a_line_that_is_gone_from_its_crontab_comes_back() {
    let s = scene(&["restore"], false);
    std::fs::write(s.home.path("crontab"), "MAILTO=ops\n").unwrap();
    let incident = s.incident("job_missing", "resolved");
    assert_eq!(incident["causes"][0]["component"], "tiny");
    assert_eq!(incident["actions"][0]["kind"], "restore");
    let text = std::fs::read_to_string(s.home.path("crontab")).unwrap();
    assert_eq!(text, format!("MAILTO=ops\n{LINE}\n"));
}

#[test]
fn a_line_that_nobody_allowed_to_put_back_waits_for_a_person() {
    let s = scene(&[], false);
    std::fs::write(s.home.path("crontab"), "MAILTO=ops\n").unwrap();
    let incident = s.incident("job_missing", "diagnosing");
    wait_for("a plan", || (!s.up.incident(incident["id"].as_str().unwrap())["plan"].is_null()).then_some(()));
    assert_eq!(std::fs::read_to_string(s.home.path("crontab")).unwrap(), "MAILTO=ops\n");
}

#[test]
fn the_malware_test_file_is_moved_aside_and_kept_where_that_is_declared() {
    let s = scene(&[], true);
    let path = s.upload();
    let incident = s.incident("malware_test_file", "resolved");
    assert_eq!(incident["causes"][0]["component"], "security");
    assert_eq!(incident["actions"][0]["kind"], "isolate");
    assert!(!path.exists());
    let kept = std::fs::read_dir(s.home.data().join("quarantine")).unwrap().count();
    assert_eq!(kept, 2, "its content, and whose it was");
}

#[test]
fn the_malware_test_file_stays_where_nothing_is_declared_and_a_person_is_called() {
    let s = scene(&[], false);
    let path = s.upload();
    s.incident("malware_test_file", "escalated");
    assert!(path.exists());
}
