//! What no rule knows is told honestly: nothing is done, what moved is ranked, and a person is called.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Home, Reply, Site, Tiny, Up, wait_for};
use serde_json::{Value, json};

#[test]
fn an_illness_without_a_rule_is_unknown_with_its_ranking_and_escalated() {
    let home = Home::new();
    let (tiny, broken) = (Tiny::new(&home), Arc::new(AtomicBool::new(false)));
    let fails = Arc::clone(&broken);
    // The process runs; what it answers is wrong, and nothing that is looked at says why.
    let site =
        Site::start(
            move |_| if fails.load(Ordering::SeqCst) { Reply::status(500) } else { Reply::status(200) },
        );
    let mut keep: Value = serde_json::from_str(&tiny.keep("act", &["restart"])).unwrap();
    keep["services"]["tiny"]["health"] =
        json!({ "http": format!("http://{}/", site.address), "every": "500ms" });
    let keep = home.keep(keep.to_string());
    tiny.start();
    let up = Up::start(&home, Some(&keep));
    tiny.wait_well(&up);
    wait_for("some past", || (up.samples("wellkept_health_check_success[10m]").len() >= 15).then_some(()));
    let pid = tiny.pid();
    broken.store(true, Ordering::SeqCst);
    let (incident, _) = up.wait_for_incident("a person is called", |i| i["status"] == "escalated");
    assert_eq!(incident["causes"][0]["kind"], "unknown", "{incident}");
    let evidence = incident["causes"][0]["evidence"].to_string();
    assert!(
        evidence.contains("service:tiny") && evidence.contains("wellkept_health_check_success"),
        "{evidence}"
    );
    let all = incident["actions"].as_array().unwrap().iter();
    let done: Vec<_> = all.filter(|a| a["kind"] != "escalate").collect();
    assert_eq!((done.len(), tiny.pid()), (0, pid), "nothing was done: {done:?}");
}
