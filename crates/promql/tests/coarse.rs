//! Queries over a store that has only rows of the past: the answers stay right, and say what they are made of.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use wellkept_model::{Batch, Labels, SeriesSource, TimestampMs};
use wellkept_promql::{Limits, Outcome, Query, Value, instant, range};
use wellkept_tsdb::sim::SimDisk;
use wellkept_tsdb::{Consolidation, Store, StoreConfig};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// Ten days of a counter that grows by one each second and of a saw-tooth from 0 to 6; two days are kept as they came, four
/// as rows of 5 min, all as rows of 1 h.
fn ten_days() -> Store {
    let secs = Duration::from_secs;
    let config = StoreConfig {
        retention: secs(2 * 86_400),
        consolidate: vec![
            Consolidation { every: secs(300), keep: secs(4 * 86_400) },
            Consolidation { every: secs(3600), keep: secs(40 * 86_400) },
        ],
        ..StoreConfig::default()
    };
    let store = Store::open(Arc::new(SimDisk::new()), config).unwrap();
    for minute in 1..=10 * 1440_i64 {
        let at = TimestampMs(minute * 60_000);
        let samples = vec![
            (Labels::metric("c_total", []), (minute * 60) as f64),
            (Labels::metric("g", []), (minute % 7) as f64),
        ];
        store.append(&Batch { at, samples, ..Batch::default() }).unwrap();
        if minute % 30 == 0 {
            store.commit().unwrap();
            store.maintain(at).unwrap();
        }
    }
    for _ in 0..20 {
        store.maintain(TimestampMs(10 * DAY)).unwrap();
    }
    store
}

fn at(source: &dyn SeriesSource, query: &str, at: i64) -> (Option<f64>, Outcome) {
    let limits = Limits::default();
    let query = Query::parse(query, &limits).unwrap();
    let outcome = instant(&query, source, TimestampMs(at), &limits, &|| false).unwrap();
    let Value::Vector(found) = &outcome.value else { panic!("{outcome:?}") };
    (found.first().and_then(|(_, p)| p.float()), outcome)
}

#[test]
fn functions_over_rows_say_what_they_said_over_samples() {
    let store = ten_days();
    // One day ago: as they came. Three days: rows of 5 min. Eight days: rows of 1 h. 20 minutes past the hour.
    for (days, note) in [(1, None), (3, Some("5m")), (8, Some("1h"))] {
        let when = (10 - days) * DAY + HOUR / 3;
        for (query, expected) in [
            ("rate(c_total[5m])", 1.0),
            ("rate(c_total[3h])", 1.0),
            ("max_over_time(g[2h])", 6.0),
            ("min_over_time(g[10m])", 0.0),
            ("present_over_time(g[1m])", 1.0),
        ] {
            let (value, outcome) = at(&store, query, when);
            let value = value.unwrap_or_else(|| panic!("{query}, {days} days ago: {outcome:?}"));
            assert!((value - expected).abs() < 1e-6, "{query}, {days} days ago: {value}");
            let said = outcome.infos.iter().any(|i| i.contains("rows that stand for"));
            assert_eq!(said, note.is_some(), "{query}: {:?}", outcome.infos);
            assert!(note.is_none_or(|n| outcome.infos.iter().any(|i| i.contains(n))), "{:?}", outcome.infos);
        }
        // The newest value there was when the row ended, at most one stretch before.
        let stretch = match days {
            1 => 60,
            3 => 300,
            _ => 3600,
        };
        let (value, _) = at(&store, "c_total", when);
        let real = (when / 1000) as f64;
        assert!(value.is_some_and(|v| v <= real && v > real - f64::from(stretch) - 1.0), "{days}: {value:?}");
        // Whole hours: rows say exactly how many samples there were.
        let (count, _) = at(&store, "count_over_time(g[2h])", when - HOUR / 3);
        assert_eq!(count, Some(120.0), "{days} days ago");
    }
}

#[test]
fn a_count_over_samples_and_rows_adds_both_up() {
    let store = ten_days();
    let (count, outcome) = at(&store, "count_over_time(g[9d])", 10 * DAY);
    assert_eq!(count, Some(9.0 * 1440.0), "{:?}", outcome.infos);
}

#[test]
fn a_long_range_with_a_wide_step_uses_rows_and_has_no_gaps() {
    let store = ten_days();
    let limits = Limits::default();
    let query = Query::parse("sum(rate(c_total[5m]))", &limits).unwrap();
    let (from, to) = (TimestampMs(DAY), TimestampMs(10 * DAY));
    let outcome = range(&query, &store, from, to, Duration::from_secs(3 * 3600), &limits, &|| false).unwrap();
    let Value::Matrix(series) = &outcome.value else { panic!("{outcome:?}") };
    let values: Vec<f64> = series.iter().flat_map(|s| &s.samples).map(|s| s.value).collect();
    assert_eq!(values.len(), 9 * 8 + 1);
    assert!(values.iter().all(|v| (v - 1.0).abs() < 1e-6), "{values:?}");
}
