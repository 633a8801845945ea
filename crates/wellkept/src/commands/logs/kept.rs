//! Lines that a running Wellkept keeps: searched, followed, as patterns, and what is odd about them.

use form_urlencoded::Serializer;
use serde_json::{Value, json};
use wellkept_catalogue::harmless;
use wellkept_model::Text;

use crate::cli::{Output, Remote, WhichLines};
use crate::commands::Context;
use crate::exit::{NOT_WELL, OK};
use crate::say::{self, word};

/// Lines of one request.
const PAGE: usize = 2000;

/// A mark that is made or taken back.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) template: String,
    pub(super) kind: String,
    pub(super) parameter: Option<u8>,
    pub(super) harmless: bool,
}

/// Parameters of the time and the query. The end is fixed, so that pages fit together.
fn asked(which: &WhichLines) -> Serializer<'static, String> {
    let mut asked = Serializer::new(String::new());
    let now = crate::clock::now();
    let end = which.to.clone().unwrap_or_else(|| (now.0 / 1000 + 1).to_string());
    let since = now.0 / 1000 - i64::try_from(which.since.as_secs()).unwrap_or(i64::MAX);
    let start = which.from.clone().unwrap_or_else(|| since.to_string());
    asked.append_pair("query", &which.query).append_pair("start", &start).append_pair("end", &end);
    asked
}

pub(super) async fn search(
    c: Context,
    which: &WhichLines,
    limit: usize,
    around: usize,
) -> anyhow::Result<u8> {
    let client = c.client(&which.remote);
    let (mut found, mut cursor) = (Vec::new(), String::new());
    let parameters = asked(which).finish();
    let mut stopped = Value::Null;
    while found.len() < limit {
        let page = PAGE.min(limit - found.len());
        let tail = Serializer::new(String::new())
            .append_pair("limit", &page.to_string())
            .append_pair("cursor", &cursor)
            .finish();
        let answer = client.get(&format!("/api/v1/logs/search?{parameters}&{tail}")).await?;
        let data = &answer["data"];
        found.extend(data["lines"].as_array().cloned().unwrap_or_default());
        stopped = data["stopped"].clone();
        match data["next"].as_str() {
            Some(next) if stopped.is_null() => next.clone_into(&mut cursor),
            _ => break,
        }
    }
    found.reverse();
    for line in &found {
        let (before, after) =
            if around > 0 { context_of(&client, line, around).await? } else { (Vec::new(), Vec::new()) };
        before.iter().for_each(|l| show(c, l, false));
        show(c, line, true);
        after.iter().for_each(|l| show(c, l, false));
        if around > 0 && c.output == Output::Table {
            say::line("--");
        }
    }
    if let Some(why) = stopped.as_str() {
        say::error(&say::text(c.language, &Text::new("cli.logs.stopped").with("why", why)));
    }
    Ok(if found.is_empty() { NOT_WELL } else { OK })
}

pub(super) async fn count(c: Context, which: &WhichLines) -> anyhow::Result<u8> {
    let answer =
        c.client(&which.remote).get(&format!("/api/v1/logs/count?{}", asked(which).finish())).await?;
    let data = &answer["data"];
    say::line(&if c.output == Output::Json { data.to_string() } else { data["count"].to_string() });
    if let Some(why) = data["stopped"].as_str() {
        say::error(&say::text(c.language, &Text::new("cli.logs.stopped").with("why", why)));
    }
    Ok(if data["count"] == 0 { NOT_WELL } else { OK })
}

async fn context_of(
    client: &crate::client::Client,
    line: &Value,
    around: usize,
) -> anyhow::Result<(Vec<Value>, Vec<Value>)> {
    // A line may be longer than an address.
    let parameters = Serializer::new(String::new())
        .append_pair("at_ns", line["at_ns"].as_str().unwrap_or_default())
        .append_pair("labels", &line["labels"].to_string())
        .append_pair("text", line["text"].as_str().unwrap_or_default())
        .append_pair("before", &around.to_string())
        .append_pair("after", &around.to_string())
        .finish();
    let answer = client.post_form("/api/v1/logs/context", parameters).await?;
    let side = |name: &str| answer["data"][name].as_array().cloned().unwrap_or_default();
    Ok((side("before"), side("after")))
}

/// One line: time, level, service, text. For programs the whole object.
fn show(c: Context, line: &Value, is_hit: bool) {
    if c.output == Output::Json {
        return say::line(&line.to_string());
    }
    let text = harmless(line["text"].as_str().unwrap_or_default()).into_owned();
    let level = line["level"].as_str().unwrap_or("-");
    let labels = &line["labels"];
    let service = ["service", "app", "unit", "container", "job", "filename"]
        .iter()
        .find_map(|name| labels[name].as_str())
        .unwrap_or("-");
    let level = say::paint(colour(level), &format!("{level:8}"));
    let told = format!("{} {level} {} {text}", time(&line["at_ns"]), harmless(service));
    say::line(&if is_hit { told } else { say::paint("2", &told) });
}

fn colour(level: &str) -> &'static str {
    match level {
        "critical" | "error" => "31",
        "warning" => "33",
        _ => "2",
    }
}

fn time(at_ns: &Value) -> String {
    let ns = at_ns.as_str().and_then(|t| t.parse::<i128>().ok()).unwrap_or_default();
    let at = jiff::Timestamp::from_nanosecond(ns).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

pub(super) async fn tail(c: Context, remote: &Remote, query: &str) -> anyhow::Result<u8> {
    let parameters = Serializer::new(String::new()).append_pair("query", query).finish();
    let path = format!("/api/v1/logs/tail?{parameters}");
    c.client(remote)
        .events(&path, &mut |event, data| {
            let value: Value = serde_json::from_str(data).unwrap_or_default();
            if event == "line" {
                show(c, &value, true);
            } else if event == "dropped" {
                let text = Text::new("cli.logs.dropped").with("count", &value["count"]);
                say::error(&say::text(c.language, &text));
            }
        })
        .await?;
    Ok(OK)
}

pub(super) async fn patterns(c: Context, which: &WhichLines, limit: usize, new: bool) -> anyhow::Result<u8> {
    let parameters = asked(which).append_pair("top", &if new { 2000 } else { limit }.to_string()).finish();
    let answer = c.client(&which.remote).get(&format!("/api/v1/logs/patterns?{parameters}")).await?;
    let patterns = answer["data"]["patterns"].as_array().cloned().unwrap_or_default();
    let wanted = patterns.into_iter().filter(|p| !new || p["new"] == true).take(limit);
    let patterns: Vec<Value> = wanted.collect();
    if c.output == Output::Json {
        let told = json!({"patterns": patterns, "templates": answer["data"]["templates"], "lines": answer["data"]["lines"]});
        say::line(&told.to_string());
        return Ok(OK);
    }
    let head = ["template", "lines", "first", "last", "new", "text"];
    let head = head.map(|k| word(c.language, &format!("cli.column.{k}")));
    let rows = patterns.iter().map(|p| {
        vec![
            p["template"].as_str().unwrap_or_default().to_owned(),
            p["count"].to_string(),
            time(&p["first_ns"]),
            time(&p["last_ns"]),
            if p["new"] == true { word(c.language, "cli.logs.new") } else { String::new() },
            harmless(p["text"].as_str().unwrap_or_default()).into_owned(),
        ]
    });
    say::table(&head, rows.collect());
    Ok(OK)
}

pub(super) async fn unusual(c: Context, remote: &Remote) -> anyhow::Result<u8> {
    let answer = c.client(remote).get("/api/v1/logs/oddities").await?;
    if c.output == Output::Json {
        say::line(&answer["data"].to_string());
        return Ok(OK);
    }
    let all = answer["data"]["oddities"].as_array().cloned().unwrap_or_default();
    if all.is_empty() {
        say::line(&word(c.language, "cli.logs.nothing_odd"));
    }
    for o in &all {
        let text = |name: &str| harmless(o[name].as_str().unwrap_or_default()).into_owned();
        let template = say::paint("2", &text("template"));
        say::line(&format!("{} {template} {}: {}", time(&o["at_ns"]), text("text"), text("template_text")));
    }
    Ok(OK)
}

pub(super) async fn marks(c: Context, remote: &Remote) -> anyhow::Result<u8> {
    let answer = c.client(remote).get("/api/v1/logs/harmless").await?;
    if c.output == Output::Json {
        say::line(&answer["data"].to_string());
        return Ok(OK);
    }
    let all = answer["data"]["harmless"].as_array().cloned().unwrap_or_default();
    if all.is_empty() {
        say::line(&word(c.language, "cli.logs.nothing_marked"));
    }
    for m in &all {
        let text = |name: &str| harmless(m[name].as_str().unwrap_or_default()).into_owned();
        let (template, kind, by) = (text("template"), text("kind"), text("by"));
        say::line(&format!("{template} {kind} ({by}): {}", text("template_text")));
    }
    Ok(OK)
}

pub(super) async fn mark(c: Context, remote: &Remote, mark: &Mark) -> anyhow::Result<u8> {
    let Mark { template, kind, parameter, harmless } = mark;
    let body = json!({"template": template, "kind": kind, "parameter": parameter, "harmless": harmless});
    c.client(remote).post("/api/v1/logs/harmless", &body).await?;
    let key = if *harmless { "cli.logs.marked" } else { "cli.logs.unmarked" };
    say::line(&say::text(c.language, &Text::new(key).with("template", template).with("kind", kind)));
    Ok(OK)
}
