//! Work on many hosts, for reading.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};
use wellkept_catalogue::Language;
use wellkept_model::Text;

use crate::app::App;
use crate::body::Params;
use crate::error::ApiError;
use crate::prom::run;
use crate::{FleetViews, Refusal, RunsAsked};

/// Runs of one answer when nothing is said, and at most.
const RUNS: usize = 50;
const RUNS_MAX: usize = 200;
/// The longest name that is looked for, bytes; the longest name of a host.
const NAME_MAX: usize = 255;

pub(crate) async fn runs(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let limit = match params.get("limit").filter(|text| !text.is_empty()) {
        None => RUNS,
        Some(text) => {
            let limit = text.parse().ok().filter(|n| (1..=RUNS_MAX).contains(n));
            let wrong = || format!("invalid parameter \"limit\": use a number from 1 to {RUNS_MAX}");
            limit.ok_or_else(|| ApiError::bad_parameter(wrong()))?
        }
    };
    let asked = RunsAsked {
        kind: name(&params, "kind")?,
        host: name(&params, "host")?,
        before: name(&params, "before")?,
        limit,
    };
    look(app, move |fleet| fleet.runs(&asked)).await
}

pub(crate) async fn run_of(
    State(app): State<App>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let host = name(&params, "host")?;
    let id: String = id.chars().take(NAME_MAX).collect();
    look(app, move |fleet| fleet.run(&id, host.as_deref())).await
}

pub(crate) async fn agents(State(app): State<App>) -> Result<Response, ApiError> {
    let now = (app.clock)();
    look(app, move |fleet| fleet.agents(now)).await
}

pub(crate) async fn deployments(
    State(app): State<App>,
    Extension(language): Extension<Language>,
) -> Result<Response, ApiError> {
    look(app, move |fleet| fleet.deployments(language)).await
}

/// A parameter that is a name; one that is empty asks for everything.
fn name(params: &Params, parameter: &str) -> Result<Option<String>, ApiError> {
    let Some(text) = params.get(parameter).filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.len() > NAME_MAX {
        let told = Text::new("api.field_too_long").with("field", parameter).with("limit", NAME_MAX);
        return Err(ApiError::bad_data(told));
    }
    Ok(Some(text.to_owned()))
}

/// The views read files: they run where a query would, on a thread that may wait.
async fn look<F>(app: App, look: F) -> Result<Response, ApiError>
where
    F: FnOnce(&dyn FleetViews) -> Result<Value, Refusal> + Send + 'static,
{
    let time = app.limits.evaluation_time;
    run(app, time, move |app, _| {
        let data = look(app.fleet.as_ref())?;
        serde_json::to_vec(&json!({"status": "success", "data": data})).map_err(|error| {
            tracing::error!(%error, "an answer could not be written");
            ApiError::internal(Text::new("api.internal"))
        })
    })
    .await
}
