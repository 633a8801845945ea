//! Reads a `prometheus.yml`: what to scrape, how, and where to send samples on.
//!
//! Text in, a checked value or all mistakes out, each with line, column and what is accepted. Nothing is looked up
//! here: files that a configuration names are read when they are needed. A key that Prometheus knows and we do not
//! support is refused by name, so that nobody believes in a setting without effect.

mod discovery;
mod http;
mod problem;
mod relabeling;
mod remote;
mod scrape;
pub(crate) mod yaml;

use std::path::Path;
use std::time::Duration;

use wellkept_model::{Labels, Text};
use wellkept_yamltree::At;

pub use discovery::{Discovery, DnsKind, Group};
pub use http::{Auth, HttpConfig, TlsConfig, TlsVersion};
pub use problem::{ConfigErrors, PROBLEMS_MAX, Place, Problem};
pub use remote::{QueueConfig, RemoteWrite, WireVersion};
pub use scrape::{Limits, Protocol, Scheme, ScrapeConfig};
pub use yaml::FILE_MAX;

pub(crate) use discovery::groups;
pub(crate) use problem::Problems;
use yaml::{Fields, Node, ReadFields, ReadNode};

const KEYS: [&str; 5] = ["global", "scrape_configs", "remote_write", "rule_files", "alerting"];
const KEYS_KNOWN: [&str; 6] = ["remote_read", "scrape_config_files", "storage", "tracing", "runtime", "otlp"];
const GLOBAL_KEYS: [&str; 15] = [
    "scrape_interval",
    "scrape_timeout",
    "evaluation_interval",
    "external_labels",
    "scrape_protocols",
    "body_size_limit",
    "sample_limit",
    "label_limit",
    "label_name_length_limit",
    "label_value_length_limit",
    "target_limit",
    "keep_dropped_targets",
    "metric_name_validation_scheme",
    "always_scrape_classic_histograms",
    "scrape_native_histograms",
];
const GLOBAL_KEYS_KNOWN: [&str; 6] = [
    "query_log_file",
    "scrape_failure_log_file",
    "rule_query_offset",
    "metric_name_escaping_scheme",
    "runtime",
    "convert_classic_histograms_to_nhcb",
];

/// A checked configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// What holds where a section says nothing else.
    pub global: Global,
    /// What to scrape, with job names that are unique.
    pub scrapes: Vec<ScrapeConfig>,
    /// Where to send samples on.
    pub remote_writes: Vec<RemoteWrite>,
    /// Patterns of rule files, made absolute; read elsewhere.
    pub rule_files: Vec<String>,
    /// Keys that were read and have no effect here.
    pub notes: Vec<Problem>,
}

/// The section `global`.
#[derive(Debug, Clone, PartialEq)]
pub struct Global {
    /// Time between two scrapes.
    pub scrape_interval: Duration,
    /// How long a scrape may take; never longer than the interval.
    pub scrape_timeout: Duration,
    /// Time between two evaluations of rules.
    pub evaluation_interval: Duration,
    /// Labels for everything that leaves this host.
    pub external_labels: Labels,
    /// Formats to ask for, the dearest first.
    pub protocols: Vec<Protocol>,
    /// Whether classic buckets are wanted beside native histograms.
    pub classic_histograms: bool,
    /// Bounds on what a target may give.
    pub limits: Limits,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            scrape_interval: Duration::from_secs(60),
            scrape_timeout: Duration::from_secs(10),
            evaluation_interval: Duration::from_secs(60),
            external_labels: Labels::default(),
            protocols: Protocol::DEFAULT.to_vec(),
            classic_histograms: false,
            limits: Limits::default(),
        }
    }
}

/// What the readers need besides the text.
pub(crate) struct Context<'c> {
    /// Folder that relative paths start from.
    pub(crate) folder: &'c Path,
    pub(crate) global: &'c Global,
}

impl Context<'_> {
    pub(crate) fn path(&self, text: &str) -> std::path::PathBuf {
        self.folder.join(text)
    }
}

/// Reads and checks a configuration.
///
/// `file_name` is used in messages only; `folder` is where relative paths start; `env` gives the values of
/// `${NAME}` in external labels.
///
/// # Errors
/// All mistakes together, in the order of the file.
pub fn parse(
    file_name: &str,
    text: &str,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigErrors> {
    let mut problems = Problems::new(file_name);
    let mut config = read(text, folder, env, &mut problems);
    check_names(&config, &mut problems);
    let (read, notes) = problems.finish_noted(std::mem::take(&mut config))?;
    Ok(Config { notes: notes.into_iter().map(Problem::from).collect(), ..read })
}

fn read(
    text: &str,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    problems: &mut Problems<'_>,
) -> Config {
    let mut config = Config::default();
    let Some(root) = yaml::read(text, problems) else { return config };
    let Some(fields) = root.fields(&KEYS, &KEYS_KNOWN, problems) else { return config };
    if let Some(node) = fields.get("global") {
        config.global = global(node, env, problems);
    }
    let context = Context { folder, global: &config.global };
    let scrapes = fields.items("scrape_configs", problems);
    config.scrapes = scrapes.iter().filter_map(|n| scrape::scrape(n, &context, problems)).collect();
    let writes = fields.items("remote_write", problems);
    config.remote_writes =
        writes.iter().filter_map(|n| remote::remote_write(n, &context, problems)).collect();
    let rules = fields.texts("rule_files", problems);
    config.rule_files = rules.iter().map(|t| context.path(t).to_string_lossy().into_owned()).collect();
    if let Some(node) = fields.get("alerting").filter(|n| !is_empty(n)) {
        let message = Text::new("scrape.not_used").with("key", "alerting");
        problems.note(&node.at, message, Text::new("scrape.accept.not_used"));
    }
    config
}

fn is_empty(node: &Node) -> bool {
    match &node.value {
        yaml::Value::Null => true,
        yaml::Value::List(items) => items.is_empty(),
        yaml::Value::Map(entries) => entries.is_empty(),
        yaml::Value::Scalar { .. } => false,
    }
}

/// Job names are unique, and so are the names of remote writes.
fn check_names(config: &Config, problems: &mut Problems<'_>) {
    let jobs = config.scrapes.iter().map(|s| (s.place, s.job.as_str()));
    let writes = config.remote_writes.iter().map(|w| (w.place, w.name.as_str()));
    for names in [jobs.collect::<Vec<_>>(), writes.collect()] {
        let mut seen = std::collections::BTreeSet::new();
        for (place, name) in names {
            if !seen.insert(name) {
                let message = Text::new("scrape.name_twice").with("name", problem::short(name));
                problems.add(
                    &At { place, path: String::new() },
                    message,
                    Text::new("scrape.accept.name_once"),
                );
            }
        }
    }
}

fn global(node: &Node, env: &dyn Fn(&str) -> Option<String>, problems: &mut Problems<'_>) -> Global {
    let mut global = Global::default();
    let Some(fields) = node.fields(&GLOBAL_KEYS, &GLOBAL_KEYS_KNOWN, problems) else { return global };
    if let Some(interval) = fields.duration("scrape_interval", problems) {
        global.scrape_interval = interval;
        global.scrape_timeout = global.scrape_timeout.min(interval);
    }
    if let Some(timeout) = scrape::timeout(&fields, global.scrape_interval, problems) {
        global.scrape_timeout = timeout;
    }
    if let Some(interval) = fields.duration("evaluation_interval", problems) {
        global.evaluation_interval = interval;
    }
    let protocols = scrape::protocols(&fields, problems).unwrap_or(global.protocols);
    global.protocols = scrape::native(&fields, protocols, problems);
    global.classic_histograms = scrape::classic(&fields, false, problems);
    global.limits = scrape::limits(&fields, Limits::default(), problems);
    scrape::validation_scheme(&fields, problems);
    let labels = label_map(&fields, "external_labels", problems);
    global.external_labels = Labels::new(labels.into_iter().map(|(name, value)| (name, expand(&value, env))));
    global
}

/// A map of labels; `__name__` and names that are empty are refused.
fn label_map(fields: &Fields<'_>, name: &str, problems: &mut Problems<'_>) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    for (key, node) in fields.pairs(name, problems) {
        if key.text.is_empty() || key.text == wellkept_model::METRIC_NAME {
            let message = Text::new("scrape.no_label_name").with("value", problem::short(&key.text));
            problems.add(&key.at, message, Text::new("scrape.accept.label_name"));
        } else if let Some(value) = node.text(problems) {
            labels.push((key.text.clone(), value.to_owned()));
        }
    }
    labels
}

/// Puts in the values of `$NAME` and `${NAME}`; `$$` is a dollar sign, and what is not set is empty.
fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        rest = if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            after
        } else if let Some((name, after)) = after.strip_prefix('{').and_then(|a| a.split_once('}')) {
            out.push_str(&env(name).unwrap_or_default());
            after
        } else {
            let (name, after) = after.split_at(after.find(|c| !in_word(c)).unwrap_or(after.len()));
            if name.is_empty() {
                out.push('$');
            } else {
                out.push_str(&env(name).unwrap_or_default());
            }
            after
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests;
