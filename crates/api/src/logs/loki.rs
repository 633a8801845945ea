//! What Loki's clients ask (Grafana, logcli): queries, labels, streams. After Loki's HTTP API, version 3.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};
use wellkept_logstore::query::{LogQuery, MetricQuery, parse};
use wellkept_logstore::{LogEntry, LogRange, LogStore, MetricSeries, PAGE_MAX, SearchLimits};
use wellkept_model::{Labels, Matcher};

use super::params::{cost, instant_ns, range, refused, stopped, whole, with_aliases};
use super::read::{all_labels, direction, searched};
use crate::app::App;
use crate::body::Params;
use crate::error::ApiError;
use crate::prom::duration;

/// Lines when nothing is said, as in Loki.
const LIMIT: usize = 100;
/// What Grafana asks to see whether the server is well.
const ARE_YOU_WELL: &str = "vector(1)+vector(1)";

pub(crate) async fn query_range(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let asked = asked(&app, &params)?;
    let (from, to) = range(&app, &params)?;
    let step_ns = match params.get("step").filter(|s| !s.is_empty()) {
        Some(text) => i64::try_from(duration("step", text)?.as_nanos()).unwrap_or(i64::MAX),
        // As Loki: about 250 steps.
        None => (to.saturating_sub(from) / 250).max(1_000_000_000),
    };
    let (limit, direction) = (whole(&params, "limit", LIMIT, (1, PAGE_MAX))?, direction(&params)?);
    searched(app, move |_, store, limits| match &asked {
        LogQuery::Lines(lines) => {
            let range = LogRange { from_ns: from, to_ns: to, direction, limit, cursor: None };
            let page = store.search(lines, &range, limits);
            Ok(json!({"resultType": "streams", "result": streams(&page.lines), "stats": cost(&page.cost), "stopped": stopped(page.stopped)}))
        }
        LogQuery::Metric(metric) => Ok(matrix(store, metric, (from, to), step_ns, limits)),
    })
    .await
}

pub(crate) async fn query(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let at = match params.get("time").filter(|t| !t.is_empty()) {
        Some(text) => instant_ns("time", text)?,
        None => (app.clock)().0.saturating_mul(1_000_000),
    };
    if params.get("query").is_some_and(|q| q.replace(' ', "") == ARE_YOU_WELL) {
        return searched(app, move |_, _, _| {
            Ok(json!({"resultType": "vector", "result": [{"metric": {}, "value": [seconds(at), "2"]}], "stats": {}}))
        })
        .await;
    }
    let asked = asked(&app, &params)?;
    let (limit, direction) = (whole(&params, "limit", LIMIT, (1, PAGE_MAX))?, direction(&params)?);
    searched(app, move |_, store, limits| match &asked {
        LogQuery::Lines(lines) => {
            let from_ns = at.saturating_sub(3600 * 1_000_000_000);
            let range = LogRange { from_ns, to_ns: at, direction, limit, cursor: None };
            let page = store.search(lines, &range, limits);
            Ok(json!({"resultType": "streams", "result": streams(&page.lines), "stats": cost(&page.cost), "stopped": stopped(page.stopped)}))
        }
        LogQuery::Metric(metric) => {
            let found = store.metric(metric, at, at, 1_000_000_000, limits);
            let newest = |s: &MetricSeries| {
                let (at, value) = s.points.last()?;
                Some(json!({"metric": object(&s.labels), "value": [seconds(*at), value.to_string()]}))
            };
            let result: Vec<Value> = found.series.iter().filter_map(newest).collect();
            Ok(json!({"resultType": "vector", "result": result, "stats": cost(&found.cost), "stopped": stopped(found.stopped)}))
        }
    })
    .await
}

fn asked(app: &App, params: &Params) -> Result<LogQuery, ApiError> {
    let text = params.get("query").unwrap_or_default();
    Ok(match parse(text).map_err(|e| refused(&e))? {
        LogQuery::Lines(lines) => LogQuery::Lines(with_aliases(lines, app.logs.as_ref())),
        metric => metric,
    })
}

/// Lines by stream; labels that were found in a line belong to its stream, as in Loki.
fn streams(lines: &[LogEntry]) -> Vec<Value> {
    let mut by_stream: BTreeMap<Labels, Vec<Value>> = BTreeMap::new();
    for entry in lines {
        let own = entry.labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned()));
        let level = entry.level.filter(|_| entry.labels.get("level").is_empty());
        let level = level.map(|l| ("level".to_owned(), l.word().to_owned()));
        let found = entry.extracted.iter().cloned();
        let named: BTreeMap<String, String> = found.chain(level).chain(own).collect();
        let value = json!([entry.at_ns.to_string(), String::from_utf8_lossy(&entry.text)]);
        by_stream.entry(Labels::new(named)).or_default().push(value);
    }
    let told = by_stream.into_iter();
    told.map(|(labels, values)| json!({"stream": object(&labels), "values": values})).collect()
}

fn matrix(
    store: &LogStore,
    metric: &MetricQuery,
    (from, to): (i64, i64),
    step_ns: i64,
    limits: SearchLimits<'_>,
) -> Value {
    let found = store.metric(metric, from, to, step_ns, limits);
    let series = |s: &MetricSeries| {
        let values: Vec<Value> =
            s.points.iter().map(|(at, v)| json!([seconds(*at), v.to_string()])).collect();
        json!({"metric": object(&s.labels), "values": values})
    };
    let result: Vec<Value> = found.series.iter().map(series).collect();
    json!({"resultType": "matrix", "result": result, "stats": cost(&found.cost), "stopped": stopped(found.stopped)})
}

fn object(labels: &Labels) -> Value {
    Value::Object(labels.iter().map(|(n, v)| (n.to_owned(), Value::from(v))).collect())
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of any line stay below 2^53")]
fn seconds(at_ns: i64) -> f64 {
    (at_ns / 1_000_000) as f64 / 1000.0
}

pub(crate) async fn labels(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let range = range(&app, &params)?;
    searched(app, move |_, store, _| Ok(all_labels(store, range).into_keys().map(Value::from).collect()))
        .await
}

pub(crate) async fn values(
    State(app): State<App>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let range = range(&app, &params)?;
    searched(app, move |_, store, _| {
        let values = all_labels(store, range).remove(&name).unwrap_or_default();
        Ok(values.into_iter().map(Value::from).collect())
    })
    .await
}

pub(crate) async fn series(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let range = range(&app, &params)?;
    let wanted: Vec<Vec<Matcher>> = params
        .all("match[]")
        .chain(params.all("match"))
        .map(|text| match parse(text).map_err(|e| refused(&e))? {
            LogQuery::Lines(lines) => Ok(lines.selector),
            LogQuery::Metric(_) => {
                Err(ApiError::bad_parameter("invalid parameter \"match[]\": use a selector"))
            }
        })
        .collect::<Result<_, _>>()?;
    searched(app, move |_, store, _| {
        let fits = |labels: &Labels| {
            wanted.is_empty() || wanted.iter().any(|all| all.iter().all(|m| m.matches(labels.get(m.name()))))
        };
        let (streams, _) = store.streams(range, 10_000);
        Ok(streams.iter().filter(|l| fits(l)).map(object).collect())
    })
    .await
}
