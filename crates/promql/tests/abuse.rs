//! Queries that mean harm: each ends soon, with an error that says why, on a thread with a small stack.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use wellkept_model::{
    Histogram, HistogramSample, Labels, Matcher, ResetHint, Sample, SeriesData, SeriesSource, SourceError,
    SourceLimits, Span, TimestampMs,
};
use wellkept_promql::{
    Limits, Outcome, Query, QueryError, format_query, instant, parse_query, range, script, selector,
};

/// Gives `series` series with one sample per second, without end.
struct Endless {
    series: usize,
}

impl SeriesSource for Endless {
    fn select(
        &self,
        _: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<SeriesData>, SourceError> {
        let seconds = from.0.div_euclid(1000)..=to.0.div_euclid(1000);
        let each = (to.0 - from.0) / 1000 + 1;
        if i128::from(each) * self.series as i128 > limits.samples as i128 {
            return Err(SourceError::TooMuch { what: "samples", limit: limits.samples });
        }
        let samples: Vec<_> =
            seconds.map(|s| Sample { at: TimestampMs(s * 1000), value: s as f64 }).collect();
        let labels = |i| Labels::metric("m", [("i", format!("{i}").as_str())]);
        Ok((0..self.series).map(|i| SeriesData::floats(labels(i), samples.clone())).collect())
    }

    fn series(
        &self,
        _: &[Matcher],
        _: TimestampMs,
        _: TimestampMs,
        _: &SourceLimits,
    ) -> Result<Vec<Labels>, SourceError> {
        Ok(Vec::new())
    }
}

/// Half of what a thread of the standard library gets.
const STACK: usize = 1 << 20;

fn on_a_small_stack(f: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(f)
        .expect("a thread starts")
        .join()
        .expect("no panic");
}

fn ask(text: &str, series: usize) -> Result<Outcome, QueryError> {
    let limits = Limits::default();
    instant(&Query::parse(text, &limits)?, &Endless { series }, TimestampMs(600_000), &limits, &|| false)
}

fn ask_range(text: &str, seconds: i64, step: Duration) -> Result<Outcome, QueryError> {
    let limits = Limits::default();
    let query = Query::parse(text, &limits)?;
    let to = TimestampMs(seconds.saturating_mul(1000));
    range(&query, &Endless { series: 10 }, TimestampMs(0), to, step, &limits, &|| false)
}

fn refused(text: &str) -> String {
    let error = Query::parse(text, &Limits::default()).expect_err(&text[..text.len().min(80)]);
    assert_eq!(error.error_type(), "bad_data");
    error.to_string()
}

#[test]
fn a_query_of_one_mebibyte_is_refused() {
    on_a_small_stack(|| {
        assert!(refused(&"a".repeat(1 << 20)).contains("at most 65536"));
        assert!(refused(&"(".repeat(1 << 20)).contains("at most 65536"));
        assert!(selector(&"a".repeat(1 << 20), &Limits::default()).is_err());
    });
}

#[test]
fn ten_thousand_operators_are_refused() {
    on_a_small_stack(|| {
        for op in ["+", "^", " or ", " > ", "*-"] {
            assert!(refused(&format!("m{}", format!("{op}m").repeat(10_000))).contains("operators"), "{op}");
        }
    });
}

#[test]
fn ten_thousand_brackets_are_refused() {
    on_a_small_stack(|| {
        let close = ")".repeat(10_000);
        for open in ["(", "abs(", "-(", "sum("] {
            assert!(refused(&format!("{}m{close}", open.repeat(10_000))).contains("nested"), "{open}");
        }
        assert!(refused(&"[".repeat(10_000)).contains("nested"));
    });
}

#[test]
fn the_longest_and_the_deepest_accepted_query_fit_a_small_stack() {
    on_a_small_stack(|| {
        for op in ["+", " or ", " > bool "] {
            ask(&format!("m{}", format!("{op}m").repeat(500)), 1).expect(op);
            ask(&format!("sum(m{})", format!("{op}m").repeat(500)), 1).expect(op);
        }
        for (open, times) in [("(", 64), ("abs(", 64), ("sum(", 64), ("sum(1+", 32), ("-(", 64), ("1+(", 64)]
        {
            ask(&format!("{}m{}", open.repeat(times), ")".repeat(times)), 1).expect(open);
        }
        ask(&format!("{}m{}", "max_over_time(".repeat(30), "[5s:1s])".repeat(30)), 1)
            .expect("each level reaches a little further back");
    });
}

#[test]
fn depth_without_brackets_is_refused() {
    on_a_small_stack(|| {
        assert!(refused(&format!("m{}", "^m".repeat(400))).contains("nested"));
        assert!(refused(&format!("{}m", "-".repeat(400))).contains("nested"));
    });
}

#[test]
fn patterns_that_explode_are_refused() {
    on_a_small_stack(|| {
        assert!(refused(r#"m{a=~"((x{1000}){1000}){1000}"}"#).contains("size limit"));
        assert!(refused(r#"m{a=~"(\\pL{100}){100}"}"#).contains("size limit"));
        assert!(refused(&format!("m{{a=~\"{}\"}}", "(".repeat(10_000))).contains("not accepted"));
        let nested = format!("{}{}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(refused(&format!("m{{a=~\"{nested}\"}}")).contains("not accepted"));
        assert!(
            refused(r#"label_replace(m, "a", "b", "c", "((x{1000}){1000}){1000}")"#).contains("size limit")
        );
        assert!(refused(&format!("m{{{}}}", r#"a=~"x","#.repeat(1000))).contains("regular expressions"));
    });
}

#[test]
fn a_pattern_that_backtracks_elsewhere_takes_no_time_here() {
    let query = r#"label_replace(m, "a", "$1", "i", "(1*)*(1*)*(1*)*x")"#;
    assert!(ask(query, 1).is_ok());
}

#[test]
fn too_many_steps_are_refused_before_anything_is_read() {
    let error = ask_range("m", 11_001, Duration::from_secs(1)).expect_err("11,002 steps");
    assert!(error.to_string().contains("exceeded maximum resolution of 11000 points"));
    assert_eq!(error.error_type(), "bad_data");
    let error = ask_range("m", i64::MAX, Duration::from_millis(1)).expect_err("2^63 steps");
    assert!(error.to_string().contains("exceeded maximum resolution"));
    assert!(ask_range("m", 10_999, Duration::from_secs(1)).is_ok());
}

#[test]
fn a_step_of_zero_and_an_end_before_the_start_are_refused() {
    assert!(ask_range("m", 10, Duration::ZERO).expect_err("step 0").to_string().contains("step widths"));
    assert!(ask_range("m", 10, Duration::from_nanos(1)).is_err());
    assert!(
        ask_range("m", -10, Duration::from_secs(1)).expect_err("end").to_string().contains("before start")
    );
}

#[test]
fn a_range_over_all_time_is_too_much() {
    let error = ask("m[285y]", 10).expect_err("billions of samples");
    assert_eq!(error.error_type(), "execution");
    let error = ask("count_over_time(vector(1)[285y:1ms])", 1).expect_err("billions of steps");
    assert!(matches!(error, QueryError::TooMuch { what: "samples", .. }), "{error}");
    let error = ask(&format!("{}vector(1){}", "max_over_time(".repeat(30), "[1d:1s])".repeat(30)), 1);
    assert_eq!(error.expect_err("steps add up").error_type(), "execution");
}

#[test]
fn more_series_than_allowed_are_too_much() {
    let limits = Limits { series: 1000, ..Limits::default() };
    let query = Query::parse("m", &limits).expect("a query");
    let ask = |series| instant(&query, &Endless { series }, TimestampMs(0), &limits, &|| false);
    assert!(ask(1000).is_ok());
    let error = ask(1001).expect_err("1,001 series");
    assert!(matches!(error, QueryError::TooMuch { what: "series", .. }), "{error}");
}

#[test]
fn histograms_that_are_made_on_the_way_are_paid_for() {
    let wide = Histogram {
        count: 1e4,
        positive_spans: vec![Span { offset: 0, length: 10_000 }],
        positive: vec![1.0; 10_000],
        ..Histogram::default()
    };
    let limits = Limits::default();
    let query = Query::parse("h * 2", &limits).expect("a query");
    let (to, step) = (TimestampMs(10_000_000), Duration::from_secs(1));
    let source = Histograms(vec![wide]);
    // One histogram is seen at 300 steps; a budget that holds 100 of them is not enough.
    let limits = Limits { samples: 500_000, ..limits };
    let got = range(&query, &source, TimestampMs(0), to, step, &limits, &|| false);
    assert!(matches!(got, Err(QueryError::TooMuch { what: "samples", .. })), "{got:?}");
}

#[test]
fn many_values_cannot_be_made_into_more_labels_than_the_budget_holds() {
    let error = ask_range(
        r#"count_values("v", m + on() group_left vector(time()) * 7)"#,
        10_000,
        Duration::from_secs(1),
    );
    assert!(matches!(error, Err(QueryError::TooMuch { what: "samples", .. })), "{error:?}");
}

#[test]
fn a_replacement_cannot_multiply_a_label_without_bound() {
    let long = "$0".repeat(30_000);
    let query = format!(
        r#"label_replace(label_replace(m, "i", "{}", "", ""), "j", "{long}", "i", ".*")"#,
        "x".repeat(100)
    );
    assert!(ask(&query, 1).expect_err("3 MB").to_string().contains("at most 65536"));
}

#[test]
fn instants_at_the_ends_of_time_do_not_overflow() {
    let limits = Limits::default();
    let source = Endless { series: 0 };
    for at in [i64::MIN, i64::MIN + 1, -1, i64::MAX] {
        for text in [
            "time()",
            "year()",
            "vector(1)",
            "sum_over_time(vector(1)[5m:1m])",
            "m offset 100y",
            "m offset -100y",
        ] {
            let query = Query::parse(text, &limits).expect(text);
            instant(&query, &Nothing, TimestampMs(at), &limits, &|| false).expect(text);
        }
    }
    let query = Query::parse("vector(1)", &limits).expect("a query");
    let step = Duration::from_millis(u64::MAX);
    let got = range(&query, &source, TimestampMs(i64::MIN), TimestampMs(i64::MAX), step, &limits, &|| false);
    assert!(got.is_ok());
}

/// Has no series.
struct Nothing;

impl SeriesSource for Nothing {
    fn select(
        &self,
        _: &[Matcher],
        _: TimestampMs,
        _: TimestampMs,
        _: &SourceLimits,
    ) -> Result<Vec<SeriesData>, SourceError> {
        Ok(Vec::new())
    }

    fn series(
        &self,
        _: &[Matcher],
        _: TimestampMs,
        _: TimestampMs,
        _: &SourceLimits,
    ) -> Result<Vec<Labels>, SourceError> {
        Ok(Vec::new())
    }
}

#[test]
fn a_cancelled_query_ends_soon_and_an_idle_flag_is_asked_often() {
    let limits = Limits::default();
    let query = Query::parse("sum(quantile_over_time(0.5, m[1h]))", &limits).expect("a query");
    let asked = Cell::new(0);
    let third_time = || {
        asked.set(asked.get() + 1);
        asked.get() >= 3
    };
    let (from, to) = (TimestampMs(0), TimestampMs(3_600_000));
    let got = range(&query, &Endless { series: 100 }, from, to, Duration::from_secs(1), &limits, &third_time);
    assert!(matches!(got, Err(QueryError::Timeout)));
    assert_eq!(asked.get(), 3);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_of_promql_words_panics(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..25)) {
        let text = words.concat();
        let _ = ask(&text, 2);
    }

    #[test]
    fn no_text_at_all_panics(text in "\\PC{0,60}") {
        let _ = Query::parse(&text, &Limits::default());
    }

    #[test]
    fn what_is_printed_is_read_as_the_same(
        words in proptest::collection::vec(proptest::sample::select(WORDS), 0..12),
    ) {
        let limits = Limits::default();
        if let Ok(query) = Query::parse(&words.concat(), &limits) {
            let printed = query.print();
            let again = Query::parse(&printed, &limits);
            proptest::prop_assert_eq!(again.map(|q| q.print()).map_err(|e| e.to_string()), Ok(printed.clone()));
            let pretty = format_query(&printed, &limits).expect("it was read before");
            let again = Query::parse(&pretty, &limits).map(|q| q.print());
            proptest::prop_assert_eq!(again.map_err(|e| e.to_string()), Ok(printed.clone()));
            proptest::prop_assert!(parse_query(&printed, &limits).is_ok());
        }
    }

    #[test]
    fn no_script_panics(lines in proptest::collection::vec(proptest::sample::select(LINES), 0..25)) {
        let limits = Limits { samples: 10_000, ..Limits::default() };
        let report = script::run(&lines.join("\n"), &limits, &|| false);
        proptest::prop_assert!(report.cases.len() <= lines.len());
    }

    #[test]
    fn no_text_at_all_is_a_script_that_panics(text in "(\\PC{0,20}\n){0,6}") {
        let _ = script::run(&text, &Limits::default(), &|| false);
    }

    #[test]
    fn no_histogram_panics(
        histograms in proptest::collection::vec(histogram(), 1..6),
        query in proptest::sample::select(HISTOGRAM_QUERIES),
    ) {
        let limits = Limits::default();
        let source = Histograms(histograms);
        let query = Query::parse(query, &limits).expect(query);
        let (from, to) = (TimestampMs(0), TimestampMs(6000));
        let _ = range(&query, &source, from, to, Duration::from_secs(1), &limits, &|| false);
        let _ = instant(&query, &source, to, &limits, &|| false);
    }
}

/// One series `h` with a native histogram per second, and one `g` with the same in another order.
struct Histograms(Vec<Histogram>);

impl SeriesSource for Histograms {
    fn select(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        _: &SourceLimits,
    ) -> Result<Vec<SeriesData>, SourceError> {
        let series = |name: &str, histograms: Vec<&Histogram>| {
            let at = |i: usize| TimestampMs(i as i64 * 1000);
            let all = histograms.into_iter().enumerate();
            let samples = all.map(|(i, h)| HistogramSample { at: at(i), histogram: Arc::new(h.clone()) });
            let histograms = samples.filter(|s| (from..=to).contains(&s.at)).collect();
            SeriesData { labels: Labels::metric(name, []), histograms, ..SeriesData::default() }
        };
        let all = [series("g", self.0.iter().rev().collect()), series("h", self.0.iter().collect())];
        let fits = |s: &SeriesData| matchers.iter().all(|m| m.matches(s.labels.get(m.name())));
        Ok(all.into_iter().filter(fits).collect())
    }

    fn series(
        &self,
        _: &[Matcher],
        _: TimestampMs,
        _: TimestampMs,
        _: &SourceLimits,
    ) -> Result<Vec<Labels>, SourceError> {
        Ok(Vec::new())
    }
}

/// Any histogram that a stranger could send: its parts need not fit each other.
fn histogram() -> impl Strategy<Value = Histogram> {
    let number = || {
        prop_oneof![
            Just(0.0),
            Just(f64::NAN),
            Just(f64::INFINITY),
            Just(-1.0),
            Just(f64::MAX),
            Just(f64::MIN_POSITIVE),
            0.0..100.0_f64
        ]
    };
    let span = || {
        (prop_oneof![Just(i32::MIN), Just(i32::MAX), -5..5_i32], prop_oneof![Just(u32::MAX), 0..4_u32])
            .prop_map(|(offset, length)| Span { offset, length })
    };
    let spans = || proptest::collection::vec(span(), 0..4);
    let numbers = || proptest::collection::vec(number(), 0..8);
    let schema = prop_oneof![Just(-53), Just(i32::MIN), Just(i32::MAX), -5..9_i32];
    let hint = prop_oneof![
        Just(ResetHint::Unknown),
        Just(ResetHint::Reset),
        Just(ResetHint::NoReset),
        Just(ResetHint::Gauge)
    ];
    let head = (schema, number(), number(), number(), number(), hint);
    (head, spans(), numbers(), spans(), numbers(), numbers()).prop_map(
        |(head, positive_spans, positive, negative_spans, negative, custom_values)| Histogram {
            schema: head.0,
            zero_threshold: head.1,
            zero_count: head.2,
            count: head.3,
            sum: head.4,
            reset_hint: head.5,
            positive_spans,
            positive,
            negative_spans,
            negative,
            custom_values,
        },
    )
}

const HISTOGRAM_QUERIES: &[&str] = &[
    "h",
    "rate(h[3s])",
    "delta(h[4s])",
    "irate(h[5s])",
    "idelta(h[5s])",
    "resets(h[9s])",
    "changes(h[9s])",
    "sum({__name__=~\"g|h\"})",
    "avg({__name__=~\"g|h\"})",
    "sum_over_time(h[9s])",
    "avg_over_time(h[9s])",
    "h + on () g",
    "h - on () g",
    "h == on () g",
    "h * 2 / 3",
    "h / 0",
    "-h",
    "h </ 1.5",
    "h >/ 1.5",
    "h </ NaN",
    "h >/ -1",
    "histogram_quantile(0.3, h)",
    "histogram_quantile(0.9, h)",
    "histogram_quantiles(h, \"q\", 0, 1)",
    "histogram_fraction(-1, 2, h)",
    "histogram_stddev(h)",
    "histogram_avg(h)",
    "count_values(\"v\", h)",
    "max_over_time(rate(h[2s])[4s:1s])",
];

const LINES: &[&str] = &[
    "",
    "clear",
    "load 1m",
    "load_with_nhcb 30s",
    "load",
    "  m 1 2+3x4 _ stale",
    "  m{i=\"1\"} NaN Inf -5x2",
    "  b_bucket{le=\"1\"} 1 2",
    "  b_bucket{le=\"+Inf\"} 0 5",
    "  m {{schema:1 count:2 sum:3 buckets:[1 1] offset:-2}}+{{count:1}}x3",
    "  m {{schema:99 z_bucket_w:NaN buckets:[1 2 3] n_buckets:[1]}}",
    "  {{",
    "  m 1x99999999999999",
    "eval instant at 1m m",
    "eval instant at 1m rate(m[5m])",
    "eval range from 0 to 5m step 1m sum(m)",
    "eval range from 0 to 5m step 0 m",
    "eval instant at x m",
    "eval_ordered instant at 0 sort(m)",
    "eval_fail instant at 0 m{",
    "  expect fail regex: (((",
    "  expect warn",
    "  expect no_warn",
    "  expect range vector from 0 to 1m step 1m",
    "  5",
    "  {} 1",
    "é",
];

const WORDS: &[&str] = &[
    "m",
    "up",
    "(",
    ")",
    "[5m]",
    "[1m:10s]",
    "[",
    "]",
    "{",
    "}",
    "{i=\"1\"}",
    "{i=~\"1|2\"}",
    " offset ",
    "1m",
    " @ ",
    "start()",
    "end()",
    "1e5",
    "0x1F",
    "077",
    "NaN",
    "Inf",
    "-",
    "+",
    "*",
    "/",
    "%",
    "^",
    " == ",
    " != ",
    "> bool ",
    " and ",
    " or ",
    " unless ",
    " on(i) ",
    " ignoring(i) ",
    " group_left ",
    " group_right(x) ",
    "sum",
    "sum(",
    "topk(",
    " by (i) ",
    " without () ",
    "rate(",
    "label_replace(",
    "\"a\"",
    "'b'",
    "`c`",
    "\"\\n\"",
    "\"\\é\"",
    ",",
    " ",
    "#",
    "\n",
    "1",
    "0",
    ".5",
    ":",
    "avg_over_time(",
    "absent(",
    "histogram_quantile(",
    "count_values(",
    "=~",
    "=",
    "!~",
    "é",
    "5",
    " </ ",
    " >/ ",
    " fill(0) ",
    " fill_left(1) ",
    "info(",
    "limitk(",
    "limit_ratio(",
    "sort_by_label(",
    "histogram_fraction(",
    "histogram_quantiles(",
    "[step()]",
    "[5m+range():max(1s,2)]",
    " offset -(1m*2) ",
    "{\"a.b\"}",
    " by (\"c d\") ",
    " atan2 ",
    " anchored ",
    " smoothed ",
    "time()",
    "1h30m",
];
