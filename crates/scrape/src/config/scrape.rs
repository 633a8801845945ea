//! One entry of `scrape_configs`.

use std::time::Duration;

use wellkept_model::Text;

use super::Context;
use super::discovery::{self, Discovery};
use super::http::{self, HttpConfig};
use super::problem::{Place, Problems};
use super::relabeling;
use super::yaml::{Fields, Node, ReadFields, ReadNode};
use crate::duration;
use crate::relabel::Rule;

const KEYS: [&str; 29] = [
    "job_name",
    "scrape_interval",
    "scrape_timeout",
    "metrics_path",
    "scheme",
    "params",
    "honor_labels",
    "honor_timestamps",
    "track_timestamps_staleness",
    "static_configs",
    "file_sd_configs",
    "http_sd_configs",
    "dns_sd_configs",
    "relabel_configs",
    "metric_relabel_configs",
    "sample_limit",
    "label_limit",
    "label_name_length_limit",
    "label_value_length_limit",
    "target_limit",
    "body_size_limit",
    "scrape_protocols",
    "fallback_scrape_protocol",
    "enable_compression",
    "keep_dropped_targets",
    "metric_name_validation_scheme",
    "scrape_classic_histograms",
    "always_scrape_classic_histograms",
    "scrape_native_histograms",
];
const KEYS_KNOWN: [&str; 31] = [
    "scrape_failure_log_file",
    "metric_name_escaping_scheme",
    "native_histogram_bucket_limit",
    "native_histogram_min_bucket_factor",
    "convert_classic_histograms_to_nhcb",
    "azure_sd_configs",
    "consul_sd_configs",
    "digitalocean_sd_configs",
    "docker_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "eureka_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "ionos_sd_configs",
    "kubernetes_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "nerve_sd_configs",
    "nomad_sd_configs",
    "openstack_sd_configs",
    "ovhcloud_sd_configs",
    "puppetdb_sd_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "stackit_sd_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
    "vultr_sd_configs",
];

/// Most targets of one job, whatever `target_limit` says.
pub(crate) const TARGETS_MAX: usize = 100_000;

/// A format that targets answer in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// OpenMetrics 1.0.0.
    OpenMetrics1,
    /// OpenMetrics 0.0.1.
    OpenMetrics0,
    /// Prometheus' text format 1.0.0, with escaped names.
    Text1,
    /// Prometheus' text format 0.0.4.
    Text0,
    /// Prometheus' protobuf format: the one with native histograms. Asked for only where the configuration says so.
    Proto,
}

impl Protocol {
    /// What is asked for where nothing else is said.
    pub const DEFAULT: [Self; 4] = [Self::OpenMetrics1, Self::OpenMetrics0, Self::Text1, Self::Text0];

    fn from_word(word: &str) -> Option<Self> {
        match word {
            "OpenMetricsText1.0.0" => Some(Self::OpenMetrics1),
            "OpenMetricsText0.0.1" => Some(Self::OpenMetrics0),
            "PrometheusText1.0.0" => Some(Self::Text1),
            "PrometheusText0.0.4" => Some(Self::Text0),
            "PrometheusProto" => Some(Self::Proto),
            _ => None,
        }
    }

    /// Media type as it stands in `Accept` and `Content-Type`.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics1 => "application/openmetrics-text;version=1.0.0",
            Self::OpenMetrics0 => "application/openmetrics-text;version=0.0.1",
            Self::Text1 => "text/plain;version=1.0.0",
            Self::Text0 => "text/plain;version=0.0.4",
            Self::Proto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
        }
    }
}

/// How a target is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scheme {
    /// Plain.
    #[default]
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// The word in an address.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Http, Self::Https].into_iter().find(|s| s.word() == word)
    }
}

/// Bounds on what a target may give; 0 is no bound of the operator's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Samples in one scrape, after relabeling.
    pub samples: u64,
    /// Labels of a series.
    pub labels: u64,
    /// Bytes of a label's name.
    pub label_name_length: u64,
    /// Bytes of a label's value.
    pub label_value_length: u64,
    /// Targets of a job.
    pub targets: u64,
    /// Bytes of an answer, without compression.
    pub body_size: u64,
    /// Dropped targets that are remembered.
    pub keep_dropped: u64,
}

/// One job.
#[derive(Debug, Clone, PartialEq)]
pub struct ScrapeConfig {
    /// Where it stands in the file.
    pub place: Place,
    /// Its name.
    pub job: String,
    /// Time between two scrapes.
    pub interval: Duration,
    /// How long a scrape may take.
    pub timeout: Duration,
    /// Path to ask for.
    pub metrics_path: String,
    /// How targets are reached.
    pub scheme: Scheme,
    /// Parameters of the query in the order of the file.
    pub params: Vec<(String, Vec<String>)>,
    /// Whether a sample's own labels win over the target's.
    pub honor_labels: bool,
    /// Whether a sample's own time counts.
    pub honor_timestamps: bool,
    /// Whether series with times of their own get stale markers too.
    pub track_timestamps_staleness: bool,
    /// Where targets come from.
    pub discovery: Vec<Discovery>,
    /// Rules for targets.
    pub relabel: Vec<Rule>,
    /// Rules for samples.
    pub metric_relabel: Vec<Rule>,
    /// How the server is spoken to.
    pub http: HttpConfig,
    /// Bounds.
    pub limits: Limits,
    /// Formats to ask for, the dearest first.
    pub protocols: Vec<Protocol>,
    /// What an answer without a usable type is taken for.
    pub fallback: Option<Protocol>,
    /// Whether compressed answers are asked for.
    pub compression: bool,
    /// Whether classic buckets are wanted beside native histograms.
    pub classic_histograms: bool,
}

pub(super) fn scrape(
    node: &Node,
    context: &Context<'_>,
    problems: &mut Problems<'_>,
) -> Option<ScrapeConfig> {
    let keys: Vec<&str> = KEYS.into_iter().chain(http::KEYS).collect();
    let known: Vec<&str> = KEYS_KNOWN.into_iter().chain(http::KEYS_KNOWN).collect();
    let fields = node.fields(&keys, &known, problems)?;
    let job = fields.text("job_name", problems);
    if job.is_none() {
        fields.missing("job_name", problems);
    }
    let global = context.global;
    let interval = fields.duration("scrape_interval", problems).unwrap_or(global.scrape_interval);
    let timeout = timeout(&fields, interval, problems).unwrap_or(global.scrape_timeout.min(interval));
    validation_scheme(&fields, problems);
    let protocols = protocols(&fields, problems).unwrap_or_else(|| global.protocols.clone());
    let fallback = fields
        .get("fallback_scrape_protocol")
        .and_then(|n| n.parsed("scrape.accept.protocol", problems, Protocol::from_word));
    Some(ScrapeConfig {
        place: node.at.place,
        job: job?,
        interval,
        timeout,
        metrics_path: fields.text("metrics_path", problems).unwrap_or_else(|| "/metrics".to_owned()),
        scheme: scheme(&fields, problems),
        params: params(&fields, problems),
        honor_labels: fields.truth("honor_labels", false, problems),
        honor_timestamps: fields.truth("honor_timestamps", true, problems),
        track_timestamps_staleness: fields.truth("track_timestamps_staleness", false, problems),
        discovery: discovery::all(&fields, context, problems),
        relabel: relabeling::rules(&fields, "relabel_configs", problems),
        metric_relabel: relabeling::rules(&fields, "metric_relabel_configs", problems),
        http: http::http(&fields, context, problems),
        limits: limits(&fields, global.limits, problems),
        protocols: native(&fields, protocols, problems),
        classic_histograms: classic(&fields, global.classic_histograms, problems),
        fallback,
        compression: fields.truth("enable_compression", true, problems),
    })
}

/// `scrape_timeout`, which is never longer than the interval.
pub(super) fn timeout(
    fields: &Fields<'_>,
    interval: Duration,
    problems: &mut Problems<'_>,
) -> Option<Duration> {
    let timeout = fields.duration("scrape_timeout", problems)?;
    if timeout > interval {
        let message = Text::new("scrape.timeout_too_long")
            .with("timeout", duration::show(timeout))
            .with("interval", duration::show(interval));
        let accepted = Text::new("scrape.accept.timeout").with("interval", duration::show(interval));
        fields.get("scrape_timeout").unwrap_or(fields.node).refuse(problems, message, accepted);
    }
    Some(timeout)
}

fn scheme(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Scheme {
    let node = fields.get("scheme");
    node.and_then(|n| n.parsed("scrape.accept.scheme", problems, Scheme::from_word)).unwrap_or_default()
}

fn params(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Vec<(String, Vec<String>)> {
    let pairs = fields.pairs("params", problems).iter();
    pairs
        .map(|(key, node)| {
            let values = node.items(problems).iter();
            (key.text.clone(), values.filter_map(|n| Some(n.text(problems)?.to_owned())).collect())
        })
        .collect()
}

/// `scrape_protocols`; `None` when it is not there.
pub(super) fn protocols(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Option<Vec<Protocol>> {
    let node = fields.get("scrape_protocols")?;
    let mut protocols = Vec::new();
    for item in node.items(problems) {
        if let Some(protocol) = item.parsed("scrape.accept.protocol", problems, Protocol::from_word)
            && !protocols.contains(&protocol)
        {
            protocols.push(protocol);
        }
    }
    if node.items(problems).is_empty() {
        node.refuse(problems, Text::new("scrape.is_nothing"), Text::new("scrape.accept.protocol"));
    }
    Some(protocols)
}

/// The limits of a section; what it does not say is taken from `above`.
pub(super) fn limits(fields: &Fields<'_>, above: Limits, problems: &mut Problems<'_>) -> Limits {
    let mut whole = |name: &str, above: u64| fields.whole(name, problems).unwrap_or(above);
    let mut limits = Limits {
        samples: whole("sample_limit", above.samples),
        labels: whole("label_limit", above.labels),
        label_name_length: whole("label_name_length_limit", above.label_name_length),
        label_value_length: whole("label_value_length_limit", above.label_value_length),
        targets: whole("target_limit", above.targets),
        keep_dropped: whole("keep_dropped_targets", above.keep_dropped),
        body_size: above.body_size,
    };
    let size = fields.get("body_size_limit");
    if let Some(size) = size.and_then(|n| n.parsed("scrape.accept.bytes", problems, duration::parse_bytes)) {
        limits.body_size = size;
    }
    limits
}

/// Names may be any UTF-8, as Prometheus 3 has it; the older rule cannot be asked for.
pub(super) fn validation_scheme(fields: &Fields<'_>, problems: &mut Problems<'_>) {
    if let Some(node) = fields.get("metric_name_validation_scheme") {
        node.parsed("scrape.accept.validation", problems, |t| (t == "utf8").then_some(()));
    }
}

/// Whether native histograms are asked for; they come in the binary format only.
pub(super) fn native(
    fields: &Fields<'_>,
    protocols: Vec<Protocol>,
    problems: &mut Problems<'_>,
) -> Vec<Protocol> {
    if !fields.truth("scrape_native_histograms", false, problems) || protocols.contains(&Protocol::Proto) {
        return protocols;
    }
    std::iter::once(Protocol::Proto).chain(protocols).collect()
}

/// Whether classic buckets are wanted beside native ones; an older name of the key counts, too.
pub(super) fn classic(fields: &Fields<'_>, above: bool, problems: &mut Problems<'_>) -> bool {
    let older = fields.truth("scrape_classic_histograms", above, problems);
    fields.truth("always_scrape_classic_histograms", older, problems)
}
