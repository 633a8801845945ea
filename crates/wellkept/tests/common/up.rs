//! A running `wellkept up`.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::http::{Answer, Call, encode};
use super::process::{Ended, end_of, run, signal, wellkept};
use super::{Home, Mounted, wait_for};

/// The program with its log files. It is killed when this is dropped.
pub struct Up {
    child: Child,
    pub address: SocketAddr,
    pub data: PathBuf,
    pub started: Instant,
    out: PathBuf,
    err: PathBuf,
}

impl Up {
    /// Starts it with the data directory of the home and waits until it is ready.
    #[track_caller]
    pub fn start(home: &Home, keep: Option<&Path>) -> Self {
        Self::start_with(home, keep, &["--listen", "127.0.0.1:0"])
    }

    /// Starts it with further words on its command line.
    #[track_caller]
    pub fn start_with(home: &Home, keep: Option<&Path>, words: &[&str]) -> Self {
        let mut command = wellkept();
        command.arg("up").args(words).arg("--data-dir").arg(home.data());
        if let Some(keep) = keep {
            command.arg("--keep").arg(keep);
        }
        Self::start_command(home, command, home.data())
    }

    /// Starts it as a store alone: it collects nothing about this host.
    #[track_caller]
    pub fn store(home: &Home, keep: Option<&Path>) -> Self {
        Self::start_with(home, keep, &["--no-collect", "--listen", "127.0.0.1:0"])
    }

    /// Starts it with its data on a file system of its own.
    #[track_caller]
    pub fn start_on(home: &Home, disk: &Mounted, keep: Option<&Path>) -> Self {
        let mut command = disk.wellkept();
        command.args(["up", "--listen", "127.0.0.1:0", "--data-dir"]).arg(disk.inside("data"));
        if let Some(keep) = keep {
            command.arg("--keep").arg(keep);
        }
        Self::start_command(home, command, disk.outside("data"))
    }

    #[track_caller]
    fn start_command(home: &Home, mut command: Command, data: PathBuf) -> Self {
        let (out, err) = (home.path("up.out"), home.path("up.err"));
        let started = Instant::now();
        let child = command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap()).spawn();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut up = Self { child: child.unwrap(), address: nowhere, data, started, out, err };
        (up.address, _) = wait_for("the address is printed", || {
            let status = up.child.try_wait().unwrap();
            assert!(status.is_none(), "ended with {status:?}: {}{}", up.said(), up.log());
            let said = up.said();
            let (_, rest) = said.split_once("http://")?;
            rest.split_once("/\n")?.0.parse().ok()
        });
        wait_for("it is ready", || (up.call("GET", "/-/ready").try_send()?.status == 200).then_some(()));
        up
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it printed.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.err).unwrap()
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn token(&self) -> String {
        std::fs::read_to_string(self.data.join("token")).unwrap().trim().to_owned()
    }

    // --- its end ----------------------------------------------------------------------------------------------

    /// Sends SIGTERM and gives the exit code.
    pub fn terminate(mut self) -> Option<i32> {
        signal(self.pid(), Signal::TERM);
        let status = end_of(&mut self.child);
        status.unwrap_or_else(|| panic!("it did not end on SIGTERM: {}", self.log())).code()
    }

    /// Sends SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn hang_up(&self) {
        signal(self.pid(), Signal::HUP);
    }

    // --- its API ----------------------------------------------------------------------------------------------

    pub fn call<'a>(&self, method: &'a str, path: impl Into<String>) -> Call<'a> {
        Call::new(self.address, method, path)
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        let answer = self.call("GET", path).send();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json
    }

    /// An act with the right token.
    pub fn act(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path).token(&self.token()).json(body).send()
    }

    /// An act that must be taken.
    #[track_caller]
    pub fn acts(&self, path: &str, body: &Value) {
        let answer = self.act(path, body);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    }

    pub fn query(&self, query: &str) -> Answer {
        self.call("GET", format!("/api/v1/query?{}", encode(&[("query", query)]))).send()
    }

    /// The samples of a range selector such as `node_load1[5m]`, oldest first.
    pub fn samples(&self, selector: &str) -> Vec<(f64, String)> {
        let answer = self.query(selector);
        assert_eq!(answer.status, 200, "{}", answer.text);
        let values = answer.json["data"]["result"][0]["values"].as_array().cloned().unwrap_or_default();
        let pair = |v: &Value| (v[0].as_f64().unwrap(), v[1].as_str().unwrap().to_owned());
        values.iter().map(pair).collect()
    }

    pub fn overview(&self) -> Value {
        self.get("/api/v1/overview")
    }

    /// What the overview says about a service; `Null` when it does not know it.
    pub fn service(&self, name: &str) -> Value {
        let overview = self.overview();
        let all = overview["services"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|s| s["name"] == name).unwrap_or(Value::Null)
    }

    pub fn incidents(&self) -> Vec<Value> {
        self.get("/api/v1/incidents")["incidents"].as_array().unwrap().clone()
    }

    /// Incidents that name a service. The host that the tests run on may have incidents of its own.
    pub fn incidents_of(&self, service: &str) -> Vec<Value> {
        let mut all = self.incidents();
        all.retain(|i| i.to_string().contains(service));
        all
    }

    pub fn incident(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/incidents/{id}"))
    }

    /// Waits for an incident of the tiny service, with all details, that looks as wanted.
    #[track_caller]
    pub fn wait_for_incident(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> (Value, Duration) {
        let found = || {
            let all = self.incidents_of("tiny");
            let ids = all.iter().filter_map(|i| i["id"].as_str());
            ids.map(|id| self.incident(id)).find(|i| wanted(i))
        };
        let began = Instant::now();
        loop {
            if let Some(incident) = found() {
                return (incident, began.elapsed());
            }
            let late = began.elapsed() > super::PATIENCE;
            assert!(!late, "{what}: not in time\n{}\n{}", self.all_incidents(), self.log());
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    fn all_incidents(&self) -> String {
        let shown: Vec<_> =
            self.incidents().iter().map(|i| self.incident(i["id"].as_str().unwrap())).collect();
        serde_json::to_string_pretty(&json!(shown)).unwrap()
    }

    // --- its command line -------------------------------------------------------------------------------------

    /// Runs another command against it.
    pub fn cli(&self, args: &[&str]) -> Ended {
        let mut command = wellkept();
        command.args(args).args(["--address", &self.address.to_string()]);
        run(command.arg("--data-dir").arg(&self.data))
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
