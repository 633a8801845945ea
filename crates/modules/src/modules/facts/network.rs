//! Interfaces and addresses, from `ip` and `/sys/class/net`.

use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use super::system::read;
use crate::base::{Task, files};

type Facts = Map<String, Value>;

/// Most interfaces that facts tell; hosts of containers have hundreds.
const INTERFACES_MAX: usize = 1_000;

pub(super) fn gather(task: &Task<'_>, facts: &mut Facts) {
    let addresses = addresses(task);
    let mut names: Vec<String> = std::fs::read_dir(task.ctx.system("sys/class/net"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .take(INTERFACES_MAX)
        .collect();
    names.sort();
    let (mut all4, mut all6) = (Vec::new(), Vec::new());
    let mut interfaces = Map::new();
    for name in &names {
        let about = interface(task, name, &addresses, &mut all4, &mut all6);
        interfaces.insert(name.clone(), about.into());
    }
    facts.insert("default_ipv4".into(), default4(task, &interfaces).into());
    facts.insert("default_ipv6".into(), default6(task, &interfaces).into());
    for (name, about) in interfaces {
        facts.insert(name.replace(['-', ':'], "_"), about);
    }
    facts.insert("interfaces".into(), names.into());
    facts.insert("all_ipv4_addresses".into(), all4.into());
    facts.insert("all_ipv6_addresses".into(), all6.into());
}

/// What `ip -j addr` says, one map per interface.
fn addresses(task: &Task<'_>) -> Vec<Value> {
    let Some(ip) = task.find("ip") else { return Vec::new() };
    let ran = task.run([ip.as_os_str(), "-j".as_ref(), "addr".as_ref(), "show".as_ref()]);
    ran.ok().and_then(|ran| serde_json::from_slice(&ran.out).ok()).unwrap_or_default()
}

fn mask(prefix: u64) -> Ipv4Addr {
    Ipv4Addr::from(u32::MAX.checked_shl(32 - prefix.min(32) as u32).unwrap_or(0))
}

fn four(entry: &Value) -> Option<Value> {
    let address: Ipv4Addr = entry.get("local")?.as_str()?.parse().ok()?;
    let prefix = entry.get("prefixlen")?.as_u64()?;
    let mask = mask(prefix);
    let network = Ipv4Addr::from(u32::from(address) & u32::from(mask));
    let broadcast = entry.get("broadcast").and_then(Value::as_str).unwrap_or("");
    Some(json!({"address": address.to_string(), "broadcast": broadcast, "netmask": mask.to_string(),
        "network": network.to_string(), "prefix": prefix.to_string()}))
}

fn interface(
    task: &Task<'_>,
    name: &str,
    addresses: &[Value],
    all4: &mut Vec<Value>,
    all6: &mut Vec<Value>,
) -> Map<String, Value> {
    let get = |file: &str| read(task, &format!("sys/class/net/{name}/{file}"));
    let mut about = Map::new();
    about.insert("device".into(), name.into());
    if let Some(mac) = get("address").filter(|mac| !mac.is_empty() && mac != "00:00:00:00:00:00") {
        about.insert("macaddress".into(), mac.into());
    }
    if let Some(mtu) = get("mtu").and_then(|mtu| mtu.parse::<u64>().ok()) {
        about.insert("mtu".into(), mtu.into());
    }
    about.insert("active".into(), get("operstate").is_some_and(|state| state != "down").into());
    let folder = task.ctx.system(&format!("sys/class/net/{name}"));
    let module = files::realpath(&folder.join("device/driver/module"));
    if folder.join("device/driver/module").exists() {
        about.insert(
            "module".into(),
            module.file_name().unwrap_or_default().to_string_lossy().into_owned().into(),
        );
    }
    let kind = match get("type").as_deref() {
        Some("1") => "ether",
        Some("512") => "ppp",
        Some("772") => "loopback",
        _ => "unknown",
    };
    let kind = if folder.join("bridge").exists() {
        "bridge"
    } else if folder.join("bonding").exists() {
        "bonding"
    } else {
        kind
    };
    about.insert("type".into(), kind.into());
    if let Some(speed) = get("speed").and_then(|speed| speed.parse::<i64>().ok()) {
        about.insert("speed".into(), speed.into());
    }
    let flags =
        u32::from_str_radix(get("flags").unwrap_or_default().trim_start_matches("0x"), 16).unwrap_or(0);
    about.insert("promisc".into(), (flags & 0x100 != 0).into());
    let of_interface =
        addresses.iter().find(|entry| entry.get("ifname").and_then(Value::as_str) == Some(name));
    let entries = of_interface
        .and_then(|entry| entry.get("addr_info"))
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let (mut first, mut second, mut six) = (None, Vec::new(), Vec::new());
    for entry in &entries {
        let family = entry.get("family").and_then(Value::as_str);
        if family == Some("inet") {
            let Some(told) = four(entry) else { continue };
            let address = told.get("address").cloned().unwrap_or_default();
            if !address.as_str().unwrap_or_default().starts_with("127.") {
                all4.push(address);
            }
            if first.is_none() { first = Some(told) } else { second.push(told) }
        } else if family == Some("inet6") {
            let address = entry.get("local").cloned().unwrap_or_default();
            let prefix = entry.get("prefixlen").and_then(Value::as_u64).unwrap_or(128).to_string();
            if address != "::1" {
                all6.push(address.clone());
            }
            six.push(json!({"address": address, "prefix": prefix, "scope": entry.get("scope")}));
        }
    }
    if let Some(first) = first {
        about.insert("ipv4".into(), first);
    }
    if !second.is_empty() {
        about.insert("ipv4_secondaries".into(), second.into());
    }
    if !six.is_empty() {
        about.insert("ipv6".into(), six.into());
    }
    about
}

/// The interface that leads to the world, with its address and gateway.
fn default4(task: &Task<'_>, interfaces: &Map<String, Value>) -> Map<String, Value> {
    let table = read(task, "proc/net/route").unwrap_or_default();
    let mut best: Option<(u64, String, Ipv4Addr)> = None;
    for line in table.lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, "00000000", gateway, _, _, _, metric, "00000000", ..] = words.as_slice() else { continue };
        let gateway = Ipv4Addr::from(u32::from_str_radix(gateway, 16).unwrap_or(0).swap_bytes());
        let metric = metric.parse().unwrap_or(0);
        if best.as_ref().is_none_or(|(old, _, _)| metric < *old) {
            best = Some((metric, (*name).to_owned(), gateway));
        }
    }
    let Some((_, name, gateway)) = best else { return Map::new() };
    let mut out = Map::new();
    out.insert("interface".into(), name.clone().into());
    out.insert("alias".into(), name.clone().into());
    out.insert("gateway".into(), gateway.to_string().into());
    let about = interfaces.get(&name);
    for key in ["macaddress", "mtu", "type"] {
        out.extend(about.and_then(|about| about.get(key)).map(|value| (key.to_owned(), value.clone())));
    }
    if let Some(Value::Object(four)) = about.and_then(|about| about.get("ipv4")) {
        out.extend(four.clone());
    }
    out
}

fn default6(task: &Task<'_>, interfaces: &Map<String, Value>) -> Map<String, Value> {
    let table = read(task, "proc/net/ipv6_route").unwrap_or_default();
    let zero = "0".repeat(32);
    let line = table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [to, "00", _, _, gateway, .., name] = words.as_slice() else { return None };
        (*to == zero && *gateway != zero && *name != "lo")
            .then(|| ((*gateway).to_owned(), (*name).to_owned()))
    });
    let Some((gateway, name)) = line else { return Map::new() };
    let parts: Vec<u16> =
        (0..8).filter_map(|at| u16::from_str_radix(gateway.get(at * 4..at * 4 + 4)?, 16).ok()).collect();
    let gateway =
        <[u16; 8]>::try_from(parts).map(std::net::Ipv6Addr::from).map(|address| address.to_string());
    let mut out = Map::new();
    out.insert("interface".into(), name.clone().into());
    out.insert("gateway".into(), gateway.unwrap_or_default().into());
    let about = interfaces.get(&name);
    for key in ["macaddress", "mtu", "type"] {
        out.extend(about.and_then(|about| about.get(key)).map(|value| (key.to_owned(), value.clone())));
    }
    let six = about.and_then(|about| about.get("ipv6")).and_then(Value::as_array);
    let global =
        six.and_then(|all| all.iter().find(|one| one.get("scope").and_then(Value::as_str) == Some("global")));
    if let Some(Value::Object(one)) = global {
        out.extend(one.clone());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_follow_from_prefixes() {
        for (prefix, expected) in [(0, "0.0.0.0"), (8, "255.0.0.0"), (32, "255.255.255.255")] {
            assert_eq!(mask(prefix).to_string(), expected);
        }
    }
}
