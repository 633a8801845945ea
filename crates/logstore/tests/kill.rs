//! A process that is killed while it takes lines: all that it acknowledged is there, once, with its note.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use common::{SECOND, batch, find, open, texts};
use wellkept_tsdb::OsDisk;

const DIR: &str = "WELLKEPT_LOGSTORE_KILL_DIR";

/// The process that is killed. It says which batches are acknowledged, and makes a segment now and then.
#[test]
#[ignore = "is started by the test below"]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let store = open(OsDisk::new(dir));
    let first = store.note("next").map_or(0, |v| String::from_utf8(v).unwrap().parse::<i64>().unwrap());
    for n in first.. {
        let lines: Vec<String> = (0..20).map(|i| format!("batch {n} line {i} of process")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let mut next = batch("app", n * 100, &lines);
        next.note("next", (n + 1).to_string().as_bytes());
        store.append_durable(&next).unwrap();
        println!("acknowledged {n}");
        std::io::stdout().flush().unwrap();
        if n % 17 == 16 {
            store.flush(n * 100 * SECOND).unwrap();
        }
    }
}

#[test]
fn a_kill_during_intake_loses_no_acknowledged_line_and_doubles_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = -1;
    for round in 0..6_usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        while seen < 5 + round * 9 {
            let line = output.next().unwrap().unwrap();
            // The test runner may write its own words on the same line.
            if let Some((_, number)) = line.split_once("acknowledged ") {
                acknowledged = number.trim().parse::<i64>().unwrap();
                seen += 1;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in output.map_while(Result::ok) {
            if let Some((_, number)) = line.split_once("acknowledged ") {
                acknowledged = number.trim().parse::<i64>().unwrap_or(acknowledged);
            }
        }
        let store = open(OsDisk::new(dir.path()));
        let found = texts(&find(&store, "{}"));
        let next = store.note("next").map_or(0, |v| String::from_utf8(v).unwrap().parse::<i64>().unwrap());
        assert!(next > acknowledged, "{acknowledged} was acknowledged, the note says {next}");
        let wanted = (0..next).flat_map(|n| (0..20).map(move |i| format!("batch {n} line {i} of process")));
        assert_eq!(found, wanted.collect::<Vec<_>>(), "round {round}");
    }
}
