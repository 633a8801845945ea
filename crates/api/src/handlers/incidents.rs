//! Incidents for reading.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use wellkept_catalogue::Language;
use wellkept_model::{Incident, IncidentId, Text};

use crate::app::App;
use crate::error::ApiError;
use crate::views::incident::{IncidentDetail, IncidentsView};

pub(crate) async fn list(State(app): State<App>, Extension(language): Extension<Language>) -> Response {
    let incidents = app.incidents.borrow().clone();
    json(&IncidentsView::new(language, &incidents))
}

pub(crate) async fn one(
    State(app): State<App>,
    Extension(language): Extension<Language>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    Ok(json(&IncidentDetail::new(language, &known(&app, &id)?)))
}

/// The incident with this id.
pub(crate) fn known(app: &App, id: &str) -> Result<Incident, ApiError> {
    let wanted = parse(id)?;
    let incidents = app.incidents.borrow().clone();
    incidents.iter().find(|i| i.id == wanted).cloned().ok_or_else(|| unknown(id))
}

/// The id in a path. Whatever is no number names no incident.
pub(crate) fn parse(id: &str) -> Result<IncidentId, ApiError> {
    id.parse().map(IncidentId).map_err(|_| unknown(id))
}

fn unknown(id: &str) -> ApiError {
    let shown: String = id.chars().take(40).collect();
    ApiError::not_found(Text::new("api.no_incident").with("id", shown))
}

/// A JSON answer from a borrowed view.
pub(crate) fn json(view: &impl Serialize) -> Response {
    match serde_json::to_vec(view) {
        Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "a view could not be written as JSON");
            ApiError::internal(Text::new("api.internal")).into_response()
        }
    }
}
