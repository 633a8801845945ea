//! `wellkept up`: starts quickly, says what one needs to know, ends cleanly.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is test code")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use common::{Home, Up, wait_for};

/// What is promised is 5 s; a debug build on a busy machine gets more.
const FIRST_SAMPLE_WITHIN: Duration = Duration::from_secs(20);

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_first_samples_can_be_asked_for_soon_after_the_start() {
    let home = Home::new();
    let up = Up::start(&home, None);
    let ready = up.started.elapsed();
    let (value, _) = wait_for("a first sample of node_load1", || {
        let answer = up.query("node_load1");
        answer.json["data"]["result"][0]["value"][1].as_str()?.parse::<f64>().ok()
    });
    let took = up.started.elapsed();
    println!("ready after {ready:.2?}, first sample after {took:.2?}");
    assert!(value >= 0.0);
    assert!(took < FIRST_SAMPLE_WITHIN, "{took:?}");
    assert_eq!(up.call("GET", "/-/healthy").send().status, 200);
    assert!(up.overview()["last_sample_at"].as_i64().is_some());
}

#[test]
fn sigterm_ends_it_with_0_and_the_next_start_does_not_show_the_token_again() {
    let home = Home::new();
    let up = Up::start(&home, None);
    let (said, token) = (up.said(), up.token());
    assert_eq!(said.matches(&token).count(), 1, "{said}");
    assert_eq!(said.matches(&up.address.to_string()).count(), 1, "{said}");
    assert!(said.contains(home.data().to_str().unwrap()), "{said}");
    assert!(!up.log().contains(&token), "the token is not logged");
    assert_eq!(up.terminate(), Some(0));

    let up = Up::start(&home, None);
    assert_eq!(up.token(), token);
    assert!(!up.said().contains(&token), "{}", up.said());
    assert!(up.said().contains(&up.address.to_string()));
    assert_eq!(up.terminate(), Some(0));
}

#[test]
fn what_it_stores_is_for_its_user_only() {
    let home = Home::new();
    let up = Up::start(&home, None);
    assert_eq!(mode(&home.data()), 0o700);
    assert_eq!(mode(&home.data().join("token")), 0o600);
    assert_eq!(mode(&home.data().join("state.db")), 0o600);
    let entries = std::fs::read_dir(&up.data).unwrap().map(|e| e.unwrap().path());
    for path in entries.filter(|p| p.is_file()) {
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
    }
}

#[test]
fn without_a_keep_file_it_says_so_and_watches() {
    let home = Home::new();
    let up = Up::start(&home, None);
    let overview = up.overview();
    // A keep file of the machine itself would be used; then this host is not a fresh one.
    if overview["keep_file"].is_null() {
        assert_eq!(overview["mode"], "propose");
        assert!(up.said().contains("discover"), "{}", up.said());
    } else {
        common::skipped("this machine has a keep file of its own in /etc/wellkept");
    }
}
