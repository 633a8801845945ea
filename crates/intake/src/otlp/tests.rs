//! Requests in JSON, which read well, and the same again as protobuf.

use wellkept_model::MetricKind;

use super::*;
use crate::proto::Writer;
use crate::recorder::Recorder;

const NOW: TimestampMs = TimestampMs(9000);

struct Fixture {
    decoder: Decoder,
    deltas: Deltas,
    sink: Recorder,
}

impl Fixture {
    fn new(options: Options) -> Self {
        let decoder = Decoder::new(Limits::default(), options);
        Self { decoder, deltas: Deltas::new(10), sink: Recorder::default() }
    }

    fn decode(&mut self, format: Format, body: &[u8]) -> Result<Tally, DecodeError> {
        self.decoder.decode(format, body, NOW, &mut self.deltas, &mut self.sink)
    }
}

/// A request with these metrics of one scope of one resource.
fn request(metrics: &str) -> String {
    format!(
        r#"{{"resourceMetrics":[{{
            "resource":{{"attributes":[
                {{"key":"service.name","value":{{"stringValue":"shop"}}}},
                {{"key":"service.namespace","value":{{"stringValue":"eu"}}}},
                {{"key":"service.instance.id","value":{{"stringValue":"i1"}}}},
                {{"key":"host.cpus","value":{{"intValue":"8"}}}}]}},
            "scopeMetrics":[{{"scope":{{"name":"lib","version":"2","attributes":[
                {{"key":"a.b","value":{{"boolValue":true}}}}]}},"metrics":[{metrics}]}}]}}]}}"#
    )
}

/// Decodes the request as JSON and as protobuf, which must agree.
fn decode(options: &Options, metrics: &str) -> (Recorder, Tally) {
    let json = request(metrics);
    let mut fixture = Fixture::new(options.clone());
    let tally = fixture.decode(Format::Json, json.as_bytes()).unwrap();
    let mut proto = Vec::new();
    json::transcode(json.as_bytes(), &mut proto).unwrap();
    let mut again = Fixture::new(options.clone());
    assert_eq!(again.decode(Format::Protobuf, &proto), Ok(tally.clone()));
    assert_eq!(again.sink.samples, fixture.sink.samples);
    (fixture.sink, tally)
}

const GAUGE: &str = r#"{"name":"mem.usage","unit":"By","description":"Used.","gauge":{"dataPoints":[
    {"timeUnixNano":"2000000000","asInt":"7","attributes":[
        {"key":"a.x","value":{"stringValue":"1"}},{"key":"a_x","value":{"stringValue":"2"}},
        {"key":"list","value":{"arrayValue":{"values":[{"stringValue":"q\""},{"intValue":3},{}]}}}]},
    {"asDouble":0.5,"flags":1,"attributes":[{"key":"le","value":{"doubleValue":1.5}}]}]}}"#;

#[test]
fn a_gauge_gets_job_and_instance_and_a_target_info() {
    let (sink, tally) = decode(&Options::default(), GAUGE);
    assert_eq!(
        sink.samples,
        [
            r#"mem_usage_bytes{a_x="1;2", instance="i1", job="eu/shop", list="[\"q\\\"\",3,null]"} 2000 7"#,
            r#"mem_usage_bytes{instance="i1", job="eu/shop", le="1.5"} 9000 stale"#,
            r#"target_info{host_cpus="8", instance="i1", job="eu/shop"} 9000 1"#,
        ]
    );
    assert_eq!((tally.samples, tally.refused), (3, 0));
    let about = &sink.metadata[0];
    assert_eq!(
        (about.family.as_str(), about.kind, about.help.as_str()),
        ("mem_usage_bytes", MetricKind::Gauge, "Used.")
    );
}

#[test]
fn scope_promotion_and_no_translation_are_options() {
    let options = Options {
        translation: Translation::NoTranslation,
        promote_resource_attributes: vec!["host.cpus".into(), "none".into()],
        scope_labels: true,
    };
    let (sink, _) = decode(&options, GAUGE);
    assert_eq!(
        sink.samples[1],
        r#"mem.usage{host.cpus="8", instance="i1", job="eu/shop", le="1.5", otel_scope_a.b="true", otel_scope_name="lib", otel_scope_version="2"} 9000 stale"#
    );
    assert_eq!(sink.samples[2], r#"target_info{host.cpus="8", instance="i1", job="eu/shop"} 9000 1"#);
}

const SUM: &str = r#"{"name":"hits","unit":"1","sum":{"aggregationTemporality":TEMPORALITY,"isMonotonic":true,
    "dataPoints":[{"startTimeUnixNano":"1000000000","timeUnixNano":TIME,"asDouble":2.5,
    "exemplars":[{"timeUnixNano":"1500000000","asDouble":1,"traceId":"0af7651916cd43dd8448eb211c80319c",
    "spanId":"0000000000000000","filteredAttributes":[{"key":"u","value":{"stringValue":"x"}}]}]}]}}"#;

#[test]
fn a_cumulative_sum_is_a_counter_with_its_beginning_and_exemplars() {
    let (sink, _) =
        decode(&Options::default(), &SUM.replace("TEMPORALITY", "2").replace("TIME", "2000000000"));
    assert_eq!(sink.samples[0], r#"hits_total{instance="i1", job="eu/shop"} 2000 2.5"#);
    assert_eq!(sink.created, [r#"hits_total{instance="i1", job="eu/shop"} 1000"#]);
    assert_eq!(
        sink.exemplars,
        [
            r#"hits_total{instance="i1", job="eu/shop"} 1500 1 {trace_id="0af7651916cd43dd8448eb211c80319c", u="x"}"#
        ]
    );
    assert_eq!(sink.metadata[0].kind, MetricKind::Counter);
}

#[test]
fn deltas_are_added_up_and_repetitions_refused() {
    let mut fixture = Fixture::new(Options::default());
    let mut send = |time: &str| {
        let body = request(&SUM.replace("TEMPORALITY", "1").replace("TIME", time));
        fixture.decode(Format::Json, body.as_bytes()).unwrap().refused
    };
    assert_eq!([send("2000000000"), send("3000000000"), send("3000000000")], [0, 0, 1]);
    let hits: Vec<_> = fixture.sink.samples.iter().filter(|s| s.starts_with("hits")).collect();
    assert_eq!(
        hits,
        [
            r#"hits_total{instance="i1", job="eu/shop"} 2000 2.5"#,
            r#"hits_total{instance="i1", job="eu/shop"} 3000 5"#
        ]
    );
    assert!(fixture.sink.created.is_empty(), "the sum began when we began to add, not when the interval did");
}

#[test]
fn a_histogram_becomes_buckets_sum_and_count() {
    let metric = r#"{"name":"lat","unit":"s","histogram":{"aggregationTemporality":2,"dataPoints":[
        {"timeUnixNano":"2000000000","count":"6","sum":1.5,"bucketCounts":["1","2",3],"explicitBounds":[0.005,1],
         "exemplars":[{"asDouble":0.5,"traceId":"01"},{"asInt":"7","traceId":"02"}]}]}}"#;
    let (sink, tally) = decode(&Options::default(), metric);
    let expected = [
        r#"lat_seconds_sum{instance="i1", job="eu/shop"} 2000 1.5"#,
        r#"lat_seconds_count{instance="i1", job="eu/shop"} 2000 6"#,
        r#"lat_seconds_bucket{instance="i1", job="eu/shop", le="0.005"} 2000 1"#,
        r#"lat_seconds_bucket{instance="i1", job="eu/shop", le="1"} 2000 3"#,
        r#"lat_seconds_bucket{instance="i1", job="eu/shop", le="+Inf"} 2000 6"#,
    ];
    assert_eq!(sink.samples[..5], expected);
    assert_eq!(
        sink.exemplars,
        [
            r#"lat_seconds_bucket{instance="i1", job="eu/shop", le="1"} 9000 0.5 {trace_id="01"}"#,
            r#"lat_seconds_bucket{instance="i1", job="eu/shop", le="+Inf"} 9000 7 {trace_id="02"}"#,
        ]
    );
    assert_eq!(tally.refused, 0);
}

#[test]
fn an_exponential_histogram_becomes_a_native_one() {
    let metric = r#"{"name":"lat","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[
        {"timeUnixNano":"2000000000","count":"6","sum":1.5,"scale":3,"zeroCount":"1",
         "positive":{"offset":-2,"bucketCounts":["1","2"]},"negative":{"offset":0,"bucketCounts":[2]}}]}}"#;
    let (sink, _) = decode(&Options::default(), metric);
    let (labels, at, h) = &sink.histograms[0];
    assert_eq!((labels.name(), at.0), ("lat", 2000));
    assert_eq!((h.schema, h.count, h.zero_count, h.zero_threshold), (3, 6.0, 1.0, 1e-128));
    assert_eq!((h.positive_spans[0].offset, &h.positive, &h.negative), (-1, &vec![1.0, 2.0], &vec![2.0]));
}

#[test]
fn a_summary_keeps_its_quantiles() {
    let metric = r#"{"name":"rpc","summary":{"dataPoints":[{"timeUnixNano":"1000000","count":"3","sum":4,
        "quantileValues":[{"quantile":0.5,"value":1},{"quantile":1,"value":"NaN"}]}]}}"#;
    let (sink, _) = decode(&Options::default(), metric);
    let values: Vec<_> = sink.samples.iter().map(|s| s.rsplit_once(' ').unwrap().1).collect();
    assert_eq!(values, ["1", "NaN", "4", "3", "1"]);
    assert!(sink.samples[0].contains(r#"quantile="0.5""#) && sink.samples[1].contains(r#"quantile="1""#));
}

#[test]
fn points_that_cannot_be_taken_are_named_and_their_neighbours_are_taken() {
    for (metric, problem) in [
        (
            r#"{"name":"a","sum":{"dataPoints":[{"asInt":1}]}}"#,
            "metric `a`: its aggregation temporality is missing",
        ),
        (
            r#"{"name":"a","exponentialHistogram":{"aggregationTemporality":1,"dataPoints":[{}]}}"#,
            "metric `a`: delta exponential",
        ),
        (r#"{"name":"...","gauge":{"dataPoints":[{"asInt":1}]}}"#, "metric `...`: its name"),
        (r#"{"name":"a","gauge":{"dataPoints":[{}]}}"#, "metric `a`: a point has no value"),
        (
            r#"{"name":"a","histogram":{"aggregationTemporality":2,"dataPoints":[{"bucketCounts":[1],"explicitBounds":[1]}]}}"#,
            "metric `a`: a histogram needs one bucket more",
        ),
        (
            r#"{"name":"a","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{"scale":-9}]}}"#,
            "metric `a`: an exponential histogram's scale",
        ),
    ] {
        let (sink, tally) = decode(&Options::default(), &format!("{metric},{GAUGE}"));
        assert_eq!(tally.refused, 1, "{metric}");
        assert!(tally.first_refusal.unwrap().to_string().starts_with(problem), "{metric}");
        assert!(sink.samples[0].starts_with("mem_usage_bytes"), "{:?}", sink.samples);
    }
}

#[test]
fn attributes_inside_attributes_are_bounded_in_depth() {
    let mut value = Vec::new();
    for _ in 0..1000 {
        let mut outer = Vec::new();
        Writer::new(&mut outer).message(5, |w| w.bytes(1, &value));
        value = outer;
    }
    let mut body = Vec::new();
    Writer::new(&mut body).message(1, |w| {
        w.message(1, |w| {
            w.message(1, |w| {
                w.bytes(1, b"deep");
                w.bytes(2, &value);
            });
        });
    });
    let answer = Fixture::new(Options::default()).decode(Format::Protobuf, &body);
    assert_eq!(answer, Err(DecodeError::Proto(crate::proto::ProtoError::Depth)));
}

#[test]
fn packed_numbers_are_read_as_sdks_send_them() {
    let mut body = Vec::new();
    let packed: Vec<u8> = [1_u64, 2].iter().flat_map(|n| n.to_le_bytes()).collect();
    Writer::new(&mut body).message(1, |w| {
        w.message(2, |w| {
            w.message(2, |w| {
                w.bytes(1, b"h");
                w.message(9, |w| {
                    w.message(1, |w| {
                        w.fixed64(4, 3);
                        w.bytes(6, &packed);
                        w.packed_doubles(7, &[1.0]);
                    });
                    w.uint(2, 2);
                });
            });
        });
    });
    let mut fixture = Fixture::new(Options::default());
    fixture.decode(Format::Protobuf, &body).unwrap();
    assert_eq!(
        fixture.sink.samples,
        ["h_count 9000 3", r#"h_bucket{le="1"} 9000 1"#, r#"h_bucket{le="+Inf"} 9000 3"#]
    );
}

#[test]
fn points_are_known_by_their_attributes_bytes_and_all_that_they_inherit() {
    let mut fixture = Fixture::new(Options::default());
    let body = request(GAUGE);
    for round in 0..2 {
        fixture.decode(Format::Json, body.as_bytes()).unwrap();
        assert_eq!(fixture.sink.known, 3 * round, "two points and target_info");
    }
    assert_eq!(fixture.sink.samples[..3], fixture.sink.samples[3..]);
    let other = body.replace("\"i1\"", "\"i2\"");
    fixture.decode(Format::Json, other.as_bytes()).unwrap();
    assert_eq!(fixture.sink.known, 3, "the same points of another instance are other series");
    assert!(fixture.sink.samples[6].contains(r#"instance="i2""#), "{}", fixture.sink.samples[6]);
}
