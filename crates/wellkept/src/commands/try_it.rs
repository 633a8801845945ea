//! `wellkept try`: the whole story in under a minute, in a temporary folder.
//!
//! It starts a tiny service and a real `wellkept up` over it, shows it well, then breaks it twice, and tells what
//! Wellkept saw, thought, did and verified, with times. Nothing outside the folder is touched.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::{Child, Command};
use wellkept_catalogue::Language;
use wellkept_model::{Text, TimestampMs};

use super::Context;
use super::try_service::SETTING;
use crate::cli::Output;
use crate::client::Client;
use crate::clock::now;
use crate::exit::{Failure, NOT_WELL, OK};
use crate::say::{self, paint};

/// Longest time for each act of the story.
const ACT_LIMIT: Duration = Duration::from_secs(30);
/// How often the API is asked.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(super) async fn run(context: Context) -> anyhow::Result<u8> {
    let began = now();
    let stage = Stage::build()?;
    let mut child = stage.start().await?;
    let story = tell(context, &stage).await;
    stage.close(&mut child).await;
    let acts = story?;
    let took = now().since(began).as_millis();
    match context.output {
        Output::Json => say::line(&json!({ "acts": acts, "took_ms": took }).to_string()),
        Output::Table => {
            say::line("");
            print(context, &Text::new("cli.try.end").with("ms", took));
        }
    }
    Ok(OK)
}

async fn tell(context: Context, stage: &Stage) -> anyhow::Result<Vec<Value>> {
    let client = Client::new(stage.address, context.language);
    print(context, &Text::new("cli.try.stage").with("folder", stage.folder.path().display()));
    stage.wait_well(&client).await?;
    print_good(context, &Text::new("cli.try.well"));
    let killed = act(context, stage, &client, "cli.try.kill", Stage::kill).await?;
    let broken = act(context, stage, &client, "cli.try.setting", |s| {
        s.break_setting()?;
        s.kill()
    });
    Ok(vec![killed, broken.await?])
}

/// Breaks something and tells what follows until it is resolved.
async fn act(
    context: Context,
    stage: &Stage,
    client: &Client,
    key: &str,
    harm: impl Fn(&Stage) -> anyhow::Result<()>,
) -> anyhow::Result<Value> {
    if context.output == Output::Table {
        say::line("");
    }
    print(context, &Text::new(key).with("setting", SETTING));
    let zero = now();
    harm(stage)?;
    let (mut told, mut id) = (0, None);
    while now().since(zero) < ACT_LIMIT {
        let answering = stage.answers().await;
        id = match id {
            Some(id) => Some(id),
            None => newest(client, zero).await?,
        };
        if let Some(id) = id {
            let incident = client.get(&format!("/api/v1/incidents/{id}")).await?;
            told = tell_new(context, &incident, told, zero);
            if incident["status"] == "resolved" && answering {
                let took = now().since(zero).as_millis();
                print_good(context, &Text::new("cli.try.recovered").with("ms", took));
                return Ok(json!({ "took_ms": took, "incident": incident }));
            }
            if incident["status"] == "escalated" {
                break;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(Failure::new(NOT_WELL, say::text(context.language, &Text::new("cli.try.failed"))).into())
}

/// The incident that is about what just happened: a new one, or an old one that was opened again.
async fn newest(client: &Client, zero: TimestampMs) -> anyhow::Result<Option<u64>> {
    let all = client.get("/api/v1/incidents").await?;
    let mut incidents = all["incidents"].as_array().into_iter().flatten();
    let fresh = incidents.find(|i| i["updated_at"].as_i64().is_some_and(|at| at >= zero.0));
    Ok(fresh.and_then(|i| i["id"].as_str()?.parse().ok()))
}

/// Prints the entries of the time line that are new; gives how many were printed in all.
fn tell_new(context: Context, incident: &Value, told: usize, zero: TimestampMs) -> usize {
    let all = incident["timeline"].as_array().map(Vec::as_slice).unwrap_or_default();
    let timeline: Vec<_> = all.iter().filter(|m| m["at"].as_i64().is_some_and(|at| at >= zero.0)).collect();
    if context.output == Output::Table {
        for moment in timeline.iter().skip(told) {
            let at = TimestampMs(moment["at"].as_i64().unwrap_or(0)).since(zero).as_secs_f64();
            let kind = moment["kind"].as_str().unwrap_or_default();
            let word = say::word(context.language, &format!("cli.moment.{kind}"));
            let text = wellkept_catalogue::harmless(moment["text"].as_str().unwrap_or_default()).into_owned();
            say::line(&format!("  {} {} {text}", paint("2", &format!("{at:6.2} s")), paint("36", &word)));
        }
    }
    timeline.len().max(told)
}

/// The folder, the tiny service and the addresses.
struct Stage {
    folder: tempfile::TempDir,
    address: SocketAddr,
    port: u16,
    me: PathBuf,
}

impl Stage {
    fn build() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("wellkept-try-").tempdir()?;
        let (address, port) = (free_address()?, free_address()?.port());
        let stage = Self { folder, address, port, me: std::env::current_exe()? };
        std::fs::write(stage.path("settings"), format!("{SETTING}=hello\n"))?;
        std::fs::write(stage.path("wellkept.yml"), stage.keep_file())?;
        Ok(stage)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn keep_file(&self) -> String {
        let (settings, pidfile, port) = (self.path("settings"), self.path("tiny.pid"), self.port);
        let mut start = vec![self.me.display().to_string()];
        start.extend(self.start_arguments());
        // JSON is YAML, and quotes every path safely.
        json!({
            "services": { "tiny": {
                "start": start,
                "pidfile": pidfile,
                "health": { "http": format!("http://127.0.0.1:{port}/"), "expect": 200, "every": "500ms" },
                "listens": [format!("127.0.0.1:{port}")],
                "files": [{ "path": settings, "kind": "setting" }],
                "may": ["restart", "rollback"],
            }},
            "automation": { "mode": "act", "attempts": "20 per target per hour", "verify_hold": "2s" },
        })
        .to_string()
    }

    async fn start(&self) -> anyhow::Result<Child> {
        let begun = Command::new(&self.me).args(self.start_arguments()).stdin(Stdio::null()).status().await?;
        anyhow::ensure!(begun.success(), "the tiny service could not be started");
        let log = std::fs::File::create(self.path("up.log"))?;
        let child = Command::new(&self.me)
            .arg("up")
            .arg("--keep")
            .arg(self.path("wellkept.yml"))
            .arg("--data-dir")
            .arg(self.path("data"))
            .args(["--listen", &self.address.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        Ok(child)
    }

    fn start_arguments(&self) -> Vec<String> {
        vec![
            "try-start".to_owned(),
            format!("--port={}", self.port),
            format!("--settings={}", self.path("settings").display()),
            format!("--pidfile={}", self.path("tiny.pid").display()),
        ]
    }

    /// Waits until Wellkept sees the service well, and long enough that its settings count as good.
    async fn wait_well(&self, client: &Client) -> anyhow::Result<()> {
        let began = now();
        let mut well_since = None;
        while now().since(began) < ACT_LIMIT {
            let overview = client.get("/api/v1/overview").await.unwrap_or_default();
            let service = &overview["services"][0];
            let well = service["state"] == "running" && service["healthy"] == 1 && self.answers().await;
            match (well, well_since) {
                (true, None) => well_since = Some(now()),
                (true, Some(since)) if now().since(since) >= Duration::from_secs(7) => return Ok(()),
                (true, Some(_)) => {}
                (false, _) => well_since = None,
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let log = std::fs::read_to_string(self.path("up.log")).unwrap_or_default();
        anyhow::bail!("the tiny service did not get well within {} s\n{log}", ACT_LIMIT.as_secs())
    }

    async fn answers(&self) -> bool {
        let ask = Client::new(SocketAddr::from(([127, 0, 0, 1], self.port)), Language::En);
        ask.get("/").await.is_ok()
    }

    fn kill(&self) -> anyhow::Result<()> {
        let pid: i32 = std::fs::read_to_string(self.path("tiny.pid"))?.trim().parse()?;
        let pid = rustix::process::Pid::from_raw(pid)
            .ok_or_else(|| anyhow::anyhow!("no process id in the pid file"))?;
        Ok(rustix::process::kill_process(pid, rustix::process::Signal::KILL)?)
    }

    fn break_setting(&self) -> anyhow::Result<()> {
        Ok(std::fs::write(self.path("settings"), "# somebody edited this file\n")?)
    }

    /// Ends Wellkept, then the tiny service.
    async fn close(&self, child: &mut Child) {
        if let Some(pid) =
            child.id().and_then(|p| i32::try_from(p).ok()).and_then(rustix::process::Pid::from_raw)
        {
            // Already gone is as good.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if tokio::time::timeout(Duration::from_secs(10), child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
        let _ = self.kill();
    }
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

fn print(context: Context, text: &Text) {
    if context.output == Output::Table {
        say::line(&say::text(context.language, text));
    }
}

fn print_good(context: Context, text: &Text) {
    if context.output == Output::Table {
        say::line(&paint("32;1", &say::text(context.language, text)));
    }
}
