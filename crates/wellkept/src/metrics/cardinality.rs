//! `/api/v1/status/tsdb`: what the store holds, which labels and metrics have most of it, and how it grows.

use std::time::Duration;

use serde_json::{Value, json};
use wellkept_model::TimestampMs;
use wellkept_model::keep::Retention;
use wellkept_tsdb::{BlockInfo, Store};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Prometheus' answer, and under `wellkept` what only this store tells.
pub(super) fn view(store: &Store, kept: &Retention, lines: usize) -> Value {
    let stats = store.stats();
    let (from, to) = stats.range.unwrap_or_default();
    let labels = store.top_labels(usize::MAX);
    let pairs: usize = labels.iter().map(|l| l.values).sum();
    let mut by_bytes: Vec<(&str, u64)> = labels.iter().map(|l| (l.name.as_str(), l.bytes as u64)).collect();
    by_bytes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let per_sample = stats.block_bytes as f64 / (stats.block_samples.max(1)) as f64;
    let growth = store.metric_growth((to - DAY - HOUR, to - DAY), (to - HOUR, to), lines);
    json!({
        "headStats": {
            "numSeries": stats.series, "numLabelPairs": pairs, "chunkCount": stats.head_chunks,
            "minTime": from.0, "maxTime": to.0,
        },
        "seriesCountByMetricName":
            counts(store.top_metrics(lines).iter().map(|m| (m.name.clone(), m.series))),
        "labelValueCountByLabelName":
            counts(labels.iter().take(lines).map(|l| (l.name.clone(), l.values as u64))),
        "memoryInBytesByLabelName":
            counts(by_bytes.into_iter().take(lines).map(|(name, bytes)| (name.to_owned(), bytes))),
        "seriesCountByLabelValuePair":
            counts(store.top_pairs(lines).iter().map(|p| (format!("{}={}", p.name, p.value), p.series))),
        "wellkept": {
            "blocks": stats.blocks, "blockBytes": stats.block_bytes, "blockSamples": stats.block_samples,
            "bytesPerSample": (stats.block_samples > 0).then_some(per_sample),
            "logBytes": stats.log_bytes, "headBytes": stats.head_bytes,
            "quarantined": stats.quarantined.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "retention": retention(&store.blocks(), kept),
            "growth": growth.iter()
                .map(|g| json!({"name": g.name, "before": g.before, "now": g.now})).collect::<Vec<_>>(),
            "seriesOverTime": store.growth().iter()
                .map(|c| json!({"from": c.from.0, "to": c.to.0, "series": c.series})).collect::<Vec<_>>(),
            "limited": stats.limited.iter()
                .map(|(source, n)| json!({"name": source, "value": n})).collect::<Vec<_>>(),
        },
    })
}

/// As Prometheus says it: `15d or 50GiB`.
pub(super) fn in_words(kept: &Retention) -> String {
    let days = format!("{}d", kept.raw.as_secs() / 86_400);
    kept.size.map_or(days.clone(), |size| format!("{days} or {}MiB", size >> 20))
}

/// One line for each resolution that is kept or still there.
fn retention(blocks: &[BlockInfo], kept: &Retention) -> Vec<Value> {
    let levels =
        [(0, "raw", Some(kept.raw)), (300_000, "5m", kept.five_minutes), (3_600_000, "1h", kept.hours)];
    let line = |(resolution, name, keep): (i64, &str, Option<Duration>)| {
        let mine = || blocks.iter().filter(move |b| b.resolution_ms == resolution);
        let range = mine().map(|b| b.range).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let (from, to): (TimestampMs, TimestampMs) = range.unwrap_or_default();
        let bytes: u64 = mine().map(|b| b.bytes).sum();
        (keep.is_some() || bytes > 0).then(|| {
            json!({"resolution": name, "keptSeconds": keep.unwrap_or_default().as_secs(), "bytes": bytes,
                "from": from.0, "to": to.0})
        })
    };
    levels.into_iter().filter_map(line).collect()
}

fn counts(all: impl Iterator<Item = (String, u64)>) -> Value {
    Value::Array(all.map(|(name, value)| json!({"name": name, "value": value})).collect())
}
