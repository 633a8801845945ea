//! Puts processes together to services. Pure, so that it is tested with hosts that we do not have.
//!
//! Reading processes is left to `processes`, asking them to `probe`.

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
    let by_pid: BTreeMap<i32, &Seen> = seen.iter().map(|p| (p.pid, p)).collect();
    let mut groups: BTreeMap<(String, Option<String>, String), Vec<Seen>> = BTreeMap::new();
    for process in &seen {
        let main = main_of(process, &by_pid);
        let key = match &main.unit {
            Some(unit) => (unit.clone(), None, String::new()),
            None => {
                let exe = main.exe.to_string_lossy().into_owned();
                (exe, script(main).map(str::to_owned), main.user.clone())
            }
        };
        groups.entry(key).or_default().push(process.clone());
    }
    let mut services: Vec<DiscoveredService> =
        groups.into_values().filter_map(|group| service(&group, sockets, pidfiles)).collect();
    services.sort_by(|a, b| a.name.cmp(&b.name));
    services
}

/// Workers may run as another user than the master that started them: both belong to the master.
fn main_of<'s>(process: &'s Seen, by_pid: &BTreeMap<i32, &'s Seen>) -> &'s Seen {
    let mut main = process;
    // Parents cannot form a circle on a host, but what is read while processes end and begin could.
    for _ in 0..by_pid.len() {
        match by_pid.get(&main.parent) {
            Some(parent) if parent.exe == main.exe && parent.pid != main.pid => main = parent,
            _ => break,
        }
    }
    main
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
    let logs: BTreeSet<&String> = group.iter().flat_map(|p| &p.logs).collect();
    Some(DiscoveredService {
        logs: logs.into_iter().cloned().collect(),
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

/// The unit, the script without its ending, or the program.
fn name(process: &Seen) -> String {
    if let Some(unit) = &process.unit {
        return unit.strip_suffix(".service").unwrap_or(unit).to_owned();
    }
    let name = match script(process) {
        Some(script) => Path::new(script).file_stem(),
        None if was_started_as_its_short_name(process) => return process.short_name.clone(),
        None => process.exe.file_name(),
    };
    name.map_or_else(|| "service".to_owned(), |s| s.to_string_lossy().into_owned())
}

/// One executable may have several names: `redis-server` is a link to `redis-check-rdb`. The name in the first
/// argument counts when the kernel's short name agrees.
fn was_started_as_its_short_name(process: &Seen) -> bool {
    let first = process.arguments.first().and_then(|a| a.split_whitespace().next()).unwrap_or_default();
    let started_as = Path::new(first).file_name();
    !process.short_name.is_empty() && started_as.is_some_and(|n| n == process.short_name.as_str())
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
            short_name: Path::new(exe)
                .file_name()
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default(),
            arguments: arguments.iter().map(|a| (*a).to_owned()).collect(),
            user: "root".to_owned(),
            unit: None,
            inodes: inodes.to_vec(),
            logs: Vec::new(),
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
    fn workers_of_another_user_belong_to_their_master() {
        let mut worker = seen(20, 10, "/usr/sbin/nginx", &["nginx: worker"], &[1]);
        worker.user = "www-data".to_owned();
        let group = vec![worker, seen(10, 1, "/usr/sbin/nginx", &["nginx: master"], &[1, 2])];
        let found = services(group, &sockets(), &BTreeMap::new());
        let [nginx] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(nginx.user, "root");
    }

    #[test]
    fn parents_in_a_circle_end() {
        let group = vec![seen(10, 11, "/a", &["a"], &[1]), seen(11, 10, "/a", &["a"], &[2])];
        assert_eq!(services(group, &sockets(), &BTreeMap::new()).len(), 1);
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
    fn a_program_with_several_names_is_called_as_it_was_started() {
        let arguments = &["/usr/bin/redis-server 127.0.0.1:6379"];
        let mut redis = seen(10, 1, "/usr/bin/redis-check-rdb", arguments, &[1]);
        redis.short_name = "redis-server".to_owned();
        let found = services(vec![redis], &sockets(), &BTreeMap::new());
        assert_eq!(
            (found[0].name.as_str(), found[0].exe.as_str()),
            ("redis-server", "/usr/bin/redis-check-rdb")
        );
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
