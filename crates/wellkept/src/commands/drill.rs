//! `wellkept drill`: a harmless fault on a declared service, and how fast and how rightly it was healed.
//!
//! It is refused outside of a window for drills, unless somebody says `--yes` at a terminal. What is done is undone in
//! any case: by a lease, a process of its own that undoes it when this one ends, however it ends, and when time is up.

mod fault;
mod lease;
mod report;
mod watch;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::Value;
use wellkept_model::keep::Keep;
use wellkept_model::{EntityId, Text};

use super::Context;
use crate::cli::{Output, Remote};
use crate::client::Client;
use crate::clock::now;
use crate::exit::{Failure, NOT_WELL, OK, USAGE};
use crate::say;
use fault::Fault;
pub(super) use lease::hold;

/// How long the lease lasts beyond the time of the drill.
const LEASE_BEYOND: Duration = Duration::from_secs(30);
/// How long a service may take to be well again once its fault was taken away.
const WELL_AGAIN: Duration = Duration::from_secs(30);

/// What is to be done.
#[derive(Debug, Args)]
pub(crate) struct Wish {
    /// The service, as the keep file names it.
    pub(crate) service: String,
    /// The fault.
    #[arg(long, value_enum, default_value_t = Kind::Stop)]
    pub(crate) fault: Kind,
    /// For `fill`: the file system. Default: the first that the service uses.
    #[arg(long)]
    pub(crate) on: Option<String>,
    /// For `fill`: most MiB that are written; a file system that needs more is left alone.
    #[arg(long, default_value_t = 256)]
    pub(crate) at_most_mib: u64,
    /// How long Wellkept may take, seconds.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(5..=3600))]
    pub(crate) within: u64,
    /// Hold it outside of a window for drills; at a terminal only.
    #[arg(long)]
    pub(crate) yes: bool,
    /// The keep file. Default: the one of the running Wellkept.
    #[arg(long)]
    pub(crate) keep: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// A harmless fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// The main process is stopped (SIGSTOP).
    Stop,
    /// A file system is filled with one file that its `free_space` rule names.
    Fill,
    /// The service's port is blocked in the packet filter.
    Block,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Fill => "fill",
            Self::Block => "block",
        }
    }
}

pub(super) async fn run(c: Context, wish: Wish) -> anyhow::Result<u8> {
    let client = c.client(&wish.remote);
    let overview = client.get("/api/v1/overview").await?;
    let keep = keep_file(c, &wish, &overview)?;
    permitted(c, &wish, &keep)?;
    able(c, &wish, &overview)?;
    at_peace(c, &client, &wish.service).await?;
    let fault = Fault::plan(&wish, &keep, &overview).map_err(|why| refused(c, why))?;
    if let Some(missing) = fault.missing_means(&wish.service, &keep) {
        tell(c, &missing);
    }
    let within = Duration::from_secs(wish.within);
    let lease = lease::Lease::take(&fault, within + LEASE_BEYOND).await?;
    let began = now();
    tell(c, &Text::new(&format!("cli.drill.{}", wish.fault.word())).with("what", fault.shown()));
    // Whatever happens from here on: dropping the lease undoes it.
    let injected = fault.inject();
    let seen = match &injected {
        Ok(()) => watch::watch(c, &client, &fault.entity(&wish.service), &fault, began, within).await,
        Err(_) => watch::Seen::default(),
    };
    let left = lease.end().await || fault.undo().unwrap_or(false);
    injected.map_err(|e| refused(c, Text::new("cli.drill.not_injected").with("why", format!("{e:#}"))))?;
    let well = well_again(&client, &wish.service).await;
    let report = report::Report { wish: &wish, began, seen, left, well };
    report.show(c);
    Ok(if report.passed() { OK } else { NOT_WELL })
}

fn refused(c: Context, why: Text) -> Failure {
    Failure::new(USAGE, say::text(c.language, &why))
}

fn tell(c: Context, text: &Text) {
    if c.output == Output::Table {
        say::line(&say::text(c.language, text));
    }
}

fn keep_file(c: Context, wish: &Wish, overview: &Value) -> anyhow::Result<Keep> {
    let of_server = || overview["keep_file"].as_str().map(PathBuf::from);
    let Some(path) = wish.keep.clone().or_else(of_server) else {
        return Err(refused(c, Text::new("cli.drill.no_keep")).into());
    };
    let (keep, _) = super::check::load(&path, c.language)?;
    if !keep.services.contains_key(&wish.service) {
        let text = Text::new("cli.drill.undeclared").with("name", &wish.service).with("file", path.display());
        return Err(refused(c, text).into());
    }
    Ok(keep)
}

/// A window for drills, or a person who means it. Where work is announced, nothing would be found and healed.
fn permitted(c: Context, wish: &Wish, keep: &Keep) -> Result<(), Failure> {
    let entity = EntityId::service(&wish.service);
    let windows = wellkept_collect::open_windows(&keep.maintenance, now());
    if let Some(work) = windows.iter().find(|w| w.covers(&entity)) {
        let text =
            Text::new("cli.drill.maintenance").with("name", &wish.service).with("reason", &work.reason);
        return Err(refused(c, text));
    }
    let meant = wish.yes && std::io::stdin().is_terminal();
    if meant || windows.iter().any(|w| w.allows_drill(&entity)) {
        return Ok(());
    }
    Err(refused(c, Text::new("cli.drill.no_window").with("name", &wish.service)))
}

/// A drill on what is ill already would prove nothing.
fn able(c: Context, wish: &Wish, overview: &Value) -> Result<(), Failure> {
    if overview["frozen"].is_string() {
        return Err(refused(c, Text::new("cli.drill.frozen")));
    }
    if is_well(overview, &wish.service) {
        return Ok(());
    }
    Err(refused(c, Text::new("cli.drill.not_well").with("name", &wish.service)))
}

/// What is still being healed or verified would be mixed up with the drill.
async fn at_peace(c: Context, client: &Client, service: &str) -> anyhow::Result<()> {
    let all = client.get("/api/v1/incidents").await?;
    let mut all = all["incidents"].as_array().into_iter().flatten();
    let Some(open) = all.find(|i| i["component"] == service && i["status"] != "resolved") else {
        return Ok(());
    };
    let id = open["id"].as_str().unwrap_or_default();
    Err(refused(c, Text::new("cli.drill.incident").with("name", service).with("id", id)).into())
}

fn is_well(overview: &Value, service: &str) -> bool {
    let all = overview["services"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = all.iter().find(|s| s["name"] == service);
    found.is_some_and(|s| s["state"] == "running" && s["healthy"] == s["checks"])
}

async fn well_again(client: &Client, service: &str) -> bool {
    let began = now();
    while now().since(began) < WELL_AGAIN {
        let overview = client.get("/api/v1/overview").await.unwrap_or_default();
        if is_well(&overview, service) {
            return true;
        }
        tokio::time::sleep(watch::LOOK_EVERY).await;
    }
    false
}
