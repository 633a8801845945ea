//! What is odd, what is marked as harmless, what there is.

use axum::Extension;
use axum::extract::{Path, State};
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
use crate::handlers::incidents;

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

/// What the lines around an incident say, and whether the like was seen before.
pub(crate) async fn incident(
    State(app): State<App>,
    Extension(language): Extension<Language>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let incident = incidents::known(&app, &id)?;
    searched(app, move |app, _, limits| {
        let told = app.logs.incident(&incident, limits.stop);
        let incidents = app.incidents.borrow().clone();
        let summary = told.summary.iter().map(|l| {
            json!({
                "text": l.text,
                "template": word(l.template),
                "level": l.level.map(wellkept_model::Level::word),
                "count": l.count,
                "first_ns": ns(l.first_ns),
                "last_ns": ns(l.last_ns),
            })
        });
        let terms =
            told.terms.iter().map(|t| json!({"term": t.term, "score": finite(t.score), "count": t.count}));
        let past = told.past.iter().map(|p| {
            let known = incidents.iter().find(|i| i.id.0 == p.id);
            let cause = |word: &String| render(language, &Text::new(&format!("kind.cause.{word}")));
            json!({
                "id": p.id.to_string(),
                "score": finite(p.score),
                "title": known.map(|i| render(language, &i.title)),
                "opened_at": known.map(|i| i.opened_at.0),
                "causes": p.causes.iter().map(cause).collect::<Vec<_>>(),
                "templates": p.templates,
                "terms": p.terms,
            })
        });
        Ok(json!({
            "query": told.query,
            "from_ns": ns(told.from_ns),
            "to_ns": ns(told.to_ns),
            "lines": told.lines,
            "summary": summary.collect::<Vec<_>>(),
            "terms": terms.collect::<Vec<_>>(),
            "past": past.collect::<Vec<_>>(),
        }))
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
                "at": jiff::Timestamp::from_millisecond(m.at.0).unwrap_or_default().to_string(),
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
