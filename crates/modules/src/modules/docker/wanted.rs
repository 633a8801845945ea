//! What a task says of a container, in the words of the engine. What the task does not say is not compared.

use serde_json::{Map, Value, json};

use crate::base::{Fail, Result, ResultExt, Task, fail, python};

/// Texts of the container itself.
const TEXTS: [(&str, &str); 3] = [("user", "User"), ("working_dir", "WorkingDir"), ("hostname", "Hostname")];
/// Truths of the container itself.
const TRUTHS: [(&str, &str); 2] = [("interactive", "OpenStdin"), ("tty", "Tty")];
/// Texts of how it is run.
const HOST_TEXTS: [(&str, &str); 3] =
    [("network_mode", "NetworkMode"), ("pid_mode", "PidMode"), ("ipc_mode", "IpcMode")];
/// Truths of how it is run.
const HOST_TRUTHS: [(&str, &str); 4] = [
    ("privileged", "Privileged"),
    ("read_only", "ReadonlyRootfs"),
    ("init", "Init"),
    ("auto_remove", "AutoRemove"),
];
/// Lists of how it is run.
const HOST_LISTS: [(&str, &str); 6] = [
    ("volumes", "Binds"),
    ("capabilities", "CapAdd"),
    ("cap_drop", "CapDrop"),
    ("dns_servers", "Dns"),
    ("security_opts", "SecurityOpt"),
    ("groups", "GroupAdd"),
];
/// Sizes of how it is run, bytes.
const HOST_SIZES: [(&str, &str); 3] =
    [("memory", "Memory"), ("memory_swap", "MemorySwap"), ("shm_size", "ShmSize")];

/// A container as the task wants it.
pub(super) struct Wanted {
    /// Of the container itself.
    pub(super) config: Map<String, Value>,
    /// Of how it is run.
    pub(super) host: Map<String, Value>,
}

pub(super) fn wanted(task: &Task<'_>) -> Result<Wanted> {
    let (mut config, mut host) = (Map::new(), Map::new());
    of_the_container(task, &mut config)?;
    of_its_run(task, &mut host)?;
    ports(task, &mut config, &mut host);
    Ok(Wanted { config, host })
}

fn of_the_container(task: &Task<'_>, config: &mut Map<String, Value>) -> Result<()> {
    let args = &task.args;
    let mut put = |key: &str, value: Value| drop(config.insert(key.to_owned(), value));
    for (name, key) in TEXTS {
        args.filled(name).into_iter().for_each(|text| put(key, text.into()));
    }
    for (name, key) in TRUTHS {
        args.maybe(name).into_iter().for_each(|truth| put(key, truth.into()));
    }
    match args.get("command") {
        Some(Value::Array(items)) => put("Cmd", items.iter().map(|i| Value::from(python::text(i))).collect()),
        Some(Value::String(line)) if !line.is_empty() => {
            put("Cmd", crate::base::words::split(line).map_err(Fail::crash)?.into());
        }
        _ => {}
    }
    if args.has("entrypoint") {
        put("Entrypoint", args.list("entrypoint").into());
    }
    if let Some(labels) = args.map("labels") {
        put("Labels", texts(labels));
    }
    let env = environment(task)?;
    if !env.is_empty() {
        put("Env", env.into());
    }
    if let Some(check) = args.map("healthcheck") {
        put("Healthcheck", health(check)?);
    }
    Ok(())
}

/// `NAME=value` from the file, then from the task, which wins.
fn environment(task: &Task<'_>) -> Result<Vec<String>> {
    let mut all: Map<String, Value> = Map::new();
    if let Some(path) = task.args.filled("env_file") {
        let text = std::fs::read_to_string(path).or_fail(|| format!("reading env_file {path}"))?;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            all.insert(name.trim_end().to_owned(), value.into());
        }
    }
    for (name, value) in task.args.map("env").into_iter().flatten() {
        all.insert(name.clone(), python::text(value).into());
    }
    Ok(all.iter().map(|(name, value)| format!("{name}={}", python::text(value))).collect())
}

fn of_its_run(task: &Task<'_>, host: &mut Map<String, Value>) -> Result<()> {
    let args = &task.args;
    let mut put = |key: &str, value: Value| drop(host.insert(key.to_owned(), value));
    for (name, key) in HOST_TEXTS {
        args.filled(name).into_iter().for_each(|text| put(key, text.into()));
    }
    for (name, key) in HOST_TRUTHS {
        args.maybe(name).into_iter().for_each(|truth| put(key, truth.into()));
    }
    for (name, key) in HOST_LISTS.into_iter().filter(|(name, _)| args.has(name)) {
        put(key, args.list(name).into());
    }
    for (name, key) in HOST_SIZES {
        let Some(text) = args.filled(name) else { continue };
        let Some(size) = bytes(text) else { return fail(format!("{name} cannot be {text}")) };
        put(key, size.into());
    }
    if let Some(cpus) = args.get("cpus").map(python::text).filter(|text| !text.is_empty()) {
        let count: f64 =
            cpus.parse().ok().filter(|count| (0.0..=100_000.0).contains(count)).ok_or_else(|| {
                Fail::new(format!(
                    "cpus cannot be {cpus}; a number of processors such as 0.5 would be accepted"
                ))
            })?;
        put("NanoCpus", ((count * 1e9).round() as u64).into());
    }
    if let Some(name) = args.filled("restart_policy") {
        let retries = args.int("restart_retries").unwrap_or(0);
        put("RestartPolicy", json!({"Name": name, "MaximumRetryCount": retries}));
    }
    if let Some(driver) = args.filled("log_driver") {
        put(
            "LogConfig",
            json!({"Type": driver, "Config": args.map("log_options").map(texts).unwrap_or(json!({}))}),
        );
    }
    if let Some(hosts) = args.map("etc_hosts") {
        put("ExtraHosts", hosts.iter().map(|(name, at)| format!("{name}:{}", python::text(at))).collect());
    }
    if let Some(settings) = args.map("sysctls") {
        put("Sysctls", texts(settings));
    }
    if args.has("tmpfs") {
        let split = |mount: &String| match mount.split_once(':') {
            Some((place, options)) => (place.to_owned(), Value::from(options)),
            None => (mount.clone(), Value::from("")),
        };
        put("Tmpfs", args.list("tmpfs").iter().map(split).collect::<Map<_, _>>().into());
    }
    if args.has("devices") {
        put("Devices", args.list("devices").iter().map(|line| device(line)).collect());
    }
    Ok(())
}

/// `/dev/a:/dev/b:rwm`.
fn device(line: &str) -> Value {
    let mut parts = line.split(':');
    let outside = parts.next().unwrap_or_default();
    let inside = parts.next().unwrap_or(outside);
    json!({"PathOnHost": outside, "PathInContainer": inside,
        "CgroupPermissions": parts.next().unwrap_or("rwm")})
}

/// Ports that are published are exposed as well.
fn ports(task: &Task<'_>, config: &mut Map<String, Value>, host: &mut Map<String, Value>) {
    let (mut bindings, mut exposed) = (Map::new(), Map::new());
    let with_protocol = |port: &str| match port.rsplit_once('/') {
        Some((port, protocol)) => (port.to_owned(), protocol.to_owned()),
        None => (port.to_owned(), "tcp".to_owned()),
    };
    for port in task.args.list("exposed_ports") {
        let (port, protocol) = with_protocol(&port);
        exposed.insert(format!("{port}/{protocol}"), json!({}));
    }
    for port in task.args.list("published_ports") {
        let (front, protocol) = with_protocol(&port);
        let parts: Vec<&str> = front.rsplitn(3, ':').collect();
        let inner = format!("{}/{protocol}", parts.first().copied().unwrap_or_default());
        exposed.insert(inner.clone(), json!({}));
        let address = parts.get(2).map_or("0.0.0.0", |address| address.trim_matches(['[', ']']));
        let binding = json!({"HostIp": address, "HostPort": parts.get(1).copied().unwrap_or_default()});
        if let Value::Array(all) = bindings.entry(inner).or_insert_with(|| json!([])) {
            all.push(binding);
        }
    }
    if !exposed.is_empty() {
        config.insert("ExposedPorts".to_owned(), exposed.into());
    }
    if !bindings.is_empty() {
        host.insert("PortBindings".to_owned(), bindings.into());
    }
}

/// A check of health: texts of time become nanoseconds.
fn health(check: &Map<String, Value>) -> Result<Value> {
    let mut out = Map::new();
    match check.get("test") {
        Some(Value::Array(words)) => {
            out.insert("Test".to_owned(), words.iter().map(|word| Value::from(python::text(word))).collect());
        }
        Some(Value::String(line)) if line == "NONE" => drop(out.insert("Test".to_owned(), json!(["NONE"]))),
        Some(Value::String(line)) => drop(out.insert("Test".to_owned(), json!(["CMD-SHELL", line]))),
        _ => {}
    }
    for (name, key) in [("interval", "Interval"), ("timeout", "Timeout"), ("start_period", "StartPeriod")] {
        let Some(text) = check.get(name).map(python::text) else { continue };
        let time = nanoseconds(&text).ok_or_else(|| {
            Fail::new(format!(
                "healthcheck.{name} cannot be {text}; a time such as 5s or 1m30s would be accepted"
            ))
        })?;
        out.insert(key.to_owned(), time.into());
    }
    if let Some(retries) = check.get("retries").map(python::text).and_then(|text| text.parse::<u32>().ok()) {
        out.insert("Retries".to_owned(), retries.into());
    }
    Ok(out.into())
}

/// `1m30s` in nanoseconds, as the engine's own tools write times.
fn nanoseconds(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut all = 0u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let scale: u64 = match unit {
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        all = all.checked_add(number.parse::<u64>().ok()?.checked_mul(scale)?)?;
        rest = after;
    }
    Some(all)
}

/// All values as texts.
pub(super) fn texts(map: &Map<String, Value>) -> Value {
    map.iter()
        .map(|(key, value)| (key.clone(), Value::from(python::text(value))))
        .collect::<Map<_, _>>()
        .into()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_have_units() {
        assert_eq!(bytes("512M"), Some(512 << 20));
        assert_eq!(bytes("64"), Some(64));
        assert_eq!(bytes("x"), None);
        assert_eq!(nanoseconds("1m30s"), Some(90_000_000_000));
        assert_eq!(nanoseconds("500ms"), Some(500_000_000));
        for wrong in ["", "5", "5 years", "s", "99999999999999h"] {
            assert_eq!(nanoseconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_device_is_the_same_inside_unless_told() {
        assert_eq!(device("/dev/a")["PathInContainer"], "/dev/a");
        assert_eq!(device("/dev/a:/dev/b:r")["CgroupPermissions"], "r");
    }
}
