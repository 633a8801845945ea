//! Bodies of pushing protocols, made by hand.

use wellkept_intake::proto::Writer;
use wellkept_intake::remote_write::{Encoder, OutgoingSeries, Version};
use wellkept_model::{Labels, Sample, TimestampMs};

use super::http::Call;

/// A series with its samples, each milliseconds since 1970 and value.
pub type Series = (Labels, Vec<(i64, f64)>);

/// One series with one sample.
pub fn one(name: &str, labels: &[(&str, &str)], at: i64, value: f64) -> Series {
    (Labels::metric(name, labels.iter().copied()), vec![(at, value)])
}

/// A remote write request.
pub fn remote_write<'a>(call: Call<'a>, version: Version, series: &[Series]) -> Call<'a> {
    let samples: Vec<Vec<Sample>> = series
        .iter()
        .map(|(_, s)| s.iter().map(|&(at, value)| Sample { at: TimestampMs(at), value }).collect())
        .collect();
    let outgoing = series.iter().zip(&samples).map(|((labels, _), samples)| OutgoingSeries {
        labels: Some(labels),
        samples,
        ..OutgoingSeries::default()
    });
    let outgoing: Vec<_> = outgoing.collect();
    remote_write_of(call, version, &outgoing)
}

/// A remote write request with anything that can be in one.
pub fn remote_write_of<'a>(call: Call<'a>, version: Version, series: &[OutgoingSeries<'_>]) -> Call<'a> {
    let mut encoder = Encoder::default();
    let body = encoder.encode(version, series.iter().copied()).unwrap().to_vec();
    let (kind, number) = match version {
        Version::V1 => ("application/x-protobuf", "0.1.0"),
        Version::V2 => ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
    };
    call.header("content-type", kind)
        .header("content-encoding", "snappy")
        .header("x-prometheus-remote-write-version", number)
        .body(body)
}

/// An OTLP request with one gauge of the service `shop`, as JSON.
pub fn otlp_json(name: &str, at: i64, value: f64) -> serde_json::Value {
    let resource = serde_json::json!({"attributes": [
        {"key": "service.name", "value": {"stringValue": "shop"}},
        {"key": "service.instance.id", "value": {"stringValue": "a1"}}]});
    let point = serde_json::json!({
        "timeUnixNano": format!("{at}000000"), "asDouble": value,
        "attributes": [{"key": "room", "value": {"stringValue": "hall"}}]});
    let metric = serde_json::json!({"name": name, "gauge": {"dataPoints": [point]}});
    serde_json::json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [metric]}]}]})
}

/// The same as protobuf.
pub fn otlp_protobuf(name: &str, at: i64, value: f64) -> Vec<u8> {
    fn attribute(w: &mut Writer<'_>, number: u32, key: &str, value: &str) {
        w.message(number, |w| {
            w.bytes(1, key.as_bytes());
            w.message(2, |w| w.bytes(1, value.as_bytes()));
        });
    }
    let mut out = Vec::new();
    Writer::new(&mut out).message(1, |w| {
        w.message(1, |w| {
            attribute(w, 1, "service.name", "shop");
            attribute(w, 1, "service.instance.id", "a1");
        });
        w.message(2, |w| {
            w.message(2, |w| {
                w.bytes(1, name.as_bytes());
                w.message(5, |w| {
                    w.message(1, |w| {
                        w.fixed64(3, u64::try_from(at).unwrap() * 1_000_000);
                        w.double(4, value);
                        attribute(w, 7, "room", "hall");
                    });
                });
            });
        });
    });
    out
}

/// Packed as `gzip` packs.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut child =
        Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writing = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let packed = child.wait_with_output().unwrap().stdout;
    writing.join().unwrap();
    packed
}
