//! Reads `wellkept.yml`, checks it, and reports every mistake with its place and what would be accepted.
//!
//! Pure: the caller reads the file and gives its name and text. Nothing is looked up on the host, so a path that
//! does not exist is no mistake here. Finding services on a host is left to `wellkept-discover`; [`discover`]
//! only turns what was found into a first keep file. The format is described in `docs/keep-file.md`.
#![forbid(unsafe_code)]

mod agents;
mod apply;
mod automation;
mod check;
mod command;
mod deploy;
pub mod discover;
mod filesystem;
mod health;
mod hostwide;
mod logs;
mod metrics;
mod problem;
mod read;
mod release;
mod retention;
mod service;
mod tree;
mod watched;

use wellkept_model::Text;
use wellkept_model::keep::Keep;

pub use problem::{KeepErrors, PROBLEMS_MAX, Problem};
pub use service::is_service_name;
pub use tree::{ALIASES_MAX, DEPTH_MAX, NODES_MAX, TEXT_MAX};

use problem::Problems;
use tree::{At, Place};

const KEYS: [&str; 35] = [
    "services",
    "filesystems",
    "automation",
    "agents",
    "changes",
    "unusual",
    "source",
    "metrics",
    "logs",
    "backups",
    "certificates",
    "caches",
    "credentials",
    "data",
    "daemons",
    "databases",
    "dependencies",
    "keys",
    "networks",
    "proxies",
    "evidence",
    "listeners",
    "maintenance",
    "signals",
    "strangers",
    "time_sync",
    "trust",
    "signatures",
    "knobs",
    "jobs",
    "progress",
    "security",
    "versions",
    "deploy",
    "apply",
];

/// Reads and checks a keep file. `file_name` is only used in messages.
///
/// # Errors
/// All mistakes together, in the order of the file. A text that is no YAML or breaks a bound gives one.
pub fn parse(file_name: &str, text: &str) -> Result<Keep, KeepErrors> {
    parse_on(file_name, text, None)
}

fn parse_on(file_name: &str, text: &str, users: Option<&[String]>) -> Result<Keep, KeepErrors> {
    let mut problems = Problems::new(file_name, text).with_users(users);
    let keep = read_keep(text, &mut problems);
    problems.finish(keep)
}

/// The same for bytes as they come from a file or a fuzzer.
///
/// # Errors
/// As [`parse`]; bytes that are no UTF-8 are one problem with the place of the first of them.
pub fn parse_bytes(file_name: &str, bytes: &[u8]) -> Result<Keep, KeepErrors> {
    parse_bytes_on(file_name, bytes, None)
}

/// The same for the host that has these users: a service that is found and started as one that is not among them is a
/// mistake as well.
///
/// # Errors
/// As [`parse_bytes`].
pub fn parse_bytes_on(file_name: &str, bytes: &[u8], users: Option<&[String]>) -> Result<Keep, KeepErrors> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse_on(file_name, text, users),
        Err(error) => {
            let good = bytes
                .get(..error.valid_up_to())
                .and_then(|b| std::str::from_utf8(b).ok())
                .unwrap_or_default();
            let lines = problem::yaml_lines(good);
            let (line, column) = (lines.len(), lines.last().map_or(0, |l| l.chars().count()) + 1);
            let mut problems = Problems::new(file_name, good);
            let place = Place { line: line as u32, column: column as u32, width: 1 };
            let at = At { place, path: String::new() };
            problems.add(&at, Text::new("keep.not_utf8"), Text::new("keep.accept.utf8"));
            problems.finish(Keep::default())
        }
    }
}

/// What was read so far; only worth something when no problem was found.
fn read_keep(text: &str, problems: &mut Problems) -> Keep {
    let mut keep = Keep::default();
    let Some(root) = tree::read(text, problems) else { return keep };
    let Some(fields) = read::open(&root, &KEYS, problems) else { return keep };
    let services = fields.get("services").map(|n| service::services(n, problems)).unwrap_or_default();
    let filesystems =
        fields.get("filesystems").map(|n| filesystem::filesystems(n, problems)).unwrap_or_default();
    check::check(&services, &filesystems, problems);
    if let Some(node) = fields.get("automation") {
        keep.automation = automation::automation(node, problems);
    }
    keep.agents = fields.get("agents").map(|n| agents::agents(n, problems)).unwrap_or_default();
    keep.trust = fields.get("trust").map(|n| agents::trust(n, problems)).unwrap_or_default();
    keep.change_logs = fields.get("changes").map(|n| automation::changes(n, problems)).unwrap_or_default();
    keep.evidence = fields.get("evidence").and_then(|n| hostwide::evidence(n, problems));
    keep.listeners = fields.get("listeners").and_then(|n| hostwide::listeners(n, problems));
    keep.maintenance =
        fields.get("maintenance").map(|n| hostwide::maintenance(n, problems)).unwrap_or_default();
    keep.strangers = fields.get("strangers").map(|n| hostwide::strangers(n, problems)).unwrap_or_default();
    keep.unusual = fields.get("unusual").map(|n| automation::unusual(n, problems)).unwrap_or_default();
    keep.source = fields.get("source").and_then(|n| metrics::source(n, problems));
    keep.metrics = fields.get("metrics").map(|n| metrics::metrics(n, problems)).unwrap_or_default();
    keep.logs = fields.get("logs").map(|n| logs::logs(n, problems)).unwrap_or_default();
    let names: Vec<&str> = services.iter().map(|s| s.name.as_str()).collect();
    keep.watched = watched::watched(&fields, &names, problems);
    keep.security = fields.get("security").map(|n| watched::security(n, problems)).unwrap_or_default();
    keep.progress = watched::progress(&fields, &names, problems);
    keep.time_sync = fields.get("time_sync").and_then(|n| watched::time_sync(n, &names, problems));
    keep.knobs = watched::knobs(&fields, &names, problems);
    keep.daemons = watched::daemons(&fields, &names, problems);
    keep.deploy = fields.get("deploy").map(|n| deploy::deploy(n, problems)).unwrap_or_default();
    keep.signatures = fields.get("signatures").and_then(|n| agents::signatures(n, &keep.trust, problems));
    let trusts = keep.trust.iter().any(|key| !key.revoked);
    keep.apply = fields.get("apply").map(|n| apply::apply(n, trusts, problems)).unwrap_or_default();
    keep.services = services.into_iter().filter_map(|s| Some((s.name, s.service?))).collect();
    keep.filesystems =
        filesystems.into_iter().map(|f| (f.filesystem.mountpoint.clone(), f.filesystem)).collect();
    keep
}
