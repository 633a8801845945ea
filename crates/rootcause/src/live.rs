//! From the live store's words to a [`Scene`], and back.
//!
//! Counters become rates a second, and a pair of `_sum` and `_count` becomes the mean that they hold, so that series
//! compare before and after as gauges do. Whom a series measures is told by its labels; a caller that knows better
//! gives its own rule. Every relation of the topology counts as a call: whoever leans on an ill entity suffers.

use std::collections::BTreeMap;

use wellkept_model::{EntityId, EntityKind, Labels, METRIC_NAME, Sample, SeriesData, Topology, is_stale};

use crate::kind::MetricKind;
use crate::rank::Candidate;
use crate::scene::{Alarm, Call, MetricSeries, Scene};

/// Most series that are looked at; the first ones by the caller's order.
const SERIES_MAX: usize = 50_000;

/// Endings of names whose value is an identity, an instant or a bound, not a measurement.
const NOT_MEASURED: &[&str] =
    &["_info", "_time_seconds", "_timestamp_seconds", "_bucket", "_limit", "_limit_bytes"];

/// Whom a series measures, by the usual labels: `service`, else `mountpoint`, else `host`, else `instance`.
#[must_use]
pub fn entity_of(labels: &Labels) -> Option<EntityId> {
    let kinds = [
        ("service", EntityKind::Service),
        ("mountpoint", EntityKind::Filesystem),
        ("host", EntityKind::Host),
        ("instance", EntityKind::Host),
    ];
    let (label, kind) = kinds.into_iter().find(|(label, _)| !labels.get(label).is_empty())?;
    Some(EntityId::new(kind, labels.get(label)))
}

/// The scene of an alarm: series around it, and who leans on whom.
///
/// `series`: some time before the alarm (ten times as long as after it is a good measure) and all since.
/// `alarm`: its entity as [`EntityId`] writes itself (`service:app`). `entity_of`: usually [`entity_of`].
#[must_use]
pub fn scene(
    series: &[SeriesData],
    topology: &Topology,
    alarm: Alarm,
    entity_of: impl Fn(&Labels) -> Option<EntityId>,
) -> Scene {
    let series = series.get(..SERIES_MAX).unwrap_or(series);
    let mut out = means(series, &entity_of);
    for one in series {
        let name = one.labels.name();
        let paired = name.strip_suffix("_sum").is_some() || name.strip_suffix("_count").is_some();
        if paired || NOT_MEASURED.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        let Some(entity) = entity_of(&one.labels) else { continue };
        let samples = if name.ends_with("_total") { rates(&one.samples) } else { one.samples.clone() };
        let state = [one.labels.get("mode"), one.labels.get("state")].concat();
        let kind = MetricKind::of_name(format!("{name} {state}").trim_end());
        out.push(measured(&entity, one.labels.to_string(), kind, samples));
    }
    let calls = topology
        .relations()
        .iter()
        .map(|r| Call { from: r.from.to_string(), to: r.to.to_string() })
        .collect();
    Scene { alarm, series: out, calls, ..Scene::default() }
}

/// The entity of a candidate of such a scene.
#[must_use]
pub fn entity_id(candidate: &Candidate) -> Option<EntityId> {
    candidate.entity.parse().ok()
}

fn measured(entity: &EntityId, metric: String, kind: MetricKind, mut samples: Vec<Sample>) -> MetricSeries {
    samples.retain(|s| !is_stale(s.value));
    MetricSeries { entity: entity.to_string(), metric, kind, reference: Vec::new(), samples }
}

/// A mean and a rate for each pair of `_sum` and `_count` with the same labels.
fn means(series: &[SeriesData], entity_of: &impl Fn(&Labels) -> Option<EntityId>) -> Vec<MetricSeries> {
    let bare = |labels: &Labels| labels.filter(|name| name != METRIC_NAME);
    let ending = |end: &'static str| {
        series.iter().filter_map(move |s| Some(((s.labels.name().strip_suffix(end)?, bare(&s.labels)), s)))
    };
    let counts: BTreeMap<(&str, Labels), &SeriesData> = ending("_count").collect();
    let sums: BTreeMap<(&str, Labels), &SeriesData> = ending("_sum").collect();
    let mut out = Vec::new();
    for ((base, labels), count) in &counts {
        let Some(entity) = entity_of(&count.labels) else { continue };
        let requests = rates(&count.samples);
        let name = |what: &str| format!("{base}{labels} {what}");
        if let Some(sum) = sums.get(&(*base, labels.clone())) {
            let by_time: BTreeMap<_, _> = rates(&sum.samples).into_iter().map(|s| (s.at, s.value)).collect();
            let mean = |s: &Sample| {
                let sum = by_time.get(&s.at).filter(|_| s.value > 0.0)?;
                Some(Sample { at: s.at, value: sum / s.value })
            };
            let samples = requests.iter().filter_map(mean).collect();
            out.push(measured(&entity, name("mean"), MetricKind::of_name(base), samples));
        }
        out.push(measured(&entity, name("requests"), MetricKind::Traffic, requests));
    }
    out
}

/// Growth a second between neighbours, at the later one; a counter that fell began anew and tells nothing there.
fn rates(samples: &[Sample]) -> Vec<Sample> {
    let finite: Vec<&Sample> = samples.iter().filter(|s| s.value.is_finite()).collect();
    let pairs = finite.iter().zip(finite.iter().skip(1));
    let rate = |(a, b): (&&Sample, &&Sample)| {
        let ms = b.at.0.saturating_sub(a.at.0);
        #[expect(clippy::cast_precision_loss, reason = "distances of samples stay below 2^53 milliseconds")]
        let seconds = ms as f64 / 1000.0;
        (ms > 0 && b.value >= a.value).then(|| Sample { at: b.at, value: (b.value - a.value) / seconds })
    };
    pairs.filter_map(rate).collect()
}

#[cfg(test)]
mod tests {
    use wellkept_model::{Relation, RelationKind, TimestampMs};

    use super::*;
    use crate::{Confidence, SignKind, rank};

    fn series(name: &str, labels: &[(&str, &str)], value: impl Fn(i64) -> f64) -> SeriesData {
        let samples = (0..120).map(|i| Sample { at: TimestampMs(i * 1000), value: value(i) }).collect();
        SeriesData::floats(Labels::metric(name, labels.iter().copied()), samples)
    }

    /// Wobbles a little around `calm`, and is `ill` from the 100th second on.
    fn turns(calm: f64, ill: f64) -> impl Fn(i64) -> f64 {
        move |i| (if i >= 100 { ill } else { calm }) * (1.0 + 0.01 * ((i * 7) % 5) as f64)
    }

    fn topology() -> Topology {
        let edge = |a: &str, b: &str| Relation {
            from: EntityId::service(a),
            kind: RelationKind::DependsOn,
            to: EntityId::service(b),
        };
        Topology::new([edge("web", "app"), edge("app", "db"), edge("app", "cache")])
    }

    fn shop() -> Vec<SeriesData> {
        let latency = |service, calm, ill| {
            series("wellkept_health_check_duration_seconds", &[("service", service)], turns(calm, ill))
        };
        vec![
            latency("web", 0.2, 2.2),
            latency("app", 0.1, 2.1),
            latency("db", 0.01, 2.0),
            latency("cache", 0.001, 0.001),
        ]
    }

    fn check(series: &[SeriesData], at: Option<i64>) -> crate::Ranking {
        let alarm = Alarm { at: at.map(TimestampMs), ..Alarm::default() };
        rank(&scene(series, &topology(), alarm, entity_of))
    }

    #[test]
    fn who_is_slow_by_itself_comes_before_those_who_wait_for_it() {
        let ranking = check(&shop(), Some(100_000));
        let first = &ranking.candidates[0];
        assert_eq!(entity_id(first), Some(EntityId::service("db")), "{ranking:?}");
        assert_eq!(first.signs[0].kind, SignKind::Slow);
        assert_eq!(first.onset, Some(TimestampMs(100_000)));
        assert_eq!(ranking.confidence, Confidence::Firm);
    }

    #[test]
    fn an_unknown_beginning_is_found_in_the_series() {
        let ranking = check(&shop(), None);
        assert_eq!(ranking.onset, Some(TimestampMs(100_000)));
        assert_eq!(ranking.candidates[0].entity, "service:db");
    }

    #[test]
    fn counters_are_compared_as_rates_and_pairs_as_means() {
        let labels = [("service", "app")];
        let count = series("http_duration_seconds_count", &labels, |i| i as f64 * 10.0);
        let sum = series("http_duration_seconds_sum", &labels, |i| {
            let slow = (i - 100).max(0) as f64;
            i as f64 * 10.0 * 0.1 + slow * 10.0 * 2.0
        });
        let scene = scene(&[count, sum], &topology(), Alarm::default(), entity_of);
        let mean = scene.series.iter().find(|s| s.kind == MetricKind::Latency).unwrap();
        assert!((mean.samples[0].value - 0.1).abs() < 1e-9, "{:?}", mean.samples[0]);
        assert!((mean.samples.last().unwrap().value - 2.1).abs() < 1e-9);
        assert!(
            scene
                .series
                .iter()
                .any(|s| s.kind == MetricKind::Traffic && (s.samples[5].value - 10.0).abs() < 1e-9)
        );
    }

    #[test]
    fn a_counter_that_began_anew_tells_nothing_there() {
        let s = |at, value| Sample { at: TimestampMs(at), value };
        assert_eq!(rates(&[s(0, 10.0), s(1000, 2.0), s(2000, 5.0)]), [s(2000, 3.0)]);
    }

    #[test]
    fn quiet_series_leave_it_unknown() {
        let quiet =
            [series("wellkept_health_check_duration_seconds", &[("service", "web")], turns(0.2, 0.2))];
        assert_eq!(check(&quiet, Some(100_000)).confidence, Confidence::Unknown);
        assert_eq!(check(&quiet, None).confidence, Confidence::Unknown);
        assert_eq!(check(&[], Some(100_000)).confidence, Confidence::Unknown);
    }

    /// Noise between 0 and 1 without a generator, different for each series: the finaliser of splitmix64.
    fn noise(series: usize, i: i64) -> f64 {
        let mut x = (series as u64 * 1_000_003 + i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Forty noisy series of four services, with a wild value now and then.
    fn noisy() -> Vec<SeriesData> {
        let names = ["x_duration_seconds", "x_cpu_ratio", "x_memory_bytes", "x_requests", "x_open_fds"];
        let services = ["web", "app", "db", "cache"];
        let all = services.iter().flat_map(|s| names.iter().flat_map(move |n| [(s, n, "a"), (s, n, "b")]));
        all.enumerate()
            .map(|(k, (service, name, part))| {
                let value = |i| 0.2 + 0.2 * noise(k, i) + if noise(k + 100, i) > 0.98 { 0.5 } else { 0.0 };
                series(name, &[("service", service), ("part", part)], value)
            })
            .collect()
    }

    #[test]
    fn noise_with_wild_values_singles_nobody_out() {
        let ranking = check(&noisy(), Some(100_000));
        assert_eq!(ranking.confidence, Confidence::Unknown, "{:?}", &ranking.candidates[..2]);
        let ranking = check(&noisy(), None);
        assert_eq!(ranking.confidence, Confidence::Unknown, "{:?}", &ranking.candidates[..2]);
    }

    #[test]
    fn a_full_processor_stands_out_of_noise() {
        let mut all = noisy();
        for s in
            all.iter_mut().filter(|s| s.labels.get("service") == "db" && s.labels.name() == "x_cpu_ratio")
        {
            s.samples.iter_mut().filter(|s| s.at.0 >= 100_000).for_each(|s| s.value += 0.6);
        }
        let ranking = check(&all, Some(100_000));
        let (first, second) = (&ranking.candidates[0], &ranking.candidates[1]);
        assert_eq!(
            (first.entity.as_str(), ranking.confidence),
            ("service:db", Confidence::Firm),
            "{second:?}"
        );
        assert_eq!(first.signs[0].kind, SignKind::Full);
        let unknown = check(&all, None);
        assert_eq!(
            (unknown.onset, unknown.candidates[0].entity.as_str()),
            (Some(TimestampMs(100_000)), "service:db")
        );
    }

    #[test]
    fn a_service_that_went_down_is_failing() {
        let up = |service, ill| series("wellkept_service_up", &[("service", service)], turns(1.0, ill));
        let ranking = check(&[up("web", 1.0), up("app", 1.0), up("db", 0.0)], Some(100_000));
        assert_eq!(ranking.candidates[0].entity, "service:db", "{ranking:?}");
    }
}
