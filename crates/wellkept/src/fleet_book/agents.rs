//! Agents that joined, as JSON: when each was heard, what waits for it, what it was handed last.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use wellkept_agent::server::{HeardView, folder_of, heard_of};
use wellkept_agent::wire::Stage;
use wellkept_agent::{AgentView, OrderView, Registry};
use wellkept_model::TimestampMs;

/// Most agents of one answer.
const AGENTS_MAX: usize = 2000;
/// Largest record of an order, bytes.
const ORDER_MAX: u64 = 256 << 10;
/// Characters of what an order said.
const SAID_MAX: usize = 2000;

/// All agents by name. A running server writes at most every fifteen seconds that one was heard.
pub(super) fn all(
    data_dir: &Path,
    silent_after: Duration,
    listens: bool,
    now: TimestampMs,
) -> io::Result<Value> {
    let folder = folder_of(data_dir);
    if !folder.join("registry.json").exists() {
        return Ok(json!({"agents": [], "more": 0, "listens": listens, "problem": null}));
    }
    let known = Registry::open(&folder)?.list()?;
    // When each was heard lies in files of its own: one that is damaged hides no agent.
    let (heard, problem) = match heard_of(data_dir) {
        Ok(heard) => (heard, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let limit = i64::try_from(silent_after.as_millis()).unwrap_or(i64::MAX);
    let told = known.iter().take(AGENTS_MAX).map(|agent| {
        let heard = heard.iter().find(|h| h.name == agent.name);
        let silence = now.0.saturating_sub(heard.map_or(agent.joined_ms, |h| h.heard_ms));
        agent_of(agent, heard, silence > limit, &folder.join("orders").join(&agent.name))
    });
    let told: Vec<_> = told.collect();
    Ok(json!({
        "agents": told,
        "more": known.len().saturating_sub(AGENTS_MAX),
        "listens": listens,
        "silent_after_ms": limit,
        "problem": problem,
    }))
}

fn agent_of(agent: &AgentView, heard: Option<&HeardView>, is_silent: bool, orders: &Path) -> Value {
    let spoke = heard.is_some_and(|h| !h.version.is_empty());
    let state = match (agent.revoked_ms.is_some(), spoke, is_silent) {
        (true, ..) => "revoked",
        (false, false, _) => "waited",
        (false, true, true) => "silent",
        (false, true, false) => "well",
    };
    let (queued, last) = orders_in(orders);
    json!({
        "name": agent.name,
        "state": state,
        "version": heard.map(|h| &h.version).filter(|version| !version.is_empty()),
        "joined_at": agent.joined_ms,
        "revoked_at": agent.revoked_ms,
        "certificate_ends_at": agent.expires_ms,
        "heard_at": heard.filter(|_| spoke).map(|h| h.heard_ms),
        "waiting": heard.map(|h| h.waiting),
        "dropped": heard.map(|h| h.dropped),
        "refused": heard.map(|h| h.refused),
        "queued": queued,
        "last_order": last.map(|order| order_of(&order, is_silent)),
    })
}

/// How many orders wait or are under way, and the newest order. A bundle lies there until its order is over.
fn orders_in(folder: &Path) -> (usize, Option<OrderView>) {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names: Vec<String> = names.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    let is_record = |id: &str| names.iter().any(|name| name.strip_suffix(".json") == Some(id));
    let queued =
        names.iter().filter_map(|name| name.strip_suffix(".bundle")).filter(|id| is_record(id)).count();
    let newest = names.iter().filter(|name| name.ends_with(".json") && !name.starts_with('.')).max();
    let last = newest.and_then(|name| {
        let mut text = Vec::new();
        File::open(folder.join(name)).ok()?.take(ORDER_MAX).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    });
    (queued, last)
}

fn order_of(order: &OrderView, is_silent: bool) -> Value {
    // What was begun by somebody who is not heard any more is unknown, and not failed.
    let stage = match order.stage {
        Stage::Taken | Stage::Began if is_silent => "unknown",
        stage => stage.word(),
    };
    json!({
        "id": order.id, "what": order.what, "who": order.who, "stage": stage, "exit": order.exit,
        "said": order.said.chars().take(SAID_MAX).collect::<String>(),
        "handed_at": order.handed_ms, "at": order.at_ms,
    })
}

#[cfg(test)]
mod tests {
    use wellkept_agent::Orders;

    use super::*;

    const AFTER: Duration = Duration::from_secs(60);

    #[test]
    fn where_nobody_joined_nothing_is_made() {
        let data = tempfile::tempdir().unwrap();
        let told = all(data.path(), AFTER, false, TimestampMs(1)).unwrap();
        assert_eq!(told["agents"], json!([]));
        assert!(!data.path().join("agents").exists());
    }

    #[test]
    fn agents_are_told_with_their_state_and_what_waits_for_them() {
        let data = tempfile::tempdir().unwrap();
        let folder = folder_of(data.path());
        drop(Registry::open(&folder).unwrap());
        let key = format!("ed25519:{}=", "A".repeat(43));
        let agent = |joined: i64, revoked: Value| json!({"key": key, "joined_ms": joined, "revoked_ms": revoked, "certificates": []});
        let book = json!({"format": 1, "tokens": [], "agents": {
            "web-1": agent(1000, Value::Null), "web-2": agent(1000, Value::Null),
            "web-3": agent(1000, json!(9000)), "web-4": agent(1000, Value::Null),
        }});
        std::fs::write(folder.join("registry.json"), book.to_string()).unwrap();
        std::fs::create_dir_all(folder.join("heard")).unwrap();
        let heard = |name: &str, at: i64| {
            let text = json!({"queue": "q", "acked": 4, "heard_ms": at, "waiting": 2, "version": "0.1.0"});
            std::fs::write(folder.join(format!("heard/{name}.json")), text.to_string()).unwrap();
        };
        heard("web-1", 100_000);
        heard("web-2", 20_000);
        let orders = Orders::open(&folder.join("orders")).unwrap();
        orders.hand("web-1", b"x", ("ann", "site.wkb"), 5000).unwrap();
        let told = all(data.path(), AFTER, true, TimestampMs(101_000)).unwrap();
        let states: Vec<_> = told["agents"].as_array().unwrap().iter().map(|a| a["state"].clone()).collect();
        assert_eq!(states, ["well", "silent", "revoked", "waited"]);
        let first = &told["agents"][0];
        assert_eq!((&first["queued"], &first["last_order"]["what"]), (&json!(1), &json!("site.wkb")));
        assert_eq!((&first["heard_at"], &told["agents"][3]["heard_at"]), (&json!(100_000), &Value::Null));

        std::fs::write(folder.join("heard/web-2.json"), "{torn").unwrap();
        let told = all(data.path(), AFTER, true, TimestampMs(101_000)).unwrap();
        assert_eq!(told["agents"].as_array().unwrap().len(), 4, "{told}");
        assert!(told["problem"].as_str().unwrap().contains("web-2.json"), "{told}");
    }
}
