//! `source` and `metrics`: where series come from besides this host, and how long they are kept.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use wellkept_model::Text;
use wellkept_model::keep::{IntakeLimits, Metrics, Upstream};

use crate::health::is_url;
use crate::problem::Problems;
use crate::read;
use crate::tree::Node;

/// Smallest and largest limit of what comes.
const LIMIT_MIN: u32 = 100;
const LIMIT_MAX: u32 = 1_000_000_000;
/// Most patterns of rule files.
const RULES_MAX: usize = 100;

/// Reads the section `source`.
pub(crate) fn source(node: &Node, problems: &mut Problems) -> Option<Upstream> {
    let keys = ["prometheus", "user", "password_file", "token_file", "ca_file"];
    let fields = read::open(node, &keys, problems)?;
    let Some(url) = fields.get("prometheus") else {
        read::missing(&node.at, "prometheus", Text::new("keep.accept.server"), problems);
        return None;
    };
    let base = |t: &str| (is_url(t) && !t.contains('?')).then(|| t.trim_end_matches('/').to_owned());
    let url = read::parsed(url, Text::new("keep.accept.server"), problems, base);
    let user = fields.get("user").and_then(|n| {
        read::parsed(n, Text::new("keep.accept.user"), problems, |t| (!t.contains(':')).then(|| t.to_owned()))
    });
    let mut file = |name: &str| fields.get(name).and_then(|n| read::path(n, problems)).map(PathBuf::from);
    let (password_file, token_file, ca_file) = (file("password_file"), file("token_file"), file("ca_file"));
    let basic = fields.key("user").or(fields.key("password_file"));
    if let (Some(key), true) = (fields.key("token_file"), basic.is_some()) {
        problems.add(&key.at, Text::new("keep.two_credentials"), Text::new("keep.accept.credentials"));
    } else if let (Some(key), true) =
        (basic, fields.get("user").is_none() || fields.get("password_file").is_none())
    {
        problems.add(&key.at, Text::new("keep.half_credentials"), Text::new("keep.accept.credentials"));
    }
    Some(Upstream { url: url?, user, password_file, token_file, ca_file })
}

/// Reads the section `metrics`.
pub(crate) fn metrics(node: &Node, problems: &mut Problems) -> Metrics {
    let keys = ["scrape", "rules", "graphite", "statsd", "out_of_order", "retention", "limits"];
    let Some(fields) = read::open(node, &keys, problems) else { return Metrics::default() };
    let mut address = |name: &str| {
        let node = fields.get(name)?;
        read::parsed(node, Text::new("keep.accept.listen"), problems, |t| t.parse::<SocketAddr>().ok())
    };
    let (graphite, statsd) = (address("graphite"), address("statsd"));
    let day = Duration::from_secs(86_400);
    Metrics {
        scrape: fields.get("scrape").and_then(|n| read::path(n, problems)).map(PathBuf::from),
        rules: fields.get("rules").map(|n| rules(n, problems)).unwrap_or_default(),
        graphite,
        statsd,
        out_of_order: fields
            .get("out_of_order")
            .and_then(|n| read::duration(n, Duration::ZERO, 7 * day, problems)),
        limits: fields.get("limits").map(|n| limits(n, problems)).unwrap_or_default(),
        retention: fields.get("retention").map(|n| crate::retention::read(n, problems)).unwrap_or_default(),
    }
}

fn rules(node: &Node, problems: &mut Problems) -> Vec<String> {
    let items = read::items(node);
    if let Some(extra) = items.get(RULES_MAX) {
        let help = Text::new("keep.accept.whole").with("from", 0).with("to", RULES_MAX);
        problems.add(&extra.at, Text::new("keep.too_many_rules").with("count", items.len()), help);
    }
    items.iter().take(RULES_MAX).filter_map(|n| read::path(n, problems)).collect()
}

fn limits(node: &Node, problems: &mut Problems) -> IntakeLimits {
    let keys = ["series", "series_per_source", "samples_per_second"];
    let Some(fields) = read::open(node, &keys, problems) else { return IntakeLimits::default() };
    let mut number =
        |name: &str| fields.get(name).and_then(|n| read::whole(n, LIMIT_MIN, LIMIT_MAX, problems));
    let [series, series_per_source, samples_per_second] = keys.map(&mut number);
    IntakeLimits { series, series_per_source, samples_per_second }
}

#[cfg(test)]
mod tests {

    fn parse(text: &str) -> Result<wellkept_model::keep::Keep, String> {
        crate::parse("k.yml", text)
            .map_err(|e| e.problems.iter().map(|p| p.message.key.as_str()).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn limits_are_whole_numbers() {
        let keep = parse("metrics: { limits: { series_per_source: 5000 } }").unwrap();
        assert_eq!((keep.metrics.limits.series_per_source, keep.metrics.limits.series), (Some(5000), None));
        assert_eq!(parse("metrics: { limits: { series: 5 } }").unwrap_err(), "keep.is_value");
    }

    #[test]
    fn a_server_is_named_by_its_address_and_its_secrets_by_file() {
        let keep = parse("source: { prometheus: 'http://m:9090/', user: a, password_file: /etc/p }").unwrap();
        let source = keep.source.unwrap();
        assert_eq!(source.url, "http://m:9090");
        assert_eq!((source.user.as_deref(), source.token_file), (Some("a"), None));
        for (text, key) in [
            ("source: {}", "keep.missing_key"),
            ("source: { prometheus: 'http://u:p@m/' }", "keep.is_value"),
            ("source: { prometheus: 'http://m', user: a }", "keep.half_credentials"),
            (
                "source: { prometheus: 'http://m', user: a, password_file: /p, token_file: /t }",
                "keep.two_credentials",
            ),
            ("source: { victoria: 'http://m' }", "keep.missing_key, keep.unknown_key"),
        ] {
            assert_eq!(parse(text).unwrap_err(), key, "{text}");
        }
    }
}
