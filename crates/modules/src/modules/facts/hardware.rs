//! Memory, processors, disks, mounts, and whether the host is a guest.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::system::read;
use crate::base::{Task, files};

type Facts = Map<String, Value>;

pub(super) fn gather(task: &Task<'_>, facts: &mut Facts) {
    memory(task, facts);
    processors(task, facts);
    dmi(task, facts);
    facts.insert("mounts".into(), mounts(task).into());
    facts.insert("devices".into(), devices(task).into());
    if let Some(up) = read(task, "proc/uptime")
        && let Some(seconds) = up.split('.').next().and_then(|seconds| seconds.parse::<u64>().ok())
    {
        facts.insert("uptime_seconds".into(), seconds.into());
    }
}

fn memory(task: &Task<'_>, facts: &mut Facts) {
    let text = read(task, "proc/meminfo").unwrap_or_default();
    let kb = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
    };
    let mb = |name: &str| kb(name) / 1024;
    let (total, free) = (mb("MemTotal"), mb("MemFree"));
    let (swap, swap_free) = (mb("SwapTotal"), mb("SwapFree"));
    let no_cache_free = (kb("MemFree") + kb("Cached") + kb("Buffers")) / 1024;
    for (name, value) in
        [("memtotal_mb", total), ("memfree_mb", free), ("swaptotal_mb", swap), ("swapfree_mb", swap_free)]
    {
        facts.insert(name.into(), value.into());
    }
    facts.insert("memory_mb".into(), json!({
        "real": {"total": total, "used": total.saturating_sub(free), "free": free},
        "nocache": {"free": no_cache_free, "used": total.saturating_sub(no_cache_free)},
        "swap": {"total": swap, "free": swap_free, "used": swap.saturating_sub(swap_free), "cached": mb("SwapCached")},
    }));
}

fn processors(task: &Task<'_>, facts: &mut Facts) {
    let text = read(task, "proc/cpuinfo").unwrap_or_default();
    let (mut list, mut sockets, mut cores, mut siblings) = (Vec::<Value>::new(), BTreeSet::new(), 1u64, 1u64);
    let (mut count, mut flags) = (0u64, Vec::new());
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let (key, value) = (key.trim(), value.trim());
        match key {
            "processor" if value.parse::<u64>().is_ok() => {
                list.push(value.into());
                count += 1;
            }
            "model name" | "Model" | "vendor_id" | "cpu" | "Processor" | "vendor" => list.push(value.into()),
            "flags" | "Features" if flags.is_empty() => flags = value.split(' ').collect(),
            "physical id" => drop(sockets.insert(value.to_owned())),
            "cpu cores" => cores = value.parse().unwrap_or(1),
            "siblings" => siblings = value.parse().unwrap_or(1),
            _ => {}
        }
    }
    let packages = if sockets.is_empty() { count.max(1) } else { sockets.len() as u64 };
    if sockets.is_empty() {
        (cores, siblings) = (1, 1);
    }
    let threads = (siblings / cores.max(1)).max(1);
    let usable = rustix::thread::sched_getaffinity(None).map_or(count, |set| u64::from(set.count()));
    for (name, value) in [
        ("processor_count", packages),
        ("processor_cores", cores),
        ("processor_threads_per_core", threads),
        ("processor_vcpus", threads * packages * cores),
        ("processor_nproc", usable),
    ] {
        facts.insert(name.into(), value.into());
    }
    facts.insert("processor".into(), list.into());
    facts.insert("flags".into(), flags.into());
}

/// What the firmware says of the machine.
const DMI: &[(&str, &str)] = &[
    ("bios_date", "bios_date"),
    ("bios_vendor", "bios_vendor"),
    ("bios_version", "bios_version"),
    ("board_asset_tag", "board_asset_tag"),
    ("board_name", "board_name"),
    ("board_serial", "board_serial"),
    ("board_vendor", "board_vendor"),
    ("board_version", "board_version"),
    ("chassis_asset_tag", "chassis_asset_tag"),
    ("chassis_serial", "chassis_serial"),
    ("chassis_vendor", "chassis_vendor"),
    ("chassis_version", "chassis_version"),
    ("product_name", "product_name"),
    ("product_serial", "product_serial"),
    ("product_uuid", "product_uuid"),
    ("product_version", "product_version"),
    ("system_vendor", "sys_vendor"),
];

fn dmi(task: &Task<'_>, facts: &mut Facts) {
    for (name, file) in DMI {
        let value =
            read(task, &format!("sys/devices/virtual/dmi/id/{file}")).unwrap_or_else(|| "NA".to_owned());
        facts.insert((*name).into(), value.into());
    }
    let kinds = [
        "Unknown",
        "Other",
        "Unknown",
        "Desktop",
        "Low Profile Desktop",
        "Pizza Box",
        "Mini Tower",
        "Tower",
        "Portable",
        "Laptop",
        "Notebook",
        "Hand Held",
        "Docking Station",
        "All In One",
        "Sub Notebook",
        "Space-saving",
        "Lunch Box",
        "Main Server Chassis",
        "Expansion Chassis",
        "Sub Chassis",
        "Bus Expansion Chassis",
        "Peripheral Chassis",
        "RAID Chassis",
        "Rack Mount Chassis",
    ];
    let kind =
        read(task, "sys/devices/virtual/dmi/id/chassis_type").and_then(|text| text.parse::<usize>().ok());
    let kind = kind.and_then(|kind| kinds.get(kind)).copied().unwrap_or("NA");
    facts.insert("form_factor".into(), kind.into());
}

/// Most mounts that facts tell; hosts of containers have thousands.
const MOUNTS_MAX: usize = 2_000;

/// `\040` and the like in the table of mounts.
fn octal(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let digits: String = bytes.clone().take(3).map(char::from).collect();
        match u8::from_str_radix(&digits, 8) {
            Ok(value) if byte == b'\\' && digits.len() == 3 => {
                out.push(value);
                bytes.nth(2);
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn mounts(task: &Task<'_>) -> Vec<Value> {
    let text = read(task, "proc/mounts").or_else(|| read(task, "etc/mtab")).unwrap_or_default();
    let uuids = uuids(task);
    let mut out = Vec::new();
    for line in text.lines() {
        let words: Vec<String> = line.split(' ').map(octal).collect();
        let [device, mount, kind, options, ..] = words.as_slice() else { continue };
        if !(device.starts_with(['/', '\\']) || device.contains(":/"))
            || kind == "none"
            || out.len() >= MOUNTS_MAX
        {
            continue;
        }
        let mut about = space(mount);
        about.insert("mount".into(), mount.clone().into());
        about.insert("device".into(), device.clone().into());
        about.insert("fstype".into(), kind.clone().into());
        about.insert("options".into(), options.clone().into());
        about.insert("dump".into(), words.get(4).and_then(|n| n.parse::<i64>().ok()).unwrap_or(0).into());
        about.insert("passno".into(), words.get(5).and_then(|n| n.parse::<i64>().ok()).unwrap_or(0).into());
        let real = files::realpath(Path::new(device));
        let uuid = uuids.iter().find(|(path, _)| *path == real).map_or("N/A", |(_, uuid)| uuid.as_str());
        about.insert("uuid".into(), uuid.into());
        out.push(about.into());
    }
    out
}

fn uuids(task: &Task<'_>) -> Vec<(std::path::PathBuf, String)> {
    let entries = std::fs::read_dir(task.ctx.system("dev/disk/by-uuid")).into_iter().flatten().flatten();
    entries
        .map(|entry| (files::realpath(&entry.path()), entry.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// Sizes and inodes of a file system.
pub(crate) fn space(mount: &str) -> Map<String, Value> {
    let Ok(stat) = rustix::fs::statvfs(mount) else { return Map::new() };
    let told = [
        ("size_total", stat.f_frsize * stat.f_blocks),
        ("size_available", stat.f_frsize * stat.f_bavail),
        ("block_size", stat.f_bsize),
        ("block_total", stat.f_blocks),
        ("block_available", stat.f_bavail),
        ("block_used", stat.f_blocks.saturating_sub(stat.f_bavail)),
        ("inode_total", stat.f_files),
        ("inode_available", stat.f_favail),
        ("inode_used", stat.f_files.saturating_sub(stat.f_favail)),
    ];
    told.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect()
}

fn devices(task: &Task<'_>) -> Map<String, Value> {
    let mut out = Map::new();
    let base = "sys/block";
    let entries = std::fs::read_dir(task.ctx.system(base)).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    for name in names {
        let folder = format!("{base}/{name}");
        let get = |file: &str| read(task, &format!("{folder}/{file}"));
        let sectors = get("size").and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let sector_size = get("queue/hw_sector_size")
            .or_else(|| get("queue/logical_block_size"))
            .and_then(|s| s.parse::<u64>().ok())
            .unwrap_or(512);
        let virtuals = files::realpath(&task.ctx.system(&folder));
        let mut partitions = Map::new();
        for entry in std::fs::read_dir(task.ctx.system(&folder)).into_iter().flatten().flatten() {
            let part = entry.file_name().to_string_lossy().into_owned();
            if !part.starts_with(&name) || !entry.path().join("start").exists() {
                continue;
            }
            let get = |file: &str| read(task, &format!("{folder}/{part}/{file}")).unwrap_or_default();
            let sectors = get("size").parse::<u64>().unwrap_or(0);
            partitions.insert(part.clone(), json!({"start": get("start"), "sectors": sectors, "sectorsize": sector_size,
                "size": human(sectors * 512), "uuid": null, "links": {"ids": [], "uuids": [], "labels": [], "masters": []}, "holders": []}));
        }
        out.insert(name.clone(), json!({
            "virtual": i32::from(files::shown(&virtuals).contains("/virtual/")),
            "vendor": get("device/vendor"), "model": get("device/model"), "serial": get("device/serial"),
            "removable": get("removable").unwrap_or_else(|| "0".into()), "rotational": get("queue/rotational").unwrap_or_else(|| "0".into()),
            "sectors": sectors, "sectorsize": sector_size.to_string(), "size": human(sectors * 512),
            "support_discard": get("queue/discard_granularity").unwrap_or_else(|| "0".into()),
            "scheduler_mode": get("queue/scheduler").and_then(|text| Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())).unwrap_or_default(),
            "host": "", "partitions": partitions, "holders": [], "sas_address": null, "sas_device_handle": null,
            "links": {"ids": [], "uuids": [], "labels": [], "masters": []},
        }));
    }
    out
}

/// `10.00 GB`, as facts write sizes.
fn human(bytes: u64) -> String {
    const UNITS: &[(&str, u32)] = &[("EB", 60), ("PB", 50), ("TB", 40), ("GB", 30), ("MB", 20), ("KB", 10)];
    match UNITS.iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) => format!("{:.2} {unit}", bytes as f64 / (1u64 << shift) as f64),
        None => format!("{bytes}.00 Bytes"),
    }
}

pub(super) fn virtualization(task: &Task<'_>, facts: &mut Facts) {
    let product = read(task, "sys/devices/virtual/dmi/id/product_name").unwrap_or_default();
    let vendor = read(task, "sys/devices/virtual/dmi/id/sys_vendor").unwrap_or_default();
    let at = |path: &str| task.ctx.system(path).exists();
    let first = files::text(&task.ctx.system("proc/1/environ")).unwrap_or_default();
    let container = first.split('\0').find_map(|entry| entry.strip_prefix("container=").map(str::to_owned));
    let cgroup = read(task, "proc/1/cgroup").unwrap_or_default();
    let guest = if at(".dockerenv") || at(".dockerinit") || cgroup.contains("/docker") {
        Some("docker".to_owned())
    } else if at("run/.containerenv") {
        Some("podman".to_owned())
    } else if let Some(kind) = container {
        Some(match kind.as_str() {
            "systemd-nspawn" | "lxc" | "podman" | "docker" => kind,
            _ => "container".to_owned(),
        })
    } else if cgroup.contains("/lxc/") {
        Some("lxc".to_owned())
    } else if at("proc/xen") {
        Some("xen".to_owned())
    } else if product.contains("KVM")
        || product == "Bochs"
        || vendor.contains("QEMU")
        || product == "OpenStack Nova"
        || product == "Google Compute Engine"
        || vendor.starts_with("Amazon EC2")
    {
        Some("kvm".to_owned())
    } else if vendor.starts_with("VMware") {
        Some("VMware".to_owned())
    } else if product == "VirtualBox" {
        Some("virtualbox".to_owned())
    } else if vendor.starts_with("Microsoft Corporation") && product.contains("Virtual") {
        Some("VirtualPC".to_owned())
    } else {
        None
    };
    let host = read(task, "proc/modules")
        .is_some_and(|modules| modules.lines().any(|line| line.starts_with("kvm ")));
    let (kind, role) = match (&guest, host) {
        (Some(kind), _) => (kind.as_str(), "guest"),
        (None, true) => ("kvm", "host"),
        (None, false) => ("NA", "NA"),
    };
    facts.insert("virtualization_type".into(), kind.into());
    facts.insert("virtualization_role".into(), role.into());
    facts.insert("virtualization_tech_guest".into(), guest.iter().cloned().collect::<Vec<_>>().into());
    facts.insert("virtualization_tech_host".into(), if host { json!(["kvm"]) } else { json!([]) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_escaped_paths_are_written_for_people() {
        assert_eq!((human(10 << 30), human(512)), ("10.00 GB".to_owned(), "512.00 Bytes".to_owned()));
        assert_eq!(octal("/a\\040b\\"), "/a b\\");
    }
}
