//! A `prometheus.yml`: what is read from a whole one, and each mistake it can hold.

use std::path::PathBuf;

use super::*;
use crate::relabel::{Rule, RuleText};
use crate::secret::{Secret, SecretSource};

fn read(text: &str) -> Result<Config, ConfigErrors> {
    let env = |name: &str| (name == "DC").then(|| "fra1".to_owned());
    parse("prometheus.yml", text, Path::new("/etc/p"), &env)
}

#[track_caller]
fn good(text: &str) -> Config {
    read(text).unwrap_or_else(|e| panic!("refused: {e}"))
}

/// Exactly one problem: place, key path, message key.
#[track_caller]
fn check(text: &str, place: (u32, u32), path: &str, key: &str) {
    let errors = read(text).expect_err("it is wrong");
    let [problem] = errors.problems.as_slice() else { panic!("one problem expected:\n{errors}") };
    assert_eq!((problem.place.line, problem.place.column), place, "{errors}");
    assert_eq!(problem.path, path, "{errors}");
    assert_eq!(problem.message.key, key, "{errors}");
}

fn job(keys: &str) -> String {
    format!("scrape_configs:\n  - job_name: a\n{keys}")
}

#[test]
fn an_empty_file_scrapes_nothing_once_a_minute() {
    let config = good("");
    assert_eq!(config, Config::default());
    assert_eq!(config.global.scrape_interval, Duration::from_secs(60));
    assert_eq!(config.global.scrape_timeout, Duration::from_secs(10));
}

#[test]
fn a_whole_file_is_read() {
    let config = good(include_str!("testdata/prometheus.yml"));
    assert_eq!(config.global.external_labels, Labels::new([("dc", "fra1"), ("price", "$5"), ("n", "3")]));
    assert_eq!(config.rule_files, ["/etc/p/rules/*.yml", "/srv/rules.yml"]);
    let [node, api] = config.scrapes.as_slice() else { panic!("two jobs") };
    assert_eq!((node.interval, node.timeout), (Duration::from_secs(15), Duration::from_secs(10)));
    assert_eq!((api.interval, api.timeout), (Duration::from_secs(5), Duration::from_secs(5)));
    assert_eq!(node.limits, Limits { samples: 5000, labels: 30, body_size: 10 << 20, ..Limits::default() });
    assert_eq!(api.limits.samples, 100);
    assert_eq!(api.params, [("match[]".to_owned(), vec!["up".to_owned(), "a".to_owned()])]);
    assert_eq!(api.scheme, Scheme::Https);
    assert!(api.honor_labels && !api.honor_timestamps && !api.compression && !api.http.follow_redirects);
    assert_eq!(api.fallback, Some(Protocol::Text0));
    assert_eq!(api.protocols, [Protocol::Text0]);
    assert_eq!(api.http.tls.ca_file, Some(PathBuf::from("/etc/p/ca.pem")));
    let password = Some(SecretSource::Inline(Secret::new("s3cr3t")));
    assert_eq!(api.http.auth, Auth::Basic { user: "u".into(), password });
    assert_eq!(api.metric_relabel.len(), 1);
    assert_eq!(node.discovery.len(), 2);
    let group = |targets: &[&str], labels: &[(&str, &str)]| Group {
        targets: targets.iter().map(|t| (*t).to_owned()).collect(),
        labels: labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
    };
    assert_eq!(
        node.discovery[0],
        Discovery::Static(vec![group(&["a:9100", "b:9100"], &[("env", "prod")]), group(&["c:9100"], &[])])
    );
    let files = vec![PathBuf::from("/etc/p/sd/*.json"), PathBuf::from("/sd/x.yml")];
    assert_eq!(node.discovery[1], Discovery::File { files, refresh: Duration::from_secs(60) });
    let [write] = config.remote_writes.as_slice() else { panic!("one remote write") };
    assert_eq!(write.name, "far");
    assert_eq!(write.headers, [("x-scope-orgid".to_owned(), Secret::new("7"))]);
    assert_eq!(write.queue.samples_per_send, 500);
    assert_eq!(
        write.http.auth,
        Auth::Token { kind: "Bearer".into(), token: SecretSource::File("/etc/p/token".into()) }
    );
    let drop = RuleText {
        source_labels: vec!["__name__".into()],
        regex: Some("go_.*".into()),
        action: crate::relabel::Action::Drop,
        ..RuleText::default()
    };
    assert_eq!(write.relabel, [Rule::new(drop).expect("a good rule")]);
    let noted: Vec<&str> = config.notes.iter().filter_map(|n| n.message.arg("key")).collect();
    assert_eq!(noted, ["max_shards", "alerting"]);
}

#[test]
fn unknown_keys_and_keys_that_are_not_supported_are_errors_with_their_place() {
    check("globl: {}\n", (1, 1), "globl", "scrape.unknown_key");
    check("remote_read: []\n", (1, 1), "remote_read", "scrape.unsupported_key");
    check("global:\n  scrape_intervall: 1s\n", (2, 3), "global.scrape_intervall", "scrape.unknown_key");
    check(&job("    proxy_url: http://x\n"), (3, 5), "scrape_configs[0].proxy_url", "scrape.unsupported_key");
    let kubernetes = job("    kubernetes_sd_configs: []\n");
    check(&kubernetes, (3, 5), "scrape_configs[0].kubernetes_sd_configs", "scrape.unsupported_key");
    let text = read(&kubernetes).expect_err("it is wrong").to_string();
    assert!(text.starts_with("prometheus.yml:3:5: scrape_configs[0].kubernetes_sd_configs: "), "{text}");
    assert!(text.contains("static_configs, file_sd_configs"), "{text}");
}

#[test]
fn wrong_values_are_errors_with_their_place() {
    for (keys, column, path, key) in [
        ("    scrape_interval: 5x\n", 22, ".scrape_interval", "scrape.is_value"),
        ("    scrape_interval: 0s\n", 22, ".scrape_interval", "scrape.is_value"),
        ("    scrape_timeout: 90s\n", 21, ".scrape_timeout", "scrape.timeout_too_long"),
        ("    scheme: ftp\n", 13, ".scheme", "scrape.is_value"),
        ("    honor_labels: maybe\n", 19, ".honor_labels", "scrape.is_value"),
        ("    sample_limit: -1\n", 19, ".sample_limit", "scrape.is_value"),
        ("    body_size_limit: 10X\n", 22, ".body_size_limit", "scrape.is_value"),
        ("    static_configs: a:1\n", 21, ".static_configs", "scrape.is_text"),
        ("    static_configs: [{ targets: ['http://a/'] }]\n", 22, ".static_configs[0]", "scrape.is_value"),
        (
            "    dns_sd_configs: [{ names: [a], type: SRV, port: 1 }]\n",
            42,
            ".dns_sd_configs[0].type",
            "scrape.is_value",
        ),
        ("    dns_sd_configs: [{ names: [a], type: A }]\n", 22, ".dns_sd_configs[0]", "scrape.missing_key"),
        (
            "    file_sd_configs: [{ files: [x.txt] }]\n",
            33,
            ".file_sd_configs[0].files[0]",
            "scrape.is_value",
        ),
        (
            "    http_sd_configs: [{ url: 'http://u:p@x/' }]\n",
            30,
            ".http_sd_configs[0].url",
            "scrape.bad_url",
        ),
        ("    relabel_configs: [{ action: explode }]\n", 33, ".relabel_configs[0].action", "scrape.is_value"),
        (
            "    relabel_configs: [{ regex: '(', target_label: a }]\n",
            32,
            ".relabel_configs[0].regex",
            "scrape.bad_regex",
        ),
        ("    relabel_configs: [{ action: replace }]\n", 23, ".relabel_configs[0]", "scrape.missing_key"),
        (
            "    relabel_configs: [{ action: labeldrop, regex: a, separator: x }]\n",
            65,
            ".relabel_configs[0].separator",
            "scrape.takes_no",
        ),
        ("    tls_config: { cert_file: a }\n", 17, ".tls_config", "scrape.missing_key"),
        ("    scrape_protocols: [HTTP]\n", 24, ".scrape_protocols[0]", "scrape.is_value"),
    ] {
        let errors = read(&job(keys)).expect_err(keys);
        let problem = &errors.problems[0];
        assert_eq!(problem.message.key, key, "{errors}");
        assert_eq!(problem.path, format!("scrape_configs[0]{path}"), "{errors}");
        assert_eq!((problem.place.line, problem.place.column), (3, column), "{errors}");
    }
}

#[test]
fn native_histograms_are_asked_for_where_the_file_says_so() {
    let config = good(
        "global: { scrape_native_histograms: true }
scrape_configs:
  - { job_name: a, always_scrape_classic_histograms: true }
  - { job_name: b, scrape_protocols: [PrometheusText0.0.4] }
  - { job_name: c, scrape_protocols: [PrometheusText0.0.4, PrometheusProto], scrape_native_histograms: true }\n",
    );
    let [a, b, c] = config.scrapes.as_slice() else { panic!("three jobs") };
    assert_eq!((a.protocols[0], a.protocols.len(), a.classic_histograms), (Protocol::Proto, 5, true));
    assert_eq!((b.protocols.as_slice(), b.classic_histograms), ([Protocol::Text0].as_slice(), false));
    assert_eq!(c.protocols, [Protocol::Text0, Protocol::Proto]);
}

#[test]
fn a_job_has_a_name_of_its_own() {
    check("scrape_configs: [{ scheme: http }]\n", (1, 18), "scrape_configs[0]", "scrape.missing_key");
    check("scrape_configs: [{ job_name: a }, { job_name: a }]\n", (1, 35), "", "scrape.name_twice");
}

#[test]
fn one_way_to_authorize_is_enough() {
    let two = "    bearer_token: x\n    basic_auth: { username: u }\n";
    check(&job(two), (2, 5), "scrape_configs[0]", "scrape.two_auths");
    let both = "    basic_auth: { password: x, password_file: y }\n";
    check(&job(both), (3, 17), "scrape_configs[0].basic_auth", "scrape.both_keys");
}

#[test]
fn no_message_and_no_debug_shows_a_secret() {
    for keys in [
        "    basic_auth: { username: u, password: [hunter2] }\n",
        "    basic_auth: { username: u, password: { a: hunter2 } }\n",
        "    bearer_token: hunter2\n    basic_auth: { password: hunter2, password_file: x }\n",
        "    authorization: hunter2\n",
        "    http_sd_configs: [{ url: 'http://u:hunter2@x/' }]\n",
    ] {
        let errors = read(&job(keys)).expect_err(keys);
        assert!(!errors.to_string().contains("hunter2"), "{errors}");
    }
    let headers = "remote_write: [{ url: 'http://x/', headers: { authorization: hunter2 } }]\n";
    assert!(!read(headers).expect_err("it is ours").to_string().contains("hunter2"));
    let config = good(&job("    authorization: { credentials: hunter2 }\n"));
    assert!(!format!("{config:?}").contains("hunter2"));
    let config = good("remote_write: [{ url: 'http://x/', headers: { X-Key: hunter2 } }]\n");
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn every_mistake_is_told_up_to_a_bound() {
    let many: String = (0..PROBLEMS_MAX + 5).map(|i| format!("x{i}: 1\n")).collect();
    let errors = read(&many).expect_err("it is wrong");
    assert_eq!((errors.problems.len(), errors.not_shown), (PROBLEMS_MAX, 5));
}

#[test]
fn a_text_that_is_no_yaml_or_a_bomb_is_one_problem() {
    let deep = "[".repeat(10_000);
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";
    for text in ["a: [", deep.as_str(), bomb, "a: 1\na: 2\n"] {
        assert_eq!(read(text).expect_err("it is wrong").problems.len(), 1);
    }
}

#[test]
fn variables_are_put_into_external_labels_once() {
    let env = |name: &str| (name == "A").then(|| "${B}$C".to_owned());
    for (text, expected) in [
        ("$A", "${B}$C"),
        ("x${A}y", "x${B}$Cy"),
        ("$$A", "$A"),
        ("$B-", "-"),
        ("5$", "5$"),
        ("${A", "${A"),
        ("", ""),
    ] {
        assert_eq!(expand(text, &env), expected, "{text}");
    }
}

#[test]
fn every_message_that_the_code_names_exists_and_none_is_left_over() {
    fn sources(folder: &Path, into: &mut String) {
        for entry in std::fs::read_dir(folder).expect("sources") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                sources(&path, into);
            } else if path.extension().is_some_and(|e| e == "rs") {
                into.push_str(&std::fs::read_to_string(path).expect("source"));
            }
        }
    }
    let mut text = String::new();
    sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut text);
    let is_key = |s: &str| {
        s.strip_prefix("scrape.").is_some_and(|rest| {
            !rest.is_empty()
                && rest
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_'))
        })
    };
    let named: std::collections::BTreeSet<&str> = text.split('"').filter(|s| is_key(s)).collect();
    let known: std::collections::BTreeSet<&str> = wellkept_catalogue::keys(wellkept_catalogue::Language::En)
        .filter(|k| k.starts_with("scrape."))
        .collect();
    assert_eq!(named, known);
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_without_harm(text in "(global:|scrape_configs:|[ \\n:{}\\[\\],&*!|>-]|[a-z_]{1,12}){0,60}") {
        let _ = read(&text);
    }

    #[test]
    fn any_groups_are_read_without_harm(text in "[\\[\\]{}\",:a-z0-9 ]{0,80}") {
        let _ = groups(&text, &mut Problems::new("x"));
    }
}
