//! The three formats, by examples of what exporters write.

use wellkept_model::{Metadata, MetricKind, TimestampMs};

use super::*;
use crate::proto::Writer;
use crate::recorder::Recorder;

const NOW: TimestampMs = TimestampMs(1000);

fn read(format: Format, page: &str) -> Result<(Recorder, Tally), DecodeError> {
    let mut sink = Recorder::default();
    let tally = Decoder::default().decode(format, page.as_bytes(), &Options::scrape(NOW), &mut sink)?;
    Ok((sink, tally))
}

fn samples(format: Format, page: &str) -> Vec<String> {
    read(format, page).unwrap().0.samples
}

fn line_of_error(format: Format, page: &str) -> usize {
    match read(format, page) {
        Err(DecodeError::Line { line, .. }) => line,
        other => panic!("{page:?} gave {other:?}"),
    }
}

#[test]
fn a_page_of_the_prometheus_format_is_read() {
    let page = "# HELP http_requests_total Requests \\\\ served.\\nAll of them.\n\
# TYPE http_requests_total counter\n\
http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n\
http_requests_total{method=\"post\",code=\"400\",}    3 -5\n\
\n\
# any comment\n\
  msdos_file_access_time_seconds{path=\"C:\\\\DIR\\\\FILE.TXT\",error=\"Cannot find:\\n\\\"x}\\\"\"} 1.458255915e9\r\n\
metric_without_labels\t12.47\n\
weird {a = \"b\" , c=\"\\d\"} -Inf\n\
nothing NaN";
    let (sink, tally) = read(Format::Prometheus, page).unwrap();
    assert_eq!(
        sink.samples,
        [
            r#"http_requests_total{code="200", method="post"} 1395066363000 1027"#,
            r#"http_requests_total{code="400", method="post"} -5 3"#,
            "msdos_file_access_time_seconds{error=\"Cannot find:\\n\\\"x}\\\"\", path=\"C:\\\\DIR\\\\FILE.TXT\"} \
             1000 1458255915",
            "metric_without_labels 1000 12.47",
            "weird{a=\"b\", c=\"\\\\d\"} 1000 -inf",
            "nothing 1000 NaN",
        ]
    );
    assert_eq!(
        sink.metadata,
        [Metadata {
            family: "http_requests_total".into(),
            kind: MetricKind::Counter,
            help: "Requests \\ served.\nAll of them.".into(),
            unit: String::new(),
        }]
    );
    assert_eq!((tally.samples, tally.refused), (6, 0));
}

#[test]
fn a_page_of_openmetrics_is_read() {
    let page = "# TYPE hits counter\n# HELP hits Hits.\n\
hits_total{a=\"b\"} 17 1520879607.789 # {trace_id=\"KOO\"} 0.67 1520879600.5\n\
hits_created{a=\"b\"} 1520430000.123\n\
# TYPE temp_celsius gauge\n# UNIT temp_celsius celsius\ntemp_celsius 20.5\n\
# TYPE build info\nbuild_info{version=\"1\"} 1\n\
# TYPE state stateset\nstate{state=\"on\"} 1\nstate{state=\"off\"} 0\n\
# TYPE size gaugehistogram\nsize_bucket{le=\"+Inf\"} 3 # {} 4\nsize_gsum 7\nsize_gcount 3\n\
# EOF\n";
    let (sink, tally) = read(Format::OpenMetrics, page).unwrap();
    assert_eq!(sink.samples[0], r#"hits_total{a="b"} 1520879607789 17"#);
    assert_eq!(sink.samples[1], r#"hits_created{a="b"} 1000 1520430000.123"#);
    assert_eq!(
        sink.exemplars,
        [r#"hits_total{a="b"} 1520879600500 0.67 {trace_id="KOO"}"#, r#"size_bucket{le="+Inf"} 1000 4 {}"#,]
    );
    assert_eq!((tally.samples, tally.exemplars), (9, 2));
    let metadata: Vec<_> =
        sink.metadata.iter().map(|m| (m.family.as_str(), m.kind, m.unit.as_str())).collect();
    assert_eq!(
        metadata,
        [
            ("hits_total", MetricKind::Counter, ""),
            ("temp_celsius", MetricKind::Gauge, "celsius"),
            ("build_info", MetricKind::Info, ""),
            ("state", MetricKind::StateSet, ""),
            ("size", MetricKind::GaugeHistogram, ""),
        ]
    );
}

#[test]
fn names_in_quotes_may_hold_any_text() {
    let page = "# TYPE \"my.metric\" gauge\n{\"my.metric\",\"lábel.one\"=\"v\", b=\"\"} 1\n{\"a\\\"b\"} 2\n{\"x\"} 3";
    let (sink, _) = read(Format::Prometheus, page).unwrap();
    assert_eq!(sink.samples, [r#"my.metric{lábel.one="v"} 1000 1"#, r#"a"b 1000 2"#, "x 1000 3"]);
    assert_eq!(sink.metadata[0].family, "my.metric");
}

#[test]
fn bounds_become_canonical_where_the_kind_says_so() {
    let page = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_bucket{le=\"x\"} 1\n\
# TYPE s summary\ns{quantile=\"0.50\"} 1\ns{quantile=\"1\",le=\"1\"} 1\n# TYPE g gauge\nh_bucket{le=\"1\"} 2\n";
    assert_eq!(
        samples(Format::Prometheus, page),
        [
            r#"h_bucket{le="1.0"} 1000 1"#,
            r#"h_bucket{le="+Inf"} 1000 1"#,
            r#"h_bucket{le="x"} 1000 1"#,
            r#"s{quantile="0.5"} 1000 1"#,
            r#"s{le="1", quantile="1.0"} 1000 1"#,
            r#"h_bucket{le="1"} 1000 2"#,
        ],
        "the last line has the bytes of the first, but not its kind"
    );
}

#[test]
fn the_second_page_is_known_by_its_bytes() {
    let page = b"# TYPE a counter\na{x=\"\\\\\"} 1\nb 2\n{\"c\"} 3\n# TYPE h histogram\nh_bucket{le=\"1\"} 1";
    let mut sink = Recorder::default();
    let mut decoder = Decoder::default();
    for _ in 0..2 {
        decoder.decode(Format::Prometheus, page, &Options::scrape(NOW), &mut sink).unwrap();
    }
    assert_eq!((sink.known, sink.samples.len()), (4, 8));
    assert_eq!(sink.samples[..4], sink.samples[4..]);
    assert_eq!(sink.metadata.len(), 2, "metadata is handed on once");
}

#[test]
fn metadata_of_a_page_that_failed_is_handed_on_again() {
    let mut decoder = Decoder::default();
    for page in ["# TYPE a counter\na 1\nbad\n", "# TYPE a counter\na 1\n"] {
        let mut sink = Recorder::default();
        let outcome = decoder.decode(Format::Prometheus, page.as_bytes(), &Options::scrape(NOW), &mut sink);
        assert_eq!(outcome.is_err(), page.contains("bad"));
        if outcome.is_ok() {
            assert_eq!(sink.metadata.len(), 1);
        }
    }
}

#[test]
fn times_on_the_page_may_be_ignored() {
    let mut sink = Recorder::default();
    let options = Options { honor_timestamps: false, ..Options::scrape(NOW) };
    Decoder::default().decode(Format::Prometheus, b"a 1 5", &options, &mut sink).unwrap();
    assert_eq!(sink.samples, ["a 1000 1"]);
}

#[test]
fn a_line_that_is_wrong_is_named_by_its_number() {
    for line in [
        "a",
        "a ",
        "a x",
        "a 1 x",
        "a 1 1.5",
        "a 1 2 3",
        "a 1 # {} 1",
        "a{",
        "a{b=\"c\" 1",
        "a{b} 1",
        "a{b=c} 1",
        "a{b=\"c\"d=\"e\"} 1",
        "a{b=\"c\"}1",
        "{a=\"b\"} 1",
        "{\"a\",\"b\"} 1",
        "a{\"b\"} 1",
        "1a 1",
        "a-b 1",
        "a{b:c=\"d\"} 1",
        "a{,} 1",
        "a{b=\"\\",
        "a{b=\"c\\\"} 1",
        "# TYPE a thing",
        "# TYPE ",
        "# HELP \"a b",
        "}",
        "\" 1",
        "a{b=\"c\"}} 1",
        "a 0x10",
        "a 1_0",
        "=",
        "{} 1",
    ] {
        assert_eq!(line_of_error(Format::Prometheus, &format!("ok 1\n{line}\nok 2\n")), 2, "{line}");
    }
}

#[test]
fn openmetrics_is_stricter() {
    for (page, line) in [
        ("a 1\n", 1),
        ("", 0),
        ("a 1\n\n# EOF\n", 2),
        ("# EOF\na 1\n", 2),
        ("# comment\n# EOF\n", 1),
        ("# TYPE a untyped\n# EOF\n", 1),
        ("# UNIT a_seconds bytes\n# EOF\n", 1),
        ("# UNIT seconds seconds\n# EOF\n", 1),
        ("a 1 NaN\n# EOF\n", 1),
        ("a 1 # 5\n# EOF\n", 1),
        ("a 1 # {x=\"y\"}\n# EOF\n", 1),
        ("a 1 # {\"name\"} 1\n# EOF\n", 1),
        ("a 1\r\n# EOF\n", 1),
    ] {
        assert_eq!(line_of_error(Format::OpenMetrics, page), line, "{page:?}");
    }
    assert!(read(Format::OpenMetrics, "a 1\n# EOF").is_ok());
}

#[test]
fn an_import_leaves_out_what_it_cannot_read() {
    let page = b"good 1\nbad\n\xff 1\ngood{a=\"\xff\"} 1\ngood 2 7\n";
    let mut sink = Recorder::default();
    let tally =
        Decoder::default().decode(Format::Prometheus, page, &Options::import(NOW), &mut sink).unwrap();
    assert_eq!(sink.samples, ["good 1000 1", "good 7 2"]);
    assert_eq!((tally.samples, tally.refused), (2, 3));
    let first = tally.first_refusal.unwrap().to_string();
    assert!(first.starts_with("line 2: "), "{first}");
}

#[test]
fn long_lines_many_labels_and_many_samples_are_bounded() {
    let limits =
        Limits { labels: 3, name_bytes: 8, value_bytes: 6, line_bytes: 60, samples: 4, ..Limits::default() };
    let check = |page: &str| {
        let mut sink = Recorder::default();
        Decoder::new(limits).decode(Format::Prometheus, page.as_bytes(), &Options::scrape(NOW), &mut sink)
    };
    assert!(check("abcde{a=\"123456\",b=\"\"} 1\na 1\na 1\na 1").is_ok());
    for page in ["a{a=\"\",b=\"\",c=\"\"} 1", "abcdefg 1", "a{abcdefghi=\"\"} 1", "a{a=\"1234567\"} 1"] {
        assert!(matches!(check(page), Err(DecodeError::Line { line: 1, .. })), "{page}");
    }
    assert!(matches!(check(&format!("a{:60}1", "")), Err(DecodeError::Line { line: 1, .. })));
    assert_eq!(check("a 1\na 1\na 1\na 1\na 1"), Err(DecodeError::TooManySamples { limit: 4 }));
}

/// A family as client libraries write it, after its length.
fn family(out: &mut Vec<u8>, name: &str, kind: u64, metric: impl FnOnce(&mut Writer<'_>)) {
    let mut message = Vec::new();
    let mut w = Writer::new(&mut message);
    w.bytes(1, name.as_bytes());
    w.bytes(2, b"Help.");
    w.uint(3, kind);
    w.message(4, |w| {
        w.message(1, |w| {
            w.bytes(1, b"job");
            w.bytes(2, b"x");
        });
        metric(w);
    });
    let mut w = Writer::new(out);
    w.varint(message.len() as u64);
    out.extend(message);
}

fn exemplar(w: &mut Writer<'_>, number: u32) {
    w.message(number, |w| {
        w.message(1, |w| {
            w.bytes(1, b"id");
            w.bytes(2, b"7");
        });
        w.double(2, 0.5);
        w.message(3, |w| {
            w.int(1, 3);
            w.int(2, 500_000_000);
        });
    });
}

fn histogram(w: &mut Writer<'_>, native: bool) {
    w.message(7, |w| {
        w.uint(1, 5);
        w.double(2, 9.5);
        w.message(3, |w| {
            w.uint(1, 2);
            w.double(2, 1.0);
            exemplar(w, 3);
        });
        w.sint(5, 3);
        if native {
            w.double(6, 0.001);
            w.message(12, |w| {
                w.sint(1, -1);
                w.uint(2, 2);
            });
            w.packed(13, [4, 2]); // zigzag of 2, 1
        }
    });
    w.int(6, 77);
}

#[test]
fn the_protobuf_format_is_read_with_native_histograms() {
    let mut page = Vec::new();
    family(&mut page, "hits_total", 0, |w| {
        w.message(3, |w| {
            w.double(1, 4.0);
            exemplar(w, 2);
            w.message(3, |w| w.int(1, 2));
        });
    });
    family(&mut page, "temp", 1, |w| w.message(2, |w| w.double(1, -3.0)));
    family(&mut page, "rpc", 2, |w| {
        w.message(4, |w| {
            w.uint(1, 3);
            w.double(2, 1.5);
            w.message(3, |w| {
                w.double(1, 1.0);
                w.double(2, 0.75);
            });
        });
    });
    family(&mut page, "old", 4, |w| histogram(w, false));
    family(&mut page, "new", 4, |w| histogram(w, true));
    for classic_too in [false, true] {
        let options = Options { classic_too, ..Options::scrape(NOW) };
        let mut sink = Recorder::default();
        let mut decoder = Decoder::default();
        for _ in 0..2 {
            decoder.decode(Format::Protobuf, &page, &options, &mut sink).unwrap();
        }
        let expected = [
            r#"hits_total{job="x"} 1000 4"#,
            r#"temp{job="x"} 1000 -3"#,
            r#"rpc{job="x", quantile="1.0"} 1000 0.75"#,
            r#"rpc_sum{job="x"} 1000 1.5"#,
            r#"rpc_count{job="x"} 1000 3"#,
            r#"old_bucket{job="x", le="1.0"} 77 2"#,
            r#"old_bucket{job="x", le="+Inf"} 77 5"#,
            r#"old_sum{job="x"} 77 9.5"#,
            r#"old_count{job="x"} 77 5"#,
        ];
        assert_eq!(sink.samples[..9], expected);
        assert_eq!(sink.samples.len(), if classic_too { 26 } else { 18 });
        assert_eq!(sink.known, if classic_too { 14 } else { 10 });
        let (labels, at, h) = &sink.histograms[0];
        assert_eq!((labels.to_string().as_str(), at.0), (r#"new{job="x"}"#, 77));
        assert_eq!((h.count, h.sum, h.schema, &h.positive), (5.0, 9.5, 3, &vec![2.0, 3.0]));
        assert_eq!(sink.exemplars[0], r#"hits_total{job="x"} 3500 0.5 {id="7"}"#);
        assert_eq!(sink.created[0], r#"hits_total{job="x"} 2000"#);
        assert_eq!(sink.metadata.len(), 5);
    }
}
