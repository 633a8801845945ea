//! `docker_network`.

use serde_json::{Map, Value, json};

use super::engine::{Engine, engine, escaped, holds};
use super::wanted::texts;
use crate::base::{Done, Result, Task, map};

pub(super) fn run(task: &mut Task<'_>) -> Done {
    let engine = engine(task)?;
    let place = format!("/networks/{}", escaped(task.args.or_empty("name")));
    let now = engine.known(&place)?;
    let job = Job { engine, task, place };
    if task.args.text("state") == Some("absent") { job.absent(now.as_ref()) } else { job.present(now) }
}

struct Job<'t, 'a> {
    engine: Engine<'t, 'a>,
    task: &'t Task<'a>,
    place: String,
}

/// Ids and names of the containers in a network.
fn members(network: &Value) -> Vec<(String, String)> {
    let one = |(id, container): (&String, &Value)| {
        (id.clone(), container.get("Name").and_then(Value::as_str).unwrap_or_default().to_owned())
    };
    let all = network.get("Containers").and_then(Value::as_object);
    all.into_iter().flatten().map(one).collect()
}

impl Job<'_, '_> {
    fn act(&self) -> bool {
        !self.task.check()
    }

    fn absent(&self, now: Option<&Value>) -> Done {
        if let Some(now) = now {
            self.remove(now)?;
        }
        Ok(self.task.changed(now.is_some()))
    }

    fn present(&self, now: Option<Value>) -> Done {
        let wanted = self.wanted();
        let mut now = now;
        let mut changed = false;
        // Who was in it comes into the new one again, unless the task says who is to be in it.
        let mut again: Vec<String> = Vec::new();
        if let Some(have) = &now
            && (self.task.args.flag("force") || !holds(have, &wanted.clone().into()))
        {
            changed = true;
            again = members(have).into_iter().map(|(_, name)| name).collect();
            self.remove(have)?;
            now = None;
        }
        if now.is_none() {
            changed = true;
            if self.act() {
                self.engine.must("POST", "/networks/create", Some(&wanted.into()))?;
            }
        }
        if !self.task.args.has("connected") || self.task.args.flag("appends") {
            for container in &again {
                self.join(container)?;
            }
        } else {
            again.clear();
        }
        let joined: Vec<String> = now
            .as_ref()
            .map(members)
            .unwrap_or_default()
            .into_iter()
            .map(|(_, name)| name)
            .chain(again)
            .collect();
        changed |= self.connect(&joined)?;
        let after = self.engine.known(&self.place)?;
        Ok(map([("changed", changed.into()), ("network", after.unwrap_or_default())]))
    }

    fn wanted(&self) -> Map<String, Value> {
        let args = &self.task.args;
        let mut body =
            map([("Name", args.or_empty("name").into()), ("Driver", args.or_empty("driver").into())]);
        body.extend(args.map("driver_options").map(|options| ("Options".to_owned(), texts(options))));
        body.extend(args.map("labels").map(|labels| ("Labels".to_owned(), texts(labels))));
        body.extend(args.maybe("internal").map(|truth| ("Internal".to_owned(), truth.into())));
        body.extend(args.maybe("attachable").map(|truth| ("Attachable".to_owned(), truth.into())));
        let pools = args
            .get("ipam_config")
            .and_then(Value::as_array)
            .map(|pools| pools.iter().filter_map(Value::as_object).map(pool).collect::<Vec<_>>());
        body.extend(pools.map(|pools| ("IPAM".to_owned(), json!({"Config": pools}))));
        body
    }

    fn remove(&self, now: &Value) -> Result<()> {
        if !self.act() {
            return Ok(());
        }
        for (id, _) in members(now) {
            self.at("disconnect", &json!({"Container": id, "Force": true}))?;
        }
        self.engine.must("DELETE", &self.place, None).map(|_| ())
    }

    fn connect(&self, joined: &[String]) -> Result<bool> {
        if !self.task.args.has("connected") {
            return Ok(false);
        }
        let wanted = self.task.args.list("connected");
        let mut changed = false;
        for container in wanted.iter().filter(|container| !joined.contains(container)) {
            changed = true;
            self.join(container)?;
        }
        let appends = self.task.args.flag("appends");
        for container in joined.iter().filter(|container| !appends && !wanted.contains(container)) {
            changed = true;
            self.at("disconnect", &json!({"Container": container, "Force": true}))?;
        }
        Ok(changed)
    }

    fn join(&self, container: &str) -> Result<()> {
        self.at("connect", &json!({"Container": container}))
    }

    fn at(&self, what: &str, body: &Value) -> Result<()> {
        if self.act() {
            self.engine.must("POST", &format!("{}/{what}", self.place), Some(body))?;
        }
        Ok(())
    }
}

/// One range of addresses.
fn pool(said: &Map<String, Value>) -> Value {
    let keys = [
        ("subnet", "Subnet"),
        ("iprange", "IPRange"),
        ("gateway", "Gateway"),
        ("aux_addresses", "AuxiliaryAddresses"),
    ];
    keys.into_iter()
        .filter_map(|(name, key)| {
            Some((key.to_owned(), said.get(name).filter(|value| !value.is_null())?.clone()))
        })
        .collect::<Map<_, _>>()
        .into()
}
