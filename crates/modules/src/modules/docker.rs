//! `docker_container`, `docker_image` and `docker_network`, over the socket of the engine.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::base::http::{self, Ask, Follow};
use crate::base::{Done, Fail, Result, ResultExt, Task, fail, map, python};
use crate::spec::{Arg, Kind, ModuleSpec, flag, int, list, map as map_arg, maybe, raw, text};

const CONTAINER_ARGS: &[Arg] = &[
    text("name").required(),
    text("docker_host").or("unix:///var/run/docker.sock").aka(&["docker_url"]),
    int("timeout").or_int(60),
    text("state").or("started").one_of(&["absent", "present", "healthy", "stopped", "started"]),
    text("image"),
    raw("command"),
    list("entrypoint"),
    map_arg("env"),
    list("ports").aka(&["exposed"]),
    list("published_ports").aka(&["publish"]),
    list("volumes"),
    map_arg("labels"),
    text("restart_policy").one_of(&["always", "no", "on-failure", "unless-stopped"]),
    int("restart_retries"),
    text("network_mode"),
    Arg::new("networks", Kind::List).of(Kind::Map),
    text("user"),
    text("working_dir"),
    text("hostname"),
    text("memory"),
    maybe("privileged"),
    maybe("read_only"),
    maybe("init"),
    flag("recreate", false),
    flag("restart", false),
    flag("pull", false),
    flag("force_kill", false).aka(&["forcekill"]),
    flag("keep_volumes", true),
    int("stop_timeout"),
    list("capabilities"),
    list("cap_drop"),
    raw("comparisons"),
];

pub(crate) const CONTAINER: ModuleSpec = ModuleSpec::new("docker_container", CONTAINER_ARGS, container);

pub(crate) const IMAGE: ModuleSpec = ModuleSpec::new(
    "docker_image",
    &[
        text("name").required(),
        text("tag").or("latest"),
        text("docker_host").or("unix:///var/run/docker.sock").aka(&["docker_url"]),
        int("timeout").or_int(60),
        text("state").or("present").one_of(&["absent", "present"]),
        text("source").one_of(&["build", "load", "pull", "local"]),
        flag("force_source", false),
        flag("force_absent", false),
        flag("force_tag", false),
        text("repository"),
    ],
    image,
);

pub(crate) const NETWORK: ModuleSpec = ModuleSpec::new(
    "docker_network",
    &[
        text("name").required().aka(&["network_name"]),
        text("docker_host").or("unix:///var/run/docker.sock").aka(&["docker_url"]),
        int("timeout").or_int(60),
        text("state").or("present").one_of(&["absent", "present"]),
        text("driver").or("bridge"),
        map_arg("driver_options"),
        map_arg("labels"),
        maybe("internal"),
        maybe("attachable"),
        list("connected").aka(&["containers"]),
        flag("appends", false).aka(&["incremental"]),
        flag("force", false),
    ],
    network,
);

/// Longest answer of the engine, bytes.
const ANSWER_MAX: u64 = 64 << 20;

struct Engine<'t, 'a> {
    task: &'t Task<'a>,
    socket: Option<PathBuf>,
    base: String,
}

fn escaped(text: &str) -> String {
    let one = |byte: u8| match byte {
        b if b.is_ascii_alphanumeric() || b"_.-~/:@".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(one).collect()
}

impl Engine<'_, '_> {
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let mut ask = Ask {
            method: method.to_owned(),
            url: format!("{}{path}", self.base),
            follow: Follow::None,
            ..Ask::default()
        };
        ask.socket.clone_from(&self.socket);
        let seconds = u64::try_from(self.task.args.int("timeout").unwrap_or(60)).unwrap_or(60);
        ask.within = Some(Duration::from_secs(seconds));
        if let Some(body) = body {
            ask.headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
            ask.body = body.to_string().into_bytes();
        }
        let mut answer = http::ask(&ask).map_err(|why| {
            Fail::new(format!("Error connecting: Error while fetching server API version: {why}"))
        })?;
        let status = answer.status;
        let bytes = answer.whole(ANSWER_MAX).or_fail(|| format!("reading {path}"))?;
        // Progress is one JSON value a line; the last one tells the end.
        let text = String::from_utf8_lossy(&bytes);
        let value = serde_json::from_str(&text)
            .ok()
            .or_else(|| text.lines().rev().find_map(|line| serde_json::from_str(line).ok()));
        Ok((status, value.unwrap_or_default()))
    }

    /// As [`Engine::ask`]; anything but success ends the task.
    fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let (status, value) = self.ask(method, path, body)?;
        let wrong = value.get("error").or_else(|| value.get("message")).and_then(Value::as_str);
        match (status, wrong) {
            (200..=304, None) => Ok(value),
            (200..=304, Some(_)) if value.get("Id").is_some() => Ok(value),
            (_, wrong) => fail(format!(
                "{status} from the engine for {method} {path}: {}",
                wrong.unwrap_or("no reason given")
            )),
        }
    }

    fn known(&self, path: &str) -> Result<Option<Value>> {
        let (status, value) = self.ask("GET", path, None)?;
        match status {
            200 => Ok(Some(value)),
            404 => Ok(None),
            _ => fail(format!(
                "{status} from the engine for GET {path}: {}",
                value.get("message").map(python::text).unwrap_or_default()
            )),
        }
    }

    fn pull(&self, image: &str) -> Result<()> {
        let (name, tag) = split(image);
        let path = format!("/images/create?fromImage={}&tag={}", escaped(name), escaped(tag));
        self.must("POST", &path, None).map(|_| ())
    }
}

fn engine<'t, 'a>(task: &'t Task<'a>) -> Result<Engine<'t, 'a>> {
    let host = task.args.or_empty("docker_host");
    if let Some(path) = host.strip_prefix("unix://") {
        return Ok(Engine { task, socket: Some(path.into()), base: "http://localhost".to_owned() });
    }
    match host.strip_prefix("tcp://") {
        Some(rest) => Ok(Engine { task, socket: None, base: format!("http://{rest}") }),
        None => fail(format!("docker_host {host} is neither unix:// nor tcp://")),
    }
}

/// Name and tag (or digest) of an image.
fn split(image: &str) -> (&str, &str) {
    if let Some((name, digest)) = image.split_once('@') {
        return (name, digest);
    }
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

/// What the task wants of a container, as the engine takes it. What the task does not say is not compared.
fn wanted(task: &Task<'_>) -> Result<(Map<String, Value>, Map<String, Value>)> {
    let args = &task.args;
    let (mut config, mut host) = (Map::new(), Map::new());
    let mut put =
        |key: &str, value: Option<Value>| drop(value.map(|value| config.insert(key.to_owned(), value)));
    let text = |name: &str| args.filled(name).map(Value::from);
    put("User", text("user"));
    put("WorkingDir", text("working_dir"));
    put("Hostname", text("hostname"));
    put(
        "Cmd",
        match args.get("command") {
            Some(Value::Array(items)) => {
                Some(items.iter().map(|item| Value::from(python::text(item))).collect())
            }
            Some(Value::String(line)) => Some(crate::base::words::split(line).map_err(Fail::crash)?.into()),
            _ => None,
        },
    );
    put("Entrypoint", args.has("entrypoint").then(|| args.list("entrypoint").into()));
    put(
        "Labels",
        args.map("labels").map(|labels| {
            labels.iter().map(|(key, value)| (key.clone(), Value::from(python::text(value)))).collect()
        }),
    );
    put(
        "Env",
        args.map("env").map(|env| {
            env.iter().map(|(key, value)| Value::from(format!("{key}={}", python::text(value)))).collect()
        }),
    );
    let (mut bindings, mut exposed) = (Map::new(), Map::new());
    for port in args.list("published_ports").iter().chain(&args.list("ports")) {
        let (front, protocol) = port.rsplit_once('/').unwrap_or((port, "tcp"));
        let parts: Vec<&str> = front.rsplitn(3, ':').collect();
        let inner = format!("{}/{protocol}", parts.first().copied().unwrap_or_default());
        exposed.insert(inner.clone(), json!({}));
        if args.list("published_ports").contains(port) {
            let outer = parts.get(1).copied().unwrap_or_default();
            let binding = json!({"HostIp": parts.get(2).copied().unwrap_or("0.0.0.0"), "HostPort": outer});
            if let Value::Array(all) = bindings.entry(inner).or_insert_with(|| json!([])) {
                all.push(binding);
            }
        }
    }
    put("ExposedPorts", (!exposed.is_empty()).then(|| exposed.into()));
    let mut put =
        |key: &str, value: Option<Value>| drop(value.map(|value| host.insert(key.to_owned(), value)));
    put("PortBindings", (!bindings.is_empty()).then(|| bindings.into()));
    put("Binds", args.has("volumes").then(|| args.list("volumes").into()));
    put("NetworkMode", text("network_mode"));
    put("Privileged", args.maybe("privileged").map(Value::from));
    put("ReadonlyRootfs", args.maybe("read_only").map(Value::from));
    put("Init", args.maybe("init").map(Value::from));
    put("CapAdd", args.has("capabilities").then(|| args.list("capabilities").into()));
    put("CapDrop", args.has("cap_drop").then(|| args.list("cap_drop").into()));
    put(
        "RestartPolicy",
        args.filled("restart_policy")
            .map(|name| json!({"Name": name, "MaximumRetryCount": args.int("restart_retries").unwrap_or(0)})),
    );
    if let Some(memory) = args.filled("memory") {
        let Some(bytes) = bytes(memory) else { return fail(format!("memory cannot be {memory}")) };
        put("Memory", Some(bytes.into()));
    }
    Ok((config, host))
}

/// `512M` in bytes.
fn bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_lowercase();
    let lower = lower.trim_end_matches('b').trim_end_matches('i');
    let (digits, shift) = match lower.chars().last()? {
        'k' => (lower.trim_end_matches('k'), 10),
        'm' => (lower.trim_end_matches('m'), 20),
        'g' => (lower.trim_end_matches('g'), 30),
        't' => (lower.trim_end_matches('t'), 40),
        _ => (lower, 0),
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Whether what is there holds all that is wanted; lists without order, maps by their keys.
fn holds(have: &Value, wanted: &Value) -> bool {
    match (have, wanted) {
        (Value::Object(have), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| have.get(key).is_some_and(|have| holds(have, value)))
        }
        (Value::Array(have), Value::Array(wanted)) => {
            wanted.iter().all(|value| have.iter().any(|have| holds(have, value)))
        }
        (have, wanted) => have == wanted,
    }
}

fn container(task: &mut Task<'_>) -> Done {
    let engine = engine(task)?;
    let args = &task.args;
    let (name, state) = (args.or_empty("name").to_owned(), args.or_empty("state").to_owned());
    let place = format!("/containers/{}", escaped(&name));
    let mut now = engine.known(&format!("{place}/json"))?;
    let act = !task.check();
    let mut changed = false;
    if state == "absent" {
        if now.is_some() {
            changed = true;
            if act {
                engine.must(
                    "DELETE",
                    &format!("{place}?force=true&v={}", !args.flag("keep_volumes")),
                    None,
                )?;
            }
        }
        return Ok(task.changed(changed));
    }
    let image = args.filled("image").map(str::to_owned);
    if let Some(image) = &image
        && act
        && (args.flag("pull") || engine.known(&format!("/images/{}/json", escaped(image)))?.is_none())
    {
        engine.pull(image)?;
    }
    let (config, host) = wanted(task)?;
    if let Some(have) = &now {
        let part = |key: &str| have.get(key).cloned().unwrap_or_default();
        let other_image = match &image {
            Some(image) => engine
                .known(&format!("/images/{}/json", escaped(image)))?
                .is_some_and(|image| image.get("Id") != have.get("Image")),
            None => false,
        };
        let same = holds(&part("Config"), &config.clone().into())
            && holds(&part("HostConfig"), &host.clone().into());
        if other_image || !same || args.flag("recreate") {
            changed = true;
            if act {
                engine.must("DELETE", &format!("{place}?force=true"), None)?;
            }
            now = None;
        }
    }
    let mut running = now
        .as_ref()
        .and_then(|have| have.pointer("/State/Running"))
        .and_then(Value::as_bool)
        .unwrap_or(false);
    if now.is_none() {
        let Some(image) = &image else { return fail("Cannot create container when image is not specified!") };
        changed = true;
        running = false;
        if act {
            let mut body = config;
            body.insert("Image".into(), image.clone().into());
            body.insert("HostConfig".into(), host.into());
            let networks: Map<String, Value> = args
                .get("networks")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|network| {
                    Some((
                        network.get("name")?.as_str()?.to_owned(),
                        json!({"Aliases": network.get("aliases")}),
                    ))
                })
                .collect();
            if !networks.is_empty() {
                body.insert("NetworkingConfig".into(), json!({"EndpointsConfig": networks}));
            }
            engine.must(
                "POST",
                &format!("/containers/create?name={}", escaped(&name)),
                Some(&body.into()),
            )?;
        }
    }
    let stop = args.int("stop_timeout").map(|seconds| format!("?t={seconds}")).unwrap_or_default();
    let step = match (state.as_str(), running) {
        ("started" | "healthy", false) => Some(format!("{place}/start")),
        ("started" | "healthy", true) if args.flag("restart") => Some(format!("{place}/restart{stop}")),
        ("stopped", true) => {
            Some(format!("{place}/{}{stop}", if args.flag("force_kill") { "kill" } else { "stop" }))
        }
        _ => None,
    };
    if let Some(step) = step {
        changed = true;
        if act {
            engine.must("POST", &step, None)?;
        }
    }
    let after = engine.known(&format!("{place}/json"))?;
    Ok(map([("changed", changed.into()), ("container", after.unwrap_or_default())]))
}

fn image(task: &mut Task<'_>) -> Done {
    let engine = engine(task)?;
    let args = &task.args;
    let name = args.or_empty("name");
    let whole = match split(name) {
        (_, tag) if name.contains('@') || name.ends_with(&format!(":{tag}")) => name.to_owned(),
        _ => format!("{name}:{}", args.or_empty("tag")),
    };
    let place = format!("/images/{}", escaped(&whole));
    let now = engine.known(&format!("{place}/json"))?;
    let act = !task.check();
    if args.text("state") == Some("absent") {
        if now.is_some() && act {
            engine.must("DELETE", &format!("{place}?force={}", args.flag("force_absent")), None)?;
        }
        return Ok(map([
            ("changed", now.is_some().into()),
            ("image", json!({})),
            ("actions", Value::Array(Vec::new())),
        ]));
    }
    let mut actions: Vec<String> = Vec::new();
    match args.text("source") {
        Some("pull") if now.is_none() || args.flag("force_source") => {
            actions.push(format!("Pulled image {whole}"));
            if act {
                engine.pull(&whole)?;
            }
        }
        Some("local") | None if now.is_none() => {
            return fail(format!("Cannot find the image {whole} locally."));
        }
        Some(other @ ("build" | "load")) => {
            return fail(format!("source: {other} is not supported; pull and local are"));
        }
        _ => {}
    }
    let after = engine.known(&format!("{place}/json"))?;
    let mut changed = match (&now, &after) {
        (Some(now), Some(after)) => now.get("Id") != after.get("Id"),
        _ => !actions.is_empty(),
    };
    if let Some(target) = args.filled("repository") {
        let (repository, tag) = split(target);
        let there = engine.known(&format!("/images/{}/json", escaped(&format!("{repository}:{tag}"))))?;
        if there.as_ref().and_then(|there| there.get("Id"))
            != after.as_ref().and_then(|after| after.get("Id"))
            || args.flag("force_tag")
        {
            changed = true;
            actions.push(format!("Tagged image {whole} to {repository}:{tag}"));
            if act {
                engine.must(
                    "POST",
                    &format!("{place}/tag?repo={}&tag={}", escaped(repository), escaped(tag)),
                    None,
                )?;
            }
        }
    }
    Ok(map([("changed", changed.into()), ("image", after.unwrap_or_default()), ("actions", actions.into())]))
}

fn network(task: &mut Task<'_>) -> Done {
    let engine = engine(task)?;
    let args = &task.args;
    let name = args.or_empty("name").to_owned();
    let place = format!("/networks/{}", escaped(&name));
    let mut now = engine.known(&place)?;
    let act = !task.check();
    let mut changed = false;
    let remove = |now: &Value| -> Result<()> {
        for container in now.get("Containers").and_then(Value::as_object).into_iter().flatten() {
            engine.must(
                "POST",
                &format!("{place}/disconnect"),
                Some(&json!({"Container": container.0, "Force": true})),
            )?;
        }
        engine.must("DELETE", &place, None).map(|_| ())
    };
    if args.text("state") == Some("absent") {
        if let Some(now) = &now {
            changed = true;
            if act {
                remove(now)?;
            }
        }
        return Ok(task.changed(changed));
    }
    let texts = |map: &Map<String, Value>| -> Value {
        map.iter()
            .map(|(key, value)| (key.clone(), Value::from(python::text(value))))
            .collect::<Map<_, _>>()
            .into()
    };
    let mut body = map([("Name", name.clone().into()), ("Driver", args.or_empty("driver").into())]);
    body.extend(args.map("driver_options").map(|options| ("Options".to_owned(), texts(options))));
    body.extend(args.map("labels").map(|labels| ("Labels".to_owned(), texts(labels))));
    body.extend(args.maybe("internal").map(|truth| ("Internal".to_owned(), truth.into())));
    body.extend(args.maybe("attachable").map(|truth| ("Attachable".to_owned(), truth.into())));
    if let Some(have) = &now
        && (args.flag("force") || !holds(have, &body.clone().into()))
    {
        changed = true;
        if act {
            remove(have)?;
        }
        now = None;
    }
    if now.is_none() {
        changed = true;
        if act {
            engine.must("POST", "/networks/create", Some(&body.into()))?;
        }
    }
    let joined: Vec<String> = now
        .as_ref()
        .and_then(|now| now.get("Containers"))
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(_, container)| Some(container.get("Name")?.as_str()?.to_owned()))
        .collect();
    if args.has("connected") {
        let wanted = args.list("connected");
        for container in wanted.iter().filter(|container| !joined.contains(container)) {
            changed = true;
            if act {
                engine.must("POST", &format!("{place}/connect"), Some(&json!({"Container": container})))?;
            }
        }
        for container in
            joined.iter().filter(|container| !wanted.contains(container) && !args.flag("appends"))
        {
            changed = true;
            if act {
                engine.must(
                    "POST",
                    &format!("{place}/disconnect"),
                    Some(&json!({"Container": container, "Force": true})),
                )?;
            }
        }
    }
    let after = engine.known(&place)?;
    Ok(map([("changed", changed.into()), ("network", after.unwrap_or_default())]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_names_and_tags() {
        assert_eq!(split("a:5000/b"), ("a:5000/b", "latest"));
        assert_eq!(split("a:5000/b:1"), ("a:5000/b", "1"));
        assert_eq!(split("a@sha256:00"), ("a", "sha256:00"));
        assert_eq!(bytes("512M"), Some(512 << 20));
        assert_eq!(bytes("x"), None);
    }

    #[test]
    fn only_what_the_task_says_is_compared() {
        assert!(holds(&json!({"a": 1, "b": ["x", "y"]}), &json!({"b": ["y"]})));
        assert!(!holds(&json!({"a": 1}), &json!({"a": 2})));
    }
}
