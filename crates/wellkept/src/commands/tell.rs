//! The commands that tell a running Wellkept to do something.

use serde_json::{Value, json};
use wellkept_model::Text;

use super::{Context, default_data_dir, variable};
use crate::cli::{Output, Remote};
use crate::client::Client;
use crate::exit::{Failure, OK, USAGE};
use crate::say;

pub(super) async fn approve(
    c: Context,
    remote: Remote,
    incident: u64,
    generation: Option<u32>,
) -> anyhow::Result<u8> {
    let client = c.client(&remote);
    let generation = match generation {
        Some(generation) => u64::from(generation),
        None => plan_in_force(c, &client, incident).await?,
    };
    let path = format!("/api/v1/incidents/{incident}/approve");
    done(c, client.post(&path, &json!({ "generation": generation })).await?, "cli.approved")
}

async fn plan_in_force(c: Context, client: &Client, incident: u64) -> anyhow::Result<u64> {
    let shown = client.get(&format!("/api/v1/incidents/{incident}")).await?;
    let generation = shown.pointer("/plan/generation").and_then(Value::as_u64);
    let refused = || {
        let text = Text::new("cli.error.no_plan").with("incident", incident);
        Failure::new(USAGE, say::text(c.language, &text))
    };
    Ok(generation.ok_or_else(refused)?)
}

pub(super) async fn undo(c: Context, remote: Remote, action: String) -> anyhow::Result<u8> {
    let Some((incident, _)) = action.split_once('-').filter(|(i, _)| i.parse::<u64>().is_ok()) else {
        let text = Text::new("cli.error.no_action").with("action", action);
        return Err(Failure::new(USAGE, say::text(c.language, &text)).into());
    };
    let path = format!("/api/v1/incidents/{incident}/undo");
    done(c, c.client(&remote).post(&path, &json!({ "action": action })).await?, "cli.undo_asked")
}

/// The file in the data directory comes first: it works without a running Wellkept.
pub(super) async fn freeze(c: Context, remote: Remote, reason: String) -> anyhow::Result<u8> {
    let data_dir = remote.data_dir.clone().unwrap_or_else(default_data_dir);
    let file = wellkept_state::freeze_file::set(&data_dir, &reason);
    let told = c.client(&remote).post("/api/v1/freeze", &json!({ "reason": reason })).await;
    match (file, told) {
        (_, Ok(answer)) => done(c, answer, "cli.frozen"),
        (Ok(()), Err(_)) => done(c, json!({ "status": "success" }), "cli.frozen_by_file"),
        (Err(_), Err(error)) => Err(error.into()),
    }
}

pub(super) async fn unfreeze(c: Context, remote: Remote) -> anyhow::Result<u8> {
    match c.client(&remote).post("/api/v1/unfreeze", &json!({})).await {
        Ok(answer) => done(c, answer, "cli.unfrozen"),
        Err(error) => {
            let data_dir = remote.data_dir.unwrap_or_else(default_data_dir);
            if !wellkept_state::freeze_file::is_set(&data_dir) {
                return Err(error.into());
            }
            wellkept_state::freeze_file::clear(&data_dir)?;
            done(c, json!({ "status": "success" }), "cli.unfrozen")
        }
    }
}

pub(super) async fn change(
    c: Context,
    remote: Remote,
    what: String,
    kind: String,
    who: Option<String>,
) -> anyhow::Result<u8> {
    let who = who.or_else(|| variable("SUDO_USER")).or_else(|| variable("USER"));
    let body = json!({ "what": what, "kind": kind, "who": who.unwrap_or_else(|| "unknown".to_owned()) });
    done(c, c.client(&remote).post("/api/v1/changes", &body).await?, "cli.change_recorded")
}

pub(super) async fn reload(c: Context, remote: Remote) -> anyhow::Result<u8> {
    done(c, c.client(&remote).post("/-/reload", &json!({})).await?, "cli.reloaded")
}

fn done(c: Context, answer: Value, key: &str) -> anyhow::Result<u8> {
    match c.output {
        Output::Json => say::line(&answer.to_string()),
        Output::Table => say::line(&say::text(c.language, &Text::new(key))),
    }
    Ok(OK)
}
