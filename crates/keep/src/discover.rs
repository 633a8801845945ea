//! Turns what runs on a host into a first keep file with comments.
//!
//! Pure: `wellkept-discover` looks at the host. The file only watches and proposes; every permission in it is a
//! comment. What cannot be written so that [`crate::parse`] accepts it becomes a comment too: process names and
//! paths come from strangers.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::read::is_plain_path;
use crate::service::{is_unit, is_user};

/// Most services that are written.
pub const SERVICES_MAX: usize = 200;
/// Most addresses that are written for one service.
const LISTENS_MAX: usize = 16;

/// What was found on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovered {
    /// Programs that listen for connections.
    pub services: Vec<DiscoveredService>,
    /// Mount point and type of each file system on a disk.
    pub filesystems: Vec<(String, String)>,
}

/// A program that listens for connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveredService {
    /// Name to start from; it is made acceptable and unique.
    pub name: String,
    /// Path of the executable.
    pub exe: String,
    /// The script, when the executable is an interpreter.
    pub argument: Option<String>,
    /// Owner of the processes.
    pub user: String,
    /// Its systemd unit.
    pub unit: Option<String>,
    /// A file that holds its process id.
    pub pidfile: Option<String>,
    /// Addresses that it listens on (TCP).
    pub listens: Vec<SocketAddr>,
    /// It answered `GET /` at this address.
    pub http: Option<HttpSeen>,
    /// Files that it writes and that look like logs.
    pub logs: Vec<String>,
}

/// An answer to `GET /`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpSeen {
    /// Where.
    pub address: SocketAddr,
    /// With which status.
    pub status: u16,
}

const HEAD: &str = "\
# A first keep file, written by `wellkept discover` from what runs on this host.
# Read it, delete what you do not care for, then: wellkept check wellkept.yml
# Everything in it is described in docs/keep-file.md.

# watch: only look. propose: make plans and wait for your yes. act: do what `may` allows.
automation: { mode: propose, at_once: 1, attempts: 3 per target per hour }
";

/// Writes the file. [`crate::parse`] accepts it whatever the names look like.
#[must_use]
pub fn write(observed: &Discovered) -> String {
    let mut out = HEAD.to_owned();
    let mut names = BTreeSet::new();
    let mut taken = Vec::new();
    let mut logs = Vec::new();
    out.push_str("\nservices:\n");
    for service in observed.services.iter().take(SERVICES_MAX) {
        if let Some(name) = write_service(service, &mut names, &mut taken, &mut out) {
            logs.extend(service.logs.iter().map(|path| (path.as_str(), name.clone())));
        }
    }
    if observed.services.is_empty() {
        out.push_str("  # no listening program was found; a service looks so:\n");
        out.push_str("  # app: { pidfile: /run/app.pid, start: /srv/app/bin/app, may: [restart] }\n");
    }
    if observed.services.len() > SERVICES_MAX {
        let more = observed.services.len() - SERVICES_MAX;
        line(&mut out, &format!("  # {more} more services were found and left out"));
    }
    out.push_str("\nfilesystems:\n");
    let mut seen = BTreeSet::new();
    for (mountpoint, kind) in observed.filesystems.iter().take(SERVICES_MAX) {
        if seen.insert(mountpoint) {
            write_filesystem(mountpoint, kind, &mut out);
        }
    }
    write_logs(&logs, &mut out);
    out
}

/// The logs that services write, each once. Where there is a journal it is followed beside them.
fn write_logs(logs: &[(&str, String)], out: &mut String) {
    let mut seen = BTreeSet::new();
    let plain = |path: &str| is_writable_path(path) && !path.contains(['*', '?', '[']);
    let mut kept = logs.iter().filter(|(path, _)| plain(path) && seen.insert(*path)).peekable();
    if kept.peek().is_none() {
        return;
    }
    out.push_str("\nlogs:\n  files:\n");
    for (path, service) in kept {
        line(out, &format!("    - {{ path: {}, service: {} }}", quote(path), quote(service)));
    }
}

/// Adds a line. `text` may hold anything in a comment, so line ends are taken out.
fn line(out: &mut String, text: &str) {
    out.extend(text.chars().map(|c| if is_unprintable(c) { '?' } else { c }));
    out.push('\n');
}

fn write_service(
    service: &DiscoveredService,
    names: &mut BTreeSet<String>,
    taken: &mut Vec<SocketAddr>,
    out: &mut String,
) -> Option<String> {
    let Some((identity, by_unit)) = identity(service) else {
        line(
            out,
            &format!("  # {}: left out, its program {} cannot be written here", service.name, service.exe),
        );
        return None;
    };
    let name = unique_name(&service.name, names);
    line(out, &format!("  {}:", quote(&name)));
    line(out, &format!("    {identity}"));
    if is_user(&service.user) {
        line(out, &format!("    user: {}", quote(&service.user)));
    }
    write_listens(service, taken, out);
    if let Some(health) = health(service) {
        line(out, &format!("    health: {health}"));
    }
    if by_unit {
        out.push_str("    # may: [restart]    # without asking; start and stop go through systemctl\n");
    } else {
        out.push_str(
            "    # start: /path/to/start/it\n    # may: [restart]    # without asking; needs `start`\n",
        );
    }
    out.push_str("    # depends_on: []\n    # files: []         # their last good versions are kept\n");
    Some(name)
}

/// The key that finds its processes, and whether systemd has it.
fn identity(service: &DiscoveredService) -> Option<(String, bool)> {
    if let Some(unit) = service.unit.as_deref().filter(|u| is_unit(u)) {
        return Some((format!("unit: {}", quote(unit)), true));
    }
    if let Some(pidfile) = service.pidfile.as_deref().filter(|p| is_writable_path(p)) {
        return Some((format!("pidfile: {}", quote(pidfile)), false));
    }
    if !is_writable_path(&service.exe) {
        return None;
    }
    let mut program = format!("program: {{ exe: {}", quote(&service.exe));
    if is_user(&service.user) {
        let _ = write!(program, ", user: {}", quote(&service.user));
    }
    let writable = |a: &&str| !a.trim().is_empty() && a.len() <= 1024 && !a.chars().any(is_unprintable);
    if let Some(argument) = service.argument.as_deref().filter(writable) {
        let _ = write!(program, ", argument: {}", quote(argument));
    }
    program.push_str(" }");
    Some((program, false))
}

fn is_writable_path(path: &str) -> bool {
    is_plain_path(path) && path.len() <= 1024 && !path.trim().is_empty() && !path.chars().any(is_unprintable)
}

/// Characters that YAML does not take as they are, or that would mislead a reader.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Addresses that another service in the file has are left out, with a comment.
fn write_listens(service: &DiscoveredService, taken: &mut Vec<SocketAddr>, out: &mut String) {
    let mut own: Vec<SocketAddr> = Vec::new();
    for address in &service.listens {
        if own.contains(address) || address.port() == 0 || own.len() >= LISTENS_MAX {
            continue;
        }
        if taken.iter().any(|other| clashes(other, address)) {
            line(out, &format!("    # {address} is listed with another service"));
            continue;
        }
        own.push(*address);
    }
    if !own.is_empty() {
        let list: Vec<String> = own.iter().map(|a| quote(&written(a))).collect();
        line(out, &format!("    listens: [{}]", list.join(", ")));
    }
    taken.extend(own);
}

/// Without the scope of link-local addresses, which means something on this host only.
fn written(address: &SocketAddr) -> String {
    SocketAddr::new(address.ip(), address.port()).to_string()
}

fn clashes(a: &SocketAddr, b: &SocketAddr) -> bool {
    let any = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.is_ipv4() == b.is_ipv4() && (any || a.ip() == b.ip())
}

/// A check of what was seen to answer: HTTP with its status, else a connection.
fn health(service: &DiscoveredService) -> Option<String> {
    if let Some(seen) = service.http.filter(|h| (200..400).contains(&h.status) && h.address.port() > 0) {
        let url = format!("http://{}/", written(&reachable(seen.address)));
        return Some(format!("{{ http: {}, expect: {} }}", quote(&url), seen.status));
    }
    let address = service.listens.iter().find(|a| a.port() > 0)?;
    Some(format!("{{ tcp: {} }}", quote(&written(&reachable(*address)))))
}

/// An address to connect to: loopback instead of "all addresses".
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn write_filesystem(mountpoint: &str, kind: &str, out: &mut String) {
    if !is_writable_path(mountpoint) || mountpoint.len() > 200 {
        line(out, &format!("  # {mountpoint}: left out, its name cannot be written here"));
        return;
    }
    line(out, &format!("  {}:    # {kind}", quote(mountpoint)));
    out.push_str("    full_at: 95%\n");
    if mountpoint != "/" {
        line(out, &format!("    # free_space: [{{ glob: {mountpoint}/tmp/export-*.bin, older_than: 1h }}]"));
        line(out, &format!("    # never_touch: [{mountpoint}/uploads]"));
    }
}

/// Small letters, digits, `_`, `.` and `-`; numbered when the name is taken.
fn unique_name(name: &str, names: &mut BTreeSet<String>) -> String {
    let good = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') { c.to_ascii_lowercase() } else { '-' }
    };
    let name: String = name.chars().take(50).map(good).collect();
    let name = name.trim_matches(['-', '.', '_']);
    let name = if name.is_empty() { "service" } else { name };
    let mut unique = name.to_owned();
    let mut number = 2;
    while !names.insert(unique.clone()) {
        unique = format!("{name}-{number}");
        number += 1;
    }
    unique
}

/// Plain where YAML surely reads the same text, otherwise in double quotes. Control characters never come here.
fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '.' | '-' | '@');
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "nan" | "inf"
    );
    if first && !word && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut out = String::from('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn service(name: &str) -> DiscoveredService {
        DiscoveredService {
            name: name.to_owned(),
            exe: format!("/usr/sbin/{name}"),
            argument: None,
            user: "root".to_owned(),
            unit: None,
            pidfile: None,
            listens: vec!["0.0.0.0:80".parse().expect("address")],
            http: None,
            logs: Vec::new(),
        }
    }

    #[test]
    fn an_empty_host_gives_a_file_that_is_accepted() {
        let text = write(&Discovered::default());
        assert!(crate::parse("k.yml", &text).expect("accepted").services.is_empty());
    }

    #[test]
    fn a_unit_is_preferred_to_a_pidfile_and_that_to_the_program() {
        let mut nginx = service("nginx");
        assert!(
            write(&Discovered { services: vec![nginx.clone()], ..Default::default() }).contains("program:")
        );
        nginx.pidfile = Some("/run/nginx.pid".to_owned());
        assert!(
            write(&Discovered { services: vec![nginx.clone()], ..Default::default() }).contains("pidfile:")
        );
        nginx.unit = Some("nginx.service".to_owned());
        assert!(
            write(&Discovered { services: vec![nginx], ..Default::default() })
                .contains("unit: nginx.service")
        );
    }

    #[test]
    fn nothing_is_permitted_and_the_mode_is_propose() {
        let observed = Discovered {
            services: vec![service("nginx")],
            filesystems: vec![("/".to_owned(), "ext4".to_owned()), ("/data".to_owned(), "xfs".to_owned())],
        };
        let keep = crate::parse("k.yml", &write(&observed)).expect("accepted");
        assert_eq!(keep.automation.mode, wellkept_model::keep::Mode::Propose);
        assert!(keep.services.values().all(|s| s.may.is_empty() && s.health.len() == 1));
        assert!(keep.filesystems.values().all(|f| f.free_space.is_empty()));
        assert_eq!(keep.filesystems.len(), 2);
    }

    #[test]
    fn an_answer_to_http_becomes_the_check_with_its_status() {
        let mut web = service("web");
        web.http = Some(HttpSeen { address: "0.0.0.0:80".parse().expect("address"), status: 302 });
        let text = write(&Discovered { services: vec![web], ..Default::default() });
        assert!(text.contains(r#"health: { http: "http://127.0.0.1:80/", expect: 302 }"#), "{text}");
    }

    #[test]
    fn services_with_one_name_or_address_are_told_apart() {
        let observed = Discovered {
            services: vec![service("a b"), service("a b"), service("A.B")],
            ..Default::default()
        };
        let keep = crate::parse("k.yml", &write(&observed)).expect("accepted");
        assert_eq!(keep.services.keys().collect::<Vec<_>>(), ["a-b", "a-b-2", "a.b"]);
        assert_eq!(keep.services.values().filter(|s| s.listens.is_empty()).count(), 2);
    }

    fn odd_text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[a-z \"'\\\\:#{}\\[\\],&*!|>%@`~-]{0,12}",
            "/[a-zé \"'\\\\:#{}]{0,12}(/[a-z .]{1,4})?",
            Just("yes".to_owned()),
            Just("1e3".to_owned()),
            Just("/a\u{85}b\u{2028}c".to_owned()),
            Just("/x: y # z".to_owned()),
            Just("-.service".to_owned()),
            Just("nginx.service".to_owned()),
        ]
    }

    fn address() -> impl Strategy<Value = SocketAddr> {
        (any::<IpAddr>(), 0u16..4, any::<bool>()).prop_map(|(ip, port, all)| {
            let ip = if all { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { ip };
            SocketAddr::new(ip, port)
        })
    }

    prop_compose! {
        fn odd_service()(
            name in odd_text(),
            exe in odd_text(),
            argument in proptest::option::of(odd_text()),
            user in odd_text(),
            unit in proptest::option::of(odd_text()),
            pidfile in proptest::option::of(odd_text()),
            listens in proptest::collection::vec(address(), 0..4),
            http in proptest::option::of((address(), any::<u16>())),
            logs in proptest::collection::vec(odd_text(), 0..3),
        ) -> DiscoveredService {
            let http = http.map(|(address, status)| HttpSeen { address, status });
            DiscoveredService { name, exe, argument, user, unit, pidfile, listens, http, logs }
        }
    }

    #[test]
    fn logs_of_services_are_followed_under_their_names() {
        let mut web = service("nginx");
        web.logs = vec!["/var/log/nginx/access.log".into(), "/var/log/odd[1].log".into()];
        let keep = crate::parse("k.yml", &write(&Discovered { services: vec![web], ..Default::default() }));
        let files = keep.unwrap().logs.files.unwrap();
        assert_eq!(files.len(), 1, "a pattern would mean other files");
        assert_eq!(
            (files[0].paths[0].as_str(), files[0].service.as_deref()),
            ("/var/log/nginx/access.log", Some("nginx"))
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn whatever_runs_on_a_host_the_file_is_accepted(
            services in proptest::collection::vec(odd_service(), 0..5),
            filesystems in proptest::collection::vec((odd_text(), odd_text()), 0..4),
        ) {
            let observed = Discovered { services, filesystems };
            let text = write(&observed);
            let keep = crate::parse("k.yml", &text);
            prop_assert!(keep.is_ok(), "{}\n{text}", keep.err().map(|e| e.to_string()).unwrap_or_default());
        }

        #[test]
        fn a_program_is_read_back_as_it_was_seen(exe in "/[^\\x00-\\x1f/.\u{7f}-\u{9f}\u{2028}\u{2029}\u{202a}-\u{202e}\u{2066}-\u{2069}\u{feff}\u{fffe}\u{ffff}]{1,20}") {
            let mut seen = service("x");
            seen.exe.clone_from(&exe);
            let text = write(&Discovered { services: vec![seen], ..Default::default() });
            let keep = crate::parse("k.yml", &text).expect("accepted");
            let wellkept_model::keep::Identity::Program { exe: read, .. } = &keep.services["x"].identity else {
                panic!("program expected");
            };
            prop_assert_eq!(read.to_string_lossy(), exe);
        }
    }
}
