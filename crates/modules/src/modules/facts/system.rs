//! Name, distribution, user, time, programs: what facts tell of the system itself.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::base::{Task, accounts, files};

type Facts = Map<String, Value>;

/// A system file as trimmed text.
pub(super) fn read(task: &Task<'_>, path: &str) -> Option<String> {
    files::text(&task.ctx.system(path)).ok().map(|text| text.trim().to_owned())
}

pub(super) fn gather(task: &Task<'_>, facts: &mut Facts) {
    platform(task, facts);
    distribution(task, facts);
    user(task, facts);
    time(task, facts);
    environment(task, facts);
    programs(task, facts);
    dns(task, facts);
    keys(task, facts);
    local(task, facts);
}

fn put(facts: &mut Facts, name: &str, value: impl Into<Value>) {
    facts.insert(name.to_owned(), value.into());
}

fn platform(task: &Task<'_>, facts: &mut Facts) {
    let uname = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let (node, machine) = (text(uname.nodename()), text(uname.machine()));
    put(facts, "system", text(uname.sysname()));
    put(facts, "kernel", text(uname.release()));
    put(facts, "kernel_version", text(uname.version()));
    put(facts, "machine", machine.clone());
    put(
        facts,
        "architecture",
        if machine.starts_with('i') && machine.ends_with("86") { "i386".to_owned() } else { machine.clone() },
    );
    put(facts, "userspace_bits", if cfg!(target_pointer_width = "64") { "64" } else { "32" });
    let userspace = if machine == "x86_64" && cfg!(target_pointer_width = "32") { "i386" } else { &machine };
    put(facts, "userspace_architecture", userspace);
    put(facts, "hostname", node.split('.').next().unwrap_or_default());
    put(facts, "nodename", node.clone());
    let fqdn = fqdn(task, &node);
    put(facts, "domain", fqdn.split_once('.').map_or("", |(_, domain)| domain));
    put(facts, "fqdn", fqdn);
    if let Some(id) = read(task, "etc/machine-id").or_else(|| read(task, "var/lib/dbus/machine-id")) {
        put(facts, "machine_id", id);
    }
    let fips = read(task, "proc/sys/crypto/fips_enabled").is_some_and(|text| text == "1");
    put(facts, "fips", fips);
    let load = read(task, "proc/loadavg").unwrap_or_default();
    let load: Vec<f64> = load.split(' ').take(3).filter_map(|word| word.parse().ok()).collect();
    if let [one, five, fifteen] = load.as_slice() {
        put(facts, "loadavg", json!({"1m": one, "5m": five, "15m": fifteen}));
    }
    let line = read(task, "proc/cmdline").unwrap_or_default();
    let mut parts: BTreeMap<&str, Value> = BTreeMap::new();
    let mut lists: BTreeMap<&str, Value> = BTreeMap::new();
    for word in line.split_whitespace() {
        let (key, value) =
            word.split_once('=').map_or((word, Value::Bool(true)), |(key, value)| (key, value.into()));
        parts.insert(key, value.clone());
        match lists.get_mut(key) {
            Some(Value::Array(items)) => items.push(value),
            Some(one) => *one = json!([one.clone(), value]),
            None => drop(lists.insert(key, value)),
        }
    }
    put(facts, "cmdline", json!(parts));
    put(facts, "proc_cmdline", json!(lists));
    let chroot =
        std::fs::metadata(task.ctx.system("proc/1/root/.")).ok().zip(std::fs::metadata(&task.ctx.root).ok());
    put(
        facts,
        "is_chroot",
        chroot.is_some_and(|(a, b)| {
            use std::os::unix::fs::MetadataExt;
            (a.dev(), a.ino()) != (b.dev(), b.ino())
        }),
    );
    put(
        facts,
        "apparmor",
        json!({"status": if task.ctx.system("sys/kernel/security/apparmor").exists() { "enabled" } else { "disabled" }}),
    );
    let selinux = task.ctx.system("sys/fs/selinux/enforce");
    let selinux = match files::text(&selinux) {
        Ok(mode) => {
            json!({"status": "enabled", "mode": if mode.trim() == "1" { "enforcing" } else { "permissive" }})
        }
        Err(_) => json!({"status": "disabled"}),
    };
    put(facts, "selinux", selinux);
    put(facts, "selinux_python_present", true);
}

/// The full name: from `/etc/hosts`, else the host's own.
fn fqdn(task: &Task<'_>, node: &str) -> String {
    if node.contains('.') {
        return node.to_owned();
    }
    let hosts = read(task, "etc/hosts").unwrap_or_default();
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    for line in lines {
        let names: Vec<&str> = line.split_whitespace().skip(1).collect();
        if names.contains(&node)
            && let Some(full) = names.iter().find(|name| name.contains('.'))
        {
            return (*full).to_owned();
        }
    }
    node.to_owned()
}

/// Names of distributions as Ansible writes them, by the `ID` of `os-release`, with their family.
const DISTRIBUTIONS: &[(&str, &str, &str)] = &[
    ("debian", "Debian", "Debian"),
    ("ubuntu", "Ubuntu", "Debian"),
    ("raspbian", "Debian", "Debian"),
    ("linuxmint", "Linux Mint", "Debian"),
    ("kali", "Kali", "Debian"),
    ("devuan", "Devuan", "Debian"),
    ("pop", "Pop!_OS", "Debian"),
    ("rhel", "RedHat", "RedHat"),
    ("centos", "CentOS", "RedHat"),
    ("fedora", "Fedora", "RedHat"),
    ("rocky", "Rocky", "RedHat"),
    ("almalinux", "AlmaLinux", "RedHat"),
    ("ol", "OracleLinux", "RedHat"),
    ("amzn", "Amazon", "RedHat"),
    ("openEuler", "openEuler", "RedHat"),
    ("anolis", "Anolis", "RedHat"),
    ("kylin", "Kylin Linux Advanced Server", "RedHat"),
    ("alpine", "Alpine", "Alpine"),
    ("arch", "Archlinux", "Archlinux"),
    ("manjaro", "Manjaro", "Archlinux"),
    ("sles", "SLES", "Suse"),
    ("opensuse-leap", "openSUSE Leap", "Suse"),
    ("opensuse-tumbleweed", "openSUSE Tumbleweed", "Suse"),
    ("gentoo", "Gentoo", "Gentoo"),
];

/// Values of `os-release`.
pub(crate) fn os_release(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(key, value)| (key.trim().to_owned(), value.trim().trim_matches(['"', '\'']).to_owned()))
        .collect()
}

fn distribution(task: &Task<'_>, facts: &mut Facts) {
    let text = read(task, "etc/os-release").or_else(|| read(task, "usr/lib/os-release")).unwrap_or_default();
    let release = os_release(&text);
    let get = |key: &str| release.get(key).map(String::as_str).unwrap_or_default();
    let known = DISTRIBUTIONS.iter().find(|(id, _, _)| *id == get("ID"));
    let like = |word: &str| get("ID_LIKE").split(' ').any(|id| id == word);
    let family = match known {
        Some((_, _, family)) => family,
        None if like("debian") || like("ubuntu") => "Debian",
        None if like("rhel") || like("fedora") || like("centos") => "RedHat",
        None if like("suse") => "Suse",
        None if like("arch") => "Archlinux",
        None => get("NAME"),
    };
    let name = known.map_or_else(|| get("NAME").to_owned(), |(_, name, _)| (*name).to_owned());
    let mut version = get("VERSION_ID").to_owned();
    if name == "Debian"
        && let Some(full) =
            read(task, "etc/debian_version").filter(|full| full.starts_with(|c: char| c.is_ascii_digit()))
    {
        version = full;
    }
    if matches!(name.as_str(), "Rocky" | "AlmaLinux" | "CentOS" | "RedHat" | "OracleLinux")
        && let Some(full) = read(task, "etc/redhat-release")
        && let Some(digits) = full.split(' ').find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
    {
        version = digits.to_owned();
    }
    let major = version.split('.').next().unwrap_or_default().to_owned();
    let codename = match get("VERSION_CODENAME") {
        "" => get("VERSION")
            .split_once('(')
            .and_then(|(_, rest)| rest.split_once(')'))
            .map_or("", |(name, _)| name),
        name => name,
    };
    let file = match family {
        "RedHat" => "/etc/redhat-release",
        "Alpine" => "/etc/alpine-release",
        "Archlinux" => "/etc/arch-release",
        _ => "/etc/os-release",
    };
    put(facts, "distribution", if name.is_empty() { "Linux".to_owned() } else { name.clone() });
    put(facts, "distribution_version", if version.is_empty() { "NA".to_owned() } else { version });
    put(facts, "distribution_major_version", if major.is_empty() { "NA".to_owned() } else { major.clone() });
    put(facts, "distribution_release", if codename.is_empty() { "NA" } else { codename });
    put(facts, "distribution_file_path", file);
    put(
        facts,
        "distribution_file_variety",
        match family {
            "RedHat" => "RedHat",
            other => other,
        },
    );
    put(facts, "distribution_file_parsed", true);
    put(facts, "os_family", if family.is_empty() { "Linux" } else { family });
    if family == "Debian" {
        let minor = facts
            .get("distribution_version")
            .and_then(Value::as_str)
            .and_then(|v| v.split_once('.'))
            .map(|(_, minor)| minor.to_owned());
        if let Some(minor) = minor.filter(|_| name == "Debian") {
            put(facts, "distribution_minor_version", minor);
        }
    }
    let lsb = match read(task, "etc/lsb-release").map(|text| os_release(&text)) {
        Some(lsb) if lsb.contains_key("DISTRIB_ID") => {
            let get = |key: &str| lsb.get(key).cloned().unwrap_or_default();
            let release = get("DISTRIB_RELEASE");
            json!({"id": get("DISTRIB_ID"), "release": release, "codename": get("DISTRIB_CODENAME"),
                   "description": get("DISTRIB_DESCRIPTION"), "major_release": release.split('.').next()})
        }
        _ => lsb_program(task).unwrap_or_else(|| json!({})),
    };
    put(facts, "lsb", lsb);
}

/// What `lsb_release` says, where it is installed.
fn lsb_program(task: &Task<'_>) -> Option<Value> {
    let program = task.find("lsb_release")?;
    let said = task.run([program.as_os_str(), "-a".as_ref()]).ok().filter(|ran| ran.rc == 0)?.out_text();
    let mut out = Map::new();
    for (key, value) in said.lines().filter_map(|line| line.split_once(':')) {
        let name = match key.trim() {
            "Distributor ID" => "id",
            "Description" => "description",
            "Release" => "release",
            "Codename" => "codename",
            _ => continue,
        };
        out.insert(name.to_owned(), value.trim().trim_matches('"').into());
    }
    let major = out
        .get("release")
        .and_then(Value::as_str)
        .and_then(|release| release.split('.').next())
        .map(str::to_owned);
    out.extend(major.map(|major| ("major_release".to_owned(), major.into())));
    Some(out.into())
}

fn user(task: &Task<'_>, facts: &mut Facts) {
    let (uid, euid) = (rustix::process::getuid().as_raw(), rustix::process::geteuid().as_raw());
    let (gid, egid) = (rustix::process::getgid().as_raw(), rustix::process::getegid().as_raw());
    let user = accounts::user_with(&task.ctx.root, uid).unwrap_or_default();
    put(facts, "user_id", if user.name.is_empty() { uid.to_string() } else { user.name });
    put(facts, "user_uid", user.uid);
    put(facts, "user_gid", user.gid);
    put(facts, "user_gecos", user.comment);
    put(facts, "user_dir", user.home);
    put(facts, "user_shell", user.shell);
    put(facts, "real_user_id", uid);
    put(facts, "effective_user_id", euid);
    put(facts, "real_group_id", gid);
    put(facts, "effective_group_id", egid);
}

fn time(task: &Task<'_>, facts: &mut Facts) {
    let Ok(stamp) = jiff::Timestamp::try_from(task.ctx.now()) else { return };
    let local = stamp.to_zoned(jiff::tz::TimeZone::system());
    let utc = stamp.to_zoned(jiff::tz::TimeZone::UTC);
    let here = |form: &str| local.strftime(form).to_string();
    let there = |form: &str| utc.strftime(form).to_string();
    let zone = here("%Z");
    put(
        facts,
        "date_time",
        json!({
            "year": here("%Y"), "month": here("%m"), "weekday": here("%A"), "weekday_number": here("%w"),
            "weeknumber": here("%W"), "day": here("%d"), "hour": here("%H"), "minute": here("%M"), "second": here("%S"),
            "epoch": stamp.as_second().to_string(), "epoch_int": stamp.as_second().to_string(), "date": here("%Y-%m-%d"),
            "time": here("%H:%M:%S"), "iso8601_micro": there("%Y-%m-%dT%H:%M:%S.%6fZ"), "iso8601": there("%Y-%m-%dT%H:%M:%SZ"),
            "iso8601_basic": here("%Y%m%dT%H%M%S%6f"), "iso8601_basic_short": here("%Y%m%dT%H%M%S"),
            "tz": zone, "tz_dst": zone, "tz_offset": here("%z"),
        }),
    );
}

fn environment(task: &Task<'_>, facts: &mut Facts) {
    let own = std::env::vars_os()
        .map(|(key, value)| (key.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
    let all: BTreeMap<String, String> = own.chain(task.call.environment.iter().cloned()).collect();
    put(facts, "env", json!(all));
    if let Some(python) = task.find("python3") {
        let ran = task.run([
            python.as_os_str(),
            "-c".as_ref(),
            "import sys;print('%d.%d.%d' % sys.version_info[:3])".as_ref(),
        ]);
        if let Some(version) = ran.ok().filter(|ran| ran.rc == 0).map(|ran| ran.out_text().trim().to_owned())
        {
            let parts: Vec<i64> = version.split('.').filter_map(|part| part.parse().ok()).collect();
            let part = |at: usize| parts.get(at).copied().unwrap_or_default();
            put(facts, "python_version", version.clone());
            put(
                facts,
                "python",
                json!({"executable": python, "type": "cpython", "has_sslcontext": true,
                "version": {"major": part(0), "minor": part(1), "micro": part(2), "releaselevel": "final", "serial": 0},
                "version_info": [part(0), part(1), part(2), "final", 0]}),
            );
        }
    }
}

/// Managers of packages, the first that is there counts.
const MANAGERS: &[(&str, &str)] = &[
    ("usr/bin/rpm-ostree", "atomic_container"),
    ("usr/bin/apt-get", "apt"),
    ("usr/bin/dnf5", "dnf5"),
    ("usr/bin/dnf", "dnf"),
    ("usr/bin/dnf-3", "dnf"),
    ("usr/bin/yum", "yum"),
    ("usr/bin/zypper", "zypper"),
    ("usr/bin/pacman", "pacman"),
    ("sbin/apk", "apk"),
    ("usr/bin/emerge", "portage"),
    ("usr/bin/xbps-install", "xbps"),
    ("usr/bin/nix-env", "nix"),
];

/// The host's manager of packages, by Ansible's names.
pub(crate) fn package_manager(task: &Task<'_>) -> Option<&'static str> {
    MANAGERS.iter().find(|(path, _)| task.ctx.system(path).exists()).map(|(_, name)| *name)
}

/// The host's manager of services, by Ansible's names.
pub(crate) fn service_manager(task: &Task<'_>) -> String {
    let first = read(task, "proc/1/comm").unwrap_or_default();
    let at = |path: &str| task.ctx.system(path).exists();
    if first == "systemd" || at("run/systemd/system") || at("dev/.run/systemd") || at("dev/.systemd") {
        return "systemd".to_owned();
    }
    if at("sbin/openrc") {
        return "openrc".to_owned();
    }
    match first.as_str() {
        "runit-init" => "runit".to_owned(),
        "svscan" => "svc".to_owned(),
        "init" | "" if at("etc/init.d") => "sysvinit".to_owned(),
        "init" | "" => "service".to_owned(),
        other if matches!(other, "sh" | "bash") || at("etc/init.d") && task.find("systemctl").is_none() => {
            "service".to_owned()
        }
        other => other.to_owned(),
    }
}

/// Differs from start to start of the host.
pub(crate) fn boot_id(task: &Task<'_>) -> Option<String> {
    read(task, "proc/sys/kernel/random/boot_id")
}

fn programs(task: &Task<'_>, facts: &mut Facts) {
    put(facts, "pkg_mgr", package_manager(task).unwrap_or("unknown"));
    put(facts, "service_mgr", service_manager(task));
}

fn dns(task: &Task<'_>, facts: &mut Facts) {
    let text = read(task, "etc/resolv.conf").unwrap_or_default();
    let mut dns = Map::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["nameserver", rest @ ..] => {
                let list = dns.entry("nameservers").or_insert_with(|| json!([]));
                if let Value::Array(list) = list {
                    list.extend(rest.iter().map(|word| Value::from(*word)));
                }
            }
            ["domain", name, ..] => drop(dns.insert("domain".into(), (*name).into())),
            ["search", rest @ ..] => drop(dns.insert("search".into(), rest.to_vec().into())),
            ["sortlist", rest @ ..] => drop(dns.insert("sortlist".into(), rest.to_vec().into())),
            ["options", rest @ ..] => {
                let one = |word: &&str| match word.split_once(':') {
                    Some((key, value)) => (key.to_owned(), value.into()),
                    None => ((*word).to_owned(), Value::Bool(true)),
                };
                let options: Map<String, Value> = rest.iter().map(one).collect();
                dns.insert("options".into(), options.into());
            }
            _ => {}
        }
    }
    put(facts, "dns", dns);
}

fn keys(task: &Task<'_>, facts: &mut Facts) {
    for folder in ["etc/ssh", "etc/openssh", "etc"] {
        let mut found = false;
        for kind in ["dsa", "rsa", "ecdsa", "ed25519"] {
            let Some(line) = read(task, &format!("{folder}/ssh_host_{kind}_key.pub")) else { continue };
            let mut words = line.split_whitespace();
            let (name, key) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            put(facts, &format!("ssh_host_key_{kind}_public"), key);
            put(facts, &format!("ssh_host_key_{kind}_public_keytype"), name);
            found = true;
        }
        if found {
            return;
        }
    }
}

/// Facts that the host's owner wrote: JSON, INI, or programs that print them.
fn local(task: &Task<'_>, facts: &mut Facts) {
    let folder = task.args.or_empty("fact_path");
    let mut out = Map::new();
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries.iter().filter(|path| path.extension().is_some_and(|end| end == "fact")) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        out.insert(name, fact_file(task, path));
    }
    put(facts, "local", out);
}

fn fact_file(task: &Task<'_>, path: &Path) -> Value {
    let text = if files::executable(path) {
        match task.run([path.as_os_str()]) {
            Ok(ran) if ran.rc == 0 => ran.out_text(),
            Ok(ran) => {
                return format!(
                    "Failure executing fact script ({}), rc: {}, err: {}",
                    files::shown(path),
                    ran.rc,
                    ran.err_text()
                )
                .into();
            }
            Err(error) => {
                return format!("Could not execute fact script ({}): {error}", files::shown(path)).into();
            }
        }
    } else {
        files::text(path).unwrap_or_default()
    };
    if let Ok(value) = serde_json::from_str(&text) {
        return value;
    }
    let (mut sections, mut name) = (Map::new(), None);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            sections.insert(section.to_owned(), json!({}));
            name = Some(section.to_owned());
        } else if let (Some(name), Some((key, value))) = (&name, line.split_once(['=', ':']))
            && let Some(Value::Object(section)) = sections.get_mut(name)
        {
            section.insert(key.trim().to_lowercase(), value.trim().into());
        } else {
            return format!(
                "error loading facts as JSON or ini - please check content: {}",
                files::shown(path)
            )
            .into();
        }
    }
    sections.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_is_read_with_and_without_quotes() {
        let release = os_release("ID=debian\nVERSION=\"12 (bookworm)\"\n# x\nNAME='Debian'\n");
        assert_eq!(
            (release["ID"].as_str(), release["VERSION"].as_str(), release["NAME"].as_str()),
            ("debian", "12 (bookworm)", "Debian")
        );
    }
}
