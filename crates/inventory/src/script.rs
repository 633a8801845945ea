//! Inventory scripts: `--list` prints groups as JSON, `--host NAME` one host's variables.

use std::collections::HashSet;

use crate::bounds::FILE_BYTES_MAX;
use crate::inventory::{HostId, Inventory};
use crate::problem::{Place, Problem, Result, short};
use crate::source::Files;
use crate::value::{Value, Var};

/// Runs the script and reads what it prints. The caller has checked that it may run.
pub(crate) fn read(inventory: &mut Inventory, files: &dyn Files, path: &str) -> Result<()> {
    let place = Place::file(path);
    let Value::Map(groups) = run(files, path, &["--list"], &place)?.unwrap_or(Value::Null) else {
        return Err(unexpected(&place, "a JSON map of groups from --list", "something else"));
    };
    let mut hostvars = None;
    let mut hosts = Vec::new();
    let mut seen = HashSet::new();
    for (key, value) in groups {
        let name = key.key_text();
        if name == "_meta" {
            match value.get("hostvars") {
                Some(Value::Map(entries)) => hostvars = Some(entries.clone()),
                other => {
                    let found = other.map_or("nothing", Value::kind);
                    return Err(unexpected(&place, "a map at _meta.hostvars", found));
                }
            }
        } else {
            for host in group(inventory, &name, value, &place)? {
                if seen.insert(host) {
                    hosts.push(host);
                }
            }
        }
    }
    host_variables(inventory, files, path, hosts, hostvars)
}

fn host_variables(
    inventory: &mut Inventory,
    files: &dyn Files,
    path: &str,
    hosts: Vec<HostId>,
    hostvars: Option<Vec<(Value, Value)>>,
) -> Result<()> {
    let place = Place::file(path);
    let mut by_host: Option<std::collections::HashMap<String, Value>> =
        hostvars.map(|entries| entries.into_iter().map(|(host, vars)| (host.key_text(), vars)).collect());
    for host in hosts {
        let Some(name) = inventory.hosts.get(host).map(|host| host.name.clone()) else { continue };
        let vars = match &mut by_host {
            Some(by_host) => by_host.remove(&name),
            None => run(files, path, &["--host", &name], &place)?,
        };
        match vars {
            Some(Value::Map(entries)) => {
                for (key, value) in entries {
                    inventory.set_host_var(host, &key.key_text(), Var { value, place: place.clone() })?;
                }
            }
            None => {}
            Some(other) => return Err(unexpected(&place, "a map of the host's variables", other.kind())),
        }
    }
    Ok(())
}

/// The hosts that the group lists.
fn group(inventory: &mut Inventory, name: &str, data: Value, place: &Place) -> Result<Vec<HostId>> {
    let group = inventory.add_group(name, place)?;
    let known = ["hosts", "vars", "children"].iter().any(|key| data.get(key).is_some());
    let data = match data {
        map @ Value::Map(_) if known => map,
        // A map of variables alone stands for a host of the same name.
        map @ Value::Map(_) => {
            let map = untrusted(map);
            let own = Value::List(vec![Value::Text(name.to_owned())]);
            Value::Map(vec![(Value::Text("hosts".to_owned()), own), (Value::Text("vars".to_owned()), map)])
        }
        list => Value::Map(vec![(Value::Text("hosts".to_owned()), list)]),
    };
    let mut hosts = Vec::new();
    for host in names(&data, "hosts", place)? {
        hosts.push(inventory.add_host(&host, group, None, place)?);
    }
    match data.get("vars") {
        Some(Value::Map(entries)) => {
            for (key, value) in entries {
                let var = Var { value: value.clone(), place: place.clone() };
                inventory.set_group_var(group, &key.key_text(), var)?;
            }
        }
        None => {}
        Some(other) => return Err(unexpected(place, "a map at vars", other.kind())),
    }
    for child in names(&data, "children", place)? {
        let child = inventory.add_group(&child, place)?;
        inventory.add_child(group, child, place)?;
    }
    Ok(hosts)
}

/// Ansible renders no templates in variables that were given in this old form.
fn untrusted(value: Value) -> Value {
    match value {
        Value::Text(text) => Value::Unsafe(text),
        Value::List(items) => Value::List(items.into_iter().map(untrusted).collect()),
        Value::Map(entries) => {
            Value::Map(entries.into_iter().map(|(key, value)| (key, untrusted(value))).collect())
        }
        other => other,
    }
}

fn names(data: &Value, key: &str, place: &Place) -> Result<Vec<String>> {
    match data.get(key) {
        None => Ok(Vec::new()),
        Some(Value::List(items)) => items
            .iter()
            .map(|item| match item {
                Value::Text(name) => Ok(name.clone()),
                other => Err(unexpected(place, "a list of names as texts", other.kind())),
            })
            .collect(),
        Some(other) => Err(unexpected(place, "a list of names", other.kind())),
    }
}

/// `None` when the script printed nothing.
fn run(files: &dyn Files, path: &str, args: &[&str], place: &Place) -> Result<Option<Value>> {
    let output = files
        .run(path, args, FILE_BYTES_MAX + 1)
        .map_err(|detail| place.problem(Problem::Script { detail: short(&detail) }))?;
    if output.len() as u64 > FILE_BYTES_MAX {
        return Err(place.problem(Problem::TooLarge { bytes: output.len() as u64, max: FILE_BYTES_MAX }));
    }
    if output.trim_ascii().is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&output).map(Some).map_err(|error| {
        let detail = format!("{} printed by {}", short(&error.to_string()), args.join(" "));
        place.problem(Problem::Json { detail })
    })
}

fn unexpected(place: &Place, expected: &'static str, found: &str) -> crate::problem::InventoryError {
    place.problem(Problem::Unexpected { expected, found: found.to_owned() })
}
