//! Requests as SDKs and collectors send them.

use super::*;
use crate::testing::Kept;

const JSON: &str = r#"{"resourceLogs":[{"resource":{"attributes":[
    {"key":"service.name","value":{"stringValue":"shop"}},
    {"key":"host.name","value":{"stringValue":"web-1"}},
    {"key":"telemetry.sdk.language","value":{"stringValue":"go"}}]},
    "scopeLogs":[{"scope":{"name":"checkout"},"logRecords":[
    {"timeUnixNano":"1704164645000000005","severityNumber":17,"severityText":"ERROR","body":{"stringValue":"no stock"},
     "attributes":[{"key":"order","value":{"intValue":"7"}}],"traceId":"0102030405060708090a0b0c0d0e0f10","flags":1},
    {"observedTimeUnixNano":"1704164645000000006","severityText":"warn",
     "body":{"kvlistValue":{"values":[{"key":"a","value":{"doubleValue":1.5}}]}}},
    {"body":{"stringValue":"2024-01-02 03:04:05 INFO bare"}}]}]}]}"#;

fn decode(format: Format, body: &[u8], limits: Limits) -> (Result<Tally, DecodeError>, Kept) {
    let mut kept = Kept::default();
    let tally = Decoder::new(limits).decode(format, body, &Kept::ARRIVAL, &mut kept);
    (tally, kept)
}

#[test]
fn records_come_with_their_resource_and_scope() {
    let mut proto = Vec::new();
    protojson::transcode(&REQUEST, JSON.as_bytes(), &mut proto).unwrap();
    for (format, body) in [(Format::Json, JSON.as_bytes()), (Format::Protobuf, &proto)] {
        let (tally, kept) = decode(format, body, Limits::default());
        assert_eq!(tally.unwrap().accepted, 3);
        let first = &kept.lines[0];
        assert_eq!(first.labels, Labels::new([("service", "shop"), ("host", "web-1")]));
        assert_eq!((first.at_ns, first.level), (1_704_164_645_000_000_005, Some(Level::Error)));
        assert_eq!(
            first.fields(),
            [
                ("order", "7"),
                ("trace_id", "0102030405060708090a0b0c0d0e0f10"),
                ("telemetry.sdk.language", "go"),
                ("scope", "checkout"),
            ]
        );
        assert_eq!(kept.texts(), ["no stock", r#"{"a":1.5}"#, "2024-01-02 03:04:05 INFO bare"]);
        assert_eq!(
            (kept.lines[1].at_ns, kept.lines[1].level),
            (1_704_164_645_000_000_006, Some(Level::Warning))
        );
        assert_eq!(
            (kept.lines[2].at_ns, kept.lines[2].level),
            (1_704_164_645_000_000_000, Some(Level::Info))
        );
    }
}

#[test]
fn a_record_with_broken_text_is_refused_and_its_neighbours_are_taken() {
    let record = |attribute: &[u8]| {
        let mut out = Vec::new();
        Writer::new(&mut out).message(2, |w| {
            w.message(5, |w| w.bytes(1, b"x\xff"));
            w.message(6, |w| {
                w.bytes(1, attribute);
                w.message(2, |w| w.bytes(1, b"v"));
            });
        });
        out
    };
    let mut body = Vec::new();
    Writer::new(&mut body)
        .message(1, |w| w.bytes(2, &[record(b"a"), record(b"\xff"), record(b"b")].concat()));
    let (tally, kept) = decode(Format::Protobuf, &body, Limits::default());
    let tally = tally.unwrap();
    assert_eq!((tally.accepted, tally.refused), (2, 1));
    assert_eq!(kept.lines[0].text, b"x\xff");
    assert_eq!(tally.first_reason(), "entry 2: a label is not valid UTF-8");
    let told = String::from_utf8(answer(Format::Json, &tally)).unwrap();
    assert!(told.contains(r#""rejectedLogRecords":"1""#), "{told}");
    let bytes = answer(Format::Protobuf, &tally);
    let mut partial = Reader::new(&bytes).next_field().unwrap().unwrap().message().unwrap();
    assert_eq!(partial.next_field().unwrap().unwrap().uint(), Ok(1));
}

#[test]
fn fields_lines_and_expansion_are_bounded() {
    let limits = Limits { fields: 2, lines: 2, ..Limits::default() };
    let (tally, _) = decode(Format::Json, JSON.as_bytes(), limits);
    assert_eq!(tally, Err(DecodeError::TooManyLines { limit: 2 }));
    let limits = Limits { fields: 2, ..Limits::default() };
    let (tally, kept) = decode(Format::Json, JSON.as_bytes(), limits);
    assert_eq!(tally.unwrap().trimmed, 2);
    assert_eq!(kept.lines[0].fields.len(), 2);
    let limits = Limits { expanded_bytes: 100, ..Limits::default() };
    assert_eq!(decode(Format::Json, JSON.as_bytes(), limits).0, Err(DecodeError::Expands { limit: 100 }));
    let limits = Limits { unpacked_bytes: 100, ..Limits::default() };
    assert_eq!(decode(Format::Json, JSON.as_bytes(), limits).0.unwrap_err().status(), 413);
}

#[test]
fn damaged_requests_are_errors() {
    for body in ["", "[]", "{\"resourceLogs\":1}", "{\"resourceLogs\":[{}"] {
        let (tally, _) = decode(Format::Json, body.as_bytes(), Limits::default());
        assert_eq!(tally.unwrap_err().status(), 400, "{body}");
    }
    let (tally, _) = decode(Format::Protobuf, &[0x0a, 5, 1], Limits::default());
    assert_eq!(tally.unwrap_err().status(), 400);
    assert_eq!(decode(Format::Protobuf, b"", Limits::default()).0, Ok(Tally::default()));
}
