//! `docker_container`.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::engine::{Engine, engine, escaped, holds};
use super::wanted::{Wanted, wanted};
use super::{PAUSE, tick};
use crate::base::{Done, Fail, Result, Task, fail, map, python};

pub(super) fn run(task: &mut Task<'_>) -> Done {
    let engine = engine(task)?;
    let place = format!("/containers/{}", escaped(task.args.or_empty("name")));
    let now = engine.known(&format!("{place}/json"))?;
    let job = Job { engine, task, place };
    if task.args.text("state") == Some("absent") {
        return job.absent(now.is_some());
    }
    job.there(now)
}

struct Job<'t, 'a> {
    engine: Engine<'t, 'a>,
    task: &'t Task<'a>,
    place: String,
}

impl Job<'_, '_> {
    fn act(&self) -> bool {
        !self.task.check()
    }

    fn absent(&self, there: bool) -> Done {
        if there && self.act() {
            let volumes = !self.task.args.flag("keep_volumes");
            self.engine.must("DELETE", &format!("{}?force=true&v={volumes}", self.place), None)?;
        }
        Ok(self.task.changed(there))
    }

    fn there(&self, now: Option<Value>) -> Done {
        let image = self.task.args.filled("image");
        let mut changed = image.map(|image| self.fetched(image)).transpose()?.unwrap_or(false);
        let wanted = wanted(self.task)?;
        let mut now = now;
        if let Some(have) = &now
            && (self.task.args.flag("recreate") || self.differs(have, &wanted, image)?)
        {
            // Looked for before anything is removed: a container is not lost for lack of an image.
            let Some(_) = image else { return fail("Cannot create container when image is not specified!") };
            changed = true;
            if self.act() {
                self.engine.must("DELETE", &format!("{}?force=true", self.place), None)?;
            }
            now = None;
        }
        let made = now.is_none();
        if made {
            let Some(image) = image else {
                return fail("Cannot create container when image is not specified!");
            };
            changed = true;
            if self.act() {
                self.make(image, wanted)?;
            }
        }
        let running = now.as_ref().and_then(|have| have.pointer("/State/Running")) == Some(&json!(true));
        changed |= self.networks(now.as_ref(), made)?;
        let started = self.step(running)?;
        changed |= started.is_some();
        let mut result = Map::new();
        if self.act() && started == Some("start") && !self.task.args.flag("detach") {
            result.extend(self.ended()?);
        } else if self.act() && self.task.args.text("state") == Some("healthy") {
            self.healthy()?;
        }
        if !result.contains_key("container") {
            let after = self.engine.known(&format!("{}/json", self.place))?;
            result.insert("container".to_owned(), after.unwrap_or_default());
        }
        result.insert("changed".to_owned(), changed.into());
        Ok(result)
    }

    /// Sees to the image; true when another one came.
    fn fetched(&self, image: &str) -> Result<bool> {
        let place = format!("/images/{}/json", escaped(image));
        let before = self.engine.known(&place)?;
        let way = self.task.args.get("pull").map(python::text).unwrap_or_default().to_lowercase();
        let pull = match way.as_str() {
            "always" | "true" | "yes" => true,
            "missing" | "false" | "no" | "" => before.is_none(),
            "never" if before.is_none() => {
                return fail(format!("Cannot find image with name {image}, and pull=never"));
            }
            "never" => false,
            other => {
                return fail(format!(
                    "pull cannot be {other}; always, missing, never or a truth would be accepted"
                ));
            }
        };
        if !pull || !self.act() {
            return Ok(false);
        }
        self.engine.pull(image)?;
        let after = self.engine.known(&place)?;
        let id = |image: &Option<Value>| image.as_ref().and_then(|image| image.get("Id").cloned());
        Ok(id(&before) != id(&after))
    }

    fn differs(&self, have: &Value, wanted: &Wanted, image: Option<&str>) -> Result<bool> {
        let part = |key: &str| have.get(key).cloned().unwrap_or_default();
        let other_image = match image {
            Some(image) => self
                .engine
                .known(&format!("/images/{}/json", escaped(image)))?
                .is_some_and(|image| image.get("Id") != have.get("Image")),
            None => false,
        };
        let same = holds(&part("Config"), &wanted.config.clone().into())
            && holds(&part("HostConfig"), &wanted.host.clone().into());
        Ok(other_image || !same)
    }

    fn make(&self, image: &str, wanted: Wanted) -> Result<()> {
        let mut body = wanted.config;
        body.insert("Image".into(), image.into());
        let mut host = wanted.host;
        // The engine takes one network at the birth of a container; the others are joined before it starts.
        if let Some((name, endpoint)) = self.wanted_networks().into_iter().next() {
            host.entry("NetworkMode").or_insert_with(|| name.clone().into());
            body.insert("NetworkingConfig".into(), json!({"EndpointsConfig": map([(&name, endpoint)])}));
        }
        body.insert("HostConfig".into(), host.into());
        let name = escaped(self.task.args.or_empty("name"));
        self.engine.must("POST", &format!("/containers/create?name={name}"), Some(&body.into())).map(|_| ())
    }

    /// Names of networks with how they are joined.
    fn wanted_networks(&self) -> Vec<(String, Value)> {
        let one = |network: &Value| {
            let name = network.get("name")?.as_str()?.to_owned();
            let mut endpoint = Map::new();
            if let Some(aliases) = network.get("aliases").filter(|aliases| !aliases.is_null()) {
                endpoint.insert("Aliases".to_owned(), aliases.clone());
            }
            if let Some(address) = network.get("ipv4_address").and_then(Value::as_str) {
                endpoint.insert("IPAMConfig".to_owned(), json!({"IPv4Address": address}));
            }
            Some((name, endpoint.into()))
        };
        let all = self.task.args.get("networks").and_then(Value::as_array);
        all.into_iter().flatten().filter_map(one).collect()
    }

    /// Joins what is missing, and leaves what nobody asked for when the task says so.
    fn networks(&self, now: Option<&Value>, made: bool) -> Result<bool> {
        let wanted = self.wanted_networks();
        if wanted.is_empty() && !self.task.args.has("networks") {
            return Ok(false);
        }
        let have: Vec<String> = match now {
            Some(now) => now
                .pointer("/NetworkSettings/Networks")
                .and_then(Value::as_object)
                .map(|networks| networks.keys().cloned().collect())
                .unwrap_or_default(),
            None => wanted.first().map(|(name, _)| name.clone()).into_iter().filter(|_| made).collect(),
        };
        let mut changed = false;
        let name = self.task.args.or_empty("name");
        for (network, endpoint) in wanted.iter().filter(|(network, _)| !have.contains(network)) {
            changed = true;
            self.at_network(network, "connect", &json!({"Container": name, "EndpointConfig": endpoint}))?;
        }
        let unwanted = |network: &&String| wanted.iter().all(|(name, _)| name != *network);
        if self.task.args.flag("purge_networks") {
            for network in have.iter().filter(unwanted) {
                changed = true;
                self.at_network(network, "disconnect", &json!({"Container": name, "Force": true}))?;
            }
        }
        Ok(changed)
    }

    fn at_network(&self, network: &str, what: &str, body: &Value) -> Result<()> {
        if self.act() {
            self.engine.must("POST", &format!("/networks/{}/{what}", escaped(network)), Some(body))?;
        }
        Ok(())
    }

    /// Starts, restarts or stops it, as the task and its state say.
    fn step(&self, running: bool) -> Result<Option<&'static str>> {
        let args = &self.task.args;
        let step = match (args.or_empty("state"), running) {
            ("started" | "healthy", false) => "start",
            ("started" | "healthy", true) if args.flag("restart") => "restart",
            ("stopped", true) if args.flag("force_kill") => "kill",
            ("stopped", true) => "stop",
            _ => return Ok(None),
        };
        let wait = match (step, args.int("stop_timeout")) {
            ("stop" | "restart", Some(seconds)) => format!("?t={seconds}"),
            _ => String::new(),
        };
        if self.act() {
            self.engine.must("POST", &format!("{}/{step}{wait}", self.place), None)?;
        }
        Ok(Some(step))
    }

    /// Waits for the end of a container that is not left alone; its status and output.
    fn ended(&self) -> Result<Map<String, Value>> {
        let end = self.engine.wait(&format!("{}/wait", self.place))?;
        let status = end.get("StatusCode").cloned().unwrap_or_default();
        let after = self.engine.known(&format!("{}/json", self.place))?.unwrap_or_default();
        let tty = after.pointer("/Config/Tty") == Some(&json!(true));
        let output = self.engine.logs(&self.place, tty)?;
        if self.task.args.flag("cleanup") {
            self.engine.must("DELETE", &format!("{}?force=true", self.place), None)?;
        }
        if status != json!(0) {
            return Err(Fail::new(output).with("status", status).with("container", after));
        }
        let mut shown = after;
        if let Value::Object(shown) = &mut shown {
            shown.insert("Output".to_owned(), output.into());
        }
        Ok(map([("status", status), ("container", shown)]))
    }

    fn healthy(&self) -> Result<()> {
        let limit = self.task.args.get("healthy_wait_timeout").map(python::text).unwrap_or_default();
        let Some(limit) = limit.parse().ok().filter(|seconds| (0.0..=1e6).contains(seconds)) else {
            return fail(format!("healthy_wait_timeout cannot be {limit}; seconds would be accepted"));
        };
        let end = tick() + Duration::from_secs_f64(limit);
        loop {
            let now = self.engine.known(&format!("{}/json", self.place))?.unwrap_or_default();
            let state = now.pointer("/State/Health/Status").and_then(Value::as_str);
            match state {
                Some("healthy") => return Ok(()),
                None => {
                    return fail("Cannot wait for the container to become healthy: it has no healthcheck");
                }
                _ if now.pointer("/State/Running") != Some(&json!(true)) => {
                    return fail("The container ended before it became healthy");
                }
                Some(state) if tick() >= end => {
                    return fail(format!(
                        "Timeout while waiting for the container to become healthy: it is {state}"
                    ));
                }
                _ => std::thread::sleep(PAUSE),
            }
        }
    }
}
