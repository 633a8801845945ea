//! `wellkept why`: the story of one incident.

use serde_json::Value;
use wellkept_model::Text;

use super::Context;
use crate::cli::{Output, Remote};
use crate::exit::OK;
use crate::say::{self, paint, word};

pub(super) async fn run(c: Context, remote: Remote, incident: u64) -> anyhow::Result<u8> {
    let shown = c.client(&remote).get(&format!("/api/v1/incidents/{incident}")).await?;
    match c.output {
        Output::Json => say::line(&shown.to_string()),
        Output::Table => tell(c, &shown),
    }
    Ok(OK)
}

fn tell(c: Context, i: &Value) {
    let status = word(c.language, &format!("status.incident.{}", i["status"].as_str().unwrap_or_default()));
    say::line(&paint("1", &format!("#{} {}", text(&i["id"]), text(&i["title"]))));
    say::line(&format!("{status}, {}", when(c, &i["opened_at"])));
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
