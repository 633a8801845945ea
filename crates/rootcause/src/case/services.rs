//! Layout of services: `metrics.csv` has a column for each service, metric and statistic (three header lines) and a
//! row for each instant; `../../graph.csv` is the matrix of calls, `../../noissue/metrics.csv.gz` normal operation,
//! and `target.json` names the series that rang.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use wellkept_model::{Sample, TimestampMs};

use super::files::{CaseError, CaseFiles, optional_text, text};
use super::table::records;
use crate::kind::MetricKind;
use crate::scene::{Alarm, Call, MetricSeries, Scene};

/// Of `target.json` only this is read; what it says about the cause is not.
#[derive(Debug, Deserialize)]
struct TargetFile {
    target: Target,
}

#[derive(Debug, Deserialize)]
struct Target {
    node: String,
    metric: String,
    timestamp: i64,
}

type Key = (String, String);
type Columns = Vec<(Key, Vec<Sample>)>;

pub(super) fn read(files: &impl CaseFiles) -> Result<Scene, CaseError> {
    let target: TargetFile =
        serde_json::from_str(&text(files, "target.json")?).map_err(|e| CaseError::Broken {
            path: "target.json".to_owned(),
            why: e.to_string(),
            expected: "an object `target` with node, metric and timestamp (seconds)",
        })?;
    let mut normal: HashMap<Key, Vec<f64>> = match normal(files)? {
        Some(text) => {
            values(&text).into_iter().map(|(k, v)| (k, v.into_iter().map(|s| s.value).collect())).collect()
        }
        None => HashMap::new(),
    };
    let series = values(&text(files, "metrics.csv")?).into_iter().map(|(key, samples)| {
        let reference = normal.remove(&key).unwrap_or_default();
        let (entity, metric) = key;
        MetricSeries { kind: MetricKind::of_name(&metric), entity, metric, reference, samples }
    });
    Ok(Scene {
        alarm: Alarm {
            at: Some(TimestampMs(target.target.timestamp.saturating_mul(1000))),
            entity: Some(target.target.node),
            kind: Some(MetricKind::of_name(&target.target.metric)),
        },
        series: series.collect(),
        calls: calls(&text(files, "../../graph.csv")?),
        ..Scene::default()
    })
}

/// Normal operation of the same kind of load; when there is none, that of the first other kind that has it.
fn normal(files: &impl CaseFiles) -> Result<Option<String>, CaseError> {
    if let Some(text) = optional_text(files, "../../noissue/metrics.csv.gz")? {
        return Ok(Some(text));
    }
    let mut others = files.list("../../..");
    others.sort_unstable();
    for other in others.iter().filter(|o| !o.contains('/')) {
        if let Some(text) = optional_text(files, &format!("../../../{other}/noissue/metrics.csv.gz"))? {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// Columns in their order, with (service, metric and statistic) as key.
fn values(text: &str) -> Columns {
    let mut header: Vec<Vec<String>> = Vec::new();
    let mut out: Columns = Vec::new();
    records(text, |record: &[Cow<'_, str>]| {
        let Some(at) = record.first().and_then(|t| t.parse::<f64>().ok()) else {
            header.push(record.iter().skip(1).map(ToString::to_string).collect());
            return;
        };
        if out.is_empty() {
            out = keys(&header).into_iter().map(|key| (key, Vec::new())).collect();
        }
        for ((_, samples), cell) in out.iter_mut().zip(record.iter().skip(1)) {
            if let Ok(value) = cell.parse::<f64>() {
                samples.push(Sample { at: TimestampMs((at * 1000.0) as i64), value });
            }
        }
    });
    out
}

fn keys(header: &[Vec<String>]) -> Vec<Key> {
    let row = |i: usize| header.get(i).map_or(&[][..], Vec::as_slice);
    let statistics = row(2).iter().map(String::as_str).chain(std::iter::repeat(""));
    let named = row(0).iter().zip(row(1)).zip(statistics);
    named.map(|((service, metric), statistic)| (service.clone(), format!("{metric} {statistic}"))).collect()
}

/// Rows call columns.
fn calls(text: &str) -> Vec<Call> {
    let mut header: Vec<String> = Vec::new();
    let mut out = Vec::new();
    records(text, |record: &[Cow<'_, str>]| {
        if header.is_empty() {
            header = record.iter().skip(1).map(ToString::to_string).collect();
            return;
        }
        let Some(from) = record.first() else { return };
        for (to, cell) in header.iter().zip(record.iter().skip(1)) {
            if cell.parse::<f64>().is_ok_and(|c| c > 0.0) {
                out.push(Call { from: from.to_string(), to: to.clone() });
            }
        }
    });
    out
}
