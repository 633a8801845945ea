//! One ranking, as when an alarm is raised: milliseconds a scene.
//!
//! Workload: a host's worth of entities in a chain of calls, ten series each with ten minutes a second apart, the last
//! minute ill; with and without a request's five steps a hundred times a second for a minute on both sides.
//! Expected from the work (sorting 600 values a series; two trees of 30 000 steps): under a millisecond a hundred series,
//! some tens of milliseconds for the steps.
//!
//! `cargo bench -p wellkept-rootcause --bench rank`

use wellkept_model::{Sample, TimestampMs};
use wellkept_rootcause::{Alarm, Call, MetricKind, MetricSeries, Names, Scene, Span, SpanSet, rank};

fn main() {
    divan::main();
}

const METRICS: [&str; 10] = [
    "latency",
    "availability",
    "requests",
    "errors",
    "cpu (%)",
    "memory",
    "bytes",
    "queue",
    "threads",
    "free_bytes",
];

fn series(entity: usize, metric: &str, ill: bool) -> MetricSeries {
    let value = |i: i64| 100.0 + ((i * 37) % 11) as f64 + if ill && i >= 540 { 300.0 } else { 0.0 };
    let samples = (0..600).map(|i| Sample { at: TimestampMs(i * 1000), value: value(i) }).collect();
    let kind = MetricKind::of_name(metric);
    MetricSeries {
        entity: format!("e{entity:03}"),
        metric: metric.into(),
        kind,
        reference: Vec::new(),
        samples,
    }
}

fn steps(names: &mut Names, requests: u32, extra_ns: i64) -> SpanSet {
    let mut spans = Vec::new();
    for request in 0..requests {
        let begin = i64::from(request) * 10_000_000;
        for depth in 0..5 {
            let (entity, operation) = (names.number(&format!("e{depth:03}")), names.number("serve"));
            let (inset, id) = (i64::from(depth) * 100_000, request * 5 + depth);
            let parent = (depth > 0).then(|| id - 1);
            let (start_ns, end_ns) = (begin + inset, begin + 2_000_000 + extra_ns - inset);
            spans.push(Span { id, parent, entity, operation, start_ns, end_ns });
        }
    }
    SpanSet { spans, events: Vec::new() }
}

fn scene(entities: usize, at: Option<i64>) -> Scene {
    let all = (0..entities).flat_map(|e| METRICS.map(|m| series(e, m, e < 5)));
    let call = |e: usize| Call { from: format!("e{e:03}"), to: format!("e{:03}", e + 1) };
    Scene {
        alarm: Alarm { at: at.map(TimestampMs), ..Alarm::default() },
        series: all.collect(),
        calls: (0..entities.saturating_sub(1)).map(call).collect(),
        ..Scene::default()
    }
}

#[divan::bench(args = [10, 50, 100])]
fn entities(bencher: divan::Bencher, entities: usize) {
    bencher.with_inputs(|| scene(entities, Some(540_000))).bench_refs(|s| rank(s));
}

#[divan::bench(args = [10, 50, 100])]
fn entities_without_the_time_of_the_alarm(bencher: divan::Bencher, entities: usize) {
    bencher.with_inputs(|| scene(entities, None)).bench_refs(|s| rank(s));
}

#[divan::bench]
fn steps_of_6000_requests(bencher: divan::Bencher) {
    let mut all = scene(10, Some(540_000));
    all.normal = vec![steps(&mut all.names, 6000, 0)];
    all.since = steps(&mut all.names, 6000, 5_000_000);
    bencher.bench(|| rank(&all));
}
