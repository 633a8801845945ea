//! What the engine says about small scenes whose truth is plain, and that nothing makes it panic.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use proptest::prelude::*;
use wellkept_model::{Sample, TimestampMs};
use wellkept_rootcause::{
    Alarm, Call, Confidence, MetricKind, MetricSeries, Names, Ranking, Scene, SignKind, Span, SpanEvent,
    SpanSet, rank,
};

/// When trouble begins in these scenes.
const ALARM: i64 = 600_000;

fn metric(entity: &str, name: &str, calm: f64, ill: f64) -> MetricSeries {
    let value = |i: i64| if i * 60_000 >= ALARM { ill } else { calm * (1.0 + 0.01 * (i % 3) as f64) };
    let samples = (0..15).map(|i| Sample { at: TimestampMs(i * 60_000), value: value(i) }).collect();
    let kind = MetricKind::of_name(name);
    MetricSeries { entity: entity.into(), metric: name.into(), kind, reference: Vec::new(), samples }
}

fn scene(series: Vec<MetricSeries>, calls: &[(&str, &str)]) -> Scene {
    let calls = calls.iter().map(|(a, b)| Call { from: (*a).into(), to: (*b).into() }).collect();
    let alarm = Alarm { at: Some(TimestampMs(ALARM)), ..Alarm::default() };
    Scene { alarm, series, calls, ..Scene::default() }
}

fn first(ranking: &Ranking) -> (&str, Option<SignKind>) {
    let c = &ranking.candidates[0];
    (&c.entity, c.signs.first().map(|s| s.kind))
}

/// Steps of a small shop: `web` asks `app`, `app` asks `db` and notes what it did.
struct Shop {
    names: Names,
    /// Nanoseconds that a call to `db` spends on the way, inside `db`, and inside `app`.
    way: i64,
    inside_db: i64,
    inside_app: i64,
    /// Of every ten runs of `app`, how many break off after the call.
    broken: u32,
}

const MS: i64 = 1_000_000;

impl Shop {
    fn new() -> Self {
        Self { names: Names::default(), way: MS, inside_db: 5 * MS, inside_app: 10 * MS, broken: 0 }
    }

    fn set(&mut self, runs: u32) -> SpanSet {
        let mut set = SpanSet::default();
        for run in 0..runs {
            let begin = i64::from(run) * 1_000 * MS;
            let call = begin + MS + self.inside_app / 2;
            let db = (call + self.way / 2, call + self.way / 2 + self.inside_db);
            let back = db.1 + self.way / 2;
            let end = back + self.inside_app / 2;
            let steps = [
                ("web", "GET /", begin, end + 2 * MS),
                ("web", "call app", begin + MS / 2, end + MS),
                ("app", "order", begin + MS, end),
                ("app", "call db", call, back),
                ("db", "SELECT", db.0, db.1),
            ];
            for ((entity, operation, start_ns, end_ns), i) in steps.into_iter().zip(0..) {
                let (entity, operation) = (self.names.number(entity), self.names.number(operation));
                let parent = (i > 0).then(|| run * 5 + i - 1);
                set.spans.push(Span { id: run * 5 + i, parent, entity, operation, start_ns, end_ns });
            }
            let line = if run % 10 < self.broken { "ERROR order.rs:7" } else { "INFO order.rs:9" };
            let what = self.names.number(line);
            set.events.push(SpanEvent { span: run * 5 + 2, at_ns: end - 1, what });
        }
        set
    }

    fn rank(normal: Self, mut change: impl FnMut(&mut Self)) -> Ranking {
        let mut shop = normal;
        let normal = vec![shop.set(50)];
        change(&mut shop);
        let since = shop.set(60);
        let alarm = Alarm { at: Some(TimestampMs(ALARM)), ..Alarm::default() };
        rank(&Scene { alarm, names: shop.names, normal, since, ..Scene::default() })
    }
}

#[test]
fn slowness_is_blamed_on_whom_no_callee_explains() {
    let series = [("web", 0.2, 2.2), ("app", 0.1, 2.1), ("db", 0.01, 0.01)]
        .map(|(e, calm, ill)| metric(e, "latency", calm, ill))
        .to_vec();
    assert_eq!(first(&rank(&scene(series, &[("web", "app"), ("app", "db")]))), ("app", Some(SignKind::Slow)));
}

#[test]
fn failures_are_blamed_on_whom_no_callee_explains() {
    let series = ["web", "app", "db"]
        .map(|e| metric(e, "availability", 100.0, if e == "db" { 100.0 } else { 80.0 }))
        .to_vec();
    assert_eq!(
        first(&rank(&scene(series, &[("web", "app"), ("app", "db")]))),
        ("app", Some(SignKind::Failing))
    );
}

#[test]
fn a_callee_that_never_was_before_is_its_callers_doing() {
    let mut new = metric("typo-db", "availability", f64::NAN, 0.0);
    new.samples.retain(|s| s.at.0 >= ALARM);
    let series =
        vec![metric("app", "availability", 100.0, 70.0), metric("web", "availability", 100.0, 70.0), new];
    let ranking = rank(&scene(series, &[("web", "app"), ("app", "typo-db")]));
    assert_eq!(first(&ranking).0, "app", "{ranking:?}");
}

#[test]
fn a_full_resource_comes_before_the_slowness_that_it_makes() {
    let series = vec![
        metric("web", "latency", 0.2, 1.2),
        metric("app", "latency", 0.1, 1.1),
        metric("db", "cpu_usage_ratio", 0.1, 0.99),
    ];
    assert_eq!(first(&rank(&scene(series, &[("web", "app"), ("app", "db")]))), ("db", Some(SignKind::Full)));
}

#[test]
fn less_of_what_is_left_is_a_full_resource_and_more_is_not() {
    let series =
        |ill| vec![metric("a", "memory_available_bytes", 5e9, ill), metric("b", "latency", 1.0, 1.0)];
    assert_eq!(first(&rank(&scene(series(1e8), &[]))), ("a", Some(SignKind::Full)));
    assert!(rank(&scene(series(9e9), &[])).candidates.iter().all(|c| c.signs.is_empty()));
}

#[test]
fn an_entity_that_the_alarm_does_not_lean_on_comes_later() {
    let series = ["web", "app", "other"].map(|e| metric(e, "latency", 0.1, 1.1)).to_vec();
    let mut scene = scene(series, &[("web", "app")]);
    scene.alarm.entity = Some("web".into());
    scene.alarm.kind = Some(MetricKind::Latency);
    assert_eq!(rank(&scene).candidates[0].entity, "app");
}

#[test]
fn time_inside_an_entity_is_its_own() {
    assert_eq!(first(&Shop::rank(Shop::new(), |s| s.inside_db = 400 * MS)).0, "db");
    assert_eq!(first(&Shop::rank(Shop::new(), |s| s.inside_app = 400 * MS)).0, "app");
}

#[test]
fn time_on_the_way_belongs_to_the_end_whose_other_ways_are_slow_as_well() {
    // `app` has a fast way to `web`, `db` has no other way.
    assert_eq!(first(&Shop::rank(Shop::new(), |s| s.way = 300 * MS)), ("db", Some(SignKind::Slow)));
}

#[test]
fn work_that_ends_in_trouble_is_a_sign_of_who_wrote_so() {
    assert_eq!(first(&Shop::rank(Shop::new(), |s| s.broken = 5)), ("app", Some(SignKind::Changed)));
}

#[test]
fn steps_as_usual_are_no_sign() {
    let ranking = Shop::rank(Shop::new(), |_| ());
    assert_eq!(ranking.confidence, Confidence::Unknown, "{ranking:?}");
}

#[test]
fn an_empty_scene_has_an_empty_ranking() {
    let ranking = rank(&Scene::default());
    assert_eq!((ranking.confidence, ranking.candidates.len()), (Confidence::Unknown, 0));
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => -1e3..1e6_f64,
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(f64::MAX),
        2 => Just(0.0),
        2 => Just(7.0),
    ]
}

fn any_series() -> impl Strategy<Value = MetricSeries> {
    let names =
        ["latency", "availability", "requests", "errors_total", "cpu (%)", "queue", "zorg", "free_bytes"];
    let samples = prop::collection::vec((any_value(), 0..2_000_000_i64), 0..20);
    (0..6_usize, prop::sample::select(names.to_vec()), prop::collection::vec(any_value(), 0..12), samples)
        .prop_map(|(entity, name, reference, mut samples)| {
            samples.sort_by_key(|s| s.1);
            let samples =
                samples.into_iter().map(|(value, at)| Sample { at: TimestampMs(at), value }).collect();
            let kind = MetricKind::of_name(name);
            MetricSeries { entity: format!("e{entity}"), metric: name.into(), kind, reference, samples }
        })
}

fn any_span() -> impl Strategy<Value = Span> {
    (0..30_u32, prop::option::of(0..30_u32), 0..4_u32, 4..8_u32, any::<i64>(), any::<i64>()).prop_map(
        |(id, parent, entity, operation, start_ns, end_ns)| Span {
            id,
            parent,
            entity,
            operation,
            start_ns,
            end_ns,
        },
    )
}

fn any_set() -> impl Strategy<Value = SpanSet> {
    let event =
        (0..40_u32, any::<i64>(), 8..11_u32).prop_map(|(span, at_ns, what)| SpanEvent { span, at_ns, what });
    (prop::collection::vec(any_span(), 0..60), prop::collection::vec(event, 0..30))
        .prop_map(|(spans, events)| SpanSet { spans, events })
}

fn any_scene() -> impl Strategy<Value = Scene> {
    let call =
        (0..6_usize, 0..6_usize).prop_map(|(a, b)| Call { from: format!("e{a}"), to: format!("e{b}") });
    (
        prop::option::of(any::<i64>()),
        prop::option::of(0..7_usize),
        prop::collection::vec(any_series(), 0..20),
        prop::collection::vec(call, 0..12),
        prop::collection::vec(any_set(), 0..3),
        any_set(),
    )
        .prop_map(|(at, entity, series, calls, normal, since)| {
            let mut names = Names::default();
            for i in 0..11 {
                names.number(&format!("e{i}"));
            }
            let kind = series.first().map(|s| s.kind);
            let alarm = Alarm { at: at.map(TimestampMs), entity: entity.map(|e| format!("e{e}")), kind };
            Scene { alarm, series, calls, names, normal, since }
        })
}

proptest! {
    #[test]
    fn any_scene_is_ranked_with_finite_scores_in_order(scene in any_scene()) {
        let ranking = rank(&scene);
        prop_assert!(ranking.candidates.iter().all(|c| (0.0..=1.0).contains(&c.score)), "{:?}", ranking);
        prop_assert!(ranking.candidates.is_sorted_by(|a, b| a.score >= b.score));
        let signs = ranking.candidates.iter().flat_map(|c| &c.signs);
        prop_assert!(signs.clone().all(|s| s.strength > 0.0 && s.strength <= 1.0));
        prop_assert_eq!(format!("{:?}", rank(&scene)), format!("{:?}", ranking));
    }

    #[test]
    fn the_order_of_calls_does_not_matter(mut scene in any_scene()) {
        let straight = rank(&scene);
        scene.calls.reverse();
        prop_assert_eq!(format!("{:?}", straight), format!("{:?}", rank(&scene)));
    }
}
