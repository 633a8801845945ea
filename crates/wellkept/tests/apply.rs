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

/// Announces work on these components around now, or on none.
#[expect(clippy::disallowed_methods, reason = "the window must be open while the test runs")]
fn announce(home: &Home, components: &[&str]) {
    let (now, hour) = (jiff::Timestamp::now(), std::time::Duration::from_secs(3600));
    let windows = json!({ "windows": [{
        "from": now.checked_sub(hour).unwrap().to_string(),
        "until": now.checked_add(hour).unwrap().to_string(),
        "components": components,
        "reason": "somebody is at work",
    }] });
    // Whole at once: it is read while we write.
    std::fs::write(home.path("windows.new"), windows.to_string()).unwrap();
    std::fs::rename(home.path("windows.new"), home.path("windows.json")).unwrap();
}

/// The same as [`keep`], enforced, with a file of maintenance windows and so many signers.
fn enforced(home: &Home, site: &Path, trust: &[(&str, &str)], signatures: u32) -> PathBuf {
    let trust: Vec<Value> = trust.iter().map(|(name, key)| json!({ "name": name, "key": key })).collect();
    home.keep(
        json!({
            "apply": { "site": { "playbook": site, "every": "1s", "mode": "enforce" } },
            "automation": { "mode": "act" },
            "maintenance": { "files": [home.path("windows.json")] },
            "trust": trust,
            "signatures": signatures,
        })
        .to_string(),
    )
}

fn put_right(conf: &Path) {
    wait_for("the setting is put right", || {
        (std::fs::read_to_string(conf).unwrap_or_default() == "A=1\n").then_some(())
    });
}

#[test]
fn nothing_is_put_right_while_maintenance_is_announced() {
    let home = Home::new();
    std::fs::create_dir_all(home.path("site")).unwrap();
    let plain = playbook(&home.path("site"), "localhost", "A=1");
    let conf = home.path("site/conf-localhost");
    let (secret, public) = key(&home);
    let site = signed(&home, &plain, &secret);
    for component in ["site", "host"] {
        std::fs::write(&conf, "A=2\n").unwrap();
        announce(&home, &[component]);
        let up = Up::store(&home, Some(&enforced(&home, &site, &[("ops", &public)], 1)));
        let (found, _) = wait_for("the finding", || finding(&up).filter(|f| f["active"] == true));
        wait_for("later looks", || {
            let later = finding(&up)?;
            (later["at"].as_i64() > found["at"].as_i64() && later["active"] == true).then_some(())
        });
        assert_eq!(std::fs::read_to_string(&conf).unwrap(), "A=2\n", "{component}");
        announce(&home, &["other"]);
        put_right(&conf);
    }
}

#[test]
fn a_window_in_the_middle_lets_no_further_task_begin_and_afterwards_the_run_goes_on() {
    let home = Home::new();
    std::fs::create_dir_all(home.path("site")).unwrap();
    let conf = home.path("site/conf-localhost");
    let path = |name: &str| home.path(name).display().to_string();
    let wait = format!(
        "echo once >> {}; while test -d {} && ! test -e {}; do sleep 0.05; done",
        path("ran"),
        path(""),
        path("go")
    );
    let plain = home.path("site/site.yml");
    let play = json!([{ "hosts": "localhost", "gather_facts": false, "tasks": [
        { "name": "something that may be done once", "shell": wait },
        { "name": "the setting", "copy": { "content": "A=1\n", "dest": conf } },
    ] }]);
    std::fs::write(&plain, play.to_string()).unwrap();
    let (secret, public) = key(&home);
    let site = signed(&home, &plain, &secret);
    announce(&home, &["other"]);
    let up = Up::store(&home, Some(&enforced(&home, &site, &[("ops", &public)], 1)));
    wait_for("the first task runs", || home.path("ran").exists().then_some(()));
    announce(&home, &["site"]);
    wait_for("the run is stopped", || up.log().contains("it was stopped").then_some(()));
    assert!(!conf.exists(), "no further task has begun");
    std::fs::write(home.path("go"), "").unwrap();
    announce(&home, &["other"]);
    // The step was begun and has no known end: it waits for a person, and so does what stands behind it.
    let doubt = || {
        let all = up.incidents();
        let ids = all.iter().filter_map(|i| i["id"].as_str());
        ids.map(|id| up.incident(id).to_string())
            .any(|i| i.contains("nobody knows whether it was done"))
            .then_some(())
    };
    wait_for("the doubt is told", doubt);
    assert_eq!(std::fs::read_to_string(home.path("ran")).unwrap(), "once\n", "never twice by itself");
    assert!(!conf.exists());
    let mut by_hand = wellkept();
    by_hand
        .args(["apply", "--data-dir"])
        .arg(home.data())
        .arg("--keep")
        .arg(home.path("wellkept.yml"))
        .arg(&site);
    let ended = run(by_hand.env("HOME", home.path("")).env("XDG_STATE_HOME", home.path("state")));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    std::fs::write(&conf, "A=2\n").unwrap();
    put_right(&conf);
}

#[test]
fn a_killed_run_goes_on_where_it_stopped() {
    let home = Home::new();
    let fleet_like = |home: &Home| {
        std::fs::create_dir_all(home.data()).unwrap();
        std::fs::write(home.data().join("VERSION"), "1\n").unwrap();
    };
    fleet_like(&home);
    let path = |name: &str| home.path(name).display().to_string();
    let wait = format!(
        "touch {}; while test -d {} && ! test -e {}; do sleep 0.05; done",
        path("second"),
        path(""),
        path("go")
    );
    let site = home.path("site.yml");
    let play = json!([{ "hosts": "localhost", "gather_facts": false, "tasks": [
        { "name": "first", "shell": format!("echo first >> {}", path("ran")) },
        { "name": "second", "shell": wait },
        { "name": "third", "shell": format!("echo third >> {}", path("ran")), "ignore_unreachable": true },
    ] }]);
    std::fs::write(&site, play.to_string()).unwrap();
    let command = |more: &[&str]| {
        let mut command = wellkept();
        command.args(["apply", "--data-dir"]).arg(home.data()).args(more).arg(&site);
        command.env("HOME", home.path("")).env("XDG_STATE_HOME", home.path("state"));
        command
    };
    let none = run(&mut command(&["--resume"]));
    assert!(none.code == Some(2) && none.err.contains("no stopped run"), "{none:?}");
    let mut child = command(&[]).stdout(std::process::Stdio::null()).spawn().unwrap();
    wait_for("the second task runs", || home.path("second").exists().then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::write(home.path("go"), "").unwrap();
    let resumed = run(&mut command(&["--resume"]));
    assert!(resumed.out.contains("was begun in the run that stopped"), "{resumed:?}");
    assert_eq!(
        std::fs::read_to_string(home.path("ran")).unwrap(),
        "first\n",
        "never twice, and nothing behind a doubt"
    );
    assert_ne!(resumed.code, Some(0), "{resumed:?}");
}
