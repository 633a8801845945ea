//! `setup` and `gather_facts`: what the host is. Each family has a file.

mod hardware;
mod network;
mod system;

pub(crate) use system::{boot_id, package_manager, service_manager};

use serde_json::{Map, Value, json};

use super::find::wildcard;
use crate::base::pattern::{Flags, Pattern};
use crate::base::{Done, Fail, Task, fail, map};
use crate::spec::{Arg, ModuleSpec, int, list, path, raw};

const ARGS: &[Arg] = &[
    list("gather_subset").or_list(&["all"]),
    int("gather_timeout").or_int(10),
    list("filter").or_list(&[]),
    path("fact_path").or("/etc/ansible/facts.d"),
    raw("parallel"),
];

pub(crate) const SPEC: ModuleSpec = ModuleSpec::new("setup", ARGS, run).also(&["gather_facts"]);
pub(crate) const PING: ModuleSpec =
    ModuleSpec::new("ping", &[crate::spec::text("data").or("pong")], |task| {
        let data = task.args.or_empty("data");
        if data == "crash" {
            return Err(Fail::crash("boom"));
        }
        Ok(map([("ping", data.into())]))
    });

/// Subsets that can be asked for by name.
const SUBSETS: &[(&str, &str)] = &[
    ("hardware", "hardware"),
    ("devices", "hardware"),
    ("memory", "hardware"),
    ("mounts", "hardware"),
    ("processor", "hardware"),
    ("network", "network"),
    ("interfaces", "network"),
    ("default_ipv4", "network"),
    ("virtual", "virtual"),
    ("virtualization_type", "virtual"),
    ("virtualization_role", "virtual"),
];
/// Subsets that `min` holds, and names that we accept without an effect of their own.
const SMALL: &[&str] = &[
    "all",
    "min",
    "apparmor",
    "caps",
    "chroot",
    "cmdline",
    "date_time",
    "distribution",
    "dns",
    "env",
    "facter",
    "fips",
    "local",
    "lsb",
    "ohai",
    "pkg_mgr",
    "platform",
    "python",
    "selinux",
    "service_mgr",
    "ssh_pub_keys",
    "system",
    "system_capabilities",
    "user",
    "loadavg",
    "fibre_channel_wwn",
    "iscsi",
    "nvme",
    "os_family",
    "hostname",
    "fqdn",
    "domain",
    "architecture",
    "kernel",
    "kernel_version",
    "machine",
    "machine_id",
    "nodename",
    "distribution_version",
    "distribution_release",
    "distribution_major_version",
    "user_id",
    "all_ipv4_addresses",
    "all_ipv6_addresses",
    "default_ipv6",
    "virtualization_tech_guest",
    "virtualization_tech_host",
    "systemd",
];

fn run(task: &mut Task<'_>) -> Done {
    let wanted = task.args.list("gather_subset");
    let known = |name: &str| SMALL.contains(&name) || SUBSETS.iter().any(|(key, _)| *key == name);
    if let Some(wrong) = wanted.iter().find(|name| !known(name.trim_start_matches('!'))) {
        let mut names: Vec<&str> = SMALL.iter().copied().chain(SUBSETS.iter().map(|(key, _)| *key)).collect();
        names.sort_unstable();
        let wrong = wrong.trim_start_matches('!');
        return fail(format!(
            "Bad subset '{wrong}' given to Ansible. gather_subset options allowed: {}",
            names.join(", ")
        ));
    }
    let all = wanted.iter().all(|name| name.starts_with('!') && name != "!all")
        || wanted.iter().any(|name| name == "all");
    let has = |family: &str| {
        let named = |name: &str| SUBSETS.iter().any(|(key, group)| *key == name && *group == family);
        let out = wanted.iter().filter_map(|name| name.strip_prefix('!')).any(named);
        let only_not_all = wanted.iter().any(|name| name == "!all");
        wanted.iter().any(|name| named(name)) || (all && !only_not_all && !out)
    };
    let mut facts = Map::new();
    if !(wanted.iter().any(|name| name == "!min") && wanted.iter().any(|name| name == "!all")) {
        system::gather(task, &mut facts);
    }
    if has("hardware") {
        hardware::gather(task, &mut facts);
    }
    if has("network") {
        network::gather(task, &mut facts);
    }
    if has("virtual") {
        hardware::virtualization(task, &mut facts);
    }
    let mut facts: Map<String, Value> =
        facts.into_iter().map(|(name, value)| (prefixed(name), value)).collect();
    facts.insert("gather_subset".into(), wanted.into());
    facts.insert("module_setup".into(), true.into());
    task.ctx.facts = Some(facts.clone());
    let kept = filtered(task, facts)?;
    Ok(map([("ansible_facts", json!(kept)), ("changed", false.into())]))
}

fn prefixed(name: String) -> String {
    format!("ansible_{name}")
}

/// Facts whose names fit one of the patterns, with or without `ansible_`.
fn filtered(task: &Task<'_>, facts: Map<String, Value>) -> Result<Map<String, Value>, Fail> {
    let patterns = task.args.list("filter");
    if patterns.is_empty() || patterns.iter().any(|pattern| pattern == "*") {
        return Ok(facts);
    }
    let flags = Flags { at_start: true, ..Flags::default() };
    let mut kept = Map::new();
    for pattern in patterns {
        let source = if pattern.starts_with("ansible_") || pattern.starts_with('*') {
            pattern
        } else {
            prefixed(pattern)
        };
        let compiled = Pattern::new(&wildcard(&source), flags).map_err(Fail::crash)?;
        for (name, value) in &facts {
            if compiled.found(name.as_bytes()).map_err(Fail::crash)? {
                kept.insert(name.clone(), value.clone());
            }
        }
    }
    Ok(kept)
}
