//! Two services that wait for each other: found, explained, and one of them started again, never both.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::{Home, Up, free_address, skipped, wait_for};
use serde_json::{Value, json};

/// A server with one thread. Asked for `/ask`, it asks its neighbour for `/` and waits for the answer as long as it takes;
/// it asks when its neighbour was asked to ask as well, so that both wait for each other however late each of them is.
const SERVER: &str = r#"
import os, sys, time, http.server, urllib.request
own, other, pidfile = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
mark = lambda port: f'{os.path.dirname(pidfile)}/{port}.asked'
if os.path.exists(mark(own)): os.remove(mark(own))
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == '/ask':
            open(mark(own), 'w').close()
            while not os.path.exists(mark(other)): time.sleep(0.01)
            urllib.request.urlopen(f'http://127.0.0.1:{other}/', timeout=600).read()
        self.send_response(200); self.send_header('content-length', '0'); self.end_headers()
    def log_message(self, *a): pass
s = http.server.HTTPServer(('127.0.0.1', own), H)
open(pidfile, 'w').write(str(os.getpid()))
s.serve_forever()
"#;

struct Pair {
    home: Home,
    ports: [u16; 2],
}

const NAMES: [&str; 2] = ["left", "right"];

impl Pair {
    fn new() -> Self {
        let home = Home::new();
        std::fs::write(home.path("server.py"), SERVER).unwrap();
        Self { home, ports: [free_address().port(), free_address().port()] }
    }

    fn words(&self, n: usize) -> Vec<String> {
        let path = |name: &str| self.home.path(name).to_str().unwrap().to_owned();
        let ports = [self.ports[n], self.ports[1 - n]].map(|p| p.to_string());
        let [own, other] = ports;
        vec!["python3".into(), path("server.py"), own, other, path(&format!("{}.pid", NAMES[n]))]
    }

    /// In the background, as a service manager would.
    fn declared(&self, n: usize) -> Value {
        let line = self.words(n).join(" ");
        let pidfile = self.home.path(&format!("{}.pid", NAMES[n]));
        json!({
            "pidfile": pidfile,
            "start": { "shell": format!("setsid {line} >/dev/null 2>&1 & sleep 0.5"), "within": "10s" },
            "stop": { "shell": format!("kill -9 $(cat {}); sleep 0.3", pidfile.display()), "within": "5s" },
            "health": { "http": format!("http://127.0.0.1:{}/", self.ports[n]), "every": "500ms", "within": "1s" },
            "listens": [format!("127.0.0.1:{}", self.ports[n])],
            "may": ["restart"],
        })
    }

    fn pid(&self, n: usize) -> Option<u32> {
        std::fs::read_to_string(self.home.path(&format!("{}.pid", NAMES[n]))).ok()?.trim().parse().ok()
    }

    /// Asks one to ask its neighbour, and does not wait for the answer.
    fn ask(&self, n: usize) -> std::process::Child {
        let url = format!("http://127.0.0.1:{}/ask", self.ports[n]);
        let line = format!("import urllib.request; urllib.request.urlopen('{url}', timeout=600)");
        Command::new("python3")
            .args(["-c", &line])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for n in [0, 1] {
            let Some(pid) = self.pid(n) else { continue };
            let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&words).contains(self.home.path("server.py").to_str().unwrap()) {
                let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
            }
        }
    }
}

fn has_python() -> bool {
    Command::new("python3").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success())
        && Path::new("/proc/net/tcp").exists()
}

#[test]
fn of_two_services_that_wait_for_each_other_one_is_started_again_and_both_are_well() {
    if !has_python() {
        return skipped("python3 is not installed");
    }
    let pair = Pair::new();
    let services: serde_json::Map<String, Value> =
        (0..2).map(|n| (NAMES[n].to_owned(), pair.declared(n))).collect();
    let automation = json!({ "mode": "act", "attempts": "20 per target per hour", "verify_hold": "1s" });
    let keep = pair.home.keep(json!({ "services": services, "automation": automation }).to_string());
    for n in [0, 1] {
        let words = pair.words(n);
        let line = format!("setsid {} >/dev/null 2>&1 &", words.join(" "));
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
        wait_for("it runs", || pair.pid(n));
    }
    let up = Up::start(&pair.home, Some(&keep));
    let well = |n: usize| up.service(NAMES[n])["healthy"] == 1;
    wait_for("both are well", || (well(0) && well(1)).then_some(()));
    let before = [pair.pid(0), pair.pid(1)];
    let asked = [pair.ask(0), pair.ask(1)];
    wait_for("they wait for each other", || (!well(0) && !well(1)).then_some(()));
    let (incident, took) = wait_for("it is resolved", || {
        let all = up.incidents();
        let full = all.iter().map(|i| up.incident(i["id"].as_str().unwrap()));
        let is_ours = |i: &Value| i["status"] == "resolved" && i["causes"][0]["kind"] == "dependency_loop";
        full.into_iter().find(is_ours)
    });
    println!("healed after {took:.2?}");
    let restarts: Vec<_> =
        incident["actions"].as_array().unwrap().iter().filter(|a| a["kind"] == "restart").collect();
    assert_eq!(restarts.len(), 1, "{incident}");
    let after = [pair.pid(0), pair.pid(1)];
    let renewed = (0..2).filter(|n| before[*n] != after[*n]).count();
    assert_eq!(renewed, 1, "one of them, never both: {before:?} {after:?}");
    for mut child in asked {
        let _ = child.kill();
        let _ = child.wait();
    }
}
