//! Both versions, through the encoder and by hand.

use std::sync::Arc;

use wellkept_model::{
    CUSTOM_BUCKETS_SCHEMA, Exemplar, Histogram, HistogramSample, Labels, Metadata, MetricKind, ResetHint,
    Sample, Span, TimestampMs, stale_marker,
};

use super::*;
use crate::Refusal;
use crate::proto::Writer;
use crate::recorder::Recorder;

const VERSIONS: [Version; 2] = [Version::V1, Version::V2];

fn sample(at: i64, value: f64) -> Sample {
    Sample { at: TimestampMs(at), value }
}

fn exponential() -> Histogram {
    Histogram {
        schema: 3,
        zero_threshold: 1e-9,
        zero_count: 2.0,
        count: 12.0,
        sum: 18.4,
        positive_spans: vec![Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }],
        positive: vec![1.0, 3.0, 4.0],
        negative_spans: vec![Span { offset: 0, length: 1 }],
        negative: vec![2.0],
        custom_values: vec![],
        reset_hint: ResetHint::NoReset,
    }
}

fn custom() -> Histogram {
    Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: 3.0,
        sum: 0.5,
        positive_spans: vec![Span { offset: 1, length: 2 }],
        positive: vec![1.0, 2.0],
        custom_values: vec![0.1, 0.25, 1.0],
        ..Histogram::default()
    }
}

fn decode(version: Version, message: &[u8], sink: &mut Recorder) -> Result<Tally, DecodeError> {
    Decoder::default().decode(version, Encoding::Identity, message, sink)
}

#[test]
fn what_the_encoder_wrote_comes_back_in_both_versions() {
    let up = Labels::metric("up", [("job", "nöde"), ("path", "C:\\ \"x\"\n")]);
    let lat = Labels::metric("latency", []);
    let histograms =
        [exponential(), custom()].map(|h| HistogramSample { at: TimestampMs(7), histogram: Arc::new(h) });
    let exemplars = [Exemplar {
        series: lat.clone(),
        labels: Labels::new([("trace_id", "abc")]),
        value: 0.25,
        at: TimestampMs(6),
    }];
    let samples =
        [sample(-5, 0.0), sample(1_700_000_000_000, 1.5), sample(1_700_000_000_001, stale_marker())];
    let about = Metadata {
        family: "latency".into(),
        kind: MetricKind::Histogram,
        help: "How long.".into(),
        unit: "seconds".into(),
    };
    for version in VERSIONS {
        let series = [
            OutgoingSeries { labels: Some(&up), samples: &samples, ..OutgoingSeries::default() },
            OutgoingSeries {
                labels: Some(&lat),
                histograms: &histograms,
                exemplars: &exemplars,
                metadata: Some(&about),
                ..OutgoingSeries::default()
            },
        ];
        let mut encoder = Encoder::default();
        let body = encoder.encode(version, series).unwrap().to_vec();
        let mut sink = Recorder::default();
        let mut decoder = Decoder::default();
        for round in 0..2 {
            let tally = decoder.decode(version, Encoding::Snappy, &body, &mut sink).unwrap();
            assert_eq!(
                tally,
                Tally { series: 2, samples: 3, histograms: 2, exemplars: 1, ..Tally::default() },
                "{version:?}"
            );
            assert_eq!(sink.known, 2 * round, "the second time both are known by their bytes");
        }
        assert_eq!(
            sink.samples[..3],
            [format!("{up} -5 0"), format!("{up} 1700000000000 1.5"), format!("{up} 1700000000001 stale"),]
        );
        assert_eq!(sink.samples[..3], sink.samples[3..]);
        assert_eq!(sink.histograms[0], (lat.clone(), TimestampMs(7), exponential()));
        assert_eq!(sink.histograms[1], (lat.clone(), TimestampMs(7), custom()));
        assert_eq!(sink.exemplars[0], r#"latency 6 0.25 {trace_id="abc"}"#);
        assert_eq!(sink.metadata[0], about);
        let repeats = if version == Version::V1 { 2 } else { 1 };
        assert_eq!(
            sink.metadata.len(),
            repeats,
            "2.0 repeats metadata at every series; only news is handed on"
        );
    }
}

#[test]
fn a_series_is_known_by_the_same_bytes_in_both_versions() {
    let up = Labels::metric("up", [("job", "node"), ("long", &"x".repeat(300))]);
    let samples = [sample(1, 1.0)];
    let mut sink = Recorder::default();
    for version in VERSIONS {
        let series = [OutgoingSeries { labels: Some(&up), samples: &samples, ..OutgoingSeries::default() }];
        let body = Encoder::default().encode(version, series).unwrap().to_vec();
        Decoder::default().decode(version, Encoding::Snappy, &body, &mut sink).unwrap();
    }
    assert_eq!(sink.known, 1);
}

fn label(w: &mut Writer<'_>, name: &[u8], value: &[u8]) {
    w.message(1, |w| {
        w.bytes(1, name);
        w.bytes(2, value);
    });
}

fn float(w: &mut Writer<'_>, at: i64) {
    w.message(2, |w| w.int(2, at));
}

#[test]
fn labels_that_are_scattered_are_read_but_never_known() {
    let mut body = Vec::new();
    Writer::new(&mut body).message(1, |w| {
        label(w, b"__name__", b"up");
        float(w, 5);
        label(w, b"job", b"a");
    });
    let mut sink = Recorder::default();
    for _ in 0..2 {
        decode(Version::V1, &body, &mut sink).unwrap();
    }
    assert_eq!(sink.samples, [r#"up{job="a"} 5 0"#, r#"up{job="a"} 5 0"#]);
    assert_eq!(sink.known, 0);
}

#[test]
fn a_bad_series_is_left_out_and_named_and_its_neighbours_are_taken() {
    let mut body = Vec::new();
    let mut w = Writer::new(&mut body);
    w.message(1, |w| float(w, 1));
    w.message(1, |w| {
        label(w, b"__name__", b"\xff");
        float(w, 2);
        float(w, 3);
    });
    w.message(1, |w| {
        label(w, b"__name__", &vec![b'x'; 1 << 20]);
        float(w, 4);
    });
    w.message(1, |w| {
        label(w, b"__name__", b"good\0name");
        float(w, 5);
        w.message(4, |w| w.sint(4, 99));
    });
    let mut sink = Recorder::default();
    let tally = decode(Version::V1, &body, &mut sink).unwrap();
    assert_eq!(sink.samples, ["good\0name 5 0"]);
    assert_eq!((tally.series, tally.samples, tally.refused), (1, 1, 5));
    assert_eq!(tally.first_refusal, Some(Refusal::NoLabels));
}

#[test]
fn references_that_lead_nowhere_refuse_only_their_series() {
    let mut body = Vec::new();
    let mut w = Writer::new(&mut body);
    for symbol in ["", "__name__", "up"] {
        w.bytes(4, symbol.as_bytes());
    }
    for refs in [&[1, 3][..], &[1, 2, 1], &[u64::MAX, 1], &[1, 2]] {
        w.message(5, |w| {
            w.packed(1, refs.iter().copied());
            float(w, 1);
            w.message(4, |w| w.packed(1, refs.iter().copied()));
            w.int(6, 9);
        });
    }
    let mut sink = Recorder::default();
    let tally = decode(Version::V2, &body, &mut sink).unwrap();
    assert_eq!(sink.samples, ["up 1 0"]);
    assert_eq!(sink.created, ["up 9"]);
    assert_eq!(sink.exemplars, ["up 0 0 up"]);
    assert_eq!((tally.series, tally.refused), (1, 6));
    assert_eq!(tally.first_refusal, Some(Refusal::UnknownSymbol));
}

#[test]
fn integer_histograms_are_sums_of_their_differences() {
    let mut body = Vec::new();
    Writer::new(&mut body).message(1, |w| {
        label(w, b"__name__", b"h");
        w.message(4, |w| {
            w.uint(1, 6);
            w.uint(6, 1);
            w.message(11, |w| w.uint(2, 3));
            w.packed(12, [2, 1, 4]); // zigzag of 1, -1, 2
            w.int(15, 3);
            w.int(17, 2);
        });
    });
    let mut sink = Recorder::default();
    assert_eq!(decode(Version::V1, &body, &mut sink).unwrap().histograms, 1);
    let (_, at, h) = &sink.histograms[0];
    assert_eq!((at.0, h.count, h.zero_count, &h.positive), (3, 6.0, 1.0, &vec![1.0, 0.0, 2.0]));
    assert_eq!(sink.created, ["h 2"]);
}

#[test]
fn a_family_is_named_without_the_suffixes_of_its_series() {
    let mut body = Vec::new();
    let mut w = Writer::new(&mut body);
    for symbol in ["", "__name__", "rpc_bucket", "rpc_sum", "hits_total", "help"] {
        w.bytes(4, symbol.as_bytes());
    }
    for (name, kind) in [(2, 3), (3, 3), (4, 1)] {
        w.message(5, |w| {
            w.packed(1, [1, name]);
            w.message(5, |w| {
                w.uint(1, kind);
                w.uint(3, 5);
            });
        });
    }
    let mut sink = Recorder::default();
    decode(Version::V2, &body, &mut sink).unwrap();
    let families: Vec<_> = sink.metadata.iter().map(|m| (m.family.as_str(), m.kind)).collect();
    assert_eq!(families, [("rpc", MetricKind::Histogram), ("hits_total", MetricKind::Counter)]);
}

#[test]
fn more_samples_than_allowed_and_a_torn_message_are_errors() {
    let mut body = Vec::new();
    Writer::new(&mut body).message(1, |w| {
        label(w, b"__name__", b"up");
        (0..3).for_each(|at| float(w, at));
    });
    let limits = Limits { samples: 2, ..Limits::default() };
    let answer =
        Decoder::new(limits).decode(Version::V1, Encoding::Identity, &body, &mut Recorder::default());
    assert_eq!(answer, Err(DecodeError::TooManySamples { limit: 2 }));
    body.truncate(body.len() - 1);
    for version in VERSIONS {
        assert!(matches!(decode(version, &body, &mut Recorder::default()), Err(DecodeError::Proto(_))));
    }
}
