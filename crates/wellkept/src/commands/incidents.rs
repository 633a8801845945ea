//! `wellkept incidents`: what was wrong, and what was done.

use serde_json::{Value, json};
use wellkept_model::Text;

use super::Context;
use crate::cli::{Output, Remote};
use crate::exit::{NOT_WELL, OK};
use crate::say::{self, word};

pub(super) async fn run(c: Context, remote: Remote, open: bool) -> anyhow::Result<u8> {
    let mut answer = c.client(&remote).get("/api/v1/incidents").await?;
    if open {
        let all = answer["incidents"].as_array().cloned().unwrap_or_default();
        let open: Vec<_> = all.into_iter().filter(|i| i["status"] != "resolved").collect();
        answer = json!({ "incidents": open });
    }
    let incidents = answer["incidents"].as_array().cloned().unwrap_or_default();
    match c.output {
        Output::Json => say::line(&answer.to_string()),
        Output::Table if incidents.is_empty() => say::line(&word(c.language, "cli.incidents.none")),
        Output::Table => {
            let head = ["id", "opened", "status", "title", "actions"];
            let head = head.map(|k| word(c.language, &format!("cli.column.{k}")));
            say::table(&head, incidents.iter().map(|i| row(c, i)).collect());
        }
    }
    let any_open = incidents.iter().any(|i| i["status"] != "resolved");
    Ok(if any_open { NOT_WELL } else { OK })
}

fn row(c: Context, i: &Value) -> Vec<String> {
    let text = |v: &Value| wellkept_catalogue::harmless(v.as_str().unwrap_or_default()).into_owned();
    let done = i["actions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|a| a["status"] != "planned" && a["status"] != "skipped");
    let actions: Vec<String> =
        done.map(|a| format!("{} {}", text(&a["kind_text"]), text(&a["target"]))).collect();
    vec![
        text(&i["id"]),
        say::text(c.language, &Text::new("cli.time").with("at", &i["opened_at"])),
        word(c.language, &format!("status.incident.{}", i["status"].as_str().unwrap_or_default())),
        text(&i["title"]),
        actions.join(", "),
    ]
}
