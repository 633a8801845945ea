//! The keep file is read again on request; one with mistakes changes nothing.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use common::{Home, Up, wait_for};
use serde_json::json;

const OLD: &str = "services:\n  first: { pidfile: /run/wellkept-test-first.pid }\n";
const BAD: &str = "services:\n  second: { pidfile: /run/wellkept-test-second.pid, colour: red }\n";
const NEW: &str = "services:\n  second: { pidfile: /run/wellkept-test-second.pid }\n";

fn services(up: &Up) -> Vec<String> {
    let overview = up.overview();
    let all = overview["services"].as_array().unwrap().iter();
    all.map(|s| s["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_file_with_mistakes_is_refused_by_the_api_and_the_old_one_stays() {
    let home = Home::new();
    let keep = home.keep(OLD);
    let up = Up::start(&home, Some(&keep));
    assert_eq!(services(&up), ["first"]);

    home.keep(BAD);
    let answer = up.act("/-/reload", &json!({}));
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert_eq!(answer.json["errorType"], "bad_data");
    let told = answer.json["error"].as_str().unwrap();
    assert!(told.contains("colour") && told.contains(":2:"), "{told}");
    assert_eq!(services(&up), ["first"]);
    let refused = up.cli(&["reload"]);
    assert_eq!(refused.code, Some(5), "{refused:?}");
    assert!(refused.err.contains("colour"), "{refused:?}");

    home.keep(NEW);
    up.acts("/-/reload", &json!({}));
    assert_eq!(services(&up), ["second"]);
}

#[test]
fn sighup_reads_it_again() {
    let home = Home::new();
    let keep = home.keep(OLD);
    let mut up = Up::start(&home, Some(&keep));
    home.keep(BAD);
    up.hang_up();
    wait_for("the refusal is logged", || up.log().contains("colour").then_some(()));
    assert_eq!(services(&up), ["first"]);

    home.keep(NEW);
    up.hang_up();
    wait_for("the new service is there", || (services(&up) == ["second"]).then_some(()));
    std::fs::remove_file(&keep).unwrap();
    up.hang_up();
    wait_for("a missing file is told", || up.log().contains("cannot read").then_some(()));
    assert_eq!(services(&up), ["second"]);
    assert!(up.is_alive());
}

#[test]
fn without_a_keep_file_there_is_nothing_to_read() {
    let home = Home::new();
    let up = Up::start(&home, None);
    if up.overview()["keep_file"].is_null() {
        assert_eq!(up.act("/-/reload", &json!({})).status, 400);
    } else {
        common::skipped("this machine has a keep file of its own in /etc/wellkept");
    }
}
