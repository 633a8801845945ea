//! Where targets come from: `static_configs`, `file_sd_configs`, `http_sd_configs`, `dns_sd_configs`.
//!
//! Groups of targets have one form wherever they stand: in the configuration, in a file, or in a server's answer (JSON
//! is YAML). So there is one reader for all.

use std::path::PathBuf;
use std::time::Duration;

use wellkept_model::Text;

use super::http::{self, HttpConfig};
use super::problem::Problems;
use super::yaml::{Fields, Node, ReadFields, ReadNode};
use super::{Context, label_map, scrape};

/// Addresses with labels that they share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// What becomes `__address__`.
    pub targets: Vec<String>,
    /// Labels for all of them.
    pub labels: Vec<(String, String)>,
}

/// Which records of a name are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsKind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
}

/// A source of targets.
#[derive(Debug, Clone, PartialEq)]
pub enum Discovery {
    /// They stand in the configuration.
    Static(Vec<Group>),
    /// They stand in files.
    File {
        /// Absolute patterns; `*` in the last part only.
        files: Vec<PathBuf>,
        /// How often they are looked at.
        refresh: Duration,
    },
    /// A server tells them.
    Http {
        /// Its address.
        url: String,
        /// How often it is asked.
        refresh: Duration,
        /// How it is spoken to.
        http: Box<HttpConfig>,
    },
    /// They are the addresses of names.
    Dns {
        /// The names.
        names: Vec<String>,
        /// Which addresses.
        kind: DnsKind,
        /// Port of the targets.
        port: u16,
        /// How often the names are looked up.
        refresh: Duration,
    },
}

/// All sources of a job.
pub(super) fn all(fields: &Fields<'_>, context: &Context<'_>, problems: &mut Problems<'_>) -> Vec<Discovery> {
    let mut all = Vec::new();
    let groups: Vec<Group> =
        fields.items("static_configs", problems).iter().filter_map(|n| group(n, problems)).collect();
    if !groups.is_empty() {
        all.push(Discovery::Static(groups));
    }
    for node in fields.items("file_sd_configs", problems) {
        all.extend(file(node, context, problems));
    }
    for node in fields.items("http_sd_configs", problems) {
        all.extend(server(node, context, problems));
    }
    for node in fields.items("dns_sd_configs", problems) {
        all.extend(dns(node, problems));
    }
    all
}

fn group(node: &Node, problems: &mut Problems<'_>) -> Option<Group> {
    let fields = node.fields(&["targets", "labels"], &[], problems)?;
    let targets = fields.texts("targets", problems);
    if targets.len() > scrape::TARGETS_MAX {
        let message = Text::new("scrape.too_many_targets").with("count", targets.len());
        let accepted = Text::new("scrape.accept.targets").with("max", scrape::TARGETS_MAX);
        node.refuse(problems, message, accepted);
    }
    for target in targets.iter().filter(|t| t.contains('/')) {
        let message = Text::new("scrape.is_value").with("value", super::problem::short(target));
        node.refuse(problems, message, Text::new("scrape.accept.address"));
    }
    Some(Group { targets, labels: label_map(&fields, "labels", problems) })
}

/// Groups as a file or a server gives them.
pub(crate) fn groups(text: &str, problems: &mut Problems<'_>) -> Vec<Group> {
    let Some(root) = super::yaml::read(text, problems) else { return Vec::new() };
    root.items(problems).iter().filter_map(|n| group(n, problems)).collect()
}

fn refresh(fields: &Fields<'_>, or: u64, problems: &mut Problems<'_>) -> Duration {
    fields.duration("refresh_interval", problems).unwrap_or(Duration::from_secs(or))
}

fn file(node: &Node, context: &Context<'_>, problems: &mut Problems<'_>) -> Option<Discovery> {
    let fields = node.fields(&["files", "refresh_interval"], &[], problems)?;
    let mut files = Vec::new();
    for item in fields.items("files", problems) {
        let accepted = |text: &str| {
            let (folder, last) = text.rsplit_once('/').unwrap_or(("", text));
            let ending = [".json", ".yml", ".yaml"].iter().any(|e| last.ends_with(e));
            (ending && !folder.contains('*')).then(|| text.to_owned())
        };
        files.extend(item.parsed("scrape.accept.sd_file", problems, accepted).map(|t| context.path(&t)));
    }
    if fields.items("files", problems).is_empty() {
        fields.missing("files", problems);
    }
    Some(Discovery::File { files, refresh: refresh(&fields, 300, problems) })
}

fn server(node: &Node, context: &Context<'_>, problems: &mut Problems<'_>) -> Option<Discovery> {
    let keys: Vec<&str> = ["url", "refresh_interval"].into_iter().chain(http::KEYS).collect();
    let fields = node.fields(&keys, &http::KEYS_KNOWN, problems)?;
    let url = url(&fields, problems);
    let http = Box::new(http::http(&fields, context, problems));
    Some(Discovery::Http { url: url?, refresh: refresh(&fields, 60, problems), http })
}

/// The key `url`: http or https, with a host, without user or password.
pub(super) fn url(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let Some(node) = fields.get("url") else {
        fields.missing("url", problems);
        return None;
    };
    let text = node.text(problems)?;
    if crate::url::Url::parse(text).is_err() {
        // What stands before an @ could be a password, so the value is not shown.
        node.refuse(problems, Text::new("scrape.bad_url"), Text::new("scrape.accept.url"));
        return None;
    }
    Some(text.to_owned())
}

fn dns(node: &Node, problems: &mut Problems<'_>) -> Option<Discovery> {
    let fields = node.fields(&["names", "type", "port", "refresh_interval"], &[], problems)?;
    let kind = match fields.get("type") {
        Some(node) => node.parsed("scrape.accept.dns", problems, |t| match t.to_ascii_uppercase().as_str() {
            "A" => Some(DnsKind::A),
            "AAAA" => Some(DnsKind::Aaaa),
            _ => None,
        }),
        None => {
            fields.missing("type", problems);
            None
        }
    };
    let names = fields.texts("names", problems);
    if names.is_empty() {
        fields.missing("names", problems);
    }
    let port = fields
        .get("port")
        .and_then(|n| n.parsed("scrape.accept.port", problems, |t| t.parse().ok().filter(|p| *p > 0)));
    if fields.get("port").is_none() {
        fields.missing("port", problems);
    }
    Some(Discovery::Dns { names, kind: kind?, port: port?, refresh: refresh(&fields, 30, problems) })
}
