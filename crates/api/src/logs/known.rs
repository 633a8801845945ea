//! What is odd, what is marked as harmless, what there is.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use wellkept_catalogue::{Language, render};
use wellkept_model::Text;

use super::answer::{ns, word};
use super::params::template;
use super::read::searched;
use super::views::success;
use crate::app::App;
use crate::body::ActBody;
use crate::error::ApiError;
use crate::gate::ActGrant;

pub(crate) async fn oddities(
    State(app): State<App>,
    Extension(language): Extension<Language>,
) -> Result<Response, ApiError> {
    searched(app, move |app, _, _| {
        let told = app.logs.oddities().into_iter().map(|o| {
            json!({
                "at_ns": ns(o.at_ns),
                "entity": o.service,
                "template": word(o.template),
                "template_text": o.template_text,
                "kind": o.kind,
                "parameter": o.parameter,
                "score": finite(o.score),
                "seen": finite(o.seen),
                "usual": finite(o.usual),
                "value": o.value,
                "text": render(language, &o.text),
            })
        });
        Ok(json!({"oddities": told.collect::<Vec<_>>()}))
    })
    .await
}

/// JSON has no infinity.
fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}

pub(crate) async fn harmless(State(app): State<App>) -> Result<Response, ApiError> {
    searched(app, |app, _, _| {
        let marks = app.logs.harmless().into_iter().map(|m| {
            json!({
                "template": word(m.template),
                "template_text": m.template_text,
                "kind": m.kind,
                "parameter": m.parameter,
                "by": m.by,
                "at": m.at.to_string(),
            })
        });
        Ok(json!({"harmless": marks.collect::<Vec<_>>()}))
    })
    .await
}

/// What is to be marked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MarkBody {
    template: String,
    kind: String,
    #[serde(default)]
    parameter: Option<u8>,
    harmless: bool,
}

pub(crate) async fn mark(
    State(app): State<App>,
    grant: ActGrant,
    ActBody(body): ActBody<MarkBody>,
) -> Result<Response, ApiError> {
    let id = template(&body.template)
        .ok_or_else(|| ApiError::bad_data(Text::new("api.template_id").with("id", &body.template)))?;
    let who = grant.who().to_owned();
    let done = tokio::task::spawn_blocking(move || {
        app.logs.mark(id, (&body.kind, body.parameter), body.harmless, &who)
    });
    done.await.map_err(|_| ApiError::internal(Text::new("api.internal")))??;
    Ok(success(&Value::Null).into_response())
}

pub(crate) async fn status(State(app): State<App>) -> Result<Response, ApiError> {
    searched(app, |app, store, _| {
        let (stats, status) = (store.stats(), app.logs.status());
        let dropped: Vec<Value> =
            status.dropped.iter().map(|(source, count)| json!({"source": source, "count": count})).collect();
        let sources: Vec<Value> = status
            .sources
            .iter()
            .map(|s| json!({"kind": s.kind, "lines": s.lines, "followed": s.followed}))
            .collect();
        Ok(json!({
            "lines": stats.segment_lines + stats.head_lines as u64,
            "head_lines": stats.head_lines,
            "segments": stats.segments,
            "bytes_on_disk": stats.segment_bytes + stats.wal_bytes,
            "oldest_ns": stats.range_ns.map(|r| ns(r.0)),
            "newest_ns": stats.range_ns.map(|r| ns(r.1)),
            "templates": status.templates,
            "taken_total": stats.appended_total,
            "taken_bytes_total": stats.appended_bytes_total,
            "damaged": stats.set_aside_total,
            "dropped": dropped,
            "sources": sources,
            "retention_s": status.retention_s,
            "bytes_max": status.bytes_max,
        }))
    })
    .await
}
