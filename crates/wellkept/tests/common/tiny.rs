//! The tiny service of `wellkept try`, to be broken: it needs one setting and answers over HTTP.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use rustix::process::{Signal, test_kill_process};
use serde_json::{Value, json};
use wellkept_state::{FileVersions, StateDb};

use super::http::Call;
use super::peers::free_address;
use super::process::{signal, wellkept};
use super::{Home, Up, wait_for};

/// A service in the folder of a test. Its process is ended when this is dropped.
pub struct Tiny {
    pub port: u16,
    pub settings: PathBuf,
    pidfile: PathBuf,
}

impl Tiny {
    /// Writes its settings; nothing runs yet.
    pub fn new(home: &Home) -> Self {
        let (settings, pidfile) = (home.path("settings"), home.path("tiny.pid"));
        std::fs::write(&settings, "GREETING=hello\n").unwrap();
        Self { port: free_address().port(), settings, pidfile }
    }

    /// Starts it as the keep file would.
    pub fn start(&self) {
        let mut command = wellkept();
        command.args(self.words().iter().skip(1)).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().unwrap().success());
        wait_for("the tiny service answers", || self.answers().then_some(()));
    }

    /// Its declaration in a keep file.
    pub fn declared(&self, may: &[&str]) -> Value {
        json!({
            "start": self.words(),
            "pidfile": self.pidfile,
            "health": { "http": format!("http://127.0.0.1:{}/", self.port), "every": "500ms" },
            "listens": [format!("127.0.0.1:{}", self.port)],
            "files": [{ "path": self.settings, "kind": "setting" }],
            "may": may,
        })
    }

    /// A whole keep file with this service as `tiny`. JSON is YAML.
    pub fn keep(&self, mode: &str, may: &[&str]) -> String {
        let automation = json!({ "mode": mode, "attempts": "20 per target per hour", "verify_hold": "1s" });
        json!({ "services": { "tiny": self.declared(may) }, "automation": automation }).to_string()
    }

    fn words(&self) -> Vec<String> {
        vec![
            env!("CARGO_BIN_EXE_wellkept").to_owned(),
            "try-start".to_owned(),
            format!("--port={}", self.port),
            format!("--settings={}", self.settings.display()),
            format!("--pidfile={}", self.pidfile.display()),
        ]
    }

    /// The process that its pid file names, when that is the tiny service and not somebody else.
    pub fn pid(&self) -> Option<u32> {
        let pid: u32 = std::fs::read_to_string(&self.pidfile).ok()?.trim().parse().ok()?;
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        String::from_utf8_lossy(&words).contains(self.pidfile.to_str()?).then_some(pid)
    }

    pub fn answers(&self) -> bool {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        Call::new(address, "GET", "/").try_send().is_some_and(|a| a.status == 200)
    }

    /// Sends a signal and gives the process that got it.
    #[track_caller]
    pub fn signal(&self, what: Signal) -> u32 {
        let pid = self.pid().expect("the tiny service runs");
        signal(pid, what);
        pid
    }

    /// Waits until Wellkept sees it running and passing its check.
    #[track_caller]
    pub fn wait_well(&self, up: &Up) {
        wait_for("the tiny service is well", || {
            let seen = up.service("tiny");
            (seen["state"] == "running" && seen["healthy"] == 1).then_some(())
        });
    }

    /// Waits until the setting in force counts as its good version.
    #[track_caller]
    pub fn wait_good(&self, up: &Up) {
        self.wait_well(up);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let db = runtime.block_on(StateDb::open(&up.data)).unwrap();
        let versions = FileVersions::open(&up.data, db.clone()).unwrap();
        let path = self.settings.to_str().unwrap();
        wait_for("its setting counts as good", || {
            let good = runtime.block_on(versions.last_good("tiny", path)).unwrap()?;
            let content = runtime.block_on(versions.get(&good.meta.sha256)).unwrap();
            (content == std::fs::read(&self.settings).unwrap()).then_some(())
        });
        runtime.block_on(db.close());
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let Some(pid) = self.pid() else { return };
        signal(pid, Signal::KILL);
        let raw = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        wait_for("the tiny service ends", || {
            (self.pid() != Some(pid) || test_kill_process(raw).is_err()).then_some(())
        });
    }
}
