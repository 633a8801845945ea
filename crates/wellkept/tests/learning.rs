//! Decisions can be made again, byte for byte, and what was verified is remembered and can be forgotten.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use std::path::{Path, PathBuf};

use common::{Home, Tiny, Up, run, wait_for, wellkept};
use rustix::process::Signal;
use serde_json::{Value, json};

fn records(data: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data.join("situations")).into_iter().flatten();
    let mut found: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
    found.retain(|p| p.extension().is_some_and(|e| e == "json"));
    found.sort();
    found
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_decision_is_replayed_byte_for_byte_and_its_outcome_is_learned_until_it_is_forgotten() {
    let home = Home::new();
    let tiny = Tiny::new(&home);
    let keep = home.keep(tiny.keep("act", &["restart"]));
    tiny.start();
    let up = Up::start(&home, Some(&keep));
    tiny.wait_well(&up);
    assert_eq!(up.get("/api/v1/learned"), json!({ "learned": [] }));
    tiny.signal(Signal::KILL);
    let (incident, _) = up.wait_for_incident("it is resolved", |i| i["status"] == "resolved");

    let (decided, _) = wait_for("the decision is kept", || {
        let of = |p: &PathBuf| read(p)["answer"].as_str().is_some_and(|a| a.contains("\"restart\""));
        records(&up.data).into_iter().find(of)
    });
    let record = read(&decided);
    assert_eq!(record["keep"].as_str(), Some(std::fs::read_to_string(&keep).unwrap().as_str()));
    let replay = |file: &Path, words: &[&str]| run(wellkept().arg("replay").arg(file).args(words));
    let again = replay(&decided, &["--output", "json"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(again.out.trim_end_matches('\n'), record["answer"].as_str().unwrap());
    let told = replay(&decided, &[]);
    assert!(told.out.contains("byte for byte") && told.out.contains("tiny"), "{told:?}");

    // Another answer than was recorded is told, and so is a file that is none.
    let edited = home.path("edited.json");
    let mut other = record.clone();
    other["answer"] = json!("{}");
    std::fs::write(&edited, other.to_string()).unwrap();
    assert_eq!(replay(&edited, &[]).code, Some(1));
    other["format"] = json!(1);
    std::fs::write(&edited, other.to_string()).unwrap();
    let refused = replay(&edited, &[]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.err.contains("format 1") && refused.err.contains("edited.json"), "{refused:?}");
    std::fs::write(&edited, "services: {}\n").unwrap();
    assert_eq!(replay(&edited, &[]).code, Some(2));

    // What was verified is believed, also by the next process.
    assert_eq!(incident["causes"][0]["kind"], "process_crash");
    let expected = (2.0 / 3.0, 1, 0, 0);
    let row = |up: &Up| {
        let all = up.get("/api/v1/learned");
        let row = &all["learned"][0];
        assert_eq!((&row["cause"], &row["action"]), (&json!("process_crash"), &json!("restart")), "{all}");
        let n = |key: &str| row[key].as_u64().unwrap();
        (row["expected"].as_f64().unwrap(), n("helped"), n("failed"), n("undone"))
    };
    assert_eq!(row(&up), expected);
    assert_eq!(up.terminate(), Some(0));
    let up = Up::start(&home, Some(&keep));
    assert_eq!(row(&up), expected);
    let shown = up.cli(&["learned"]);
    assert!(shown.out.contains("process_crash") && shown.out.contains("67"), "{shown:?}");

    let unknown = up.cli(&["learned", "--reset", "gremlins"]);
    assert_eq!(unknown.code, Some(5), "{unknown:?}");
    assert!(unknown.err.contains("process_crash"), "those that are known are named: {unknown:?}");
    assert_eq!(row(&up), expected);
    assert_eq!(up.cli(&["learned", "--reset", "process_crash/rollback"]).code, Some(0));
    assert_eq!(row(&up), expected);
    assert_eq!(up.cli(&["learned", "--reset", "process_crash/restart"]).code, Some(0));
    assert_eq!(up.get("/api/v1/learned"), json!({ "learned": [] }));
    assert_eq!(up.terminate(), Some(0));
    let up = Up::start(&home, Some(&keep));
    assert_eq!(up.get("/api/v1/learned"), json!({ "learned": [] }), "it stays forgotten");
}
