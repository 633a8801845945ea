//! A good body for each door: to be damaged by tests, and for a fuzzer to begin with.

use std::sync::Arc;

use wellkept_intake::otlp;
use wellkept_intake::proto::Writer;
use wellkept_intake::remote_write::{Encoder, OutgoingSeries, Version};
use wellkept_intake::text::Format;
use wellkept_intake::unpack::Encoding;
use wellkept_model::{Histogram, HistogramSample, Labels, Metadata, MetricKind, Sample, Span, TimestampMs};

use super::doors::Door;

/// A good body for a door.
pub fn good(door: Door) -> Vec<u8> {
    match door {
        Door::RemoteWrite(version, encoding) => remote_write(version, encoding),
        Door::Text(Format::Protobuf) => exposition(),
        Door::Text(Format::OpenMetrics) => {
            b"# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds x\\n\n\
            a_seconds_total{b=\"c\\\"\",\"d.e\"=\"f\"} 1e3 1.5 # {t=\"1\"} 2 3\n# EOF\n"
                .to_vec()
        }
        Door::Text(Format::Prometheus) | Door::Import => {
            b"# TYPE h histogram\n# HELP h x\nh_bucket{le=\"1\",a=\"\\\\\"} 3 \
            1000\nh_sum 1\n\n{\"q.r\",s=\"t\"} NaN\nplain 5 -1\n"
                .to_vec()
        }
        Door::Otlp(format) => otlp_request(format),
        Door::Influx => b"m\\ x,t=a,u=b\\,c f=1,g=2i,h=\"s\\\" 1\",i=t 1700000000000000000\nn v=3\n".to_vec(),
        Door::Graphite => b"a.b.c;t=u;v=w 1.5 1700000000\nd 2 -1\n".to_vec(),
        Door::StatsD => b"a:1|c|@0.5|#t:u,v\nb:1:2:3|ms\nc:+1|g\nd:x|s\n_e{1,1}:a|b\n".to_vec(),
    }
}

fn remote_write(version: Version, encoding: Encoding) -> Vec<u8> {
    let labels = [Labels::metric("up", [("job", "a"), ("instance", "b:9")]), Labels::metric("lat", [])];
    let samples = [Sample { at: TimestampMs(1), value: 1.0 }, Sample { at: TimestampMs(2), value: 2.0 }];
    let histogram = Histogram {
        schema: 1,
        count: 3.0,
        positive_spans: vec![Span { offset: -1, length: 1 }, Span { offset: 2, length: 1 }],
        positive: vec![1.0, 2.0],
        ..Histogram::default()
    };
    let histograms = [HistogramSample { at: TimestampMs(1), histogram: Arc::new(histogram) }];
    let about = Metadata { family: "lat".into(), kind: MetricKind::Histogram, ..Metadata::default() };
    let series = [
        OutgoingSeries { labels: Some(&labels[0]), samples: &samples, ..OutgoingSeries::default() },
        OutgoingSeries {
            labels: Some(&labels[1]),
            histograms: &histograms,
            metadata: Some(&about),
            ..OutgoingSeries::default()
        },
    ];
    let mut encoder = Encoder::default();
    let packed = encoder.encode(version, series).unwrap().to_vec();
    match encoding {
        Encoding::Snappy => packed,
        Encoding::Zstd => zstd::bulk::compress(encoder.message(), 1).unwrap(),
        _ => encoder.message().to_vec(),
    }
}

fn exposition() -> Vec<u8> {
    let mut message = Vec::new();
    let mut w = Writer::new(&mut message);
    w.bytes(1, b"h");
    w.uint(3, 4);
    w.message(4, |w| {
        w.message(1, |w| {
            w.bytes(1, b"job");
            w.bytes(2, b"x");
        });
        w.message(7, |w| {
            w.uint(1, 3);
            w.double(2, 1.5);
            w.message(3, |w| {
                w.uint(1, 2);
                w.double(2, 1.0);
            });
            w.sint(5, 2);
            w.message(12, |w| {
                w.sint(1, -1);
                w.uint(2, 2);
            });
            w.packed(13, [4, 2]);
        });
    });
    let mut page = Vec::new();
    Writer::new(&mut page).varint(message.len() as u64);
    page.extend(&message);
    page.extend_from_within(..);
    page
}

fn otlp_request(format: otlp::Format) -> Vec<u8> {
    if format == otlp::Format::Json {
        return br#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}}]},
            "scopeMetrics":[{"scope":{"name":"l"},"metrics":[{"name":"a","unit":"s","sum":{"aggregationTemporality":1,
            "isMonotonic":true,"dataPoints":[{"timeUnixNano":"5","asDouble":1,"exemplars":[{"asInt":"1"}]}]}},
            {"name":"e","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{"count":2,"scale":9,
            "positive":{"offset":-1,"bucketCounts":["1",1]}}]}}]}]}]}"#
            .to_vec();
    }
    let mut body = Vec::new();
    Writer::new(&mut body).message(1, |w| {
        w.message(1, |w| attribute(w, 1, "service.name"));
        w.message(2, |w| {
            w.message(1, |w| attribute(w, 3, "scope"));
            w.message(2, |w| {
                w.bytes(1, b"lat");
                w.message(9, |w| {
                    w.message(1, |w| {
                        attribute(w, 9, "a.b");
                        w.fixed64(3, 5_000_000);
                        w.fixed64(4, 3);
                        w.bytes(6, &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
                        w.packed_doubles(7, &[1.0]);
                    });
                    w.uint(2, 2);
                });
            });
        });
    });
    body
}

/// A `KeyValue` in field `number`.
pub fn attribute(w: &mut Writer<'_>, number: u32, key: &str) {
    w.message(number, |w| {
        w.bytes(1, key.as_bytes());
        w.message(2, |w| w.bytes(1, b"value"));
    });
}
