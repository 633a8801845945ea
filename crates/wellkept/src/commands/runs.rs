//! `wellkept runs`: what was run on many hosts, when, by whom, and how it went; from the data directory, or from a server.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;
use wellkept_api::{Refusal, RefusalKind, RunsAsked};
use wellkept_catalogue::harmless;
use wellkept_model::Text;

use super::{Context, default_data_dir};
use crate::cli::{Output, Remote};
use crate::exit::{DATA_DIR, Failure, NOT_WELL, OK};
use crate::fleet_book::runs;
use crate::say::{self, paint, word};

/// How a host can have ended, with the colour of it; the good one last.
const STATUSES: [(&str, &str); 5] =
    [("failed", "31"), ("unreachable", "31"), ("unknown", "35"), ("not_begun", "33"), ("ok", "32")];
/// Characters of a command, and of a note, in a table.
const SHOWN_MAX: usize = 80;
const NOTE_MAX: usize = 160;

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// One run, as the list names it: its hosts with their outputs. Without it: the newest runs.
    id: Option<String>,
    /// Only runs of this kind: run, copy, fetch, script, expect, facts, play, apply.
    #[arg(long, conflicts_with = "id")]
    kind: Option<String>,
    /// Only runs with a host whose name holds this; of one run, only the host of this name.
    #[arg(long)]
    host: Option<String>,
    /// Only runs before the one of this ID.
    #[arg(long, value_name = "ID", conflicts_with = "id")]
    before: Option<String>,
    /// Most runs.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200), conflicts_with = "id")]
    limit: u16,
    /// Ask the running Wellkept at this address instead of reading the data directory.
    #[arg(long)]
    address: Option<SocketAddr>,
    /// Where runs are recorded, and the token. Default: as for `up`.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

pub(super) async fn run(c: Context, args: RunsArgs) -> anyhow::Result<u8> {
    let found = match args.address {
        Some(address) => asked(c, &args, address).await?,
        None => read(c, &args)?,
    };
    match (c.output, &args.id) {
        (Output::Json, _) => say::line(&found.to_string()),
        (Output::Table, Some(_)) => tell(c, &found),
        (Output::Table, None) => list(c, &found),
    }
    Ok(OK)
}

/// What a server says.
async fn asked(c: Context, args: &RunsArgs, address: SocketAddr) -> Result<Value, Failure> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let named = [("kind", &args.kind), ("host", &args.host), ("before", &args.before)];
    for (name, value) in named {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let path = match &args.id {
        // Whatever is no id stays one part of the path.
        Some(id) => {
            let id: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
            format!("/api/v1/fleet/runs/{id}?{}", query.finish())
        }
        None => {
            format!("/api/v1/fleet/runs?{}", query.append_pair("limit", &args.limit.to_string()).finish())
        }
    };
    let remote = Remote { address, data_dir: args.data_dir.clone() };
    Ok(c.client(&remote).get(&path).await?["data"].take())
}

/// What lies in the data directory.
fn read(c: Context, args: &RunsArgs) -> Result<Value, Failure> {
    let data_dir = args.data_dir.clone().unwrap_or_else(default_data_dir);
    if !data_dir.join("VERSION").is_file() {
        let text = Text::new("fleet.runs.nowhere").with("path", data_dir.display());
        return Err(Failure::new(DATA_DIR, say::text(c.language, &text)));
    }
    let wanted = || RunsAsked {
        kind: args.kind.clone(),
        host: args.host.clone(),
        before: args.before.clone(),
        limit: usize::from(args.limit),
    };
    let found = match &args.id {
        Some(id) => runs::whole(&data_dir, id, args.host.as_deref()),
        None => runs::list(&data_dir, &wanted()),
    };
    found.map_err(|Refusal { kind, text }| {
        let code = if kind == RefusalKind::NotFound { NOT_WELL } else { DATA_DIR };
        Failure::new(code, say::text(c.language, &text))
    })
}

fn list(c: Context, found: &Value) {
    let runs: Vec<&Value> = items(&found["runs"]).collect();
    if runs.is_empty() {
        return say::line(&word(c.language, "fleet.runs.none"));
    }
    let head = ["when", "id", "kind", "what", "who", "result", "took"];
    let head = head.map(|k| word(c.language, &format!("fleet.column.{k}")));
    say::table(&head, runs.iter().map(|run| row(c, run)).collect());
    if let Some(next) = found["next"].as_str() {
        let more = Text::new("fleet.runs.more").with("id", next);
        say::line(&paint("2", &say::text(c.language, &more)));
    }
}

fn row(c: Context, run: &Value) -> Vec<String> {
    let (when, id) = (when(c, &run["began_at"]), text(&run["id"]));
    if let Some(why) = run["damaged"].as_str() {
        return vec![when, id, "-".to_owned(), harmless(why).into_owned()];
    }
    vec![
        when,
        id,
        kind(c, run),
        short(&what(run), SHOWN_MAX),
        text(&run["who"]),
        counts(c, run),
        took(c, run),
    ]
}

fn tell(c: Context, run: &Value) {
    let title = format!("{} {}", kind(c, run), what(run));
    say::line(&paint("1", title.trim_end()));
    let said =
        Text::new("fleet.runs.said").with("who", text(&run["who"])).with("when", when(c, &run["began_at"]));
    let said = said.with("took", took(c, run)).with("exit", &run["exit"]).with("id", text(&run["id"]));
    say::line(&say::text(c.language, &said));
    if run["pattern"].as_str().is_some_and(|pattern| !pattern.is_empty()) {
        let hosts = Text::new("fleet.runs.pattern").with("pattern", text(&run["pattern"]));
        say::line(&say::text(c.language, &hosts));
    }
    let hosts: Vec<&Value> = items(&run["hosts"]).collect();
    for host in &hosts {
        output(c, host);
    }
    let head = ["host", "result", "exit", "time", "note"];
    let head = head.map(|k| word(c.language, &format!("fleet.column.{k}")));
    say::table(&head, hosts.iter().map(|host| host_row(c, host)).collect());
    if let Some(damaged) = run["damaged_hosts"].as_u64().filter(|n| *n > 0) {
        let told = Text::new("fleet.runs.damaged_hosts").with("count", damaged);
        say::line(&paint("31", &say::text(c.language, &told)));
    }
}

/// What a host wrote, line by line, and its tasks that failed.
fn output(c: Context, host: &Value) {
    let name = paint("2", &format!("{} |", text(&host["host"])));
    for stream in ["stdout", "stderr"] {
        for line in host[stream].as_str().unwrap_or_default().lines() {
            say::line(&format!("{name} {}", harmless(line)));
        }
    }
    for failure in items(&host["failures"]) {
        let how = word(c.language, &format!("fleet.status.{}", text(&failure["how"])));
        let said = match failure["hidden"] == true {
            true => word(c.language, "fleet.runs.hidden"),
            false => text(&failure["message"]),
        };
        let ignored =
            if failure["ignored"] == true { word(c.language, "fleet.runs.ignored") } else { String::new() };
        say::line(&format!("{name} [{}] {how}{ignored}: {said}", text(&failure["task"])));
    }
    let left = host["dropped_bytes"].as_u64().filter(|n| *n > 0);
    if host["left_out"] == true {
        say::line(&format!("{name} {}", word(c.language, "fleet.runs.left_out")));
    } else if let Some(bytes) = left {
        let text = Text::new("fleet.runs.dropped").with("bytes", bytes);
        say::line(&format!("{name} {}", say::text(c.language, &text)));
    }
}

fn host_row(c: Context, host: &Value) -> Vec<String> {
    let exit = host["exit"].as_u64().map_or_else(|| "-".to_owned(), |exit| exit.to_string());
    let status = text(&host["status"]);
    let colour = STATUSES.iter().find(|(s, _)| *s == status).map_or("0", |(_, colour)| colour);
    let time = match host["took_ms"].as_u64() {
        Some(ms @ 1..) => format!("{:.2} s", ms as f64 / 1000.0),
        _ => "-".to_owned(),
    };
    let note = match host["counts"].as_object() {
        Some(counts) => {
            let told =
                counts.iter().filter(|(_, n)| n.as_u64() != Some(0)).map(|(name, n)| format!("{name}={n}"));
            told.collect::<Vec<_>>().join(" ")
        }
        None => short(&text(&host["note"]), NOTE_MAX),
    };
    let result = paint(colour, &word(c.language, &format!("fleet.status.{status}")));
    vec![text(&host["host"]), result, exit, time, note]
}

/// How many hosts went how; what is not well first.
fn counts(c: Context, run: &Value) -> String {
    let told = STATUSES.iter().filter_map(|(status, colour)| {
        let count = run["counts"][*status].as_u64().filter(|n| *n > 0)?;
        Some(paint(colour, &format!("{count} {}", word(c.language, &format!("fleet.status.{status}")))))
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() { format!("exit {}", run["exit"]) } else { told.join(", ") }
}

fn kind(c: Context, run: &Value) -> String {
    let check = if run["check"] == true { word(c.language, "fleet.runs.check") } else { String::new() };
    format!("{}{check}", text(&run["kind"]))
}

/// The command as one line.
fn what(run: &Value) -> String {
    let parts: Vec<String> = items(&run["what"]).map(text).collect();
    let cut = if run["what_is_cut"] == true { "…" } else { "" };
    format!("{}{cut}", parts.join(" "))
}

fn took(c: Context, run: &Value) -> String {
    let at = |name: &str| run[name].as_i64().unwrap_or_default();
    let took = Text::new("fleet.runs.took").with("ms", at("ended_at").saturating_sub(at("began_at")).max(0));
    say::text(c.language, &took)
}

fn when(c: Context, at: &Value) -> String {
    say::text(c.language, &Text::new("cli.time").with("at", at))
}

fn short(text: &str, max: usize) -> String {
    let head: String = text.chars().take(max).collect();
    if head.len() < text.len() { format!("{head}…") } else { head }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    harmless(value.as_str().unwrap_or_default()).into_owned()
}
