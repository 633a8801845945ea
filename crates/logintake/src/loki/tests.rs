//! Pushes as Promtail, Vector, Fluent Bit and old clients send them.

use wellkept_intake::proto::Writer;
use wellkept_model::Level;

use super::*;
use crate::testing::Kept;

const AT: &str = "1704164645000000007";
const AT_NS: i64 = 1_704_164_645_000_000_007;

fn json(body: &str) -> (Result<Tally, DecodeError>, Kept) {
    let mut kept = Kept::default();
    let mut decoder = Decoder::new(Limits { lines: 10, ..Limits::default() });
    let tally = decoder.decode(Format::Json, Encoding::Identity, body.as_bytes(), &Kept::ARRIVAL, &mut kept);
    (tally, kept)
}

type Entries<'a> = &'a [(&'a [u8], &'a [(&'a str, &'a str)])];

fn protobuf(streams: &[(&str, Entries<'_>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (labels, entries) in streams {
        Writer::new(&mut body).message(1, |w| {
            w.bytes(1, labels.as_bytes());
            for (line, fields) in *entries {
                w.message(2, |w| {
                    w.message(1, |w| {
                        w.int(1, 1_704_164_645);
                        w.int(2, 7);
                    });
                    w.bytes(2, line);
                    for (name, value) in *fields {
                        w.message(3, |w| {
                            w.bytes(1, name.as_bytes());
                            w.bytes(2, value.as_bytes());
                        });
                    }
                });
            }
            w.uint(3, 12_345);
        });
    }
    snap::raw::Encoder::new().compress_vec(&body).unwrap()
}

#[test]
fn both_forms_of_a_push_give_the_same_lines() {
    let body = protobuf(&[(
        r#"{service="shop", host="web-1"}"#,
        &[(b"up", &[("trace_id", "7"), ("detected_level", "warn")]), (b"level=error down", &[])],
    )]);
    let mut kept = Kept::default();
    let mut decoder = Decoder::new(Limits::default());
    let tally =
        decoder.decode(Format::Protobuf, Encoding::Identity, &body, &Kept::ARRIVAL, &mut kept).unwrap();
    assert_eq!(tally.accepted, 2);
    let text = format!(
        r#"{{"streams":[{{"values":[["{AT}","up",{{"detected_level":"warn","trace_id":"7"}}],["{AT}","level=error down"]],
        "stream":{{"host":"web-1","service":"shop"}}}}]}}"#
    );
    let (tally, same) = json(&text);
    assert_eq!(tally.unwrap().accepted, 2);
    for kept in [&kept, &same] {
        assert_eq!(kept.texts(), ["up", "level=error down"]);
        assert_eq!(kept.lines[0].labels.to_string(), r#"{host="web-1", service="shop"}"#);
        assert_eq!((kept.lines[0].at_ns, kept.lines[0].level), (AT_NS, Some(Level::Warning)));
        assert_eq!(kept.lines[1].level, Some(Level::Error));
        assert!(kept.lines[0].fields().contains(&("trace_id", "7")));
    }
}

#[test]
fn an_entry_without_a_time_has_that_of_its_text_or_arrival() {
    let mut body = Vec::new();
    Writer::new(&mut body).message(1, |w| {
        w.bytes(1, b"{}");
        w.message(2, |w| w.bytes(2, b"2024-01-02 03:04:05 x"));
        w.message(2, |w| w.bytes(2, b"y"));
    });
    let body = snap::raw::Encoder::new().compress_vec(&body).unwrap();
    let mut kept = Kept::default();
    let mut decoder = Decoder::new(Limits::default());
    decoder.decode(Format::Protobuf, Encoding::Snappy, &body, &Kept::ARRIVAL, &mut kept).unwrap();
    assert_eq!((kept.lines[0].at_ns, kept.lines[1].at_ns), (AT_NS - 7, Kept::ARRIVAL.now_ns));
}

#[test]
fn the_old_form_is_read_as_well() {
    let (tally, kept) = json(
        r#"{"streams":[{"labels":"{job=\"a\"}","entries":[{"ts":"2024-01-02T03:04:05.000000007Z","line":"x"},{"ts":"x","line":"y"}]}]}"#,
    );
    let tally = tally.unwrap();
    assert_eq!((tally.accepted, tally.refused), (1, 1));
    assert_eq!((kept.lines[0].at_ns, kept.lines[0].labels.get("job")), (AT_NS, "a"));
}

#[test]
fn a_stream_with_broken_labels_is_refused_and_its_neighbours_are_taken() {
    let body = protobuf(&[("{broken", &[(b"a", &[]), (b"b", &[])]), (r#"{a="1"}"#, &[(b"\x00\xff", &[])])]);
    let mut kept = Kept::default();
    let tally = Decoder::new(Limits::default())
        .decode(Format::Protobuf, Encoding::Snappy, &body, &Kept::ARRIVAL, &mut kept)
        .unwrap();
    assert_eq!((tally.accepted, tally.refused, tally.reasons.len()), (1, 2, 1));
    assert_eq!(kept.lines[0].text, b"\x00\xff");
    let (tally, kept) =
        json(&format!(r#"{{"streams":[{{"stream":{{"a":"1"}},"values":[["x","a"],["{AT}","b"]]}}]}}"#));
    let tally = tally.unwrap();
    assert_eq!((tally.accepted, tally.refused), (1, 1));
    assert_eq!(tally.first_reason(), "entry 1: the time stamp is not a number of nanoseconds, as text");
    assert_eq!(kept.texts(), ["b"]);
}

#[test]
fn bodies_that_are_no_push_are_errors() {
    for body in [
        "",
        "[]",
        r#"{"streams":{}}"#,
        r#"{"streams":[{"stream":{"a":1},"values":[]}]}"#,
        r#"{"streams":[{"stream":{},"values":[["1"]]}]}"#,
        r#"{"streams":[{"stream":{},"values":[[1,"a"]]}]}"#,
        r#"{"streams":[{"stream":{},"values":"x"}]}"#,
    ] {
        assert_eq!(json(body).0.unwrap_err().status(), 400, "{body}");
    }
    let many = vec![format!(r#"["{AT}","x"]"#); 11].join(",");
    let many = format!(r#"{{"streams":[{{"stream":{{}},"values":[{many}]}}]}}"#);
    assert_eq!(json(&many).0, Err(DecodeError::TooManyLines { limit: 10 }));
    let mut kept = Kept::default();
    let mut decoder = Decoder::new(Limits::default());
    let mut decode = |body: &[u8]| {
        decoder.decode(Format::Protobuf, Encoding::Identity, body, &Kept::ARRIVAL, &mut kept).unwrap_err()
    };
    assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0]).status(), 413, "a claim beyond the limit");
    assert_eq!(decode(b"not snappy").status(), 400);
    assert_eq!(decode(b"").status(), 400);
}

#[test]
fn content_types_are_those_of_loki() {
    assert_eq!(Format::from_content_type(None), Ok(Format::Protobuf));
    assert_eq!(Format::from_content_type(Some("application/json; charset=utf-8")), Ok(Format::Json));
    assert_eq!(Format::from_content_type(Some("text/plain")).unwrap_err().status(), 415);
}
