//! What a stranger may send: noise, damaged copies of good bodies, lengths that lie, bombs, and small bodies that ask
//! for much. No decoder panics, and memory and time stay bounded.
#![expect(clippy::unwrap_used, reason = "a test whose helpers are no test functions")]

#[expect(unreachable_pub, reason = "the fuzz targets use it too")]
mod judge;

use judge::bodies::{attribute, good};
use judge::doors::{self, DOORS, Door, enter};
use proptest::prelude::*;
use wellkept_intake::otlp;
use wellkept_intake::proto::Writer;
use wellkept_intake::remote_write::Version;
use wellkept_intake::text::Format;
use wellkept_intake::unpack::Encoding;

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
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

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
        let mut sink = judge::Judge::default();
        let tally = doors::decode(door, &good(door), &mut sink).unwrap();
        assert_eq!(tally.refused, 0, "{door:?}: {:?}", tally.first_refusal);
        assert!(sink.samples > 0, "{door:?}");
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
    let v1 = Door::RemoteWrite(Version::V1, Encoding::Identity);
    let v2 = Door::RemoteWrite(Version::V2, Encoding::Identity);
    let exposed = Door::Text(Format::Protobuf);
    let proto = Door::Otlp(otlp::Format::Protobuf);
    let json = Door::Otlp(otlp::Format::Json);
    let page = Door::Text(Format::Prometheus);

    let mut references = nested(4, &[b'x'; 30_000]);
    for _ in 0..20_000 {
        Writer::new(&mut references).message(5, |w| w.packed(1, std::iter::repeat_n(0, 100)));
    }
    let family = |metric: &[u8]| {
        let message = [nested(1, &[b'f'; 30_000]), metric.to_vec()].concat();
        let mut page = Vec::new();
        Writer::new(&mut page).varint(message.len() as u64);
        [page, message].concat()
    };
    let resource = |attributes: &[u8], metrics: &[u8]| {
        nested(1, &[nested(1, attributes), nested(2, &nested(2, metrics))].concat())
    };
    let mut long = Vec::new();
    attribute(&mut Writer::new(&mut long), 1, &"k".repeat(900));
    let gauge = [nested(1, b"g"), nested(5, &often(1, b"\x21\0\0\0\0\0\0\0\0"))].concat();
    let tags: String = (0..100).map(|i| format!(",t{i}={}", "v".repeat(900))).collect();
    let fields: String = (0..20_000).map(|i| format!("f{i}=1,")).collect();
    vec![
        ("empty series", v1, often(1, b"")),
        ("empty labels", v1, nested(1, &often(1, b""))),
        ("empty samples", v1, nested(1, &[nested(1, b"\x0a\x01a"), often(2, b"")].concat())),
        ("empty spans", v1, nested(1, &[nested(1, b"\x0a\x01a"), nested(4, &often(11, b""))].concat())),
        (
            "bucket deltas",
            v1,
            nested(1, &[nested(1, b"\x0a\x01a"), nested(4, &nested(12, &vec![2; 2 << 20]))].concat()),
        ),
        ("a label of a mebibyte", v1, nested(1, &nested(1, &nested(1, &vec![b'a'; 1 << 20])))),
        ("empty metadata", v1, often(3, b"")),
        ("empty symbols", v2, often(4, b"")),
        ("references to a long symbol", v2, references),
        ("empty metrics of a long family", exposed, family(&often(4, &nested(3, b"")))),
        ("empty buckets of a long family", exposed, family(&nested(4, &nested(7, &often(3, b""))))),
        ("empty resources", proto, often(1, b"")),
        ("empty points", proto, resource(b"", &[nested(1, b"g"), nested(5, &often(1, b""))].concat())),
        ("points of a long resource", proto, resource(&long.repeat(200), &gauge)),
        ("empty attributes", proto, nested(1, &nested(1, &often(1, b"")))),
        ("nested lists", json, format!("{{\"resourceMetrics\":{}", "[".repeat(2 << 20)).into_bytes()),
        (
            "empty objects",
            json,
            format!("{{\"resourceMetrics\":[{}{{}}]}}", "{},".repeat(700_000)).into_bytes(),
        ),
        ("labels without end", page, format!("a{{{}}} 1", "b=\"\",".repeat(400_000)).into_bytes()),
        ("braces", page, "{".repeat(2 << 20).into_bytes()),
        ("short lines", page, "a 1\n".repeat(500_000).into_bytes()),
        (
            "types",
            page,
            (0..100_000).map(|i| format!("# TYPE a{i} counter\n")).collect::<String>().into_bytes(),
        ),
        ("backslashes", page, format!("a{{b=\"{}", "\\".repeat(2 << 20)).into_bytes()),
        ("many fields behind many tags", Door::Influx, format!("m{tags} {fields}z=1\n").into_bytes()),
        ("quotes", Door::Influx, "a \"\n".repeat(500_000).into_bytes()),
        ("tags", Door::Graphite, format!("a{} 1", ";b=c".repeat(500_000)).into_bytes()),
        ("values", Door::StatsD, format!("a{}|h", ":1".repeat(1 << 20)).into_bytes()),
        (
            "members",
            Door::StatsD,
            (0..200_000).map(|i| format!("a:{i}|s\n")).collect::<String>().into_bytes(),
        ),
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
    assert!(peak_mb() < 400, "{} MB", peak_mb());
}

#[test]
fn a_name_with_a_nul_and_a_bad_utf8_value_do_no_harm() {
    enter(Door::Text(Format::Prometheus), b"a\0b 1\n");
    enter(Door::Import, b"a{b=\"\0\"} 1\na{b=\"\xff\"} 1\n");
    enter(Door::Graphite, b"a\0b 1\n\xff 1\n");
    enter(Door::Influx, b"a\0b,c=\xff d=1\n");
    enter(Door::StatsD, b"a\0:1|c\n");
}
