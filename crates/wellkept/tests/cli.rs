//! The commands say what the API says, with exit codes that scripts can use.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use common::{Home, Tiny, Up, run, wellkept};
use rustix::process::Signal;
use serde_json::{Value, json};

#[test]
fn the_command_line_tells_what_the_api_tells() {
    let home = Home::new();
    let tiny = Tiny::new(&home);
    let keep = home.keep(tiny.keep("propose", &["restart"]));
    tiny.start();
    let up = Up::start(&home, Some(&keep));
    tiny.wait_well(&up);
    let json_of = |ended: &common::Ended| -> Value { serde_json::from_str(&ended.out).unwrap() };
    // The host may be unwell; the command must agree with what it prints.
    let status = up.cli(&["status", "--output", "json"]);
    assert_eq!(status.code == Some(0), json_of(&status)["well"] == true, "{status:?}");
    let open_before = json_of(&status)["incidents_open"].as_u64().unwrap();
    let listed = up.cli(&["incidents", "--open"]);
    assert_eq!(listed.code == Some(0), open_before == 0, "{listed:?}");

    tiny.signal(Signal::KILL);
    let (incident, _) = up.wait_for_incident("a plan waits", |i| i["plan"]["withheld"].is_string());
    let id = incident["id"].as_str().unwrap();
    let status = up.cli(&["status", "--output", "json"]);
    assert_eq!(status.code, Some(1), "{status:?}");
    assert!(json_of(&status)["incidents_open"].as_u64().unwrap() > 0);
    assert_eq!(json_of(&status)["services"][0]["state"], "down");
    let listed = up.cli(&["incidents", "--output", "json", "--open"]);
    assert_eq!(listed.code, Some(1), "{listed:?}");
    assert!(json_of(&listed)["incidents"].as_array().unwrap().iter().any(|i| i["id"] == id), "{listed:?}");
    let why = up.cli(&["why", id, "--output", "json"]);
    assert_eq!(why.code, Some(0), "{why:?}");
    let stable = |i: &Value| json!([i["id"], i["opened_at"], i["causes"][0]["kind"], i["plan"]["steps"]]);
    assert_eq!(stable(&json_of(&why)), stable(&up.incident(id)));
    let table = up.cli(&["why", id]);
    assert!(table.out.contains(&format!("wellkept approve {id}")), "{table:?}");
    let chinese = up.cli(&["--lang", "zh-CN", "status"]);
    assert!(chinese.out.contains("模式") && chinese.out.contains("未运行"), "{chinese:?}");

    let unknown = up.cli(&["why", "4711"]);
    assert_eq!(unknown.code, Some(5), "{unknown:?}");
    assert_eq!(unknown.err.lines().count(), 1, "{unknown:?}");
    assert_eq!(up.cli(&["undo", "nonsense"]).code, Some(2));
    assert_eq!(up.cli(&["why", "nonsense"]).code, Some(2));
}

#[test]
fn nobody_there_is_told_with_a_code_of_its_own() {
    for args in [&["status"][..], &["incidents"], &["why", "1"], &["reload"]] {
        let mut command = wellkept();
        let ended = run(command.args(args).args(["--address", "127.0.0.1:1"]));
        assert_eq!(ended.code, Some(5), "{ended:?}");
        assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
        assert!(ended.err.contains("127.0.0.1:1"), "{ended:?}");
    }
}

#[test]
fn discover_writes_a_good_keep_file_and_leaves_ourselves_out() {
    let home = Home::new();
    let up = Up::start(&home, None);
    let ended = run(wellkept().args(["discover", "--to"]).arg(home.path("found.yml")));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let text = std::fs::read_to_string(home.path("found.yml")).unwrap();
    assert!(!text.contains(&up.address.to_string()), "{text}");
    let checked = run(wellkept().args(["check", "--keep"]).arg(home.path("found.yml")));
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let again = run(wellkept().args(["discover", "--to"]).arg(home.path("found.yml")));
    assert_eq!(again.code, Some(2), "an existing file is never overwritten: {again:?}");
}

#[test]
fn doctor_answers_for_a_directory_that_works_and_for_one_that_does_not() {
    let home = Home::new();
    let doctor = |dir: &std::path::Path| {
        let ended = run(wellkept().args(["doctor", "--output", "json", "--data-dir"]).arg(dir));
        let told: Value = serde_json::from_str(&ended.out).unwrap_or_else(|e| panic!("{e}: {ended:?}"));
        let checks = told["checks"].as_array().unwrap().clone();
        let writable = checks.into_iter().find(|c| c["check"] == "writable").unwrap()["answer"].clone();
        (ended.code, writable)
    };
    assert_eq!(doctor(&home.data()).1, "yes");
    assert!(!home.data().exists(), "looking makes nothing");
    std::fs::write(home.path("file"), "").unwrap();
    assert_eq!(doctor(&home.path("file").join("data")), (Some(1), json!("no")));
}

#[test]
fn manual_and_completions_name_every_command_and_no_helper() {
    let help = run(wellkept().arg("--help"));
    let man = run(wellkept().arg("man"));
    let bash = run(wellkept().args(["completions", "bash"]));
    let listed = help.out.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    // A line of two spaces begins a command; deeper ones go on with its description.
    let commands = listed.lines().filter_map(|l| l.strip_prefix("  ")).filter(|l| !l.starts_with(' '));
    let names: Vec<&str> = commands.filter_map(|l| l.split_whitespace().next()).collect();
    for name in ["up", "status", "why", "freeze", "try"] {
        assert!(names.contains(&name), "{names:?}");
    }
    for name in names.iter().filter(|n| **n != "help") {
        assert!(man.out.contains(&format!("\"wellkept {name}")), "the page lacks {name}");
        assert!(bash.out.contains(&format!("wellkept,{name})")), "the script lacks {name}");
    }
    for text in [&help.out, &man.out, &bash.out] {
        assert!(!text.contains("try-service") && !text.contains("try\\-service"), "{text}");
    }
    assert!(man.out.contains("EXIT STATUS"), "{}", man.out);
}
