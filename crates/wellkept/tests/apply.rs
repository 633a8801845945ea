//! Declared states of hosts: what differs is told, shown while it lasts, and put right only where that is allowed.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;
mod fleet_stage;

use std::path::{Path, PathBuf};

use common::{Home, Up, run, wait_for, wellkept};
use fleet_stage::Fleet;
use serde_json::{Value, json};

/// A playbook that says what one file of each host holds.
fn playbook(folder: &Path, hosts: &str, content: &str) -> PathBuf {
    let path = folder.join("site.yml");
    let play = json!([{
        "hosts": hosts,
        "gather_facts": false,
        "tasks": [{
            "name": "the setting",
            "copy": { "content": format!("{content}\n"), "dest": folder.join("conf-{{ inventory_hostname }}") },
        }],
    }]);
    std::fs::write(&path, play.to_string()).unwrap();
    path
}

#[test]
fn hosts_that_differ_are_named_with_the_task_and_how() {
    let fleet = Fleet::new(2);
    let folder = fleet.home.path("");
    let site = playbook(&folder, "web", "A=1").display().to_string();
    std::fs::write(folder.join("conf-h1"), "A=1\n").unwrap();
    std::fs::write(folder.join("conf-h2"), "A=2\n").unwrap();
    let look = fleet.cli(&["apply", &site, "-i", "hosts", "--check", "--diff"]);
    assert_eq!(look.code, Some(1), "{look:?}");
    assert!(look.out.contains("h2 is not as") && !look.out.contains("h1 is not as"), "{look:?}");
    assert!(look.out.contains("-A=2") && look.out.contains("+A=1"), "{look:?}");
    let look = fleet.cli(&["apply", &site, "-i", "hosts", "--check", "--diff", "--output", "json"]);
    let told: Value = serde_json::from_str(&look.out).unwrap();
    let h2 = &told["hosts"]["h2"];
    assert_eq!((&h2["changed"], &h2["differs"][0]["task"]), (&json!(1), &json!("the setting")), "{told}");
    assert!(h2["differs"][0]["diff"].as_str().unwrap().contains("+A=1"), "{told}");
    assert_eq!(told["hosts"]["h1"]["differs"], json!([]));
    assert_eq!(fleet.read("conf-h2"), "A=2\n", "a look changes nothing");
    let done = fleet.cli(&["apply", &site, "-i", "hosts"]);
    assert_eq!((done.code, fleet.read("conf-h2").as_str()), (Some(0), "A=1\n"), "{done:?}");
    assert_eq!(fleet.cli(&["apply", &site, "-i", "hosts", "--check"]).code, Some(0));
}

/// A keep file with one declared state, looked at every second, that believes this key.
fn keep(home: &Home, site: &Path, mode: &str, key: Option<&str>) -> PathBuf {
    let trust: Vec<Value> = key.iter().map(|key| json!({ "name": "ops", "key": key })).collect();
    home.keep(
        json!({
            "apply": { "site": { "playbook": site, "every": "1s", "mode": mode } },
            "automation": { "mode": "act" },
            "trust": trust,
        })
        .to_string(),
    )
}

/// A new key: the file of its secret half, and its public one.
fn key(home: &Home) -> (String, String) {
    let file = home.path("key").display().to_string();
    let made = run(wellkept().args(["sign", "keygen", "--to", &file]));
    assert_eq!(made.code, Some(0), "{made:?}");
    (file, made.out.lines().last().unwrap().to_owned())
}

/// The playbook's folder as a bundle for this host, signed.
fn signed(home: &Home, site: &Path, key: &str) -> PathBuf {
    let bundle = home.path("site.bundle");
    let mut sign = wellkept();
    sign.args(["sign", "bundle", "--key", key, "--target", "localhost", "-o"]).arg(&bundle).arg(site);
    let made = run(&mut sign);
    assert_eq!(made.code, Some(0), "{made:?}");
    bundle
}

/// The finding of the declared state, as it is now.
fn finding(up: &Up) -> Option<Value> {
    finding_of(up, "state_differs")
}

fn finding_of(up: &Up, kind: &str) -> Option<Value> {
    let incidents = up.incidents();
    let ids = incidents.iter().filter_map(|i| i["id"].as_str());
    let mut findings = ids.flat_map(|id| up.incident(id)["findings"].as_array().cloned().unwrap_or_default());
    findings.find(|f| f["kind"] == kind)
}

#[test]
fn what_differs_is_a_finding_while_it_lasts() {
    let home = Home::new();
    let site = playbook(&home.path(""), "localhost", "A=1");
    let conf = home.path("conf-localhost");
    std::fs::write(&conf, "A=2\n").unwrap();
    let up = Up::store(&home, Some(&keep(&home, &site, "check", None)));
    let (found, _) = wait_for("the finding", || finding(&up).filter(|f| f["active"] == true));
    assert_eq!(found["subject"], "site");
    assert!(found["text"].as_str().unwrap().contains("not as site says"), "{found}");
    assert!(found["evidence"][0]["text"].as_str().unwrap().contains("the setting"), "{found}");
    assert!(found["evidence"][0]["text"].as_str().unwrap().contains("+A=1"), "{found}");
    assert_eq!(std::fs::read_to_string(&conf).unwrap(), "A=2\n", "it is told, not done");
    std::fs::write(&conf, "A=1\n").unwrap();
    wait_for("the end of the finding", || finding(&up).filter(|f| f["active"] == false));
    // A mistake in the playbook is told as such.
    std::fs::write(&site, "- hosts: localhost\n  tasks: [{ no_such_thing_at_all: }]\n").unwrap();
    let (blind, _) = wait_for("that nothing can be seen", || finding_of(&up, "silent"));
    assert!(blind["text"].as_str().unwrap().contains("cannot be seen"), "{blind}");
}

#[test]
fn it_is_put_right_only_where_the_keep_file_says_so_and_never_while_the_stop_switch_is_on() {
    let home = Home::new();
    std::fs::create_dir_all(home.path("site")).unwrap();
    let plain = playbook(&home.path("site"), "localhost", "A=1");
    let conf = home.path("site/conf-localhost");
    let (secret, public) = key(&home);
    let site = signed(&home, &plain, &secret);
    std::fs::write(&conf, "A=2\n").unwrap();
    std::fs::create_dir_all(home.data()).unwrap();
    std::fs::write(home.data().join("FREEZE"), "hands off").unwrap();
    let up = Up::store(&home, Some(&keep(&home, &site, "enforce", Some(&public))));
    let evidence = |f: &Value| f["at"].as_i64().or_else(|| f["since"].as_i64());
    let (found, _) = wait_for("the finding", || finding(&up).filter(|f| f["active"] == true));
    // Several looks later nothing was done.
    wait_for("later looks", || {
        let later = finding(&up)?;
        (evidence(&later) > evidence(&found) && later["active"] == true).then_some(())
    });
    assert_eq!(std::fs::read_to_string(&conf).unwrap(), "A=2\n");
    up.acts("/api/v1/unfreeze", &json!({}));
    wait_for("the setting is put right", || {
        (std::fs::read_to_string(&conf).unwrap() == "A=1\n").then_some(())
    });
    wait_for("the end of the finding", || finding(&up).filter(|f| f["active"] == false));
    let (changes, _) = wait_for("the change", || {
        let changes = up.get("/api/v1/changes");
        (!changes["changes"].as_array()?.is_empty()).then_some(changes)
    });
    assert_eq!(changes["changes"][0]["what"], site.display().to_string(), "{changes}");
}

#[test]
fn what_nobody_has_signed_is_told_and_never_put_right_by_itself() {
    let home = Home::new();
    let site = playbook(&home.path(""), "localhost", "A=1");
    let conf = home.path("conf-localhost");
    std::fs::write(&conf, "A=2\n").unwrap();
    let refused = run(wellkept().arg("check").arg(keep(&home, &site, "enforce", None)));
    assert!(refused.code == Some(2) && refused.out.contains("signed bundles only"), "{refused:?}");

    let (_, public) = key(&home);
    let up = Up::store(&home, Some(&keep(&home, &site, "enforce", Some(&public))));
    wait_for("the finding", || finding(&up).filter(|f| f["active"] == true));
    wait_for("that it is refused", || up.log().contains("hosts are not put right").then_some(()));
    assert_eq!(std::fs::read_to_string(&conf).unwrap(), "A=2\n");
}
