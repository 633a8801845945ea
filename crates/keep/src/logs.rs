//! `logs`: where lines come from, whose they are, and how long they are kept.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use wellkept_model::Text;
use wellkept_model::keep::{LogEntity, LogFiles, Logs, StreamRetention, Syslog, SyslogTls};

use crate::problem::Problems;
use crate::read;
use crate::retention::{matchers, size};
use crate::tree::Node;

const DAY: Duration = Duration::from_secs(86_400);
/// Shortest and longest time that lines are kept.
const KEPT: (Duration, Duration) = (Duration::from_secs(3600), Duration::from_secs(100 * 366 * 86_400));
/// Most entries of a list.
const ENTRIES_MAX: usize = 1000;
/// Smallest and largest rate.
const RATE: (u32, u32) = (1, 100_000_000);

/// Reads the section.
pub(crate) fn logs(node: &Node, problems: &mut Problems) -> Logs {
    let keys = [
        "files",
        "journal",
        "containers",
        "syslog",
        "entities",
        "retention",
        "size",
        "streams",
        "lines_per_second",
        "learning",
    ];
    let Some(fields) = read::open(node, &keys, problems) else { return Logs::default() };
    Logs {
        files: fields.get("files").map(|n| all(n, problems, files)),
        journal: fields.get("journal").and_then(|n| yes_or_no(n, problems)),
        containers: fields.get("containers").and_then(|n| yes_or_no(n, problems)),
        syslog: fields.get("syslog").map(|n| syslog(n, problems)).unwrap_or_default(),
        entities: fields.get("entities").map(|n| all(n, problems, entity)).unwrap_or_default(),
        retention: fields.get("retention").and_then(|n| read::duration(n, KEPT.0, KEPT.1, problems)),
        size: fields.get("size").and_then(|n| size(n, problems)),
        streams: fields.get("streams").map(|n| all(n, problems, stream)).unwrap_or_default(),
        lines_per_second: fields
            .get("lines_per_second")
            .and_then(|n| read::whole(n, RATE.0, RATE.1, problems)),
        learning: fields
            .get("learning")
            .and_then(|n| read::duration(n, Duration::from_secs(1), 30 * DAY, problems)),
    }
}

fn all<T>(node: &Node, problems: &mut Problems, one: impl Fn(&Node, &mut Problems) -> Option<T>) -> Vec<T> {
    let items = read::items(node);
    if let Some(extra) = items.get(ENTRIES_MAX) {
        let help = Text::new("keep.accept.whole").with("from", 0).with("to", ENTRIES_MAX);
        problems.add(&extra.at, Text::new("keep.too_many_entries").with("count", items.len()), help);
    }
    items.iter().take(ENTRIES_MAX).filter_map(|n| one(n, problems)).collect()
}

fn yes_or_no(node: &Node, problems: &mut Problems) -> Option<bool> {
    read::parsed(node, Text::new("keep.accept.bool"), problems, |t| t.parse::<bool>().ok())
}

fn files(node: &Node, problems: &mut Problems) -> Option<LogFiles> {
    let keys = ["path", "exclude", "service", "labels", "multiline", "start", "lines_per_second"];
    let fields = read::open(node, &keys, problems)?;
    let Some(path) = fields.get("path") else {
        read::missing(&node.at, "path", Text::new("keep.accept.log_path"), problems);
        return None;
    };
    let start = fields.get("start").and_then(|n| {
        read::parsed(n, Text::new("keep.accept.log_start"), problems, |t| match t {
            "beginning" => Some(false),
            "end" => Some(true),
            _ => None,
        })
    });
    Some(LogFiles {
        paths: all(path, problems, read::path),
        exclude: fields.get("exclude").map(|n| all(n, problems, read::path)).unwrap_or_default(),
        service: fields.get("service").and_then(|n| text(n, problems)),
        labels: fields.get("labels").map(|n| texts(n, problems)).unwrap_or_default(),
        multiline: fields.get("multiline").and_then(|n| multiline(n, problems)),
        from_end: start.unwrap_or(false),
        lines_per_second: fields
            .get("lines_per_second")
            .and_then(|n| read::whole(n, RATE.0, RATE.1, problems)),
    })
}

fn multiline(node: &Node, problems: &mut Problems) -> Option<String> {
    let help = Text::new("keep.accept.multiline");
    // Whether an expression is one is looked at where it is used: this crate knows no engine for bytes.
    read::parsed(node, help, problems, |t| (t.len() <= 1000).then(|| t.to_owned()))
}

fn text(node: &Node, problems: &mut Problems) -> Option<String> {
    read::text(node, false, &Text::new("keep.accept.text"), problems).map(str::to_owned)
}

fn texts(node: &Node, problems: &mut Problems) -> BTreeMap<String, String> {
    let entries = read::map(node, "env, team, …", problems).unwrap_or_default();
    entries.iter().filter_map(|(key, value)| Some((key.text.clone(), text(value, problems)?))).collect()
}

fn syslog(node: &Node, problems: &mut Problems) -> Syslog {
    let Some(fields) = read::open(node, &["udp", "tcp", "tls"], problems) else { return Syslog::default() };
    let (udp, tcp) = (fields.get("udp"), fields.get("tcp"));
    Syslog {
        udp: udp.and_then(|n| address(n, problems)),
        tcp: tcp.and_then(|n| address(n, problems)),
        tls: fields.get("tls").and_then(|n| tls(n, problems)),
    }
}

fn tls(node: &Node, problems: &mut Problems) -> Option<SyslogTls> {
    let fields = read::open(node, &["listen", "certificate", "key", "clients_ca"], problems)?;
    for (name, help) in
        [("listen", "keep.accept.listen"), ("certificate", "keep.accept.path"), ("key", "keep.accept.path")]
    {
        if fields.get(name).is_none() {
            read::missing(&node.at, name, Text::new(help), problems);
        }
    }
    let listen = fields.get("listen").and_then(|n| address(n, problems));
    let mut file = |name: &str| fields.get(name).and_then(|n| read::path(n, problems)).map(PathBuf::from);
    let (certificate, key, clients_ca) = (file("certificate"), file("key"), file("clients_ca"));
    Some(SyslogTls { listen: listen?, certificate: certificate?, key: key?, clients_ca })
}

fn address(node: &Node, problems: &mut Problems) -> Option<SocketAddr> {
    read::parsed(node, Text::new("keep.accept.listen"), problems, |t| t.parse().ok())
}

fn entity(node: &Node, problems: &mut Problems) -> Option<LogEntity> {
    let fields = read::open(node, &["path", "labels", "service", "host"], problems)?;
    if fields.get("service").is_none() && fields.get("host").is_none() {
        read::missing(&node.at, "service", Text::new("keep.accept.log_service"), problems);
    }
    Some(LogEntity {
        path: fields.get("path").and_then(|n| read::path(n, problems)),
        labels: fields.get("labels").map(|n| texts(n, problems)).unwrap_or_default(),
        service: fields.get("service").and_then(|n| text(n, problems)),
        host: fields.get("host").and_then(|n| text(n, problems)),
    })
}

fn stream(node: &Node, problems: &mut Problems) -> Option<StreamRetention> {
    let fields = read::open(node, &["match", "keep"], problems)?;
    let matchers = matchers(node, fields.get("match"), problems);
    let Some(keep) = fields.get("keep") else {
        let help = Text::new("keep.accept.duration").with("from", "1h").with("to", "36600d");
        read::missing(&node.at, "keep", help, problems);
        return None;
    };
    let keep = read::duration(keep, KEPT.0, KEPT.1, problems)?;
    Some(StreamRetention { matchers: matchers?, keep })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Logs, String> {
        crate::parse("k.yml", &format!("logs: {text}"))
            .map(|k| k.logs)
            .map_err(|e| e.problems.iter().map(|p| p.message.key.as_str()).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn what_is_not_said_is_left_to_the_host() {
        let logs = parse("{}").unwrap();
        assert_eq!((logs.files, logs.journal, logs.retention), (None, None, None));
        let logs = parse("{ files: [], journal: false }").unwrap();
        assert_eq!((logs.files, logs.journal), (Some(vec![]), Some(false)));
    }

    #[test]
    fn files_have_a_service_and_labels() {
        let logs = parse(
            "{ files: [{ path: [/var/log/a.log, '/srv/**/*.log'], service: app, labels: { env: prod }, \
             multiline: stamp, start: end, lines_per_second: 500 }] }",
        )
        .unwrap();
        let files = &logs.files.unwrap()[0];
        assert_eq!(files.paths, ["/var/log/a.log", "/srv/**/*.log"]);
        assert_eq!((files.service.as_deref(), files.labels["env"].as_str()), (Some("app"), "prod"));
        assert_eq!((files.from_end, files.lines_per_second), (true, Some(500)));
    }

    #[test]
    fn retention_is_by_age_by_size_and_by_stream() {
        let logs = parse("{ retention: 7d, size: 5GB, streams: [{ match: { service: debug }, keep: 1d }] }");
        let logs = logs.unwrap();
        assert_eq!((logs.retention, logs.size), (Some(7 * DAY), Some(5_000_000_000)));
        assert_eq!(logs.streams[0].keep, DAY);
    }

    #[test]
    fn syslog_over_tls_needs_its_files() {
        let tls = "{ listen: '0.0.0.0:6514', certificate: /etc/c.pem, key: /etc/k.pem }";
        let logs = parse(&format!("{{ syslog: {{ udp: '127.0.0.1:514', tls: {tls} }} }}")).unwrap();
        assert_eq!(logs.syslog.tls.unwrap().listen.port(), 6514);
        assert_eq!(
            parse("{ syslog: { tls: { listen: '0.0.0.0:6514' } } }").unwrap_err(),
            "keep.missing_key, keep.missing_key"
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (text, key) in [
            ("{ fils: [] }", "keep.unknown_key"),
            ("{ files: [{ service: a }] }", "keep.missing_key"),
            ("{ files: [{ path: a.log }] }", "keep.is_value"),
            ("{ journal: perhaps }", "keep.is_value"),
            ("{ files: [{ path: /a, start: middle }] }", "keep.is_value"),
            ("{ entities: [{ path: /a }] }", "keep.missing_key"),
            ("{ streams: [{ match: { a: b } }] }", "keep.missing_key"),
            ("{ syslog: { udp: 514 } }", "keep.is_value"),
        ] {
            assert_eq!(parse(text).unwrap_err(), key, "{text}");
        }
    }
}
