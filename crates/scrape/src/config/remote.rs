//! One entry of `remote_write`.

use std::time::Duration;

use wellkept_model::Text;

use super::http::{self, HttpConfig};
use super::problem::{Place, Problems};
use super::yaml::{Fields, Node, ReadFields, ReadNode};
use super::{Context, discovery, relabeling};
use crate::duration;
use crate::relabel::Rule;
use crate::secret::Secret;

const KEYS: [&str; 9] = [
    "url",
    "name",
    "remote_timeout",
    "headers",
    "write_relabel_configs",
    "queue_config",
    "protobuf_message",
    "send_exemplars",
    "send_native_histograms",
];
const KEYS_KNOWN: [&str; 5] =
    ["azuread", "google_iam", "metadata_config", "round_robin_dns", "metric_name_validation_scheme"];
const QUEUE_KEYS: [&str; 9] = [
    "capacity",
    "max_shards",
    "min_shards",
    "max_samples_per_send",
    "batch_send_deadline",
    "min_backoff",
    "max_backoff",
    "retry_on_http_429",
    "sample_age_limit",
];

/// Which version of the protocol is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WireVersion {
    /// 1.0
    #[default]
    V1,
    /// 2.0
    V2,
}

/// How samples wait and are sent. The queue on disk has bounds of its own, see [`crate::sender`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueConfig {
    /// Most samples of one request.
    pub samples_per_send: usize,
    /// How long a request may wait to become full.
    pub deadline: Duration,
    /// Shortest wait after a failure.
    pub min_backoff: Duration,
    /// Longest wait after a failure.
    pub max_backoff: Duration,
    /// Older samples are not sent any more; zero: no bound.
    pub age_limit: Duration,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            samples_per_send: 2000,
            deadline: Duration::from_secs(5),
            min_backoff: Duration::from_millis(30),
            max_backoff: Duration::from_secs(5),
            age_limit: Duration::ZERO,
        }
    }
}

/// Most samples that one request may hold, whatever is asked for.
pub(crate) const SAMPLES_PER_SEND_MAX: u64 = 100_000;

/// A server that samples are sent on to.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteWrite {
    /// Where it stands in the file.
    pub place: Place,
    /// Its name, or its address where it has none; unique.
    pub name: String,
    /// Its address.
    pub url: String,
    /// How long one request may take.
    pub timeout: Duration,
    /// Headers for each request; their values may be keys, so they are secrets.
    pub headers: Vec<(String, Secret)>,
    /// Rules for samples that are sent.
    pub relabel: Vec<Rule>,
    /// How the server is spoken to.
    pub http: HttpConfig,
    /// How samples wait.
    pub queue: QueueConfig,
    /// Version of the protocol.
    pub version: WireVersion,
    /// Whether native histograms are sent.
    pub histograms: bool,
}

pub(super) fn remote_write(
    node: &Node,
    context: &Context<'_>,
    problems: &mut Problems<'_>,
) -> Option<RemoteWrite> {
    let keys: Vec<&str> = KEYS.into_iter().chain(http::KEYS).collect();
    let known: Vec<&str> = KEYS_KNOWN.into_iter().chain(http::KEYS_KNOWN).collect();
    let fields = node.fields(&keys, &known, problems)?;
    let url = discovery::url(&fields, problems);
    let version = |text: &str| match text {
        "prometheus.WriteRequest" => Some(WireVersion::V1),
        "io.prometheus.write.v2.Request" => Some(WireVersion::V2),
        _ => None,
    };
    let version =
        fields.get("protobuf_message").and_then(|n| n.parsed("scrape.accept.message", problems, version));
    if fields.truth("send_exemplars", false, problems)
        && let Some(node) = fields.get("send_exemplars")
    {
        let message = Text::new("scrape.unsupported_key").with("key", "send_exemplars");
        node.refuse(problems, message, Text::new("scrape.accept.false"));
    }
    let name = fields.text("name", problems);
    Some(RemoteWrite {
        place: node.at.place,
        timeout: fields.duration("remote_timeout", problems).unwrap_or(Duration::from_secs(30)),
        headers: headers(&fields, problems),
        relabel: relabeling::rules(&fields, "write_relabel_configs", problems),
        http: http::http(&fields, context, problems),
        queue: fields.get("queue_config").map(|n| queue(n, problems)).unwrap_or_default(),
        version: version.unwrap_or_default(),
        histograms: fields.truth("send_native_histograms", false, problems),
        name: name.or_else(|| url.clone())?,
        url: url?,
    })
}

/// Names that are ours to set.
const OUR_HEADERS: [&str; 8] = [
    "authorization",
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "x-prometheus-remote-write-version",
];

fn headers(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Vec<(String, Secret)> {
    let mut headers = Vec::new();
    for (key, node) in fields.pairs("headers", problems) {
        let Some(value) = node.text(problems) else { continue };
        let name = key.text.to_ascii_lowercase();
        let good = hyper::header::HeaderName::from_bytes(name.as_bytes()).is_ok()
            && hyper::header::HeaderValue::from_str(value).is_ok()
            && !OUR_HEADERS.contains(&name.as_str());
        if good {
            headers.push((name, Secret::new(value)));
        } else {
            // The value may be a secret, so only the name is shown.
            let message = Text::new("scrape.bad_header").with("name", super::problem::short(&key.text));
            problems.add(&key.at, message, Text::new("scrape.accept.header"));
        }
    }
    headers
}

fn queue(node: &Node, problems: &mut Problems<'_>) -> QueueConfig {
    let mut queue = QueueConfig::default();
    let Some(fields) = node.fields(&QUEUE_KEYS, &[], problems) else { return queue };
    for name in ["capacity", "max_shards", "min_shards"] {
        if let Some(node) = fields.get(name) {
            fields.whole(name, problems);
            let message = Text::new("scrape.not_used").with("key", name);
            problems.note(&node.at, message, Text::new("scrape.accept.queue"));
        }
    }
    let samples = |t: &str| t.parse().ok().filter(|n| (1..=SAMPLES_PER_SEND_MAX).contains(n));
    let samples = fields
        .get("max_samples_per_send")
        .and_then(|n| n.parsed("scrape.accept.samples_per_send", problems, samples));
    if let Some(samples) = samples {
        queue.samples_per_send = samples as usize;
    }
    let mut duration = |name: &str, into: &mut Duration| {
        if let Some(duration) = fields.duration(name, problems) {
            *into = duration;
        }
    };
    duration("batch_send_deadline", &mut queue.deadline);
    duration("min_backoff", &mut queue.min_backoff);
    duration("max_backoff", &mut queue.max_backoff);
    let age = fields.get("sample_age_limit");
    if let Some(age) = age.and_then(|n| n.parsed("scrape.accept.duration", problems, duration::parse)) {
        queue.age_limit = age;
    }
    if let Some(node) = fields.get("retry_on_http_429")
        && !fields.truth("retry_on_http_429", true, problems)
    {
        let message = Text::new("scrape.not_used").with("key", "retry_on_http_429");
        problems.note(&node.at, message, Text::new("scrape.accept.retry_429"));
    }
    queue.max_backoff = queue.max_backoff.max(queue.min_backoff);
    queue
}
