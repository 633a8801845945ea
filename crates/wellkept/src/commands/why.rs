//! `wellkept why`: the story of one incident.

use serde_json::Value;
use wellkept_model::Text;

use super::Context;
use crate::cli::{Output, Remote};
use crate::exit::OK;
use crate::say::{self, paint, word};

pub(super) async fn run(c: Context, remote: Remote, incident: u64) -> anyhow::Result<u8> {
    let client = c.client(&remote);
    let mut shown = client.get(&format!("/api/v1/incidents/{incident}")).await?;
    // A server without logs has a story, too.
    let logs = client.get(&format!("/api/v1/incidents/{incident}/logs")).await;
    let logs = logs.map_or(Value::Null, |mut answer| answer["data"].take());
    match c.output {
        Output::Json => {
            shown["logs"] = logs;
            say::line(&shown.to_string());
        }
        Output::Table => {
            tell(c, &shown);
            tell_logs(c, &logs);
            tell_prevention(c, &shown["prevention"]);
        }
    }
    Ok(OK)
}

/// What could be declared so that it does not come again.
fn tell_prevention(c: Context, prevention: &Value) {
    let Some(patch) = prevention["patch"].as_str() else { return };
    section(c, "cli.why.prevention");
    say::line(&format!("  {}", text(&prevention["text"])));
    say::line(&paint("2", &format!("  {}", word(c.language, "cli.why.patch"))));
    for line in patch.lines() {
        say::line(&format!("    {}", wellkept_catalogue::harmless(line)));
    }
}

/// What the lines around it say, and what was like it.
fn tell_logs(c: Context, logs: &Value) {
    if items(&logs["summary"]).next().is_some() {
        section(c, "cli.why.logs");
    }
    for line in items(&logs["summary"]) {
        let count = Text::new("cli.why.times").with("count", &line["count"]);
        say::line(&format!("  {:>8}  {}", say::text(c.language, &count), text(&line["text"])));
    }
    let terms: Vec<String> = items(&logs["terms"]).take(8).map(|t| text(&t["term"])).collect();
    if !terms.is_empty() {
        let told = Text::new("cli.why.terms").with("terms", terms.join(", "));
        say::line(&paint("2", &format!("            {}", say::text(c.language, &told))));
    }
    if items(&logs["past"]).next().is_some() {
        section(c, "cli.why.past");
    }
    for past in items(&logs["past"]) {
        let score = Text::new("cli.percent").with("x", past["score"].as_f64().unwrap_or(0.0));
        let score = say::text(c.language, &score);
        say::line(&format!("  {score:>5}  #{} {}", text(&past["id"]), text(&past["title"])));
    }
}

fn tell(c: Context, i: &Value) {
    let status = word(c.language, &format!("status.incident.{}", i["status"].as_str().unwrap_or_default()));
    say::line(&paint("1", &format!("#{} {}", text(&i["id"]), text(&i["title"]))));
    say::line(&format!("{status}, {}", when(c, &i["opened_at"])));
    if let Some(times) = i["times"].as_u64().filter(|n| *n > 1) {
        say::line(&paint("33", &say::text(c.language, &Text::new("cli.why.recurs").with("count", times))));
    }
    section(c, "cli.why.causes");
    for cause in items(&i["causes"]) {
        let score = Text::new("cli.percent").with("x", cause["score"].as_f64().unwrap_or(0.0));
        say::line(&format!("  {:>5}  {}", say::text(c.language, &score), text(&cause["detail"])));
        for evidence in items(&cause["evidence"]) {
            say::line(&paint(
                "2",
                &format!("           {}  {}", when(c, &evidence["at"]), text(&evidence["text"])),
            ));
        }
    }
    section(c, "cli.why.timeline");
    for moment in items(&i["timeline"]) {
        let kind = word(c.language, &format!("cli.moment.{}", moment["kind"].as_str().unwrap_or_default()));
        say::line(&format!("  {}  {kind:<9} {}", when(c, &moment["at"]), text(&moment["text"])));
    }
    let plan = &i["plan"];
    if i["status"] != "resolved" && plan["withheld"].is_string() {
        section(c, "cli.why.plan");
        for step in items(&plan["steps"]) {
            say::line(&format!("  {}", text(&step["reason"])));
        }
        let hint = Text::new("cli.why.approve").with("id", text(&i["id"]));
        say::line(&paint("33", &say::text(c.language, &hint)));
    }
}

fn section(c: Context, key: &str) {
    say::line("");
    say::line(&paint("1", &word(c.language, key)));
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    wellkept_catalogue::harmless(value.as_str().unwrap_or_default()).into_owned()
}

fn when(c: Context, at: &Value) -> String {
    say::text(c.language, &Text::new("cli.time").with("at", at))
}
