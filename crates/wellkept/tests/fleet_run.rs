//! Ad hoc work on several real SSH servers: what is told, what is recorded, what is refused.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;
mod fleet_stage;

use fleet_stage::Fleet;
use serde_json::Value;

const WHERE: [&str; 4] = ["web", "-i", "hosts", "--data-dir"];

#[test]
fn a_command_runs_on_all_hosts_and_everything_is_told() {
    let fleet = Fleet::new(3);
    let ended =
        fleet.cli(&["run", "web", "-i", "hosts", "--shell", "--", "echo from $SSH_CONNECTION; echo bad >&2"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for n in 1..=3 {
        assert!(ended.out.contains(&format!("h{n} | from 127.0.0.1")), "{ended:?}");
        assert!(ended.out.contains(&format!("h{n} | bad")), "{ended:?}");
    }
    assert!(ended.out.contains("3 ok, 0 failed"), "{ended:?}");
    let line = "case $SSH_CONNECTION in *127.0.0.2*) exit 7;; esac";
    let ended = fleet.cli(&["run", "web", "-i", "hosts", "--output", "json", "--shell", "--", line]);
    let told: Value = serde_json::from_str(&ended.out).unwrap();
    let exits: Vec<_> =
        told["hosts"].as_array().unwrap().iter().map(|h| h["exit"].as_u64().unwrap()).collect();
    assert_eq!((ended.code, exits), (Some(2), vec![0, 7, 0]), "{told}");
}

#[test]
fn an_argument_arrives_as_it_is_and_output_cannot_move_the_cursor() {
    let fleet = Fleet::new(1);
    let evil = "a b;$(id)'\"\u{1b}[2J";
    let ended = fleet.cli(&["run", "web", "-i", "hosts", "--", "printf", "%s\\n", evil]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("h1 | a b;$(id)'\"\\u{1b}[2J"), "{ended:?}");
    assert!(!ended.out.contains('\u{1b}') && !ended.err.contains('\u{1b}'), "{ended:?}");
}

#[test]
fn an_unknown_host_key_is_refused_with_its_fingerprint_when_nobody_is_there() {
    let fleet = Fleet::new(1);
    std::fs::write(fleet.home.path("home/.ssh/known_hosts"), "").unwrap();
    let ended = fleet.cli(&["run", "web", "-i", "hosts", "--", "touch", "ran"]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.out.contains("SHA256:") && ended.out.contains("not reached"), "{ended:?}");
    assert_eq!(fleet.read("home/.ssh/known_hosts"), "");
}

#[test]
fn a_second_try_takes_only_the_hosts_that_failed() {
    let fleet = Fleet::new(3).with_data();
    let (data, flag) = (fleet.home.data().display().to_string(), fleet.home.path("fixed"));
    let line = format!("test -e {} || case $SSH_CONNECTION in *127.0.0.2*) exit 1;; esac", flag.display());
    let args = [&["run"], &WHERE[..], &[&data, "--shell"]].concat();
    let command = ["--", line.as_str()];
    assert_eq!(fleet.cli(&[&args[..], &command].concat()).code, Some(2));
    std::fs::write(flag, "").unwrap();
    let again = fleet.cli(&[&args[..], &["--retry-failed", "--output", "json"], &command].concat());
    let told: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!((again.code, told["hosts"].as_array().unwrap().len()), (Some(0), 1), "{told}");
    assert_eq!(told["hosts"][0]["host"], "h2");
    let nothing = fleet.cli(&[&args[..], &["--retry-failed"], &command].concat());
    assert_eq!(nothing.code, Some(2), "{nothing:?}");
    let records = std::fs::read_dir(fleet.home.data().join("fleet/runs")).unwrap().count();
    assert_eq!(records, 2);
}

#[test]
fn batches_stop_when_too_many_fail() {
    let fleet = Fleet::new(3);
    let ended = fleet.cli(&[
        "run",
        "web",
        "-i",
        "hosts",
        "--serial",
        "1",
        "--max-fail",
        "0",
        "--output",
        "json",
        "--shell",
        "--",
        "case $SSH_CONNECTION in *127.0.0.2*) exit 1;; esac",
    ]);
    let told: Value = serde_json::from_str(&ended.out).unwrap();
    let status: Vec<_> =
        told["hosts"].as_array().unwrap().iter().map(|h| h["status"].as_str().unwrap()).collect();
    assert_eq!((ended.code, status), (Some(2), vec!["ok", "failed", "not_begun"]));
}

#[test]
fn files_go_there_and_come_back_and_programs_run() {
    let fleet = Fleet::new(2);
    let source = fleet.file("source", "some text\n").display().to_string();
    let there = fleet.home.path("there").display().to_string();
    let ended = fleet.cli(&["copy", "h1", &source, &there, "-i", "hosts", "--mode", "0600", "--verify"]);
    assert_eq!((ended.code, fleet.read("there").as_str()), (Some(0), "some text\n"), "{ended:?}");
    let into = fleet.home.path("got").display().to_string();
    assert_eq!(fleet.cli(&["fetch", "web", &there, &into, "-i", "hosts"]).code, Some(0));
    assert_eq!(fleet.read(&format!("got/h2{there}")), "some text\n");
    let missing = fleet.cli(&["fetch", "web", "/no/such/file", &into, "-i", "hosts"]);
    assert_eq!(missing.code, Some(2), "{missing:?}");
    let program = fleet.file("p.sh", "#!/bin/sh\necho \"$# $1\"; exit 5\n").display().to_string();
    let ended = fleet.cli(&["script", "h1", &program, "-i", "hosts", "--", "a b", "c"]);
    assert!(ended.code == Some(2) && ended.out.contains("h1 | 2 a b"), "{ended:?}");
}

#[test]
fn wrong_input_is_refused_before_anything_runs() {
    let fleet = Fleet::new(1);
    for args in [
        &["run", "nobody", "-i", "hosts", "--", "id"][..],
        &["run", "all", "-i", "-oProxyCommand=id,", "--", "id"],
        &["run", "all", "-i", "a;b,", "--", "id"],
        &["run", "web", "-i", "missing", "--", "id"],
        &["run", "web", "-i", "hosts"],
        &["run", "web", "-i", "hosts", "-k", "--", "id"],
    ] {
        let ended = fleet.cli(args);
        assert_eq!(ended.code, Some(2), "{args:?} {ended:?}");
    }
    assert_eq!(fleet.servers[0].log(), "");
}

#[test]
fn at_a_terminal_an_unknown_key_is_shown_and_believed_after_a_yes() {
    let fleet = Fleet::new(1);
    std::fs::write(fleet.home.path("home/.ssh/known_hosts"), "").unwrap();
    let line = |answer: &str| {
        let program = fleet.command(&[]).get_program().to_string_lossy().into_owned();
        let mut command = std::process::Command::new("script");
        command.args(["-qec", &format!("{program} run web -i hosts -- echo hi"), "/dev/null"]);
        command.current_dir(fleet.home.path("")).env("HOME", fleet.home.path("home")).env("LANG", "C");
        let typed = fleet.file("typed", answer);
        command.stdin(std::fs::File::open(typed).unwrap());
        common::run(&mut command)
    };
    let refused = line("no\n");
    assert!(refused.out.contains("SHA256:") && refused.code == Some(4), "{refused:?}");
    assert_eq!(fleet.read("home/.ssh/known_hosts"), "");
    let believed = line("yes\n");
    assert!(believed.code == Some(0) && believed.out.contains("hi"), "{believed:?}");
    assert_eq!(fleet.read("home/.ssh/known_hosts").lines().count(), 1);
    let known = fleet.cli(&["run", "web", "-i", "hosts", "--", "echo", "hi"]);
    assert_eq!(known.code, Some(0), "{known:?}");
}
