//! What a stranger may send: noise, damaged copies of good bodies, bombs, and small bodies that ask for much. No decoder
//! panics, and memory and time stay bounded.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test whose helpers are no test functions")]

#[expect(unreachable_pub, reason = "the fuzz targets use it too")]
mod judge;

use judge::{DOORS, Door, enter, good, packed};
use proptest::prelude::*;
use wellkept_intake::proto::Writer;
use wellkept_intake::unpack::Encoding;
use wellkept_logintake::{loki, otlp};

/// One piece of damage.
#[derive(Debug, Clone)]
enum Damage {
    Set(usize, u8),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Repeat(usize, usize),
    Cut(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<usize>();
    let spice = prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..9),
        Just(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec()),
        Just(b"\0".to_vec()),
        Just(b"\xc3\x28".to_vec()),
        Just(b"{\"\\\n".to_vec()),
        Just(vec![b'[', 200]),
        Just(b"9999999999 ".to_vec()),
        Just("\u{202e}\u{1b}[31m".into()),
    ];
    prop_oneof![
        (at, any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (at, spice).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (at, 1..20_usize).prop_map(|(at, n)| Damage::Remove(at, n)),
        (at, 1..40_usize).prop_map(|(at, n)| Damage::Repeat(at, n)),
        at.prop_map(Damage::Cut),
    ]
}

fn apply(body: &mut Vec<u8>, damage: Damage) {
    let place = |at: usize| at % (body.len() + 1);
    match damage {
        Damage::Set(at, byte) => {
            let at = place(at);
            body.get_mut(at).into_iter().for_each(|b| *b = byte);
        }
        Damage::Insert(at, bytes) => {
            let at = place(at);
            body.splice(at..at, bytes);
        }
        Damage::Remove(at, n) => {
            let at = place(at);
            body.drain(at..(at + n).min(body.len()));
        }
        Damage::Repeat(at, n) => {
            let at = place(at);
            let part = body[at..(at + n).min(body.len())].to_vec();
            body.splice(at..at, part);
        }
        Damage::Cut(at) => {
            let at = place(at);
            body.truncate(at);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn noise_is_survived_at_every_door(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        DOORS.iter().for_each(|door| enter(*door, &body));
    }

    #[test]
    fn damaged_bodies_are_survived_at_every_door(damages in proptest::collection::vec(damage(), 1..6)) {
        for door in DOORS {
            let mut body = good(door);
            damages.iter().for_each(|d| apply(&mut body, d.clone()));
            enter(door, &body);
        }
    }
}

#[test]
fn the_bodies_that_are_damaged_are_good() {
    for door in DOORS {
        let mut judge = judge::Judge::default();
        let tally = judge::Decoder::default().decode(door, &good(door), &mut judge).unwrap();
        assert_eq!(tally.refused, 0, "{door:?}: {:?}", tally.reasons);
        assert!(judge.lines > 0 || door == Door::Inside, "{door:?}");
    }
}

/// CPU time of this thread.
fn cpu_ms() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<u64>().unwrap() / 1_000_000
}

/// Most memory that this process ever held.
fn peak_mb() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// A message that holds `inner` in field `number` as often as fits into 1 MiB.
fn often(number: u32, inner: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while out.len() < 1 << 20 {
        Writer::new(&mut out).bytes(number, inner);
    }
    out
}

fn nested(number: u32, inner: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Writer::new(&mut out).bytes(number, inner);
    out
}

/// Small bodies that would like to be much work.
fn greedy() -> Vec<(&'static str, Door, Vec<u8>)> {
    let proto = Door::Otlp(otlp::Format::Protobuf);
    let otlp_json = Door::Otlp(otlp::Format::Json);
    let push = Door::Loki(loki::Format::Protobuf, Encoding::Snappy);
    let json = Door::Loki(loki::Format::Json, Encoding::Identity);
    let streams = |inner: &str| format!("{{\"streams\":[{inner}]}}").into_bytes();
    let resource =
        |attributes: &[u8], records: &[u8]| nested(1, &[nested(1, attributes), nested(2, records)].concat());
    let attribute = nested(1, &[nested(1, &[b'k'; 900]), nested(2, &nested(1, &[b'v'; 900]))].concat());
    let document = |members: &str| format!("{{\"index\":{{}}}}\n{{{members}}}\n").into_bytes();
    vec![
        ("empty resources", proto, often(1, b"")),
        ("empty records", proto, resource(b"", &often(2, b""))),
        ("records of a long resource", proto, resource(&attribute.repeat(500), &often(2, b""))),
        ("empty attributes", proto, resource(b"", &nested(2, &often(6, b"")))),
        ("empty scopes", proto, resource(b"", &nested(1, &often(1, b"")))),
        ("nested lists", otlp_json, format!("{{\"resourceLogs\":{}", "[".repeat(2 << 20)).into_bytes()),
        ("empty streams", push, packed(&often(1, b""))),
        ("empty entries", push, packed(&nested(1, &[nested(1, b"{a=\"b\"}"), often(2, b"")].concat()))),
        ("entries of broken labels", push, packed(&nested(1, &[nested(1, b"{"), often(2, b"")].concat()))),
        ("empty pairs", push, packed(&nested(1, &[nested(1, b"{}"), nested(2, &often(3, b""))].concat()))),
        (
            "labels without end",
            push,
            packed(&nested(1, &nested(1, format!("{{{}}}", "a=\"\",".repeat(300_000)).as_bytes()))),
        ),
        ("empty objects as streams", json, streams(&vec!["{}"; 500_000].join(","))),
        (
            "streams of many labels",
            json,
            streams(&format!(
                "{{\"stream\":{{{}}}}}",
                (0..200_000).map(|i| format!("\"{i}\":\"\"")).collect::<Vec<_>>().join(",")
            )),
        ),
        (
            "entries",
            json,
            streams(&format!("{{\"stream\":{{}},\"values\":[{}]}}", vec!["[\"1\",\"\"]"; 90_000].join(","))),
        ),
        (
            "much metadata",
            json,
            streams(&format!("{{\"values\":[[\"1\",\"\",{{{}}}]]}}", vec!["\"a\":\"\""; 200_000].join(","))),
        ),
        ("nested lists of Loki", json, streams(&"[".repeat(2 << 20))),
        ("deletes", Door::Bulk, "{\"delete\":{}}\n".repeat(90_000).into_bytes()),
        (
            "many members",
            Door::Bulk,
            document(&(0..200_000).map(|i| format!("\"k{i}\":{i}")).collect::<Vec<_>>().join(",")),
        ),
        ("deep members", Door::Bulk, document(&format!("\"a\":{}1", "{\"a\":".repeat(300_000)))),
        (
            "long names over many members",
            Door::Bulk,
            document(&format!("\"{}\":{{{}\"z\":1}}", "n".repeat(1 << 20), "\"a\":1,".repeat(1000))),
        ),
        ("blank lines", Door::Bulk, vec![b'\n'; 4 << 20]),
        ("lines", Door::Plain, "a\n".repeat(99_000).into_bytes()),
        ("one line", Door::Plain, vec![b'x'; 10 << 20]),
        ("nothing", Door::Plain, vec![0; 10 << 20]),
        ("brackets", Door::Inside, vec![b'['; 4 << 20]),
        ("backslashes", Door::Inside, format!("{{\"a\":\"{}", "\\".repeat(4 << 20)).into_bytes()),
        ("equal signs", Door::Inside, vec![b'='; 1 << 20]),
        ("names without values", Door::Inside, "a= ".repeat(500_000).into_bytes()),
        ("braces in lines", Door::Inside, "{\n".repeat(500_000).into_bytes()),
        ("frames", Door::Inside, "#1 \n".repeat(500_000).into_bytes()),
        ("digits", Door::SyslogStream, vec![b'9'; 4 << 20]),
        ("counts", Door::SyslogStream, "1 ".repeat(1 << 20).into_bytes()),
        ("elements", Door::Syslog, format!("<1>1 - - - - - {}", "[a b=\"\"]".repeat(300_000)).into_bytes()),
        ("numbers", Door::Journal, format!("{{\"MESSAGE\":[{}1]}}", "1,".repeat(1 << 20)).into_bytes()),
        ("nested journal", Door::Journal, format!("{{\"MESSAGE\":{}", "[".repeat(1 << 20)).into_bytes()),
    ]
}

#[test]
fn small_bodies_that_ask_for_much_get_little() {
    for (what, door, body) in greedy() {
        let start = cpu_ms();
        enter(door, &body);
        let spent = cpu_ms() - start;
        // Unoptimised code on a busy machine; a quadratic decoder would need minutes.
        println!("{spent:6} ms: {what}");
        assert!(spent < 30_000, "{what}: {spent} ms for {} bytes", body.len());
    }
    assert!(peak_mb() < 500, "{} MB", peak_mb());
}

#[test]
fn escapes_and_marks_that_turn_the_direction_are_handed_on_as_they_are() {
    let line = "\u{1b}[31m\u{202e}txt.exe\u{202c}\u{7}\u{0}";
    let mut judge = judge::Judge::default();
    let body = format!("{line}\n");
    judge::Decoder::default().decode(Door::Plain, body.as_bytes(), &mut judge).unwrap();
    assert_eq!((judge.lines, judge.bytes), (1, line.len() as u64));
}
