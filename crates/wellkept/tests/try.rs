//! `wellkept try` tells its story in under a minute and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "this is test code")]

mod common;

use std::time::{Duration, Instant};

use common::{Home, run, wellkept};
use serde_json::Value;

#[test]
fn two_faults_are_recovered_within_a_minute_and_nothing_is_left() {
    let home = Home::new();
    let temp = home.path("temp");
    std::fs::create_dir(&temp).unwrap();
    let began = Instant::now();
    let mut command = wellkept();
    let ended = run(command.args(["try", "--output", "json"]).env("TMPDIR", &temp).env("HOME", &temp));
    let took = began.elapsed();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told: Value = serde_json::from_str(&ended.out).unwrap();
    let acts = told["acts"].as_array().unwrap();
    println!("took {took:.2?}: {} ms and {} ms to recover", acts[0]["took_ms"], acts[1]["took_ms"]);
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert_eq!(acts.len(), 2);
    for (act, (cause, action)) in acts.iter().zip([("process_crash", "restart"), ("bad_setting", "rollback")])
    {
        let incident = &act["incident"];
        assert_eq!(incident["status"], "resolved");
        assert_eq!(incident["causes"][0]["kind"], cause);
        let done = incident["actions"].as_array().unwrap();
        assert!(done.iter().any(|a| a["kind"] == action && a["status"] == "succeeded"), "{incident}");
    }
    let left: Vec<_> = std::fs::read_dir(&temp).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(processes_of(temp.to_str().unwrap()), Vec::<String>::new());
}

/// Command lines of running processes that name this folder.
fn processes_of(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = entries.filter_map(|e| std::fs::read(e.path().join("cmdline")).ok());
    lines.map(|l| String::from_utf8_lossy(&l).replace('\0', " ")).filter(|l| l.contains(folder)).collect()
}
