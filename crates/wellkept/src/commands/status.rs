//! `wellkept status`: is everything well?

use serde_json::Value;
use wellkept_model::Text;

use super::Context;
use crate::cli::{Output, Remote};
use crate::exit::{NOT_WELL, OK};
use crate::say::{self, paint, word};

pub(super) async fn run(c: Context, remote: Remote) -> anyhow::Result<u8> {
    let overview = c.client(&remote).get("/api/v1/overview").await?;
    let well = overview["well"].as_bool().unwrap_or(false);
    match c.output {
        Output::Json => say::line(&overview.to_string()),
        Output::Table => print(c, &overview, well),
    }
    Ok(if well { OK } else { NOT_WELL })
}

fn print(c: Context, overview: &Value, well: bool) {
    let host = overview["host"].as_str().unwrap_or_default();
    let key = if well { "cli.status.well" } else { "cli.status.not_well" };
    let line =
        say::text(c.language, &Text::new(key).with("host", host).with("count", &overview["incidents_open"]));
    say::line(&paint(if well { "32;1" } else { "31;1" }, &line));
    let mode = overview["mode"].as_str().unwrap_or_default();
    say::line(&say::text(
        c.language,
        &Text::new("cli.status.mode").with("mode", mode).with("series", &overview["series"]),
    ));
    if let Some(note) = overview["frozen"].as_str() {
        say::line(&paint("33;1", &say::text(c.language, &Text::new("cli.status.frozen").with("note", note))));
    }
    let services: Vec<_> =
        overview["services"].as_array().into_iter().flatten().map(|s| service(c, s)).collect();
    if !services.is_empty() {
        say::line("");
        let head = ["service", "state", "checks", "pid", "cpu", "memory"];
        say::table(&head.map(|k| word(c.language, &format!("cli.column.{k}"))), services);
    }
    let filesystems: Vec<_> =
        overview["filesystems"].as_array().into_iter().flatten().map(|f| filesystem(c, f)).collect();
    if !filesystems.is_empty() {
        say::line("");
        let head = ["filesystem", "used", "available", "full_in"];
        say::table(&head.map(|k| word(c.language, &format!("cli.column.{k}"))), filesystems);
    }
}

fn service(c: Context, s: &Value) -> Vec<String> {
    let bytes = Text::new("cli.bytes").with("n", &s["rss_bytes"]);
    let cpu = Text::new("cli.percent").with("x", s["cpu"].as_f64().unwrap_or(0.0));
    let state = s["state"].as_str().unwrap_or_default();
    let state_text = word(c.language, &format!("cli.state.{state}"));
    vec![
        wellkept_catalogue::harmless(s["name"].as_str().unwrap_or_default()).into_owned(),
        if state == "running" { state_text } else { paint("31", &state_text) },
        format!("{}/{}", s["healthy"], s["checks"]),
        s["pid"].as_u64().map_or_else(String::new, |p| p.to_string()),
        say::text(c.language, &cpu),
        say::text(c.language, &bytes),
    ]
}

fn filesystem(c: Context, f: &Value) -> Vec<String> {
    let (size, avail) = (f["size_bytes"].as_f64().unwrap_or(0.0), f["avail_bytes"].as_f64().unwrap_or(0.0));
    let used = if size > 0.0 { 1.0 - avail / size } else { 0.0 };
    let full_in = f["full_in_seconds"].as_f64().filter(|s| *s < 7.0 * 86_400.0);
    let full_in = full_in.map(|s| Text::new("cli.duration").with("ms", format!("{:.0}", s * 1000.0)));
    vec![
        wellkept_catalogue::harmless(f["mountpoint"].as_str().unwrap_or_default()).into_owned(),
        say::text(c.language, &Text::new("cli.percent").with("x", used)),
        say::text(c.language, &Text::new("cli.bytes").with("n", &f["avail_bytes"])),
        full_in.map_or_else(String::new, |t| say::text(c.language, &t)),
    ]
}
