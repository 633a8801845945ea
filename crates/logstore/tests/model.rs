//! Arbitrary operations, compared with a plain list of lines.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use common::{SECOND, pages, query};
use proptest::prelude::*;
use wellkept_logstore::{Direction, LogBatch, LogStore, LogStoreConfig, SearchLimits};
use wellkept_model::{Labels, Level, LogLine};
use wellkept_tsdb::sim::SimDisk;

#[derive(Debug, Clone)]
enum Op {
    Append(Vec<Line>),
    Commit,
    Flush,
    Reopen,
}

#[derive(Debug, Clone, PartialEq)]
struct Line {
    at: i64,
    stream: u8,
    level: Option<Level>,
    text: Vec<u8>,
    field: Option<String>,
}

impl Line {
    fn labels(&self) -> Labels {
        Labels::new([("service", ["app", "db", "web"][usize::from(self.stream % 3)])])
    }
}

fn lines() -> impl Strategy<Value = Line> {
    let words = prop::sample::select(vec![
        "error", "took", "15", "ms", "7", "user", "alice", "blk_-99", "1.5", "", "0x1f",
    ]);
    let text = prop_oneof![
        8 => prop::collection::vec(words, 0..6).prop_map(|w| w.join(" ").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..30),
    ];
    let field = prop::option::weighted(0.2, prop::sample::select(vec!["a".to_owned(), "b1".to_owned()]));
    let at = prop_oneof![20 => -5..60_i64, 1 => Just(i64::MIN / SECOND), 1 => Just(i64::MAX / SECOND)];
    (at, 0..3_u8, prop::option::of(prop::sample::select(Level::ALL.to_vec())), text, field)
        .prop_map(|(at, stream, level, text, field)| Line { at: at * SECOND, stream, level, text, field })
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => prop::collection::vec(lines(), 1..25).prop_map(Op::Append),
        2 => Just(Op::Commit),
        2 => Just(Op::Flush),
        1 => Just(Op::Reopen),
    ];
    prop::collection::vec(op, 1..12)
}

fn append(store: &LogStore, lines: &[Line]) {
    let mut batch = LogBatch::new();
    for line in lines {
        let labels = line.labels();
        let fields: Vec<(&str, &str)> = line.field.iter().map(|f| ("trace", f.as_str())).collect();
        assert!(batch.push(&LogLine {
            at_ns: line.at,
            labels: &labels,
            level: line.level,
            text: &line.text,
            fields: &fields,
        }));
    }
    store.append(&batch).unwrap();
}

fn holds(text: &[u8], part: &str) -> bool {
    part.is_empty() || text.windows(part.len()).any(|w| w == part.as_bytes())
}

/// A query and what it means.
type Case = (&'static str, fn(&Line) -> bool);

const CASES: [Case; 9] = [
    ("{}", |_| true),
    (r#"{service="app"}"#, |l| l.stream % 3 == 0),
    (r#"{service!="app"} |= "error""#, |l| l.stream % 3 != 0 && holds(&l.text, "error")),
    (r#"{} |= "took 15" != "alice""#, |l| holds(&l.text, "took 15") && !holds(&l.text, "alice")),
    (r#"{} |= "k_-9" or "1f""#, |l| holds(&l.text, "k_-9") || holds(&l.text, "1f")),
    (r#"{} |~ "m+s [0-9]""#, |l| (b'0'..=b'9').any(|d| holds(&l.text, &format!("ms {}", d as char)))),
    (r#"{} | level="error" or trace="a""#, |l| {
        l.level == Some(Level::Error) || l.field.as_deref() == Some("a")
    }),
    (r#"{level=~"info|debug"} != "5""#, |l| {
        matches!(l.level, Some(Level::Info | Level::Debug)) && !holds(&l.text, "5")
    }),
    (r#"{} | trace!="" |= "s""#, |l| l.field.is_some() && holds(&l.text, "s")),
];

fn check(store: &LogStore, all: &[Line]) {
    // Stable: lines of one time stay in their order.
    let mut sorted: Vec<&Line> = all.iter().collect();
    sorted.sort_by_key(|l| l.at);
    for (text, fits) in CASES {
        let wanted: Vec<&Line> = sorted.iter().filter(|l| fits(l)).copied().collect();
        let query = query(text);
        for direction in [Direction::Forward, Direction::Backward] {
            let mut found = pages(store, &query, direction, 4);
            if direction == Direction::Backward {
                found.reverse();
            }
            let found: Vec<Line> = found
                .into_iter()
                .map(|e| Line {
                    at: e.at_ns,
                    stream: ["app", "db", "web"].iter().position(|s| *s == e.labels.get("service")).unwrap()
                        as u8,
                    level: e.level,
                    text: e.text,
                    field: e.fields.into_iter().next().map(|f| f.1),
                })
                .collect();
            assert_eq!(found.iter().collect::<Vec<_>>(), wanted, "{text} {direction:?}");
        }
        let limits = SearchLimits::default();
        let count = store.count(&query, i64::MIN, i64::MAX, limits).0;
        assert_eq!(count, wanted.len() as u64, "{text}");
        let (from, to) = (3 * SECOND, 40 * SECOND);
        let inside = wanted.iter().filter(|l| (from..to).contains(&l.at)).count() as u64;
        assert_eq!(store.count(&query, from, to, limits).0, inside, "{text}");
        let bars = store.histogram(&query, from, to, 5 * SECOND, limits);
        assert_eq!(bars.bars.iter().flatten().sum::<u64>(), inside, "{text}");
        let facets = store.facets(&query, (from, to), &["service", "trace"], 9, limits);
        assert_eq!(facets.lines, inside);
        for facet in &facets.facets {
            assert_eq!(facet.values.iter().map(|v| v.1).sum::<u64>() + facet.others, inside, "{text}");
        }
        let with_field =
            wanted.iter().filter(|l| (from..to).contains(&l.at) && l.field.is_some()).count() as u64;
        let counted = facets.facets[1].values.iter().filter(|v| !v.0.is_empty()).map(|v| v.1).sum::<u64>();
        assert_eq!(counted, with_field, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn whatever_is_done_the_store_holds_the_lines_and_finds_them(ops in ops(), by_words in any::<bool>()) {
        let open = |disk| match by_words {
            true => common::open_by_words(disk, LogStoreConfig::default()),
            false => common::open(disk),
        };
        let mut disk = SimDisk::new();
        let mut store = open(disk.clone());
        let mut all: Vec<Line> = Vec::new();
        for op in ops {
            match op {
                Op::Append(lines) => {
                    append(&store, &lines);
                    all.extend(lines.into_iter().map(|l| Line { stream: l.stream % 3, ..l }));
                }
                Op::Commit => {
                    store.commit().unwrap();
                }
                Op::Flush => {
                    store.flush(0).unwrap();
                }
                Op::Reopen => {
                    store.commit().unwrap();
                    disk = disk.fork();
                    store = open(disk.clone());
                }
            }
        }
        check(&store, &all);
        prop_assert_eq!(store.stats().set_aside_total, 0);
    }
}
