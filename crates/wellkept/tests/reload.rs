//! The keep file is read again on request; one with mistakes changes nothing.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use std::io::Write as _;

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
    assert!(refused.err.contains("colour") && !refused.err.contains("\\n"), "{refused:?}");

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
    wait_for("a missing file is told", || up.log().contains("Cannot read").then_some(()));
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

const RULES: &str = "groups:\n- name: g\n  interval: 1s\n  rules:\n  - record: NAME\n    expr: vector(1)\n";

#[test]
fn rules_targets_and_sockets_change_without_a_restart() {
    let home = Home::new();
    let rules = home.path("rules.yml");
    let scrape = home.path("prometheus.yml");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = |graphite: &str| {
        format!("metrics: {{ rules: [{}], scrape: {}{graphite} }}\n", rules.display(), scrape.display())
    };
    let job = |name: &str| {
        format!("scrape_configs:\n- job_name: {name}\n  static_configs: [{{ targets: ['127.0.0.1:1'] }}]\n")
    };
    std::fs::write(&rules, RULES.replace("NAME", "before")).unwrap();
    std::fs::write(&scrape, job("one")).unwrap();
    let keep = home.keep(text(""));
    let up = Up::start(&home, Some(&keep));
    let recorded = |name: &str| {
        let result = up.query(name).json["data"]["result"].clone();
        (!result.as_array()?.is_empty()).then_some(())
    };
    let pools = || up.get("/api/v1/targets")["data"]["activeTargets"][0]["scrapePool"].clone();
    wait_for("the first rule records", || recorded("before"));
    assert_eq!(pools(), "one");

    // A mistake in a file that the keep file names leaves all as it was.
    std::fs::write(&rules, RULES.replace("expr:", "exp:")).unwrap();
    let refused = up.act("/-/reload", &json!({}));
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert!(refused.json["error"].as_str().unwrap().contains("rules.yml"), "{}", refused.text);

    std::fs::write(&rules, RULES.replace("NAME", "after")).unwrap();
    std::fs::write(&scrape, job("two")).unwrap();
    home.keep(text(&format!(", graphite: '127.0.0.1:{port}'")));
    up.acts("/-/reload", &json!({}));
    wait_for("the new rule records", || recorded("after"));
    assert_eq!(pools(), "two");
    let shown = up.get("/api/v1/rules")["data"]["groups"][0]["rules"][0]["name"].clone();
    assert_eq!(shown, "after");
    let mut graphite = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    graphite.write_all(b"from.graphite 1\n").unwrap();
    drop(graphite);
    wait_for("the socket takes samples", || recorded("{__name__=\"from.graphite\"}"));
    // The ended rule's series ended with it.
    wait_for("the old rule's series is stale", || recorded("before").is_none().then_some(()));
}
