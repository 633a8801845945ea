//! What the miner promises about any bytes, any number of templates, and restarts.

use std::ops::Range;

use proptest::prelude::*;
use wellkept_logmine::{Bounds, Miner, OVERFLOW, StateError};
use wellkept_model::{Shape, TemplateId, TemplateMiner};

fn rebuilt(shape: &Shape, text: &[u8], params: &[Range<u32>]) -> Vec<u8> {
    assert_eq!(shape.literals.len(), params.len() + 1);
    assert_eq!(shape.kinds.len(), params.len());
    let mut out = shape.literals[0].to_vec();
    for (range, literal) in params.iter().zip(&shape.literals[1..]) {
        out.extend_from_slice(&text[range.start as usize..range.end as usize]);
        out.extend_from_slice(literal);
    }
    out
}

fn check(miner: &mut Miner, text: &[u8]) -> TemplateId {
    let mut params: Vec<Range<u32>> = std::iter::once(1..2).collect();
    let shape = miner.split(text, &mut params);
    assert_eq!(rebuilt(&shape, text, &params), text);
    assert!(params.is_sorted_by_key(|p| p.start));
    shape.template
}

/// Lines of words, numbers, signs and bytes of any kind.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        "[a-z]{1,8}",
        "[A-Z][a-z]{1,4}[0-9]{0,3}",
        "-?[0-9]{1,12}(\\.[0-9]{1,3})?",
        "0x[0-9a-f]{1,8}",
        "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}(:[0-9]{1,5})?",
        "[0-9a-f:]{2,20}",
        "/[a-z/.]{1,12}",
        "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}[.,0-9Z+-]{0,6}",
        "(Mon |Jul  3 |Jan 12 )?[0-9]{2}:[0-9]{2}:[0-9]{2}( 20[0-9]{2})?",
        "[ =:,;|(){}\\[\\]'\"<>*.#@$%&+-]{1,4}",
        "[\u{4e00}-\u{4e20}]{1,4}[0-9]{0,2}",
        "\\PC{1,4}",
        "(\u{1b}\\[[0-9;]{1,5}m|\u{202e}|\u{0}|\t|\r)",
    ]
    .prop_map(String::into_bytes);
    let raw = proptest::collection::vec(any::<u8>(), 0..6);
    let blank = prop_oneof![Just(b" ".to_vec()), Just(b"".to_vec()), Just(b"  ".to_vec())];
    proptest::collection::vec(prop_oneof![8 => piece, 1 => raw, 6 => blank], 0..24)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_line_is_rebuilt_byte_for_byte(lines in proptest::collection::vec(line(), 1..80)) {
        let mut miner = Miner::new(Bounds { forms: 40, bytes: 1 << 20, cached: 32 });
        for text in lines.iter().chain(&lines) {
            check(&mut miner, text);
        }
        miner.settle();
        for text in &lines {
            let id = check(&mut miner, text);
            assert_eq!(miner.resolve(id), id, "an id that is given out is one that stands");
        }
    }

    #[test]
    fn any_bytes_are_rebuilt(text in proptest::collection::vec(any::<u8>(), 0..600)) {
        check(&mut Miner::default(), &text);
    }

    #[test]
    fn a_cut_or_changed_state_is_refused(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut miner = Miner::default();
        for i in 0..30 {
            check(&mut miner, format!("user u{i} logged in from 10.0.0.{i}").as_bytes());
        }
        let state = miner.save();
        let at = at.index(state.len());
        prop_assert!(Miner::load(&state[..at], Bounds::default()).is_err());
        let mut changed = state.clone();
        changed[at] ^= 1 << bit;
        prop_assert!(Miner::load(&changed, Bounds::default()).is_err());
    }
}

#[test]
fn a_line_of_ten_mebibytes_is_rebuilt() {
    let mut miner = Miner::default();
    check(&mut miner, &vec![b'x'; 10 << 20]);
    check(&mut miner, &b"word 12 ".repeat((10 << 20) / 8));
    check(&mut miner, &vec![0u8; 10 << 20]);
    check(&mut miner, &vec![0xffu8; 10 << 20]);
    assert_eq!(miner.counts().overflow_lines, 0);
}

/// Letters only, so that no mask makes the words one.
fn word(mut n: u64) -> String {
    let mut word = String::new();
    loop {
        word.push((b'a' + (n % 26) as u8) as char);
        n /= 26;
        if n == 0 {
            return word;
        }
    }
}

#[test]
fn any_number_of_templates_fits_into_the_bounds() {
    let bounds = Bounds { forms: 2_000, bytes: 4 << 20, cached: 1_000 };
    let mut miner = Miner::new(bounds);
    let mut state = 7u64;
    for n in 0..60_000u64 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let words: Vec<String> = (0..2 + state % 5).map(|i| word((state >> 20) ^ (i << 30) ^ n)).collect();
        check(&mut miner, words.join(" ").as_bytes());
        assert!(miner.forms() <= bounds.forms);
    }
    assert!(miner.counts().evicted_forms > 30_000);
}

#[test]
fn an_id_survives_generalisation_settling_and_restart() {
    let mut miner = Miner::default();
    let first = check(&mut miner, b"session opened by alice at console");
    let other = check(&mut miner, b"session opened by bob at console");
    assert_ne!(first, other);
    miner.settle();
    let merges = miner.take_merges();
    assert_eq!(merges.iter().map(|m| (m.old, m.new)).collect::<Vec<_>>(), [(other, first)]);
    assert_eq!(miner.resolve(other), first);
    assert_eq!(check(&mut miner, b"session opened by carol at console"), first);
    assert_eq!(miner.text(first), Some("session opened by <*> at console"));

    let mut again = Miner::load(&miner.save(), Bounds::default()).unwrap();
    assert_eq!(check(&mut again, b"session opened by dave at console"), first);
    assert_eq!(again.resolve(other), first);
    assert!(check(&mut again, b"something else") > other, "no id is given twice");
}

#[test]
fn a_state_says_why_it_cannot_be_read() {
    let state = Miner::default().save();
    assert!(matches!(Miner::load(&state[..9], Bounds::default()), Err(StateError::CutOff { found: 9, .. })));
    assert_eq!(
        Miner::load(&[b'?'; 64], Bounds::default()).unwrap_err(),
        StateError::OtherKind { wanted: "miner" }
    );
    let mut newer = state.clone();
    newer[8] = 99;
    assert_eq!(
        Miner::load(&newer, Bounds::default()).unwrap_err(),
        StateError::Version { found: 99, known: 1 }
    );
    let mut damaged = state;
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(Miner::load(&damaged, Bounds::default()).unwrap_err(), StateError::Damaged);
}

#[test]
fn the_same_lines_give_the_same_ids_and_texts() {
    let run = || {
        let mut miner = Miner::default();
        let ids: Vec<TemplateId> = (0..5_000u64)
            .map(|n| {
                check(&mut miner, format!("job {} of {} took {n} ms", word(n % 97), word(n % 7)).as_bytes())
            })
            .collect();
        miner.settle();
        let texts: Vec<(TemplateId, String)> =
            miner.templates().iter().map(|t| (t.id, t.text.to_owned())).collect();
        (ids, texts, miner.save())
    };
    assert_eq!(run(), run());
    assert!(run().0.iter().all(|id| *id != OVERFLOW));
}

fn texts(lines: &[&str]) -> Vec<String> {
    let mut miner = Miner::default();
    for line in lines {
        check(&mut miner, line.as_bytes());
    }
    miner.settle();
    miner.templates().iter().map(|t| t.text.to_owned()).collect()
}

#[test]
fn fields_are_values_but_a_message_in_a_field_names_the_event() {
    assert_eq!(
        texts(&[
            r#"level=info ts=2024-05-06T07:08:09Z msg="started server" addr=10.0.0.1:80"#,
            r#"level=info ts=2024-05-06T07:08:10Z msg="connection lost" addr=10.0.0.2:81"#,
            r#"level=warn ts=2024-05-06T07:08:11Z msg="started server" addr=db-1:81"#,
            r#"{"ts":1700000000.3,"msg":"started"}"#,
            r#"{"ts":1700000000.4,"msg":"stopped"}"#,
            r#"{"ts":1700000000.5,"msg":"paused"}"#,
        ]),
        [
            r#"level=<*> ts=<*> msg="started server" addr=<*>"#,
            r#"level=info ts=<*> msg="connection lost" addr=<*>"#,
            r#"{"ts":<*>,"msg":"started"}"#,
            r#"{"ts":<*>,"msg":"stopped"}"#,
            r#"{"ts":<*>,"msg":"paused"}"#,
        ]
    );
}

#[test]
fn templates_become_one_across_lengths_when_only_parameters_differ() {
    assert_eq!(
        texts(&[
            "names an1 an2 an3 found",
            "names an7 an8 an9 an10 an11 found",
            "moved to LOCAL(0), try 1",
            "moved to 10.0.0.1, try 2"
        ]),
        ["names <*> found", "moved to <*>, try <*>"]
    );
}

#[test]
fn states_stay_events_and_chinese_keeps_its_words() {
    assert_eq!(
        texts(&[
            "vm 1 Started now",
            "vm 2 Stopped now",
            "vm 3 Paused now",
            "vm 4 Resumed now",
            "用户登录成功，耗时12毫秒"
        ]),
        [
            "vm <*> Started now",
            "vm <*> Stopped now",
            "vm <*> Paused now",
            "vm <*> Resumed now",
            "用户登录成功，耗时<*>毫秒"
        ]
    );
}
