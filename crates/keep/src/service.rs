//! `services.<name>`: how it is found, started, checked, and what may be done to it.
//!
//! Checks that need more than one service (cycles, clashing addresses) are left to `check`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use wellkept_model::keep::{Command, FileKind, Identity, KeptFile, Service};
use wellkept_model::{ActionKind, Text};

use crate::command::{self, Limit, WITHIN_DEFAULT};
use crate::health;
use crate::problem::{Problems, clean};
use crate::read::{self, Fields};
use crate::tree::{At, Key, Node, Value};
use crate::watched::service as watched;

const KEYS: [&str; 22] = [
    "pidfile",
    "unit",
    "cgroup",
    "program",
    "start",
    "stop",
    "restart",
    "reload",
    "reopen",
    "health",
    "user",
    "listens",
    "depends_on",
    "uses",
    "release",
    "files",
    "may",
    "group",
    "starts_itself_within",
    "config_test",
    "resolves",
    "clock",
];
const IDENTITY_KEYS: [&str; 4] = ["pidfile", "unit", "cgroup", "program"];
/// Most services in a file.
const SERVICES_MAX: usize = 1000;

/// What later checks need of a service, with the places that they point at.
pub(crate) struct Placed {
    pub(crate) name: String,
    /// `None` when something is wrong with it; its neighbours are checked all the same.
    pub(crate) service: Option<Service>,
    pub(crate) depends_on: Vec<(At, String)>,
    pub(crate) listens: Vec<(At, SocketAddr)>,
}

/// Reads the section `services`.
pub(crate) fn services(node: &Node, problems: &mut Problems) -> Vec<Placed> {
    let entries = read::map(node, "app, db, web, …", problems).unwrap_or_default();
    if let Some((key, _)) = entries.get(SERVICES_MAX) {
        let help = Text::new("keep.accept.services_max").with("max", SERVICES_MAX);
        problems.add(&key.at, Text::new("keep.too_many_services").with("count", entries.len()), help);
    }
    entries.iter().take(SERVICES_MAX).map(|(key, node)| service(key, node, problems)).collect()
}

/// The name a service may have: it becomes a label, a part of API paths and of file names.
#[must_use]
pub fn is_service_name(name: &str) -> bool {
    let first = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '-');
    first && name.len() <= 63 && name.chars().all(rest)
}

fn service(key: &Key, node: &Node, problems: &mut Problems) -> Placed {
    if !is_service_name(&key.text) {
        let message = Text::new("keep.service_name").with("name", clean(&key.text));
        problems.add(&key.at, message, Text::new("keep.accept.service_name"));
    }
    let mut placed =
        Placed { name: key.text.clone(), service: None, depends_on: Vec::new(), listens: Vec::new() };
    if let Some(fields) = read::open(node, &KEYS, problems) {
        placed.depends_on = names(fields.get("depends_on"), "keep.accept.depends_on", problems);
        placed.listens = listens(fields.get("listens"), problems);
        placed.service = build(key, &fields, &placed, problems);
    }
    placed
}

fn build(key: &Key, fields: &Fields, placed: &Placed, problems: &mut Problems) -> Option<Service> {
    let identity = identity(&key.at, fields, problems);
    let command = |name: &str, problems: &mut Problems| {
        fields.get(name).and_then(|node| command::command(node, Limit::Own, problems))
    };
    let unit = match &identity {
        Some(Identity::Unit(unit)) => Some(unit.clone()),
        _ => None,
    };
    let by_unit = |verb: &str| unit.as_ref().map(|unit| systemctl(verb, unit));
    let may = fields.get("may").map(|n| read::actions(n, problems)).unwrap_or_default();
    check_may(&key.text, &may, fields, problems);
    check_users(fields, problems);
    Some(Service {
        name: key.text.clone(),
        start: command("start", problems).or_else(|| by_unit("start")),
        stop: command("stop", problems).or_else(|| by_unit("stop")),
        restart: command("restart", problems).or_else(|| by_unit("restart")),
        reload: command("reload", problems),
        reopen: command("reopen", problems),
        health: fields.get("health").map(|n| health::checks(n, problems)).unwrap_or_default(),
        user: fields.get("user").and_then(|n| user(n, problems)),
        listens: placed.listens.iter().map(|(_, address)| *address).collect(),
        depends_on: placed.depends_on.iter().map(|(_, name)| name.clone()).collect(),
        uses: paths(fields.get("uses"), problems),
        release: fields.get("release").and_then(|n| crate::release::release(n, problems)),
        files: fields.get("files").map(|n| files(n, problems)).unwrap_or_default(),
        may,
        group: fields.get("group").and_then(|n| group(n, problems)),
        starts_itself_within: fields
            .get("starts_itself_within")
            .and_then(|n| read::duration(n, Duration::from_millis(100), Duration::from_secs(3600), problems)),
        config_test: command("config_test", problems),
        resolves: fields.get("resolves").and_then(|n| watched::resolves(n, problems)),
        clock: fields.get("clock").and_then(|n| watched::clock(n, problems)),
        identity: identity?,
    })
}

/// What we start ourselves as another user needs that user: found now, and not when it is down.
fn check_users(fields: &Fields, problems: &mut Problems) {
    let Some(program) = fields.get("program").filter(|_| fields.get("start").is_some()) else { return };
    let inside = match &program.value {
        Value::Map(entries) => entries.iter().find(|(key, _)| key.text == "user").map(|(_, node)| node),
        _ => None,
    };
    for node in [fields.get("user"), inside].into_iter().flatten() {
        let Value::Scalar { text, .. } = &node.value else { continue };
        if is_user(text) && problems.lacks_user(text) {
            let help = Text::new("keep.accept.user_known");
            problems.add(&node.at, Text::new("keep.user_unknown").with("name", clean(text)), help);
        }
    }
}

fn systemctl(verb: &str, unit: &str) -> Command {
    let argv = ["systemctl", verb, unit].map(str::to_owned).to_vec();
    Command { argv, within: WITHIN_DEFAULT }
}

/// Exactly one of four keys says how the processes are found.
fn identity(at: &At, fields: &Fields, problems: &mut Problems) -> Option<Identity> {
    let given: Vec<&str> = IDENTITY_KEYS.into_iter().filter(|k| fields.get(k).is_some()).collect();
    let help = Text::new("keep.accept.identity");
    let name = match given.as_slice() {
        [name] => *name,
        [] => {
            problems.add(at, Text::new("keep.identity_missing"), help);
            return None;
        }
        [_, second, ..] => {
            let at = fields.key(second).map_or(at, |key| &key.at);
            problems.add(at, Text::new("keep.identity_twice").with("keys", given.join(", ")), help);
            return None;
        }
    };
    let node = fields.get(name)?;
    match name {
        "pidfile" => read::path(node, problems).map(|p| Identity::Pidfile(PathBuf::from(p))),
        "unit" => {
            read::parsed(node, Text::new("keep.accept.unit"), problems, |t| is_unit(t).then(|| t.to_owned()))
                .map(Identity::Unit)
        }
        "cgroup" => read::path(node, problems).map(Identity::Cgroup),
        _ => program(node, problems),
    }
}

pub(crate) fn is_unit(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '.' | '\\' | '@' | '-');
    name.len() <= 255
        && name.chars().all(good)
        && !name.starts_with(['-', '.'])
        && name.strip_suffix(".service").is_some_and(|stem| !stem.is_empty())
}

fn program(node: &Node, problems: &mut Problems) -> Option<Identity> {
    let fields = read::open(node, &["exe", "user", "argument"], problems)?;
    let exe = match fields.get("exe") {
        Some(node) => read::path(node, problems),
        None => {
            read::missing(&node.at, "exe", Text::new("keep.accept.path"), problems);
            None
        }
    };
    let user = fields.get("user").and_then(|n| user(n, problems));
    let argument = fields
        .get("argument")
        .and_then(|n| read::text(n, false, &Text::new("keep.accept.argument"), problems))
        .map(str::to_owned);
    Some(Identity::Program { exe: PathBuf::from(exe?), user, argument })
}

fn user(node: &Node, problems: &mut Problems) -> Option<String> {
    read::parsed(node, Text::new("keep.accept.user"), problems, |t| is_user(t).then(|| t.to_owned()))
}

fn group(node: &Node, problems: &mut Problems) -> Option<String> {
    let accepted = Text::new("keep.accept.group");
    read::parsed(node, accepted, problems, |t| is_service_name(t).then(|| t.to_owned()))
}

pub(crate) fn is_user(name: &str) -> bool {
    let good = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '$');
    !name.is_empty() && name.len() <= 64 && !name.starts_with('-') && name.chars().all(good)
}

/// Names of a list, each once.
fn names(node: Option<&Node>, help: &str, problems: &mut Problems) -> Vec<(At, String)> {
    let mut found: Vec<(At, String)> = Vec::new();
    for item in node.map(read::items).unwrap_or_default() {
        let Some(name) = read::text(item, false, &Text::new(help), problems) else { continue };
        if found.iter().all(|(_, n)| n != name) {
            found.push((item.at.clone(), name.to_owned()));
        }
    }
    found
}

fn listens(node: Option<&Node>, problems: &mut Problems) -> Vec<(At, SocketAddr)> {
    let mut found: Vec<(At, SocketAddr)> = Vec::new();
    for item in node.map(read::items).unwrap_or_default() {
        let parse = |t: &str| t.parse::<SocketAddr>().ok().filter(|a| a.port() > 0);
        if let Some(address) = read::parsed(item, Text::new("keep.accept.listens"), problems, parse)
            && found.iter().all(|(_, a)| *a != address)
        {
            found.push((item.at.clone(), address));
        }
    }
    found
}

fn paths(node: Option<&Node>, problems: &mut Problems) -> Vec<String> {
    node.map(read::items).unwrap_or_default().iter().filter_map(|n| read::path(n, problems)).collect()
}

fn files(node: &Node, problems: &mut Problems) -> Vec<KeptFile> {
    let mut found: Vec<KeptFile> = Vec::new();
    for item in read::items(node) {
        let Some(file) = file(item, problems) else { continue };
        if found.iter().any(|f| f.path == file.path) {
            let message = Text::new("keep.file_twice").with("path", clean(&file.path.to_string_lossy()));
            problems.add(&item.at, message, Text::new("keep.accept.once"));
            continue;
        }
        found.push(file);
    }
    found
}

fn file(node: &Node, problems: &mut Problems) -> Option<KeptFile> {
    let (path_node, kind) = match &node.value {
        Value::Map(_) => {
            let fields = read::open(node, &["path", "kind"], problems)?;
            let kind = match fields.get("kind") {
                Some(kind) => read::parsed(kind, Text::new("keep.accept.file_kind"), problems, file_kind),
                None => Some(FileKind::Config),
            };
            let Some(path) = fields.get("path") else {
                read::missing(&node.at, "path", Text::new("keep.accept.file"), problems);
                return None;
            };
            (path, kind)
        }
        _ => (node, Some(FileKind::Config)),
    };
    let path = read::parsed(path_node, Text::new("keep.accept.file"), problems, |t| {
        (read::is_plain_path(t) && t != "/" && !t.contains(['*', '?'])).then(|| PathBuf::from(t))
    });
    Some(KeptFile { path: path?, kind: kind? })
}

fn file_kind(word: &str) -> Option<FileKind> {
    match word {
        "setting" => Some(FileKind::Setting),
        "config" => Some(FileKind::Config),
        "content" => Some(FileKind::Content),
        _ => None,
    }
}

/// A permission without the means is a mistake: the operator believes in a recovery that cannot happen.
fn check_may(service: &str, may: &[ActionKind], fields: &Fields, problems: &mut Problems) {
    let Some(key) = fields.key("may") else { return };
    let any = |names: &[&str]| names.iter().any(|n| fields.get(n).is_some());
    for kind in may {
        let (has, help) = match kind {
            ActionKind::Restart => (any(&["start", "restart", "unit"]), "keep.accept.start"),
            ActionKind::StartDependency => (any(&["start", "restart", "unit"]), "keep.accept.start"),
            ActionKind::Restore => (any(&["files", "release"]), "keep.accept.files"),
            ActionKind::Rollback => (any(&["files", "release"]), "keep.accept.files"),
            ActionKind::RunBackup | ActionKind::TerminateSession => (false, "keep.accept.elsewhere"),
            ActionKind::Reconfigure => (any(&["reopen", "reload"]), "keep.accept.reopen"),
            ActionKind::Resume
            | ActionKind::Kill
            | ActionKind::FreeSpace
            | ActionKind::Isolate
            | ActionKind::Escalate => continue,
        };
        if !has {
            let message =
                Text::new("keep.may_without_means").with("word", kind.word()).with("service", clean(service));
            problems.add(&key.at, message, Text::new(help));
        }
    }
}
