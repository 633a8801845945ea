//! Watches the running Wellkept while the fault is there.

use std::time::Duration;

use serde_json::Value;
use wellkept_model::{EntityId, Text, TimestampMs};

use super::fault::Fault;
use crate::cli::Output;
use crate::client::Client;
use crate::clock::now;
use crate::commands::Context;
use crate::say::{self, paint};

/// How often the API is asked.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What Wellkept made of it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Number of the incident.
    pub(super) incident: Option<String>,
    /// From the fault until an incident with a finding about it was read for the first time, milliseconds.
    found_ms: Option<u64>,
    /// From the fault to the incident, milliseconds.
    pub(super) detected_ms: Option<u64>,
    /// The first cause: its kind, its sentence, and whether it is right.
    pub(super) cause: Option<(String, String, bool)>,
    /// What was done: kind, text, status.
    pub(super) actions: Vec<(String, String, String)>,
    /// From the fault to the incident's end, milliseconds.
    pub(super) healed_ms: Option<u64>,
    /// A person was called.
    pub(super) escalated: bool,
}

/// Until it is resolved, handed to a person, or time is up.
pub(super) async fn watch(
    c: Context,
    client: &Client,
    entity: &EntityId,
    fault: &Fault,
    began: TimestampMs,
    within: Duration,
) -> Seen {
    let (mut seen, mut told) = (Seen::default(), 0);
    while now().since(began) < within {
        if seen.incident.is_none() {
            seen.incident = find(client, entity, began).await;
            seen.found_ms = seen.incident.as_ref().map(|_| millis(now().since(began)));
        }
        if let Some(id) = &seen.incident
            && let Ok(incident) = client.get(&format!("/api/v1/incidents/{id}")).await
        {
            told = tell_new(c, &incident, told, began);
            seen.take(&incident, fault, began);
            if seen.healed_ms.is_some() || seen.escalated {
                return seen;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    seen
}

/// The incident about this entity that began, or began again, since then.
async fn find(client: &Client, entity: &EntityId, began: TimestampMs) -> Option<String> {
    let all = client.get("/api/v1/incidents").await.ok()?;
    let fresh = all["incidents"].as_array()?.iter().filter(|i| i["updated_at"].as_i64() >= Some(began.0));
    let fresh: Vec<_> =
        fresh.filter(|i| i["status"] != "resolved").filter_map(|i| i["id"].as_str()).collect();
    for id in fresh {
        let Ok(one) = client.get(&format!("/api/v1/incidents/{id}")).await else { continue };
        let findings = one["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
        let wanted = entity.to_string();
        if findings.iter().any(|f| f["entity"] == wanted.as_str() && f["active"] == true) {
            return Some(id.to_owned());
        }
    }
    None
}

impl Seen {
    fn take(&mut self, incident: &Value, fault: &Fault, began: TimestampMs) {
        let since = |at: &Value| at.as_i64().map(|at| TimestampMs(at).since(began));
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let timeline = incident["timeline"].as_array().map(Vec::as_slice).unwrap_or_default();
        if self.detected_ms.is_none() {
            let opened = incident["opened_at"].as_i64().filter(|at| *at >= began.0);
            let again = timeline.iter().find(|m| m["reopened"] == true && m["at"].as_i64() >= Some(began.0));
            let at = opened.map(Value::from).or_else(|| again.map(|m| m["at"].clone()));
            // It may have joined an incident that was open already.
            self.detected_ms = at.as_ref().and_then(since).map(millis).or(self.found_ms);
        }
        if let Some(first) = incident["causes"].get(0) {
            let kind = text(&first["kind"]);
            let right = fault.right_causes().iter().any(|k| k.word() == kind);
            self.cause = Some((kind, text(&first["detail"]), right));
        }
        let actions = incident["actions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let done = actions.iter().filter(|a| a["started_at"].as_i64() >= Some(began.0));
        self.actions = done.map(|a| (text(&a["kind"]), text(&a["kind_text"]), text(&a["status"]))).collect();
        self.escalated = incident["status"] == "escalated";
        if incident["status"] == "resolved" {
            self.healed_ms = since(&incident["resolved_at"]).map(millis);
        }
    }
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

/// Prints the entries of the time line that are new; gives how many were printed in all.
fn tell_new(c: Context, incident: &Value, told: usize, began: TimestampMs) -> usize {
    let all = incident["timeline"].as_array().map(Vec::as_slice).unwrap_or_default();
    let new: Vec<_> = all.iter().filter(|m| m["at"].as_i64() >= Some(began.0)).collect();
    if c.output == Output::Table {
        for moment in new.iter().skip(told) {
            let at = TimestampMs(moment["at"].as_i64().unwrap_or(0)).since(began).as_secs_f64();
            let kind = Text::new(&format!("cli.moment.{}", moment["kind"].as_str().unwrap_or_default()));
            let text = wellkept_catalogue::harmless(moment["text"].as_str().unwrap_or_default()).into_owned();
            let at = paint("2", &format!("{at:6.2} s"));
            say::line(&format!("  {at} {} {text}", paint("36", &say::text(c.language, &kind))));
        }
    }
    new.len().max(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_joins_an_open_incident_is_detected_when_it_is_first_read() {
        let fault = Fault::Stop { pid: 9, start_ticks: 1 };
        let take = |opened: i64, timeline: Value| {
            let mut seen = Seen { found_ms: Some(900), ..Seen::default() };
            let incident = json!({"opened_at": opened, "timeline": timeline, "status": "recovering"});
            seen.take(&incident, &fault, TimestampMs(10_000));
            seen.detected_ms
        };
        assert_eq!(take(10_400, json!([])), Some(400), "its own");
        assert_eq!(take(3_000, json!([{"at": 10_500, "reopened": true}])), Some(500), "opened again");
        assert_eq!(take(3_000, json!([{"at": 10_500, "kind": "seen"}])), Some(900), "joined");
    }
}
