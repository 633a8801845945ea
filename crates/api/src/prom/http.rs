//! The handlers: parameters in, one blocking evaluation, Prometheus' JSON out.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use wellkept_model::{Labels, Matcher, TimestampMs};

use super::answer::{Metric, Success, body};
use super::params::{duration, instant, limit};
use super::run::run;
use crate::app::App;
use crate::body::Params;
use crate::error::ApiError;
use crate::handlers::incidents::json;
use crate::promql_door::{self as door, Steps};

/// Most `match[]` parameters of one request.
pub(super) const MATCHES_MAX: usize = 100;

pub(crate) async fn query(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let text = required(&params, "query")?;
    let at = params.get("time").map(|t| instant("time", t)).transpose()?.unwrap_or_else(|| (app.clock)());
    let time = time_limit(&app, &params)?;
    run(app, time, move |app, stop| {
        let outcome = door::instant(&text, at, app.source.as_ref(), &app.limits.promql, stop)?;
        body(outcome).map_err(unwritten)
    })
    .await
}

pub(crate) async fn query_range(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let text = required(&params, "query")?;
    let from = instant("start", &required(&params, "start")?)?;
    let to = instant("end", &required(&params, "end")?)?;
    let step = duration("step", &required(&params, "step")?)?;
    if to < from {
        return Err(ApiError::bad_parameter("end timestamp must not be before start time"));
    }
    let most = app.limits.promql.steps;
    if to.since(from).as_millis() / step.as_millis().max(1) >= most as u128 {
        return Err(ApiError::bad_parameter(format!(
            "exceeded maximum resolution of {most} points per timeseries. Try decreasing the query resolution \
             (?step=XX)"
        )));
    }
    let time = time_limit(&app, &params)?;
    run(app, time, move |app, stop| {
        let steps = Steps { from, to, step };
        let outcome = door::range(&text, steps, app.source.as_ref(), &app.limits.promql, stop)?;
        body(outcome).map_err(unwritten)
    })
    .await
}

pub(crate) async fn format_query(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let text = door::format(&required(&params, "query")?, &app.limits.promql)?;
    Ok(json(&Success::new(text, Vec::new())))
}

pub(crate) async fn parse_query(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let tree = door::tree(&required(&params, "query")?, &app.limits.promql)?;
    Ok(json(&Success::new(tree, Vec::new())))
}

pub(crate) async fn series(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    if params.get("match[]").is_none() {
        return Err(ApiError::bad_parameter("no match[] parameter provided"));
    }
    let ask = Ask::new(&app, &params)?;
    let time = app.limits.evaluation_time;
    run(app, time, move |app, stop| {
        let found = ask.series(app, stop)?;
        written(found.iter().map(Metric), ask.limit)
    })
    .await
}

pub(crate) async fn labels(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let ask = Ask::new(&app, &params)?;
    let time = app.limits.evaluation_time;
    run(app, time, move |app, stop| {
        let found = ask.series(app, stop)?;
        let names: BTreeSet<&str> = found.iter().flat_map(|l| l.iter().map(|(name, _)| name)).collect();
        written(names, ask.limit)
    })
    .await
}

pub(crate) async fn label_values(
    State(app): State<App>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let ask = Ask::new(&app, &params)?;
    let time = app.limits.evaluation_time;
    run(app, time, move |app, stop| {
        let found = ask.series(app, stop)?;
        let values: BTreeSet<&str> = found.iter().map(|l| l.get(&name)).filter(|v| !v.is_empty()).collect();
        written(values, ask.limit)
    })
    .await
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildInfo {
    version: &'static str,
    revision: &'static str,
    branch: &'static str,
    build_user: &'static str,
    build_date: &'static str,
    go_version: &'static str,
    application: &'static str,
}

pub(crate) async fn buildinfo(State(app): State<App>) -> Response {
    let info = BuildInfo {
        version: app.version,
        revision: "",
        branch: "",
        build_user: "",
        build_date: "",
        go_version: "",
        application: "wellkept",
    };
    json(&Success::new(info, Vec::new()))
}

/// Which series a request without a query looks at.
struct Ask {
    selectors: Vec<Vec<Matcher>>,
    from: TimestampMs,
    to: TimestampMs,
    limit: usize,
}

impl Ask {
    fn new(app: &App, params: &Params) -> Result<Self, ApiError> {
        let from = params.get("start").map(|t| instant("start", t)).transpose()?.unwrap_or_default();
        let to = params.get("end").map(|t| instant("end", t)).transpose()?.unwrap_or_else(|| (app.clock)());
        if to < from {
            return Err(ApiError::bad_parameter("end timestamp must not be before start timestamp"));
        }
        let texts: Vec<_> = params.all("match[]").take(MATCHES_MAX + 1).collect();
        if texts.len() > MATCHES_MAX {
            return Err(ApiError::bad_parameter(format!("more than {MATCHES_MAX} match[] parameters")));
        }
        let mut selectors: Vec<Vec<Matcher>> =
            texts.into_iter().map(|t| door::selector(t, &app.limits.promql)).collect::<Result<_, _>>()?;
        if selectors.is_empty() {
            selectors.push(Vec::new());
        }
        Ok(Self { selectors, from, to, limit: limit(params.get("limit"))? })
    }

    /// Series that any selector matches, sorted. Blocking.
    fn series(&self, app: &App, stop: door::Stop<'_>) -> Result<BTreeSet<Labels>, ApiError> {
        let limits = door::source_limits(&app.limits.promql);
        let mut found = BTreeSet::new();
        for matchers in &self.selectors {
            if stop() {
                break;
            }
            let some = app.source.series(matchers, self.from, self.to, &limits);
            found.extend(some.map_err(|e| door::source_failed(&e))?);
        }
        Ok(found)
    }
}

/// The first `limit` items as an answer, with a warning when there were more.
fn written<T: Serialize>(items: impl IntoIterator<Item = T>, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut items: Vec<T> = items.into_iter().collect();
    let warnings =
        if items.len() > limit { vec!["results truncated due to limit".to_owned()] } else { Vec::new() };
    items.truncate(limit);
    serde_json::to_vec(&Success::new(items, warnings)).map_err(unwritten)
}

fn required(params: &Params, name: &str) -> Result<String, ApiError> {
    params
        .get(name)
        .filter(|v| !v.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| ApiError::bad_parameter(format!("invalid parameter {name:?}: it is missing or empty")))
}

/// The `timeout` of the request, at most our own.
pub(super) fn time_limit(app: &App, params: &Params) -> Result<Duration, ApiError> {
    let asked = params.get("timeout").map(|t| duration("timeout", t)).transpose()?;
    Ok(asked.unwrap_or(Duration::MAX).min(app.limits.evaluation_time))
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function of map_err")]
pub(super) fn unwritten(error: serde_json::Error) -> ApiError {
    ApiError::plain(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
}
