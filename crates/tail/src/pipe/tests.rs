//! Cutting, joining and places.

use proptest::prelude::*;

use super::*;
use crate::testing::Kept;

const NOW: i64 = 1_710_072_000_000_000_000;

fn config(line_bytes: usize, wrapped: bool) -> Arc<PipeConfig> {
    let limits = Limits { line_bytes, ..Limits::default() };
    let join = JoinConfig { bytes: line_bytes.max(64), ..JoinConfig::default() };
    Arc::new(PipeConfig { limits, join, wrapped, ..PipeConfig::default() })
}

fn pipe(line_bytes: usize, wrapped: bool) -> Pipe {
    Pipe::new(config(line_bytes, wrapped), &Labels::new([("service", "a")]), &Position::default())
}

#[test]
fn lines_wait_for_their_end_and_groups_for_their_time() {
    let (mut pipe, mut kept) = (pipe(1000, false), Kept::default());
    pipe.push(b"one\r\ntwo\n  more\nthr", NOW, &mut kept);
    assert_eq!(kept.texts(), ["one"]);
    assert_eq!(pipe.position().offset, 5);
    assert_eq!(pipe.due_ns().map(|due| due > NOW), Some(true));
    pipe.flush_due(NOW + 2_000_000_000, &mut kept);
    assert_eq!(kept.texts(), ["one", "two\n  more"]);
    assert_eq!((pipe.position().offset, pipe.read_offset()), (16, 19));
    pipe.push(b"ee\n", NOW, &mut kept);
    pipe.push(b"four", NOW, &mut kept);
    pipe.finish(NOW, &mut kept);
    assert_eq!(kept.texts(), ["one", "two\n  more", "three", "four"]);
    assert_eq!((pipe.position().offset, pipe.due_ns(), pipe.counts().lines), (26, None, 4));
}

#[test]
fn a_line_without_end_is_cut_and_counted_and_memory_stays_bounded() {
    let (mut pipe, mut kept) = (pipe(1024, false), Kept::default());
    let line = vec![b'x'; 10 << 20];
    for chunk in line.chunks(64 << 10) {
        pipe.push(chunk, NOW, &mut kept);
        assert!(pipe.rest.len() <= 1024, "{}", pipe.rest.len());
    }
    pipe.push(b"\nnext\n", NOW, &mut kept);
    pipe.finish(NOW, &mut kept);
    assert_eq!(kept.lines.iter().map(|l| l.text.len()).sum::<usize>(), line.len() + 4);
    assert_eq!((pipe.counts().split, kept.texts().last().unwrap().as_str()), (1, "next"));
}

#[test]
fn both_streams_of_a_container_are_joined_for_themselves() {
    let (mut pipe, mut kept) = (pipe(1000, true), Kept::default());
    let log = "\
2024-01-02T03:04:05.1Z stderr F java.lang.Error: x
2024-01-02T03:04:05.2Z stdout P part one,
2024-01-02T03:04:05.3Z stderr F \tat a.b(C.java:1)
2024-01-02T03:04:05.4Z stdout F  part two
2024-01-02T03:04:05.5Z stdout F next
not wrapped
";
    pipe.push(log.as_bytes(), NOW, &mut kept);
    let held = pipe.position();
    assert_eq!(held.offset, 0);
    assert_eq!(held.done.len(), 2, "the two parts were handed on, the trace was not: {held:?}");
    // Reading on from here must give the rest and nothing twice.
    let mut again = Pipe::new(config(1000, true), &Labels::new([("service", "a")]), &held);
    let mut rest = Kept::default();
    again.push(log.as_bytes(), NOW, &mut rest);
    again.finish(NOW, &mut rest);
    pipe.finish(NOW, &mut kept);
    assert_eq!(
        kept.texts(),
        ["part one, part two", "not wrapped", "next", "java.lang.Error: x\n\tat a.b(C.java:1)"]
    );
    assert_eq!(rest.texts(), ["not wrapped", "next", "java.lang.Error: x\n\tat a.b(C.java:1)"]);
    assert_eq!(kept.lines[0].labels.get("stream"), "stdout");
    assert_eq!(kept.lines[0].at_ns, 1_704_164_645_200_000_000);
    assert_eq!(kept.lines[1].labels.get("stream"), "");
    assert_eq!(again.position(), pipe.position());
}

#[test]
fn a_trace_that_never_ends_does_not_hold_the_other_stream_for_ever() {
    let (mut pipe, mut kept) = (pipe(1 << 20, true), Kept::default());
    pipe.push(b"2024-01-02T03:04:05.1Z stderr P begun\n", NOW, &mut kept);
    for _ in 0..5000 {
        pipe.push(b"2024-01-02T03:04:05.1Z stdout F line\n", NOW, &mut kept);
        assert!(pipe.ledger.len() <= HELD_LINES_MAX + 1);
    }
    pipe.finish(NOW, &mut kept);
    assert_eq!(kept.lines.len(), 5001);
    assert!(kept.texts().contains(&"begun".to_owned()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    /// Stopped anywhere, and read on from the last place: the same lines as in one go, none lost, none doubled.
    #[test]
    fn reading_on_from_any_place_gives_the_same_lines(
        lines in proptest::collection::vec("(2024-01-02T03:04:05Z std(out|err) [FP] )?(  |\tat )?[a-zé]{0,40}\r?", 0..40),
        stops in proptest::collection::vec(1..60_usize, 1..20),
        wrapped: bool,
    ) {
        let text = lines.join("\n") + "\n";
        let labels = Labels::default();
        let mut whole = Kept::default();
        let mut pipe = Pipe::new(config(32, wrapped), &labels, &Position::default());
        pipe.push(text.as_bytes(), NOW, &mut whole);
        pipe.finish(NOW, &mut whole);
        let end = pipe.position();

        let mut pieces = Kept::default();
        let mut at = Position::default();
        for stop in stops.iter().chain([&usize::MAX]) {
            let mut pipe = Pipe::new(config(32, wrapped), &labels, &at);
            let start = usize::try_from(at.offset).unwrap();
            let read = text.as_bytes()[start..].iter().take(*stop).copied().collect::<Vec<_>>();
            for chunk in read.chunks(7) {
                pipe.push(chunk, NOW, &mut pieces);
            }
            if *stop == usize::MAX {
                pipe.finish(NOW, &mut pieces);
            }
            at = pipe.position();
        }
        prop_assert_eq!(at, end);
        let sorted = |kept: &Kept| { let mut texts = kept.texts(); texts.sort(); texts };
        prop_assert_eq!(sorted(&pieces), sorted(&whole));
    }
}
