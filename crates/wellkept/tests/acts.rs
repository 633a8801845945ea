//! Acts need the token and come from our own pages only; the stop switch stops.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use common::{Answer, Home, Tiny, Up, wait_for};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Every act with a body that would be taken.
fn acts() -> Vec<(&'static str, Value)> {
    vec![
        ("/-/reload", json!({})),
        ("/api/v1/freeze", json!({ "reason": "x" })),
        ("/api/v1/unfreeze", json!({})),
        ("/api/v1/changes", json!({ "what": "/x", "kind": "other", "who": "x" })),
        ("/api/v1/incidents/1/approve", json!({ "generation": 1 })),
        ("/api/v1/incidents/1/undo", json!({ "action": "1-1" })),
        ("/api/v1/incidents/1/escalate", json!({})),
    ]
}

#[track_caller]
fn assert_refused(what: &str, answer: &Answer) {
    assert!(matches!(answer.status, 401 | 403), "{what}: {} {}", answer.status, answer.text);
    assert_eq!(answer.json["status"], "error", "{what}: {}", answer.text);
    let kind = answer.json["errorType"].as_str().unwrap();
    assert!(matches!(kind, "unauthorized" | "forbidden"), "{what}: {kind}");
}

/// What an act that got through would have changed.
fn effects(up: &Up) -> Value {
    let overview = up.overview();
    let names: Vec<_> = overview["services"].as_array().unwrap().iter().map(|s| s["name"].clone()).collect();
    json!({ "frozen": overview["frozen"], "services": names, "changes": up.get("/api/v1/changes"),
        "incidents": up.get("/api/v1/incidents") })
}

const KEEP: &str =
    "services:\n  first: { pidfile: /run/wellkept-test-first.pid }\nautomation: { mode: watch }\n";

#[test]
fn without_the_right_token_nothing_is_done() {
    let home = Home::new();
    let keep = home.keep("{}");
    let up = Up::start(&home, Some(&keep));
    let before = effects(&up);
    home.keep(KEEP);
    for (path, body) in acts() {
        assert_refused(path, &up.call("POST", path).json(&body).send());
        assert_refused(path, &up.call("POST", path).token(&"0".repeat(64)).json(&body).send());
        assert_refused(path, &up.call("POST", path).token("").json(&body).send());
        let in_query = format!("{path}?token={}&access_token={}", up.token(), up.token());
        assert_refused(path, &up.call("POST", in_query).json(&body).send());
        let get = up.call("GET", path).token(&up.token()).send();
        assert!(matches!(get.status, 200 | 404 | 405), "{path}: {}", get.status);
    }
    assert_eq!(effects(&up), before);
}

#[test]
fn pages_of_other_sites_can_do_nothing_even_with_the_token() {
    let home = Home::new();
    let keep = home.keep("{}");
    let up = Up::start(&home, Some(&keep));
    let before = effects(&up);
    home.keep(KEEP);
    for (path, body) in acts() {
        let call = || up.call("POST", path).token(&up.token()).json(&body);
        for origin in ["http://evil.example", "null", "http://127.0.0.1:1", ""] {
            assert_refused(path, &call().header("origin", origin).send());
        }
        assert_refused(path, &call().header("sec-fetch-site", "cross-site").send());
        let host = format!("evil.example:{}", up.address.port());
        assert_refused(path, &call().header("host", host).send());
    }
    assert_eq!(effects(&up), before);
    let ours = format!("http://{}", up.address);
    let answer =
        up.call("POST", "/-/reload").token(&up.token()).header("origin", ours).json(&json!({})).send();
    assert_eq!(answer.status, 200, "our own page may: {}", answer.text);
    assert_eq!(effects(&up)["services"], json!(["first"]), "and then it has an effect");
}

/// How the stop switch is set and released in one test.
struct Switch {
    set: fn(&Up),
    release: fn(&Up),
}

/// While the switch is on, a service that dies stays down and its plan waits; afterwards it runs again.
fn check_switch(switch: &Switch) {
    let home = Home::new();
    let tiny = Tiny::new(&home);
    let keep = home.keep(tiny.keep("act", &["restart"]));
    tiny.start();
    let up = Up::start(&home, Some(&keep));
    tiny.wait_well(&up);
    (switch.set)(&up);
    let killed = tiny.signal(Signal::KILL);
    let (incident, _) = up.wait_for_incident("the plan is withheld", |i| i["plan"]["withheld"].is_string());
    let why = incident["plan"]["withheld"].as_str().unwrap();
    assert!(why.contains("stop switch"), "{why}");
    assert!(up.overview()["frozen"].is_string());
    let id = incident["id"].as_str().unwrap();
    let approved = up.act(
        &format!("/api/v1/incidents/{id}/approve"),
        &json!({ "generation": incident["plan"]["generation"] }),
    );
    let held = up.incident(id);
    assert!(held["actions"].as_array().unwrap().iter().all(|a| a["started_at"].is_null()), "{held}");
    assert!(!tiny.answers(), "a yes does not overrule the switch ({})", approved.status);

    (switch.release)(&up);
    wait_for("it runs again", || tiny.pid().filter(|pid| *pid != killed));
    up.wait_for_incident("it is resolved", |i| i["id"] == id && i["status"] == "resolved");
    assert!(up.overview()["frozen"].is_null());
}

#[test]
fn the_stop_switch_by_the_api() {
    check_switch(&Switch {
        set: |up| up.acts("/api/v1/freeze", &json!({ "reason": "test" })),
        release: |up| up.acts("/api/v1/unfreeze", &json!({})),
    });
}

#[test]
fn the_stop_switch_by_the_command_line() {
    check_switch(&Switch {
        set: |up| {
            let ended = up.cli(&["freeze", "disk swap"]);
            assert_eq!(ended.code, Some(0), "{ended:?}");
            let note = up.overview()["frozen"].as_str().unwrap().to_owned();
            assert!(note.contains("disk swap"), "{note}");
        },
        release: |up| assert_eq!(up.cli(&["unfreeze"]).code, Some(0)),
    });
}

#[test]
fn the_stop_switch_by_a_file() {
    check_switch(&Switch {
        set: |up| std::fs::write(up.data.join("FREEZE"), "").unwrap(),
        release: |up| std::fs::remove_file(up.data.join("FREEZE")).unwrap(),
    });
}

#[test]
fn freezing_works_without_a_running_wellkept() {
    let home = Home::new();
    assert_eq!(Up::start(&home, None).terminate(), Some(0));
    let mut command = common::wellkept();
    command.args(["freeze", "--address", "127.0.0.1:1", "--data-dir"]).arg(home.data());
    assert_eq!(common::run(&mut command).code, Some(0));
    let up = Up::start(&home, None);
    assert!(up.overview()["frozen"].is_string());
    assert_eq!(up.cli(&["unfreeze"]).code, Some(0));
    assert!(up.overview()["frozen"].is_null());
}
