//! What a deployment or a play has in hand is left to it, and to nobody for longer than it lives.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use std::process::{Child, Command, Stdio};

use common::{Home, Tiny, Up, wait_for, wellkept};
use rustix::process::Signal;
use serde_json::{Value, json};

struct Scene {
    up: Up,
    tiny: Tiny,
    home: Home,
}

/// Kills the service, and starts it again as soon as there is a file `go`.
fn restart(home: &Home) -> String {
    format!(
        "kill -9 $(cat {0}/tiny.pid); touch {0}/stopped; \
         while test -d {0} && ! test -e {0}/go; do sleep 0.05; done; {0}/start",
        home.path("").display().to_string().trim_end_matches('/')
    )
}

/// The tiny service with an app of its name, which is restarted only when the test says so.
fn scene() -> Scene {
    let home = Home::new();
    let tiny = Tiny::new(&home);
    let mut keep: Value = serde_json::from_str(&tiny.keep("act", &["restart"])).unwrap();
    let words: Vec<String> = serde_json::from_value(keep["services"]["tiny"]["start"].clone()).unwrap();
    std::fs::write(home.path("start"), format!("#!/bin/sh\nexec {}\n", words.join(" "))).unwrap();
    std::fs::set_permissions(home.path("start"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    std::fs::create_dir_all(home.path("build")).unwrap();
    std::fs::write(home.path("build/app"), "well").unwrap();
    std::fs::write(home.path("hosts"), "localhost ansible_connection=local\n").unwrap();
    keep["deploy"] = json!({ "tiny": {
        "hosts": "localhost",
        "inventory": home.path("hosts"),
        "to": home.path("srv"),
        "artefact": { "file": home.path("build") },
        "service": { "restart": { "shell": restart(&home), "within": "10m" } },
        "health": { "http": format!("http://127.0.0.1:{}/", tiny.port) },
        "hold": "1s",
        "starts_within": "30s",
    } });
    let keep = home.keep(keep.to_string());
    tiny.start();
    let up = Up::start(&home, Some(&keep));
    tiny.wait_well(&up);
    Scene { up, tiny, home }
}

impl Scene {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = wellkept();
        command.args(words).arg("--keep").arg(self.home.path("wellkept.yml"));
        command.arg("--data-dir").arg(self.home.data());
        command.env("HOME", self.home.path("")).env("XDG_STATE_HOME", self.home.path("state"));
        command.stdout(Stdio::null()).stderr(std::fs::File::create(self.home.path("said")).unwrap());
        command
    }

    /// Begins, and waits until the service is down by its hand.
    #[track_caller]
    fn begin(&self, words: &[&str]) -> Child {
        let child = self.command(words).spawn().unwrap();
        wait_for("the service is stopped", || self.home.path("stopped").exists().then_some(()));
        child
    }

    /// The incident is told with a plan that is not done, and the service stays down for some rounds.
    #[track_caller]
    fn only_told(&self, what: &str) {
        let (incident, _) =
            self.up.wait_for_incident("its plan is withheld", |i| i["plan"]["withheld"].is_string());
        let why = incident["plan"]["withheld"].as_str().unwrap();
        assert!(why.contains("is under way") && why.contains(what), "{incident}");
        let rounds = || {
            let answer = self.up.query("count_over_time(wellkept_service_up[1h])");
            let value =
                answer.json["data"]["result"][0]["value"][1].as_str().and_then(|v| v.parse::<u32>().ok());
            value.unwrap_or(0)
        };
        let before = rounds();
        wait_for("some rounds have passed", || (rounds() >= before + 4).then_some(()));
        assert!(!self.tiny.answers());
    }
}

fn resolved(incident: &Value) -> bool {
    incident["status"] == "resolved"
}

/// What was done, or is.
fn done(incident: &Value) -> Vec<&str> {
    let all = incident["actions"].as_array().unwrap().iter();
    let done = all.filter(|a| !matches!(a["status"].as_str(), Some("planned" | "skipped")));
    done.map(|a| a["kind"].as_str().unwrap()).collect()
}

#[test]
fn a_service_that_a_deployment_stops_is_told_and_left_to_it() {
    let s = scene();
    let mut child = s.begin(&["deploy", "tiny", "1.0"]);
    s.only_told("deploy tiny 1.0");
    std::fs::write(s.home.path("go"), "").unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{}", std::fs::read_to_string(s.home.path("said")).unwrap());
    let (incident, _) = s.up.wait_for_incident("it is over", resolved);
    assert!(done(&incident).is_empty(), "{incident}");
    let left = std::fs::read_dir(s.home.data().join("under-way")).unwrap().count();
    assert_eq!(left, 0, "the notice is taken down");
    // From now on it is ours again.
    s.tiny.wait_well(&s.up);
    let killed = s.tiny.signal(Signal::KILL);
    wait_for("it runs again", || s.tiny.pid().filter(|pid| *pid != killed));
}

#[test]
fn a_killed_deployment_leaves_its_service_to_the_healing() {
    let s = scene();
    let mut child = s.begin(&["deploy", "tiny", "1.0"]);
    s.only_told("deploy tiny 1.0");
    child.kill().unwrap();
    child.wait().unwrap();
    let (incident, _) = s.up.wait_for_incident("it is put right", resolved);
    assert_eq!(done(&incident), ["restart"], "{incident}");
    assert!(s.tiny.answers());
}

#[test]
fn a_service_that_a_play_stops_is_left_to_the_play() {
    let s = scene();
    let task = json!([{ "hosts": "localhost", "gather_facts": false, "tasks": [
        { "name": "restart tiny", "shell": format!("{} tiny", restart(&s.home)) },
    ] }]);
    std::fs::write(s.home.path("site.yml"), task.to_string()).unwrap();
    let (playbook, hosts) = (s.home.path("site.yml"), s.home.path("hosts"));
    let mut child = s.begin(&["play", playbook.to_str().unwrap(), "-i", hosts.to_str().unwrap()]);
    s.only_told("site.yml");
    std::fs::write(s.home.path("go"), "").unwrap();
    assert!(child.wait().unwrap().success(), "{}", std::fs::read_to_string(s.home.path("said")).unwrap());
    let (incident, _) = s.up.wait_for_incident("it is over", resolved);
    assert!(done(&incident).is_empty(), "{incident}");
}
