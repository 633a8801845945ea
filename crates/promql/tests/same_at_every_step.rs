//! A range query gives at each step what an instant query gives there: columns, cursors and windows that move
//! along many steps must not differ from looking once.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use wellkept_model::{Labels, TimestampMs};
use wellkept_promql::script::{Memory, series};
use wellkept_promql::{Limits, PointValue, Query, Value, instant, range};

const DATA: &str = r#"
  c{h="a", j="x"} 0 5 9 _ _ 20 3 8 _ 12 stale _ 15 18 22 30 _ _ _ _ _ _ _ 2 9 12
  c{h="a", j="y"} 100+7x12 _x5 3+2x20
  c{h="b", j="x"} _x9 1+1x15
  g{h="a"} 1 -2 NaN 4 5 _ _ stale 3 3 3 Inf 2
  g{h="b"} 7x30
  d{h="b"} 1 2 stale 5 6 7 stale 1 1 1
  old{h="a"} 1+1x10 stale
  new{h="a"} _x11 1+1x10
  b_bucket{le="1"} 0+1x30
  b_bucket{le="2"} 0+3x30
  b_bucket{le="+Inf"} 0+4x30
  n{h="a"} {{count:1 sum:2 buckets:[1]}}+{{count:2 sum:3 buckets:[1 1]}}x9 {{count:1 buckets:[1]}} stale _ {{schema:1 count:3 sum:1 buckets:[1 2]}}x4
  n{h="b"} {{schema:1 count:3 sum:1 buckets:[1 2]}}+{{schema:1 count:1 sum:1 buckets:[1]}}x20
  n{h="c"} 1 2 {{count:1 sum:1 buckets:[1]}} 3 _ 4 {{count:1 sum:1 buckets:[1]}}x9
"#;

const QUERIES: &[&str] = &[
    "c",
    "g offset 25s",
    "g @ 100",
    "rate(c[1m])",
    "increase(c[95s] offset 20s)",
    "irate(c[2m])",
    "delta(g[50s])",
    "deriv(c[2m])",
    "predict_linear(c[2m] offset 30s, 60)",
    "changes(g[3m])",
    "avg_over_time(g[45s])",
    "quantile_over_time(0.4, c[2m])",
    "last_over_time(d[40s])",
    "absent_over_time(d[20s])",
    "max_over_time(rate(c[40s])[2m:15s])",
    "sum_over_time(c[1m:7s] offset 5s)",
    "{__name__=~\"old|new\"} * 2",
    "sum by (h) (c)",
    "avg without (j) (c)",
    "stddev(c)",
    "topk(2, c)",
    "bottomk by (h) (1, c)",
    "quantile(time() / 1000, c)",
    "count_values(\"v\", round(c, 10))",
    "c > 8",
    "c >= bool on (h) group_left g",
    "c + on (h) group_left g",
    "g - on (h) group_right c",
    "sum by (h) (c) / on (h) g",
    "c and on (h) (g > 2)",
    "g unless on (h) d",
    "d or on (h) g",
    "scalar(d) + vector(time())",
    "absent(d)",
    "timestamp(c)",
    "clamp(g, time() / 100, 5)",
    "label_replace(c, \"k\", \"$1\", \"j\", \"(x)\")",
    "histogram_quantile(0.6, rate(b_bucket[1m]))",
    "-c % 4",
    "minute() + hour(g)",
    "n",
    "rate(n[1m])",
    "delta(n[45s])",
    "irate(n[1m])",
    "sum(n{h!=\"c\"})",
    "avg by (h) (n)",
    "n * 2 + on (h) n",
    "sum_over_time(n[30s])",
    "last_over_time(n[25s])",
    "resets(n[2m])",
    "changes(n[2m])",
    "histogram_quantile(0.7, n)",
    "histogram_fraction(0, 2, rate(n[1m]))",
    "histogram_stddev(n)",
    "n </ 1.5",
    "limitk(2, c)",
    "limit_ratio(0.5, {__name__=~\"c|g\"})",
    "c + fill(0) d",
    "max_over_time(c[1m] @ 100)",
    "max_over_time(g[1m])",
    "min_over_time(g[95s])",
    "min_over_time(c[2m] offset 15s)",
    "increase(c[3m])",
    "increase(c[1m] anchored)",
    "rate(c[75s] smoothed offset 10s)",
    "resets(c[1m] anchored)",
    "g smoothed",
    "avg(c)",
    "min by (j) (c)",
    "max(g)",
    "count by (j) ({h=~\".+\"})",
    "group by (h) (c)",
    "double_exponential_smoothing(c[2m], 0.3, 0.6)",
    "ts_of_max_over_time(g[1m]) - ts_of_first_over_time(g[1m])",
    "count by (__name__) ({h=\"a\"})",
];

/// Values by labels, NaN made comparable.
fn at_each_step(query: &str, start: i64, step: i64, count: i64) -> Vec<BTreeMap<Labels, String>> {
    let memory = memory();
    let limits = Limits::default();
    let query = Query::parse(query, &limits).expect(query);
    let (from, to) = (TimestampMs(start), TimestampMs(start + step * (count - 1)));
    let step = Duration::from_millis(step as u64);
    let got = range(&query, &memory, from, to, step, &limits, &|| false).expect("a range");
    let Value::Matrix(series) = got.value else { panic!("a range gives a matrix") };
    let mut steps = vec![BTreeMap::new(); count as usize];
    for one in series {
        let mut put = |at: TimestampMs, value: String| {
            let i = (at.0 - start) / step.as_millis() as i64;
            steps[i as usize].insert(one.labels.clone(), value);
        };
        one.samples.iter().for_each(|s| put(s.at, bits(s.value)));
        one.histograms.iter().for_each(|h| put(h.at, format!("{:?}", h.histogram)));
    }
    steps
}

fn once(query: &str, at: i64) -> BTreeMap<Labels, String> {
    let limits = Limits::default();
    let query = Query::parse(query, &limits).expect(query);
    match instant(&query, &memory(), TimestampMs(at), &limits, &|| false).expect("an instant").value {
        Value::Vector(vector) => vector
            .into_iter()
            .map(|(l, p)| match p.value {
                PointValue::Float(value) => (l, bits(value)),
                PointValue::Histogram(histogram) => (l, format!("{histogram:?}")),
            })
            .collect(),
        Value::Scalar { value, .. } => BTreeMap::from([(Labels::default(), bits(value))]),
        other => panic!("{other:?}"),
    }
}

fn bits(value: f64) -> String {
    if value.is_nan() { "NaN".to_owned() } else { format!("{:x}", value.to_bits()) }
}

fn memory() -> Memory {
    let mut memory = Memory::default();
    for line in DATA.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let (labels, values) = series(line, &Limits::default()).expect(line);
        memory.add(&labels, values, Duration::from_secs(10));
    }
    memory
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_range_is_its_instants(
        query in proptest::sample::select(QUERIES),
        start in -20_000_i64..320_000,
        step in prop_oneof![Just(10_000_i64), 1_i64..90_000],
        count in 1_i64..25,
    ) {
        let steps = at_each_step(query, start, step, count);
        for (i, got) in steps.into_iter().enumerate() {
            let at = start + step * i as i64;
            prop_assert_eq!(got, once(query, at), "{} at {} ms", query, at);
        }
    }
}
