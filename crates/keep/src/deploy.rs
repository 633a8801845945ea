//! `deploy.<app>`: what is released on which hosts, how it is shown to be well, and what is done when it is not.
//!
//! Paths, addresses, references and commands may hold `{version}`; it is filled in when a version is named, and only
//! there. What a version may look like is checked where it is named.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use wellkept_model::Text;
use wellkept_model::keep::{
    App, AppCheck, Artefact, ArtefactFrom, BatchSize, Checksum, Command, ErrorShare, HOST_PLACE, Probe,
    VERSION_PLACE, Vantage, WorseBy,
};

use crate::command::{self, Limit};
use crate::health::{is_host_port, is_url};
use crate::hostwide::yes_or_no;
use crate::problem::{Problems, clean};
use crate::read::{self, Fields};
use crate::service::is_service_name;
use crate::tree::{At, Node};

const KEYS: [&str; 14] = [
    "hosts",
    "inventory",
    "to",
    "artefact",
    "service",
    "health",
    "batches",
    "hold",
    "starts_within",
    "errors",
    "keep",
    "shared",
    "before",
    "after",
];
const ARTEFACT_KEYS: [&str; 7] = ["file", "url", "git", "ref", "sha256", "strip", "links_out"];
const CHECK_KEYS: [&str; 8] = ["http", "tcp", "exec", "expect", "contains", "within", "failures", "from"];
/// Most entries of a section, and items of a list.
const ITEMS_MAX: usize = 100;
/// Longest time that a batch is watched.
const HOLD_MAX: Duration = Duration::from_secs(86_400);
const HOLD_DEFAULT: Duration = Duration::from_secs(30);
const STARTS_WITHIN_DEFAULT: Duration = Duration::from_secs(60);
const CHECK_WITHIN_DEFAULT: Duration = Duration::from_secs(5);
const KEEP_DEFAULT: u32 = 5;

/// Reads the section.
pub(crate) fn deploy(node: &Node, problems: &mut Problems) -> BTreeMap<String, App> {
    named(node, "shop, api, …", problems, app)
}

/// Reads a map of named entries, each once and within bounds.
pub(crate) fn named<T>(
    node: &Node,
    keys: &str,
    problems: &mut Problems,
    read_one: impl Fn(&str, &At, &Node, &mut Problems) -> Option<T>,
) -> BTreeMap<String, T> {
    let entries = read::map(node, keys, problems).unwrap_or_default();
    if let Some((extra, _)) = entries.get(ITEMS_MAX) {
        let help = Text::new("keep.accept.whole").with("from", 0).with("to", ITEMS_MAX);
        problems.add(&extra.at, Text::new("keep.too_many_entries").with("count", entries.len()), help);
    }
    let mut found = BTreeMap::new();
    for (key, node) in entries.iter().take(ITEMS_MAX) {
        // `history` is a word of the command line.
        if !is_service_name(&key.text) || key.text == "history" {
            let message = Text::new("keep.entry_name").with("name", clean(&key.text));
            problems.add(&key.at, message, Text::new("keep.accept.service_name"));
            continue;
        }
        found.extend(read_one(&key.text, &key.at, node, problems).map(|read| (key.text.clone(), read)));
    }
    found
}

fn app(name: &str, at: &At, node: &Node, problems: &mut Problems) -> Option<App> {
    let fields = read::open(node, &KEYS, problems)?;
    let hosts =
        needed(&fields, at, "hosts", "keep.accept.hosts", problems).and_then(|n| pattern(n, problems));
    let to = needed(&fields, at, "to", "keep.accept.deploy_to", problems).and_then(|n| {
        let deep = |t: &str| (read::is_plain_path(t) && t != "/").then(|| PathBuf::from(t));
        read::parsed(n, Text::new("keep.accept.deploy_to"), problems, deep)
    });
    let artefact = needed(&fields, at, "artefact", "keep.accept.artefact_from", problems)
        .and_then(|n| artefact(n, problems));
    let restart = fields.get("service").and_then(|n| {
        let service = read::open(n, &["restart"], problems)?;
        let node = needed(&service, &n.at, "restart", "keep.accept.command", problems)?;
        command::command(node, Limit::Own, problems)
    });
    let mut command = |key: &str| fields.get(key).and_then(|n| command::command(n, Limit::Own, problems));
    let (before, after) = (command("before"), command("after"));
    let health = fields.get("health").map(|n| checks(n, problems)).unwrap_or_default();
    let batches = fields.get("batches").map(|n| batches(n, problems));
    let usual = || vec![BatchSize::Hosts(1), BatchSize::Percent(25), BatchSize::Percent(100)];
    let mut time = |key: &str, otherwise: Duration| match fields.get(key) {
        Some(n) => read::duration(n, Duration::ZERO, HOLD_MAX, problems),
        None => Some(otherwise),
    };
    let (hold, starts_within) = (time("hold", HOLD_DEFAULT), time("starts_within", STARTS_WITHIN_DEFAULT));
    let keep = match fields.get("keep") {
        Some(n) => read::whole(n, 2, 1000, problems),
        None => Some(KEEP_DEFAULT),
    };
    Some(App {
        name: name.to_owned(),
        inventory: fields.get("inventory").map(|n| inventories(n, problems)).unwrap_or_default(),
        errors: fields.get("errors").and_then(|n| errors(n, problems)),
        shared: fields.get("shared").map(|n| shared(n, problems)).unwrap_or_default(),
        batches: batches.filter(|b| !b.is_empty()).unwrap_or_else(usual),
        hosts: hosts?,
        to: to?,
        artefact: artefact?,
        hold: hold?,
        starts_within: starts_within?,
        keep: keep?,
        restart,
        health,
        before,
        after,
    })
}

fn needed<'n>(
    fields: &Fields<'n>,
    at: &At,
    key: &str,
    help: &str,
    problems: &mut Problems,
) -> Option<&'n Node> {
    let found = fields.get(key);
    if found.is_none() {
        read::missing(at, key, Text::new(help), problems);
    }
    found
}

/// A pattern of hosts: judged in full where the inventory is known, here only so far that it is no option.
pub(crate) fn pattern(node: &Node, problems: &mut Problems) -> Option<String> {
    let good = |t: &str| !t.starts_with('-') && !t.starts_with('@');
    read::parsed(node, Text::new("keep.accept.hosts"), problems, |t| good(t).then(|| t.to_owned()))
}

/// Files and folders, or lists of hosts with a comma.
pub(crate) fn inventories(node: &Node, problems: &mut Problems) -> Vec<String> {
    let good =
        |t: &str| read::is_plain_path(t) || (t.contains(',') && !t.starts_with('-') && !t.contains('/'));
    let one = |n: &Node, problems: &mut Problems| {
        let help = Text::new("keep.accept.inventory");
        read::parsed(n, help, problems, |t| good(t).then(|| t.to_owned()))
    };
    read::items(node).iter().take(ITEMS_MAX).filter_map(|n| one(n, problems)).collect()
}

fn artefact(node: &Node, problems: &mut Problems) -> Option<Artefact> {
    let fields = read::open(node, &ARTEFACT_KEYS, problems)?;
    let given: Vec<&str> = ["file", "url", "git"].into_iter().filter(|k| fields.get(k).is_some()).collect();
    let [kind] = given.as_slice() else {
        problems.add(&node.at, Text::new("keep.artefact_not_one"), Text::new("keep.accept.artefact_from"));
        return None;
    };
    // A commit names its content itself; a folder in a repository has no level to leave out.
    let unfit: &[&str] = if *kind == "git" { &["strip", "sha256"] } else { &["ref"] };
    for key in unfit {
        if let Some(key) = fields.key(key) {
            let message = Text::new("keep.artefact_key").with("key", &key.text).with("kind", *kind);
            problems.add(&key.at, message, Text::new("keep.accept.artefact_from"));
        }
    }
    let from = from(kind, &fields, node, problems);
    let sha256 = fields
        .get("sha256")
        .and_then(|n| read::parsed(n, Text::new("keep.accept.sha256"), problems, checksum));
    let strip = match fields.get("strip") {
        Some(n) => read::whole(n, 0, 10, problems),
        None => Some(0),
    };
    let links_out = fields.get("links_out").and_then(|n| yes_or_no(n, problems)).unwrap_or(false);
    Some(Artefact { from: from?, sha256, strip: strip?, links_out })
}

fn from(kind: &str, fields: &Fields, node: &Node, problems: &mut Problems) -> Option<ArtefactFrom> {
    let said = fields.get(kind)?;
    match kind {
        "file" => read::parsed(said, Text::new("keep.accept.deploy_file"), problems, |t| {
            read::is_plain_path(t).then(|| ArtefactFrom::File(t.to_owned()))
        }),
        "url" => read::parsed(said, Text::new("keep.accept.url"), problems, |t| {
            is_url(&filled(t, "1")).then(|| ArtefactFrom::Url(t.to_owned()))
        }),
        _ => {
            let repository = read::parsed(said, Text::new("keep.accept.git"), problems, |t| {
                is_repository(t).then(|| t.to_owned())
            });
            let reference = match needed(fields, &node.at, "ref", "keep.accept.git_ref", problems) {
                Some(n) => read::parsed(n, Text::new("keep.accept.git_ref"), problems, |t| {
                    is_reference(&filled(t, "1")).then(|| t.to_owned())
                }),
                None => None,
            };
            Some(ArtefactFrom::Git { repository: repository?, reference: reference? })
        }
    }
}

fn filled(text: &str, version: &str) -> String {
    text.replace(VERSION_PLACE, version)
}

/// A path, or an address of a kind that git serves over the network. `ext::` and the like start programs.
fn is_repository(text: &str) -> bool {
    let plain = text.chars().all(|c| c.is_ascii_graphic());
    let scheme = ["https://", "http://", "ssh://", "git://", "file:///"].iter().any(|s| text.starts_with(s));
    let scp = text.split_once(':').is_some_and(|(host, path)| {
        let host_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
        !host.is_empty() && host.chars().all(host_good) && !path.is_empty() && !path.starts_with([':', '-'])
    });
    let host_is_no_option = |t: &str| {
        let host = t.split_once("://").map_or(t, |(_, rest)| rest);
        !host.starts_with('-') && !host.split('@').any(|part| part.starts_with('-'))
    };
    read::is_plain_path(text) || (plain && (scheme || scp) && host_is_no_option(text))
}

/// A name that git takes as branch, tag or commit, and never as an option or a range.
fn is_reference(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '+');
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(good) && !text.contains("..")
}

fn checksum(text: &str) -> Option<Checksum> {
    let hex = text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
    match () {
        () if hex => Some(Checksum::Hex(text.to_ascii_lowercase())),
        () if read::is_plain_path(text) => Some(Checksum::File(text.to_owned())),
        () if is_url(&filled(text, "1")) => Some(Checksum::Url(text.to_owned())),
        () => None,
    }
}

fn checks(node: &Node, problems: &mut Problems) -> Vec<AppCheck> {
    read::items(node).iter().take(ITEMS_MAX).filter_map(|n| check(n, problems)).collect()
}

fn check(node: &Node, problems: &mut Problems) -> Option<AppCheck> {
    let fields = read::open(node, &CHECK_KEYS, problems)?;
    let given: Vec<&str> = ["http", "tcp", "exec"].into_iter().filter(|k| fields.get(k).is_some()).collect();
    let [kind] = given.as_slice() else {
        problems.add(&node.at, Text::new("keep.probe_not_one"), Text::new("keep.accept.app_health"));
        return None;
    };
    if *kind != "http" {
        for key in ["expect", "contains"].into_iter().filter_map(|k| fields.key(k)) {
            let message = Text::new("keep.only_for_http").with("key", &key.text);
            problems.add(&key.at, message, Text::new("keep.accept.app_health"));
        }
    }
    let within = match fields.get("within") {
        Some(n) => read::duration(n, Duration::from_secs(1), Duration::from_secs(600), problems)?,
        None => CHECK_WITHIN_DEFAULT,
    };
    let failures = match fields.get("failures") {
        Some(n) => read::whole(n, 1, 100, problems)?,
        None => crate::health::FAILURES_DEFAULT,
    };
    let vantage = match fields.get("from") {
        Some(n) => read::parsed(n, Text::new("keep.accept.vantage"), problems, |t| match t {
            "controller" => Some(Vantage::Controller),
            "target" => Some(Vantage::Target),
            _ => None,
        })?,
        None => Vantage::Controller,
    };
    Some(AppCheck { probe: probe(kind, &fields, within, problems)?, within, failures, vantage })
}

fn probe(kind: &str, fields: &Fields, within: Duration, problems: &mut Problems) -> Option<Probe> {
    let node = fields.get(kind)?;
    let anywhere = |t: &str| t.replace(HOST_PLACE, "host");
    match kind {
        "tcp" => read::parsed(node, Text::new("keep.accept.tcp"), problems, |t| {
            is_host_port(&anywhere(t)).then(|| Probe::Tcp { address: t.to_owned() })
        }),
        "exec" => {
            let command = command::command(node, Limit::Beside(within), problems)?;
            Some(Probe::Exec { command: Command { within, ..command } })
        }
        _ => {
            let url = read::parsed(node, Text::new("keep.accept.url"), problems, |t| {
                is_url(&anywhere(t)).then(|| t.to_owned())
            });
            let status = match fields.get("expect") {
                Some(n) => read::whole(n, 100, 599, problems)?,
                None => 200,
            };
            let contains = fields.get("contains").and_then(|n| {
                read::text(n, true, &Text::new("keep.accept.text"), problems).map(str::to_owned)
            });
            Some(Probe::Http { url: url?, status: u16::try_from(status).ok()?, contains })
        }
    }
}

fn batches(node: &Node, problems: &mut Problems) -> Vec<BatchSize> {
    let size = |t: &str| match t.strip_suffix('%') {
        Some(share) => share.parse().ok().filter(|s| (1..=100).contains(s)).map(BatchSize::Percent),
        None => t.parse().ok().filter(|hosts| *hosts > 0).map(BatchSize::Hosts),
    };
    let items = read::items(node).iter().take(ITEMS_MAX);
    items.filter_map(|n| read::parsed(n, Text::new("keep.accept.batches"), problems, size)).collect()
}

fn errors(node: &Node, problems: &mut Problems) -> Option<ErrorShare> {
    let fields = read::open(node, &["query", "worse_by"], problems)?;
    let query = needed(&fields, &node.at, "query", "keep.accept.query", problems)
        .and_then(|n| read::text(n, true, &Text::new("keep.accept.query"), problems));
    let worse_by = match fields.get("worse_by") {
        Some(n) => read::parsed(n, Text::new("keep.accept.worse_by"), problems, worse),
        None => Some(WorseBy::Added(0.01)),
    };
    Some(ErrorShare { query: query?.to_owned(), worse_by: worse_by? })
}

/// `0.02`, `2%` or `1.5x`.
fn worse(text: &str) -> Option<WorseBy> {
    let number = |t: &str| t.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    if let Some(times) = text.strip_suffix('x') {
        return number(times).filter(|n| *n >= 1.0).map(WorseBy::Times);
    }
    match text.strip_suffix('%') {
        Some(share) => number(share).map(|n| WorseBy::Added(n / 100.0)),
        None => number(text).map(WorseBy::Added),
    }
}

fn shared(node: &Node, problems: &mut Problems) -> Vec<String> {
    let good = |t: &str| {
        let bare = t.strip_suffix('/').unwrap_or(t);
        read::is_plain_path(&format!("/{bare}")) && !bare.is_empty() && !bare.starts_with('-')
    };
    let mut found: Vec<String> = Vec::new();
    for item in read::items(node).iter().take(ITEMS_MAX) {
        let help = Text::new("keep.accept.shared");
        let read = read::parsed(item, help.clone(), problems, |t| good(t).then(|| t.to_owned()));
        let Some(name) = read else { continue };
        let (own, slash) = (format!("{}/", name.trim_end_matches('/')), '/');
        if found
            .iter()
            .map(|f| format!("{}/", f.trim_end_matches(slash)))
            .any(|f| f.starts_with(&own) || own.starts_with(&f))
        {
            problems.add(&item.at, Text::new("keep.shared_twice").with("name", clean(&name)), help);
            continue;
        }
        found.push(name);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_a_path_or_served_over_the_network_and_starts_no_program() {
        for good in [
            "/srv/app.git",
            "https://git.test/app",
            "ssh://git@git.test/app",
            "git@git.test:app",
            "file:///srv/a",
        ] {
            assert!(is_repository(good), "{good}");
        }
        for bad in [
            "ext::sh -c id",
            "ext::sh",
            "-uid",
            "--upload-pack=id",
            "ssh://-oProxyCommand=id/x",
            "git@-oProxyCommand=id:x",
            "-oProxyCommand=id:x",
            "relative/path",
            "",
        ] {
            assert!(!is_repository(bad), "{bad}");
        }
    }

    #[test]
    fn a_reference_is_never_an_option_or_a_range() {
        for good in ["main", "v1.2.3", "release/7", "0a1b2c3"] {
            assert!(is_reference(good), "{good}");
        }
        for bad in ["", "-x", "--all", "a..b", "a b", "a:b", "^main", "@{1}", "a\u{7}"] {
            assert!(!is_reference(bad), "{bad}");
        }
    }

    #[test]
    fn bounds_on_worse_are_sums_or_factors() {
        assert_eq!(worse("0.02"), Some(WorseBy::Added(0.02)));
        assert_eq!(worse("2%"), Some(WorseBy::Added(0.02)));
        assert_eq!(worse("1.5x"), Some(WorseBy::Times(1.5)));
        for bad in ["", "-1", "0.5x", "nan", "inf", "x", "%"] {
            assert_eq!(worse(bad), None, "{bad}");
        }
    }
}
