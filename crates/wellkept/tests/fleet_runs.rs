//! What was run on real hosts is shown by the API and by the command line, with and without a server.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;
mod fleet_stage;

use common::Up;
use fleet_stage::Fleet;
use serde_json::{Value, json};

const PLAY: &str = "- hosts: web
  gather_facts: false
  tasks:
    - {name: first, command: /bin/true}
    - {name: hush, command: sh -c 'echo s3cret >&2; exit 1', no_log: true, ignore_errors: true}
    - {name: breaks, fail: {msg: 'no <b>room</b>'}, when: inventory_hostname == 'h2'}
";

#[track_caller]
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e} in {text:?}"))
}

#[test]
fn runs_of_commands_and_playbooks_are_shown_by_api_and_command_line() {
    let fleet = Fleet::new(2);
    let up = Up::store(&fleet.home, None);
    let data = fleet.home.data().display().to_string();
    let none = fleet.cli(&["runs", "--data-dir", &data]);
    assert!(none.code == Some(0) && none.out.contains("No run is recorded"), "{none:?}");

    let place = ["-i", "hosts", "--data-dir", &data];
    let ran = fleet.cli(&[&["run", "web"], &place[..], &["--", "printf", "out\\033[2J\\n"]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    fleet.file("site.yml", PLAY);
    let played = fleet.cli(&[&["play", "site.yml"], &place[..]].concat());
    assert_eq!(played.code, Some(2), "{played:?}");
    let looked = fleet.cli(&[&["apply", "--check", "-l", "h1", "site.yml"], &place[..]].concat());
    assert_eq!(looked.code, Some(0), "{looked:?}");

    let runs = up.get("/api/v1/fleet/runs")["data"]["runs"].as_array().unwrap().clone();
    let kinds: Vec<_> =
        runs.iter().map(|run| (run["kind"].as_str().unwrap(), run["check"] == true)).collect();
    assert_eq!(kinds, [("apply", true), ("play", false), ("run", false)]);
    assert_eq!((&runs[1]["counts"], &runs[1]["exit"]), (&json!({"ok": 1, "failed": 1}), &json!(2)));
    assert_eq!(runs[2]["what"], json!(["printf", "out\\033[2J\\n"]));
    let few = up.get("/api/v1/fleet/runs?kind=run&host=h2&limit=1");
    assert_eq!((few["data"]["runs"].as_array().unwrap().len(), &few["data"]["next"]), (1, &Value::Null));

    // Outputs are kept from others, on disk and here.
    let path = |n: usize| format!("/api/v1/fleet/runs/{}", runs[n]["id"].as_str().unwrap());
    assert_eq!(up.call("GET", path(2)).send().status, 401);
    let whole = |n: usize| up.call("GET", path(n)).token(&up.token()).send().json["data"].clone();
    assert_eq!(whole(2)["hosts"][1]["stdout"], "out\u{1b}[2J\n");
    let play = whole(1);
    let (h1, h2) = (&play["hosts"][0], &play["hosts"][1]);
    assert_eq!((&h1["status"], &h1["counts"]["ignored"]), (&json!("ok"), &json!(1)), "{play}");
    assert_eq!(h2["failures"][1]["message"], "no <b>room</b>", "{play}");
    assert!(h2["failures"][0]["hidden"] == true && !play.to_string().contains("s3cret"), "{play}");

    let id = runs[1]["id"].as_str().unwrap();
    let here = fleet.cli(&["runs", id, "--data-dir", &data]);
    assert!(
        here.out.contains("[breaks] failed: no <b>room</b>") && here.out.contains("hidden by no_log"),
        "{here:?}"
    );
    let shown = fleet.cli(&["runs", runs[2]["id"].as_str().unwrap(), "--data-dir", &data]);
    assert!(shown.out.contains("h1 | out\\u{1b}[2J") && !shown.out.contains('\u{1b}'), "{shown:?}");
    let address = up.address.to_string();
    let there = ["--output", "json", "runs", "--address", &address, "--data-dir", &data];
    let told = parsed(&fleet.cli(&[&there[..], &[id]].concat()).out);
    assert_eq!(told, play);
    let listed = parsed(&fleet.cli(&[&there[..], &["--kind", "play"]].concat()).out);
    assert_eq!(listed["runs"][0]["id"], *id);
    assert_eq!(fleet.cli(&["runs", "1-1", "--data-dir", &data]).code, Some(1));
    let nowhere = fleet.home.path("nowhere").display().to_string();
    assert_eq!(fleet.cli(&["runs", "--data-dir", &nowhere]).code, Some(3));
}
