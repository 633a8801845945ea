//! Puts processes together to services. Pure, so that it is tested with hosts that we do not have.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use wellkept_keep::discover::DiscoveredService;

use crate::processes::Seen;

/// Programs whose first own argument says what runs. `python3.11` counts as `python`.
const INTERPRETERS: [&str; 13] =
    ["python", "pypy", "perl", "ruby", "node", "nodejs", "php", "java", "bash", "sh", "dash", "lua", "deno"];

/// Processes of one unit, or with one program, script and user, are one service.
pub(crate) fn services(
    seen: Vec<Seen>,
    sockets: &BTreeMap<u64, SocketAddr>,
    pidfiles: &BTreeMap<i32, String>,
) -> Vec<DiscoveredService> {
    let mut groups: BTreeMap<(String, Option<String>, String), Vec<Seen>> = BTreeMap::new();
    for process in seen {
        let exe = process.exe.to_string_lossy().into_owned();
        let key = match &process.unit {
            Some(unit) => (unit.clone(), None, String::new()),
            None => (exe, script(&process).map(str::to_owned), process.user.clone()),
        };
        groups.entry(key).or_default().push(process);
    }
    let mut services: Vec<DiscoveredService> =
        groups.into_values().filter_map(|group| service(&group, sockets, pidfiles)).collect();
    services.sort_by(|a, b| a.name.cmp(&b.name));
    services
}

fn service(
    group: &[Seen],
    sockets: &BTreeMap<u64, SocketAddr>,
    pidfiles: &BTreeMap<i32, String>,
) -> Option<DiscoveredService> {
    let pids: BTreeSet<i32> = group.iter().map(|p| p.pid).collect();
    // The main process is the one whose parent is outside; with several, the first of them.
    let main =
        group.iter().filter(|p| !pids.contains(&p.parent)).min_by_key(|p| p.pid).or_else(|| group.first())?;
    let pidfile = pidfiles.get(&main.pid).or_else(|| pids.iter().find_map(|pid| pidfiles.get(pid)));
    let listens: BTreeSet<SocketAddr> =
        group.iter().flat_map(|p| &p.inodes).filter_map(|inode| sockets.get(inode)).copied().collect();
    Some(DiscoveredService {
        name: name(main),
        exe: main.exe.to_string_lossy().into_owned(),
        argument: script(main).map(str::to_owned),
        user: main.user.clone(),
        unit: main.unit.clone(),
        pidfile: pidfile.cloned(),
        listens: listens.into_iter().collect(),
        http: None,
    })
}

/// The unit, the script or the program, without its ending.
fn name(process: &Seen) -> String {
    if let Some(unit) = &process.unit {
        return unit.strip_suffix(".service").unwrap_or(unit).to_owned();
    }
    let path = script(process).map_or(process.exe.as_path(), Path::new);
    let stem = if script(process).is_some() { path.file_stem() } else { path.file_name() };
    stem.map_or_else(|| "service".to_owned(), |s| s.to_string_lossy().into_owned())
}

/// What an interpreter runs: the module after `-m`, the archive after `-jar`, or the first argument that is no
/// option. `None` for other programs.
fn script(process: &Seen) -> Option<&str> {
    let program = process.exe.file_name()?.to_str()?;
    let plain = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    if !INTERPRETERS.contains(&plain) {
        return None;
    }
    let arguments = process.arguments.get(1..)?;
    let named = arguments.iter().position(|a| a == "-m" || a == "-jar");
    let script = match named {
        Some(at) => arguments.get(at + 1),
        None if arguments.iter().any(|a| a == "-c" || a == "-e") => None,
        None => arguments.iter().find(|a| !a.starts_with('-') && !a.is_empty()),
    };
    script.map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(pid: i32, parent: i32, exe: &str, arguments: &[&str], inodes: &[u64]) -> Seen {
        Seen {
            pid,
            parent,
            exe: exe.into(),
            arguments: arguments.iter().map(|a| (*a).to_owned()).collect(),
            user: "root".to_owned(),
            unit: None,
            inodes: inodes.to_vec(),
        }
    }

    fn sockets() -> BTreeMap<u64, SocketAddr> {
        [(1, "0.0.0.0:80"), (2, "0.0.0.0:443"), (3, "127.0.0.1:9000")]
            .map(|(inode, address)| (inode, address.parse().expect("address")))
            .into()
    }

    #[test]
    fn a_master_and_its_workers_are_one_service() {
        let group = vec![
            seen(20, 10, "/usr/sbin/nginx", &["nginx: worker"], &[1]),
            seen(10, 1, "/usr/sbin/nginx", &["nginx: master"], &[1, 2]),
        ];
        let found = services(group, &sockets(), &[(10, "/run/nginx.pid".to_owned())].into());
        let [nginx] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((nginx.name.as_str(), nginx.pidfile.as_deref()), ("nginx", Some("/run/nginx.pid")));
        assert_eq!(nginx.listens.len(), 2);
    }

    #[test]
    fn two_scripts_of_one_interpreter_are_two_services() {
        let python = "/usr/bin/python3.11";
        let group = vec![
            seen(10, 1, python, &["python3", "-u", "/srv/app.py", "--port"], &[1]),
            seen(11, 1, python, &["python3", "-m", "http.server"], &[2]),
            seen(12, 1, python, &["python3", "-c", "x = 1"], &[3]),
        ];
        let found = services(group, &sockets(), &BTreeMap::new());
        let names: Vec<(&str, Option<&str>)> =
            found.iter().map(|s| (s.name.as_str(), s.argument.as_deref())).collect();
        let expected = [("app", Some("/srv/app.py")), ("http", Some("http.server")), ("python3.11", None)];
        assert_eq!(names, expected);
    }

    #[test]
    fn processes_of_one_unit_are_one_service_named_after_it() {
        let mut group =
            vec![seen(10, 1, "/usr/bin/a", &["a"], &[1]), seen(11, 10, "/usr/bin/b", &["b"], &[2])];
        group.iter_mut().for_each(|p| p.unit = Some("shop.service".to_owned()));
        let found = services(group, &sockets(), &BTreeMap::new());
        let [shop] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((shop.name.as_str(), shop.exe.as_str()), ("shop", "/usr/bin/a"));
    }

    #[test]
    fn java_is_named_after_its_archive() {
        let found = services(
            vec![seen(
                10,
                1,
                "/usr/lib/jvm/bin/java",
                &["java", "-Xmx1g", "-jar", "/opt/shop.jar", "run"],
                &[1],
            )],
            &sockets(),
            &BTreeMap::new(),
        );
        assert_eq!(found[0].argument.as_deref(), Some("/opt/shop.jar"));
    }
}
