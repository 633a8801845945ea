//! What becomes of the lines of one target, scrape after scrape.

use wellkept_model::{MetricKind, is_stale};

use super::*;
use crate::relabel::{Action, RuleText};

const T0: TimestampMs = TimestampMs(1_000_000);

fn settings() -> Settings {
    Settings {
        honor_labels: false,
        honor_timestamps: true,
        track_timestamps_staleness: false,
        rules: Vec::new(),
        limits: Limits::default(),
    }
}

fn target() -> Labels {
    Labels::new([("job", "j"), ("instance", "i")])
}

/// A line of the small language of these tests: labels, value, time.
type Line<'a> = (&'a [(&'a str, &'a str)], f64, Option<i64>);

/// One scrape of these lines. The wire bytes of a line are the debug form of its labels.
fn scrape(
    cache: &mut Cache,
    settings: &Settings,
    at: i64,
    lines: &[Line<'_>],
) -> Result<(Scraped, Counts), (String, Counts)> {
    let target = target();
    let now = T0 + std::time::Duration::from_millis(at.unsigned_abs());
    let mut round = Round::begin(cache, settings, &target, now);
    for (labels, value, own) in lines {
        let wire = format!("{labels:?}").into_bytes();
        if !round.known(&wire) {
            round.series(&wire, labels);
        }
        round.float(own.map_or(now, TimestampMs), *value);
    }
    round.finish()
}

fn m(name: &str) -> [(&str, &str); 1] {
    [(METRIC_NAME, name)]
}

fn shown(scraped: &Scraped) -> Vec<String> {
    let mut all: Vec<String> = scraped
        .batch
        .samples
        .iter()
        .map(|(l, v)| if is_stale(*v) { format!("{l} stale") } else { format!("{l} {v}") })
        .collect();
    all.sort();
    all
}

#[test]
fn samples_get_the_labels_of_their_target() {
    let mut cache = Cache::default();
    let (scraped, counts) = scrape(&mut cache, &settings(), 0, &[(&m("a"), 1.0, None)]).expect("good");
    assert_eq!(shown(&scraped), [r#"a{instance="i", job="j"} 1"#]);
    assert_eq!(counts, Counts { scraped: 1, kept: 1, added: 1, repeated: 0 });
    let (_, counts) = scrape(&mut cache, &settings(), 1, &[(&m("a"), 2.0, None)]).expect("good");
    assert_eq!(counts, Counts { scraped: 1, kept: 1, added: 0, repeated: 0 });
}

#[test]
fn a_label_of_the_line_is_exported_or_honored() {
    let line: &[(&str, &str)] =
        &[(METRIC_NAME, "a"), ("job", "own"), ("exported_job", "x"), ("instance", "")];
    let (scraped, _) = scrape(&mut Cache::default(), &settings(), 0, &[(line, 1.0, None)]).expect("good");
    let expected = r#"a{exported_exported_job="own", exported_job="x", instance="i", job="j"} 1"#;
    assert_eq!(shown(&scraped), [expected]);
    let honor = Settings { honor_labels: true, ..settings() };
    let (scraped, _) = scrape(&mut Cache::default(), &honor, 0, &[(line, 1.0, None)]).expect("good");
    assert_eq!(shown(&scraped), [r#"a{exported_job="x", job="own"} 1"#]);
}

#[test]
fn a_series_that_has_gone_ends_once() {
    let mut cache = Cache::default();
    let both: &[Line<'_>] = &[(&m("a"), 1.0, None), (&m("b"), 2.0, None)];
    scrape(&mut cache, &settings(), 0, both).expect("good");
    let (scraped, _) = scrape(&mut cache, &settings(), 1, &both[..1]).expect("good");
    assert_eq!(shown(&scraped), [r#"a{instance="i", job="j"} 1"#, r#"b{instance="i", job="j"} stale"#]);
    let (scraped, _) = scrape(&mut cache, &settings(), 2, &both[..1]).expect("good");
    assert_eq!(shown(&scraped).len(), 1);
    let (_, counts) = scrape(&mut cache, &settings(), 3, both).expect("good");
    assert_eq!(counts.added, 1);
}

#[test]
fn a_failed_scrape_ends_everything_and_lines_are_still_known_after_it() {
    let mut cache = Cache::default();
    let both: &[Line<'_>] = &[(&m("a"), 1.0, None), (&m("b"), 2.0, None)];
    scrape(&mut cache, &settings(), 0, both).expect("good");
    let scraped = empty(&mut cache, &target(), T0);
    assert_eq!(shown(&scraped), [r#"a{instance="i", job="j"} stale"#, r#"b{instance="i", job="j"} stale"#]);
    assert!(shown(&empty(&mut cache, &target(), T0)).is_empty());
    let (scraped, counts) = scrape(&mut cache, &settings(), 2, both).expect("good");
    assert_eq!((shown(&scraped).len(), counts.added), (2, 0));
}

#[test]
fn a_sample_with_a_time_of_its_own_is_apart_and_does_not_end() {
    let mut cache = Cache::default();
    let (scraped, _) = scrape(&mut cache, &settings(), 0, &[(&m("a"), 1.0, Some(5))]).expect("good");
    assert!(scraped.batch.samples.is_empty());
    assert_eq!(scraped.stamped[0].1, Sample { at: TimestampMs(5), value: 1.0 });
    let (scraped, _) = scrape(&mut cache, &settings(), 1, &[]).expect("good");
    assert!(shown(&scraped).is_empty());
    let not_honored = Settings { honor_timestamps: false, ..settings() };
    let (scraped, _) = scrape(&mut cache, &not_honored, 2, &[(&m("a"), 1.0, Some(5))]).expect("good");
    assert_eq!((shown(&scraped).len(), scraped.stamped.len()), (1, 0));
    let tracked = Settings { track_timestamps_staleness: true, ..settings() };
    scrape(&mut cache, &tracked, 3, &[(&m("b"), 1.0, Some(5))]).expect("good");
    let (scraped, _) = scrape(&mut cache, &tracked, 4, &[]).expect("good");
    assert_eq!(shown(&scraped), [r#"b{instance="i", job="j"} stale"#]);
}

#[test]
fn of_two_samples_of_one_series_the_first_counts() {
    let rule = RuleText { regex: Some("x".into()), action: Action::LabelDrop, ..RuleText::default() };
    let settings = Settings { rules: vec![crate::relabel::Rule::new(rule).expect("good")], ..settings() };
    let (a, b) = ([(METRIC_NAME, "a"), ("x", "1")], [(METRIC_NAME, "a"), ("x", "2")]);
    let mut cache = Cache::default();
    for at in 0..2 {
        let (scraped, counts) =
            scrape(&mut cache, &settings, at, &[(&a, 1.0, None), (&b, 2.0, None)]).expect("good");
        assert_eq!(shown(&scraped), [r#"a{instance="i", job="j"} 1"#]);
        assert_eq!(counts.repeated, 1);
    }
}

#[test]
fn dropped_lines_are_counted_and_known_again() {
    let rule = RuleText {
        source_labels: vec![METRIC_NAME.into()],
        regex: Some("go_.*".into()),
        action: Action::Drop,
        ..RuleText::default()
    };
    let settings = Settings { rules: vec![crate::relabel::Rule::new(rule).expect("good")], ..settings() };
    let mut cache = Cache::default();
    for added in [1, 0] {
        let lines: &[Line<'_>] = &[(&m("a"), 1.0, None), (&m("go_x"), 2.0, None)];
        let (scraped, counts) = scrape(&mut cache, &settings, 0, lines).expect("good");
        assert_eq!(shown(&scraped).len(), 1);
        assert_eq!(counts, Counts { scraped: 2, kept: 1, added, repeated: 0 });
    }
    assert_eq!(cache.wires.len(), 2);
}

#[test]
fn limits_fail_the_whole_scrape() {
    let long: &[(&str, &str)] = &[(METRIC_NAME, "a"), ("name", "long value")];
    for (limits, words, scraped) in [
        (Limits { samples: 1, ..Limits::default() }, "sample limit exceeded (2 samples, limit 1)", 2),
        (Limits { labels: 3, ..Limits::default() }, "label_limit exceeded", 1),
        (Limits { label_name_length: 7, ..Limits::default() }, "label_name_length_limit exceeded", 1),
        (Limits { label_value_length: 9, ..Limits::default() }, "label_value_length_limit exceeded", 1),
    ] {
        let settings = Settings { limits, ..settings() };
        let result = scrape(&mut Cache::default(), &settings, 0, &[(long, 1.0, None), (&m("b"), 1.0, None)]);
        let (failure, counts) = result.expect_err("too much");
        assert!(failure.starts_with(words), "{failure}");
        assert_eq!(counts.scraped, scraped);
    }
    let nameless: &[(&str, &str)] = &[("a", "b")];
    assert!(scrape(&mut Cache::default(), &settings(), 0, &[(nameless, 1.0, None)]).is_err());
}

#[test]
fn new_rules_end_the_series_that_they_do_not_make() {
    let mut cache = Cache::default();
    scrape(&mut cache, &settings(), 0, &[(&m("a"), 1.0, None)]).expect("good");
    cache.forget_lines();
    let rule = RuleText { target_label: "new".into(), replacement: Some("x".into()), ..RuleText::default() };
    let other = Settings { rules: vec![crate::relabel::Rule::new(rule).expect("good")], ..settings() };
    let (scraped, _) = scrape(&mut cache, &other, 1, &[(&m("a"), 2.0, None)]).expect("good");
    assert_eq!(
        shown(&scraped),
        [r#"a{instance="i", job="j", new="x"} 2"#, r#"a{instance="i", job="j"} stale"#]
    );
}

#[test]
fn what_changes_all_the_time_does_not_fill_the_memory() {
    let mut cache = Cache::default();
    for n in 0..2000_i64 {
        let name = format!("a{n}");
        scrape(&mut cache, &settings(), n, &[(&m(&name), 1.0, None)]).expect("good");
    }
    assert!(cache.wires.len() <= 2 && cache.slots_used() <= 2);
    let narrow = Settings { limits: Limits { samples: 1, ..Limits::default() }, ..settings() };
    for n in 0..3000_i64 {
        let (a, b) = (format!("a{n}"), format!("b{n}"));
        scrape(&mut cache, &narrow, n, &[(&m(&a), 1.0, None), (&m(&b), 1.0, None)]).expect_err("too many");
        empty(&mut cache, &target(), T0);
    }
    assert!(cache.wires.len() <= 1010 && cache.slots_used() <= 1010);
}

#[test]
fn a_histogram_ends_as_one() {
    let mut cache = Cache::default();
    let (target, settings) = (target(), settings());
    let mut round = Round::begin(&mut cache, &settings, &target, T0);
    round.series(b"h", &m("h"));
    round.histogram(T0, Histogram { count: 3.0, ..Histogram::default() });
    let (scraped, _) = round.finish().expect("good");
    assert!((scraped.batch.histograms[0].1.count - 3.0).abs() < 1e-9);
    let scraped = empty(&mut cache, &target, T0);
    assert!(is_stale(scraped.batch.histograms[0].1.sum) && scraped.batch.samples.is_empty());
}

#[test]
fn metadata_is_told_when_it_is_new() {
    let mut cache = Cache::default();
    let (target, settings) = (target(), settings());
    let mut told = |kind| {
        let mut round = Round::begin(&mut cache, &settings, &target, T0);
        round.metadata(Metadata { family: "a".into(), kind, ..Metadata::default() });
        round.finish().expect("good").0.metadata.len()
    };
    assert_eq!([told(MetricKind::Gauge), told(MetricKind::Gauge), told(MetricKind::Counter)], [1, 0, 1]);
}

#[test]
fn the_automatic_series_are_the_only_ones_of_their_names() {
    let mut cache = Cache::default();
    let (mut scraped, counts) = scrape(&mut cache, &settings(), 0, &[(&m("up"), 7.0, None)]).expect("good");
    let series = ReportSeries::new(&target());
    series.add(&Report { up: true, duration: 0.5, counts }, &mut scraped);
    assert_eq!(
        shown(&scraped),
        [
            r#"scrape_duration_seconds{instance="i", job="j"} 0.5"#,
            r#"scrape_samples_post_metric_relabeling{instance="i", job="j"} 1"#,
            r#"scrape_samples_scraped{instance="i", job="j"} 1"#,
            r#"scrape_series_added{instance="i", job="j"} 1"#,
            r#"up{instance="i", job="j"} 1"#,
        ]
    );
}
