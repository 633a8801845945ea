//! The store's keeper: a look inside, checks, copies and repair, beside a running Wellkept and without one.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Ended, Home, Up, run, wellkept};
use serde_json::Value;

/// Samples of one hour, a minute apart.
fn page() -> String {
    let mut page = String::new();
    for minute in 0..60_i64 {
        let at = 1_700_000_000_000 + minute * 60_000;
        page += &format!("hits_total{{job=\"web\",path=\"/a,\\\"b\\\"\"}} {} {at}\n", minute * 7);
        page += &format!("heat{{job=\"db\"}} {} {at}\n", minute as f64 / 3.0);
    }
    page
}

fn store(home: &Home, up: Option<&Up>, args: &[&str]) -> Ended {
    let mut command = wellkept();
    command.arg("store").args(args).arg("--data-dir").arg(home.data());
    if let Some(up) = up {
        command.arg("--address").arg(up.address.to_string());
    }
    run(&mut command)
}

#[track_caller]
fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|e| panic!("{e}: {} {}", ended.out, ended.err))
}

fn start_with_samples(home: &Home) -> Up {
    let up = Up::start(home, None);
    let pushed = up.call("POST", "/api/v1/import/prometheus").body(page()).send();
    assert_eq!(pushed.status, 204, "{}", pushed.text);
    up
}

fn hits(up: &Up) -> Value {
    let query =
        "count_over_time({job=~\"web|db\"}[2h])&time=1700003600".replace('"', "%22").replace('|', "%7C");
    up.get(&format!("/api/v1/query?query={}", query.replace('{', "%7B").replace('}', "%7D")))["data"]["result"].clone()
}

#[test]
fn a_running_store_is_looked_at_checked_and_exported_and_comes_back_elsewhere() {
    let home = Home::new();
    let up = start_with_samples(&home);
    let inspected = json(&store(&home, Some(&up), &["inspect", "--output", "json"]));
    assert!(inspected["series"].as_u64().unwrap() > 2, "{inspected}");
    let verified = store(&home, Some(&up), &["verify"]);
    assert_eq!(verified.code, Some(0), "{}{}", verified.out, verified.err);
    for (format, file) in [("openmetrics", "all.om"), ("csv", "all.csv")] {
        let file = home.path(file);
        let args = ["export", "--match", "{job=~\"web|db\"}", "--format", format, "--file"];
        let exported = store(&home, Some(&up), &[&args[..], &[file.to_str().unwrap()]].concat());
        assert_eq!(exported.code, Some(0), "{}{}", exported.out, exported.err);
        let other = Home::new();
        fs::create_dir_all(other.data()).unwrap();
        Up::start(&other, None).terminate();
        let imported = store(&other, None, &["import", file.to_str().unwrap(), "--output", "json"]);
        assert_eq!((imported.code, &json(&imported)["samples"]), (Some(0), &120.into()), "{}", imported.err);
        let second = Up::start(&other, None);
        assert_eq!(hits(&second), hits(&up), "{format}");
        assert_eq!(hits(&up).as_array().unwrap().len(), 2);
    }
    // The snapshots that were read are gone again.
    assert_eq!(fs::read_dir(home.data().join("snapshots")).unwrap().count(), 0);
}

#[test]
fn a_snapshot_puts_samples_back_into_the_running_store_or_takes_its_place() {
    let home = Home::new();
    let up = start_with_samples(&home);
    let made = json(&store(&home, Some(&up), &["snapshot", "--output", "json"]));
    let (name, folder) = (made["name"].as_str().unwrap(), PathBuf::from(made["folder"].as_str().unwrap()));
    assert!(folder.join("FORMAT").is_file());
    let before = hits(&up);
    up.terminate();
    // All is lost but the snapshot.
    fs::remove_dir_all(home.data().join("tsdb")).unwrap();
    let up = Up::start(&home, None);
    assert_eq!(hits(&up).as_array().unwrap().len(), 0);
    let restored = store(&home, Some(&up), &["restore", name]);
    assert_eq!(restored.code, Some(0), "{}{}", restored.out, restored.err);
    assert_eq!(hits(&up), before);
    let unknown = store(&home, Some(&up), &["restore", "no-such"]);
    assert_ne!(unknown.code, Some(0));
    // While it runs it is not replaced.
    let refused = store(&home, Some(&up), &["restore", "--replace", name]);
    assert_eq!(refused.code, Some(3), "{}", refused.err);
    up.terminate();
    let replaced = json(&store(&home, None, &["restore", "--replace", name, "--output", "json"]));
    assert!(Path::new(replaced["aside"].as_str().unwrap()).is_dir());
    let up = Up::start(&home, None);
    assert_eq!(hits(&up), before);
}

#[test]
fn damage_is_named_and_repaired_around() {
    let home = Home::new();
    let up = start_with_samples(&home);
    assert_eq!(up.call("POST", "/api/v1/admin/flush").send().status, 204);
    up.terminate();
    let blocks = home.data().join("tsdb").join("blocks");
    let block = fs::read_dir(&blocks).unwrap().map(|e| e.unwrap().path()).find(|p| p.is_file()).unwrap();
    let mut bytes = fs::read(&block).unwrap();
    let place = bytes.len() / 3;
    bytes[place] ^= 0x55;
    fs::write(&block, bytes).unwrap();
    let verified = store(&home, None, &["verify", "--output", "json"]);
    assert_eq!(verified.code, Some(1), "{}{}", verified.out, verified.err);
    assert!(!json(&verified)["damage"].as_array().unwrap().is_empty());
    let repaired = store(&home, None, &["repair"]);
    assert_eq!(repaired.code, Some(0), "{}{}", repaired.out, repaired.err);
    let verified = store(&home, None, &["verify"]);
    assert_eq!(verified.code, Some(0), "{}{}", verified.out, verified.err);
}

#[test]
fn the_explorer_names_what_has_most_series() {
    let home = Home::new();
    let up = start_with_samples(&home);
    let series = json(&store(&home, Some(&up), &["series", "--limit", "1000", "--output", "json"]));
    let named = |list: &str, name: &str| {
        series[list].as_array().unwrap().iter().find(|c| c["name"] == name).map(|c| c["value"].clone())
    };
    assert_eq!(named("seriesCountByMetricName", "hits_total"), Some(1.into()));
    assert_eq!(named("seriesCountByLabelValuePair", "job=db"), Some(1.into()));
    assert!(named("memoryInBytesByLabelName", "path").is_some());
    assert_eq!(series["wellkept"]["retention"][0]["keptSeconds"], 15 * 86_400);
}

#[test]
fn what_is_not_there_or_makes_no_sense_is_told() {
    let home = Home::new();
    let nothing = store(&home, None, &["inspect"]);
    assert_eq!(nothing.code, Some(3), "{}", nothing.err);
    assert!(nothing.err.contains("no store"), "{}", nothing.err);
    Up::start(&home, None).terminate();
    for args in [["export", "--match", "{job="], ["export", "--from", "yesterday"]] {
        assert_eq!(store(&home, None, &args).code, Some(2), "{args:?}");
    }
    let bad = home.path("bad.csv");
    fs::write(&bad, "a,b\n1,2\n").unwrap();
    let refused = store(&home, None, &["import", bad.to_str().unwrap()]);
    assert_ne!(refused.code, Some(0));
    assert!(refused.err.contains("__timestamp_ms__"), "{}", refused.err);
}
