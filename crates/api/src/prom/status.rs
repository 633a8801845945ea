//! Handlers of what Prometheus' API tells besides series: targets, rules, alerts, metadata, status.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use wellkept_model::Matcher;

use super::answer::Success;
use super::http::time_limit;
use super::params::{instant, limit};
use super::run::run;
use super::views::{ExemplarQuery, PrometheusViews, RuleFilter, TargetState};
use crate::app::App;
use crate::body::Params;
use crate::error::ApiError;
use crate::promql_door as door;

/// Most selectors of one request.
const SELECTORS_MAX: usize = 100;
/// Lines of each list of `status/tsdb` when nothing is said, as in Prometheus.
const TSDB_LINES: usize = 10;

pub(crate) async fn metadata(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let metric = params.get("metric").filter(|m| !m.is_empty()).map(str::to_owned);
    let (most, per) = (limit(params.get("limit"))?, limit(params.get("limit_per_metric"))?);
    view(app, &params, move |v| v.metadata(metric.as_deref(), most, per)).await
}

pub(crate) async fn targets(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let state = match params.get("state").unwrap_or_default().to_ascii_lowercase().as_str() {
        "active" => TargetState::Active,
        "dropped" => TargetState::Dropped,
        "" | "any" => TargetState::Any,
        _ => return Err(ApiError::bad_parameter("invalid parameter \"state\": use active, dropped or any")),
    };
    let pool = params.get("scrapePool").filter(|p| !p.is_empty()).map(str::to_owned);
    view(app, &params, move |v| v.targets(state, pool.as_deref())).await
}

pub(crate) async fn rules(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let kind = params.get("type").map(str::to_ascii_lowercase).filter(|k| !k.is_empty());
    if kind.as_deref().is_some_and(|k| k != "alert" && k != "record") {
        return Err(ApiError::bad_parameter("invalid parameter \"type\": use alert or record"));
    }
    let all = |name: &str| params.all(name).take(SELECTORS_MAX).map(str::to_owned).collect::<Vec<_>>();
    let filter = RuleFilter {
        kind,
        names: all("rule_name[]"),
        groups: all("rule_group[]"),
        files: all("file[]"),
        selectors: selectors(&app, params.all("match[]"))?,
        without_alerts: params.get("exclude_alerts").is_some_and(|v| v == "true" || v == "1"),
    };
    view(app, &params, move |v| v.rules(&filter)).await
}

pub(crate) async fn alerts(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    view(app, &params, |v| v.alerts()).await
}

pub(crate) async fn exemplars(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let text = params.get("query").unwrap_or_default();
    if text.is_empty() {
        return Err(ApiError::bad_parameter("invalid parameter \"query\": it is missing or empty"));
    }
    let now = (app.clock)();
    let from = params.get("start").map(|t| instant("start", t)).transpose()?.unwrap_or_default();
    let to = params.get("end").map(|t| instant("end", t)).transpose()?.unwrap_or(now);
    if to < from {
        return Err(ApiError::bad_parameter("end timestamp must not be before start timestamp"));
    }
    let selectors = door::selectors(text, &app.limits.promql)?;
    let query = ExemplarQuery { selectors, from, to };
    view(app, &params, move |v| v.exemplars(&query)).await
}

pub(crate) async fn config(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    view(app, &params, |v| json!({"yaml": v.config()})).await
}

pub(crate) async fn flags(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    view(app, &params, |v| v.flags()).await
}

pub(crate) async fn runtime(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    view(app, &params, |v| v.runtime()).await
}

pub(crate) async fn tsdb(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let lines = match limit(params.get("limit"))? {
        usize::MAX => TSDB_LINES,
        lines => lines.min(10_000),
    };
    view(app, &params, move |v| v.tsdb(lines)).await
}

/// The views may look through many series: they run where a query would.
async fn view<F>(app: App, params: &Params, look: F) -> Result<Response, ApiError>
where
    F: FnOnce(&dyn PrometheusViews) -> Value + Send + 'static,
{
    let time = time_limit(&app, params)?;
    run(app, time, move |app, _| {
        let success = Success::new(look(app.views.as_ref()), Vec::new());
        serde_json::to_vec(&success).map_err(super::http::unwritten)
    })
    .await
}

fn selectors<'a>(app: &App, texts: impl Iterator<Item = &'a str>) -> Result<Vec<Vec<Matcher>>, ApiError> {
    let texts: Vec<&str> = texts.take(SELECTORS_MAX + 1).collect();
    if texts.len() > SELECTORS_MAX {
        return Err(ApiError::bad_parameter(format!("more than {SELECTORS_MAX} match[] parameters")));
    }
    texts.into_iter().map(|t| door::selector(t, &app.limits.promql)).collect()
}
