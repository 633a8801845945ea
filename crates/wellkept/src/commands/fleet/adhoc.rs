//! `wellkept run`, `copy`, `fetch`, `script`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;
use wellkept_fleet::adhoc::{Asking, Deed, Place, Row, Status, exit_code, perform};
use wellkept_fleet::desk::Desk as _;
use wellkept_fleet::expect::Script;
use wellkept_fleet::helper::protocol::Order;
use wellkept_fleet::play::Hands;
use wellkept_fleet::records::{HostRecord, Records, record};
use wellkept_fleet::scene::Scene;
use wellkept_fleet::spread::Spread;
use wellkept_model::Text;
use wellkept_ssh::{Bounds, Command, CommandLine};
use zeroize::Zeroizing;

use super::args::{
    Bounding, CopyArgs, ExpectArgs, FactsArgs, FetchArgs, Reaching, RunArgs, ScriptArgs, Spreading,
};
use super::scene::{Stage, me};
use super::show::{self, Event, Live};
use super::terminal::Terminal;
use super::{bad, text, word};
use crate::cli::Output;
use crate::commands::{Context, default_data_dir};
use crate::say;

/// Hosts at once when nobody says.
const FORKS: usize = 5;
/// How many events wait for being shown.
const EVENTS_MAX: usize = 1024;
/// The largest program for `script`, bytes.
const PROGRAM_MAX: u64 = 64 * 1024 * 1024;

/// What is asked of all hosts.
struct Job<'a> {
    kind: &'static str,
    what: Vec<String>,
    pattern: &'a str,
    reaching: &'a Reaching,
    spreading: &'a Spreading,
}

pub(in crate::commands) async fn run(context: Context, mut args: RunArgs) -> anyhow::Result<u8> {
    let records = records(&args.spreading);
    if args.command.is_empty() {
        let last = records.as_ref().map(|records| records.last("run")).transpose()?.flatten();
        args.command = last.map(|last| last.what).ok_or_else(|| bad(word(context, "fleet.retry.none")))?;
    }
    let line =
        if args.shell { CommandLine::line(args.command.join(" ")) } else { CommandLine::argv(&args.command) };
    let command = Command { bounds: bounds(&args.bounding), ..Command::new(line.map_err(bad)?) };
    let job = Job {
        kind: "run",
        what: args.command,
        pattern: &args.pattern,
        reaching: &args.reaching,
        spreading: &args.spreading,
    };
    job.over(context, Deed::Command(command)).await
}

pub(in crate::commands) async fn copy(context: Context, args: CopyArgs) -> anyhow::Result<u8> {
    let what = vec![args.source.display().to_string(), args.to.clone()];
    let deed = Deed::Copy { source: args.source, to: args.to, mode: args.mode, verify: args.verify };
    let job = Job {
        kind: "copy",
        what,
        pattern: &args.pattern,
        reaching: &args.reaching,
        spreading: &args.spreading,
    };
    job.over(context, deed).await
}

pub(in crate::commands) async fn fetch(context: Context, args: FetchArgs) -> anyhow::Result<u8> {
    let what = vec![args.path.clone(), args.into.display().to_string()];
    let deed =
        Deed::Fetch { path: args.path, into: args.into, max_bytes: args.max_mib.saturating_mul(1 << 20) };
    let job = Job {
        kind: "fetch",
        what,
        pattern: &args.pattern,
        reaching: &args.reaching,
        spreading: &args.spreading,
    };
    job.over(context, deed).await
}

pub(in crate::commands) async fn script(context: Context, args: ScriptArgs) -> anyhow::Result<u8> {
    let named = |e: std::io::Error| bad(format!("{}: {e}", args.program.display()));
    let size = std::fs::metadata(&args.program).map_err(named)?.len();
    if size > PROGRAM_MAX {
        return Err(named(std::io::ErrorKind::FileTooLarge.into()).into());
    }
    let program = Bytes::from(std::fs::read(&args.program).map_err(named)?);
    let what = std::iter::once(args.program.display().to_string()).chain(args.args.iter().cloned()).collect();
    let deed = Deed::Script { program, args: args.args, bounds: bounds(&args.bounding) };
    let job = Job {
        kind: "script",
        what,
        pattern: &args.pattern,
        reaching: &args.reaching,
        spreading: &args.spreading,
    };
    job.over(context, deed).await
}

pub(in crate::commands) async fn expect(context: Context, args: ExpectArgs) -> anyhow::Result<u8> {
    let named = |why: String| bad(format!("{}: {why}", args.script.display()));
    let text = std::fs::read_to_string(&args.script).map_err(|e| named(e.to_string()))?;
    let place = wellkept_inventory::Place::file(&args.script.display().to_string());
    let node = wellkept_inventory::read_yaml(&text, &place).map_err(bad)?;
    let json = node.map(|node| wellkept_fleet::values::to_json(&node.into_value())).unwrap_or_default();
    let script: Script = serde_json::from_value(json).map_err(|e| named(e.to_string()))?;
    let terminal = Terminal::new(context.language);
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
    };
    let dialogue = script.ready(&read, &|question| terminal.secret(question)).map_err(named)?;
    let job = Job {
        kind: "expect",
        what: vec![args.script.display().to_string()],
        pattern: &args.pattern,
        reaching: &args.reaching,
        spreading: &args.spreading,
    };
    job.over(context, Deed::Expect(dialogue)).await
}

pub(in crate::commands) async fn facts(context: Context, args: FactsArgs) -> anyhow::Result<u8> {
    let stage = Stage::new(context, &args.reaching)?;
    let desk = Arc::clone(&stage.terminal);
    let exe = std::env::current_exe()?;
    let hands = Hands::new(Arc::new(stage.pool()?), desk, &exe, false).remembering(stage.stamps());
    let hands = Arc::new(hands);
    let mut order = Order::default();
    order.call.module = "setup".to_owned();
    if !args.filter.is_empty() {
        order.call.args.insert("filter".to_owned(), args.filter.clone().into());
    }
    let job = Job {
        kind: "facts",
        what: args.filter.clone(),
        pattern: &args.pattern,
        reaching: &args.reaching,
        spreading: &args.spreading,
    };
    let asking = Asking { hands: Arc::clone(&hands), order: Box::new(order) };
    let code = job.over(context, Deed::Module(asking)).await;
    hands.close().await;
    code
}

fn bounds(given: &Bounding) -> Bounds {
    Bounds { time: given.within, kept_bytes: given.keep_output.saturating_mul(1024), ..Bounds::default() }
}

fn records(spreading: &Spreading) -> Option<Records> {
    Records::of(&spreading.data_dir.clone().unwrap_or_else(default_data_dir))
}

/// A host with its way, or why there is none.
#[derive(Clone)]
enum Way {
    Place(Box<Place>),
    None(String, String),
}

impl Job<'_> {
    async fn over(&self, context: Context, deed: Deed) -> anyhow::Result<u8> {
        let stage = Stage::new(context, self.reaching)?;
        let scene = stage.scene(context, self.reaching, None)?;
        let names = self.names(context, &scene)?;
        let ways: Vec<Way> = names
            .iter()
            .map(|name| match scene.place(name) {
                Ok(place) => Way::Place(Box::new(place)),
                Err(error) => Way::None(name.clone(), error.to_string()),
            })
            .collect();
        notices(&ways);
        let began = crate::clock::now().0;
        let forks = self.spreading.forks.or_else(|| stage.settings.number("forks").map(|n| n as usize));
        let spread = Spread {
            forks: forks.unwrap_or(FORKS).max(1),
            serial: self.spreading.serial.clone(),
            max_fail_percent: self.spreading.max_fail,
            stop: stop_on_interrupt(),
        };
        let rows = all(context, stage.pool()?, &spread, ways, deed).await;
        let rows: Vec<Row> = rows
            .into_iter()
            .zip(&names)
            .map(|(row, name)| row.unwrap_or_else(|| Row::bare(name, Status::NotBegun, None)))
            .collect();
        let exit = exit_code(&rows);
        match context.output {
            Output::Table => show::table(context, &rows),
            Output::Json => show::json(&rows, exit),
        }
        self.keep(&rows, exit, began);
        Ok(exit)
    }

    fn names(&self, context: Context, scene: &Scene) -> anyhow::Result<Vec<String>> {
        let limit = limits(&self.reaching.limit)?;
        let chosen = scene.names(self.pattern, &limit).map_err(bad)?;
        for part in &chosen.unmatched {
            say::error(&text(context, &Text::new("fleet.pattern.unmatched").with("pattern", part)));
        }
        let mut names = chosen.hosts;
        if self.spreading.retry_failed {
            let last = records(self.spreading).map(|records| records.last(self.kind)).transpose()?.flatten();
            let last = last.filter(|last| last.what == self.what);
            let last = last.ok_or_else(|| bad(word(context, "fleet.retry.none")))?;
            let again = last.to_retry();
            names.retain(|name| again.contains(&name.as_str()));
            if names.is_empty() {
                return Err(bad(word(context, "fleet.retry.nothing")).into());
            }
        }
        if names.is_empty() {
            return Err(
                bad(text(context, &Text::new("fleet.pattern.nobody").with("pattern", self.pattern))).into()
            );
        }
        Ok(names)
    }

    /// A run is recorded where a data directory is; that it cannot be does not change what was done.
    fn keep(&self, rows: &[Row], exit: u8, began: i64) {
        let Some(records) = records(self.spreading) else { return };
        let mut kept = record(self.kind, &self.what, self.pattern, &me(), began);
        kept.head.ended_ms = crate::clock::now().0;
        kept.head.exit = exit;
        kept.hosts = rows.iter().map(HostRecord::of).collect();
        if let Err(error) = records.put(&kept) {
            say::error(&error.to_string());
        }
    }
}

/// Each different notice once.
fn notices(ways: &[Way]) {
    let mut told = std::collections::BTreeSet::new();
    for way in ways {
        if let Way::Place(place) = way {
            told.extend(place.reach.notices.iter().cloned());
        }
    }
    for notice in told {
        say::error(&notice);
    }
}

async fn all(
    context: Context,
    pool: wellkept_fleet::pool::Pool,
    spread: &Spread,
    ways: Vec<Way>,
    deed: Deed,
) -> Vec<Option<Row>> {
    let (events, mut inbox) = mpsc::channel(EVENTS_MAX);
    let (pool, deed) = (Arc::new(pool), Arc::new(deed));
    let mut live = Live::new(context, ways.len());
    let closing = Arc::clone(&pool);
    let working = async move {
        let rows =
            spread.over(&ways, |way| one(Arc::clone(&pool), way, Arc::clone(&deed), events.clone())).await;
        drop(events);
        rows
    };
    let showing = async {
        while let Some(event) = inbox.recv().await {
            live.take(event);
        }
        live.end();
    };
    let (rows, ()) = tokio::join!(working, showing);
    closing.close().await;
    rows
}

async fn one(
    pool: Arc<wellkept_fleet::pool::Pool>,
    way: Way,
    deed: Arc<Deed>,
    events: mpsc::Sender<Event>,
) -> (Row, bool) {
    // Who shows lives as long as we do: an event that is not taken has nobody to miss it.
    let _ = events.send(Event::Begun).await;
    let row = match way {
        Way::None(name, why) => Row::bare(&name, Status::Unreached, Some(why)),
        Way::Place(place) => {
            let name = place.reach.name.clone();
            let mut live = |piece: &wellkept_ssh::Piece| {
                // Output that nobody shows in time is in the table all the same.
                let _ = events.try_send(Event::Piece(name.clone(), piece.clone()));
            };
            perform(&pool, &place, &deed, &mut live).await
        }
    };
    let _ = events.send(Event::Ended(Box::new(row.clone()))).await;
    let bad = row.status != Status::Ok;
    (row, bad)
}

/// The first Ctrl-C lets nothing new begin; the second ends the program.
pub(in crate::commands) fn stop_on_interrupt() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&stop);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if set.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
        }
    });
    stop
}

/// `--limit`: patterns, or `@FILE` with one name on each line.
pub(in crate::commands) fn limits(given: &[String]) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    for limit in given {
        match limit.strip_prefix('@') {
            None => all.push(limit.clone()),
            Some(path) => {
                let path = PathBuf::from(path);
                let text =
                    std::fs::read_to_string(&path).map_err(|e| bad(format!("{}: {e}", path.display())))?;
                all.extend(text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned));
            }
        }
    }
    Ok(all)
}
