//! Log files on the command line: templates line by line, oddities against what is normal, ranked cases.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use std::fs;
use std::path::Path;

use common::{Ended, Home, run, wellkept};
use serde_json::Value;

fn ask(args: &[&str]) -> Ended {
    run(wellkept().args(args))
}

fn lines(ended: &Ended) -> Vec<Value> {
    ended.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn each_line_comes_with_its_template_in_order() {
    let home = Home::new();
    let file = home.path("app.log");
    let mut text = String::new();
    for i in 0..50 {
        text += &format!("connection from 10.0.0.{i} closed after {} ms\r\n", i * 3);
    }
    text += "\u{1b}[31mno end";
    fs::write(&file, text).unwrap();
    let mined = ask(&["logs", "mine", path(&file), "--output", "json"]);
    assert_eq!(mined.code, Some(0), "{}", mined.err);
    let all = lines(&mined);
    assert_eq!(all.len(), 51);
    assert!(all.iter().zip(1..).all(|(line, n)| line["line"] == n));
    assert_eq!(all[0]["template"], "connection from <*> closed after <*> ms");
    assert_eq!(all[7]["params"], serde_json::json!(["10.0.0.7", "21"]));
    assert!(all[..50].iter().all(|l| l["template_id"] == all[0]["template_id"]));
    let table = ask(&["logs", "mine", path(&file)]);
    assert!(table.out.contains("2 templates in 51 lines"), "{}", table.out);
    assert!(!table.out.contains('\u{1b}'), "what a file holds is shown harmless: {}", table.out);
}

#[test]
fn odd_lines_and_odd_sessions_are_told_from_normal_ones() {
    let home = Home::new();
    let (normal, judged) = (home.path("normal.log"), home.path("judged.log"));
    fs::write(&normal, "user 17 logged in\nuser 4 logged out\n".repeat(200)).unwrap();
    fs::write(&judged, "user 5 logged in\nkernel panic at 0xdeadbeef\n").unwrap();
    let args = |train, test| ["logs", "anomalies", "--train", train, "--test", test, "--output", "json"];
    let scores = lines(&ask(&args(path(&normal), path(&judged))));
    assert!(scores[0]["score"].as_f64() < scores[1]["score"].as_f64(), "{scores:?}");
    assert_eq!((&scores[0]["new"], &scores[1]["new"]), (&false.into(), &true.into()));

    let (train, test) = (home.path("train.csv"), home.path("test.csv"));
    let sessions: String = (0..60).map(|i| format!("b{i},normal,1 2 2 3\n")).collect();
    fs::write(&train, format!("id,label,events\n{sessions}")).unwrap();
    fs::write(&test, "id,label,events\ngood,?,1 2 2 3\nbad,?,1 9 9 9\n").unwrap();
    let scores = lines(&ask(&args(path(&train), path(&test))));
    assert_eq!((&scores[0]["id"], &scores[0]["odd"]), (&"good".into(), &false.into()));
    assert_eq!((&scores[1]["id"], &scores[1]["odd"]), (&"bad".into(), &true.into()));
    let mixed = ask(&args(path(&train), path(&judged)));
    assert_eq!(mixed.code, Some(2), "{}", mixed.err);
}

#[test]
fn a_folder_that_is_no_case_is_named() {
    let home = Home::new();
    fs::create_dir_all(home.path("nothing")).unwrap();
    let refused = ask(&["diagnose", "rank", path(&home.path("nothing"))]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("nothing"), "{}", refused.err);
}
