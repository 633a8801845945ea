//! Recorded changes: reading them, and taking in new ones from people and deploy tools.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use wellkept_model::{Change, ChangeId, ChangeKind, Text};

use super::incidents::json;
use crate::Command;
use crate::app::{App, count};
use crate::body::ActBody;
use crate::error::ApiError;
use crate::gate::ActGrant;
use crate::views::change::ChangesView;

/// Longest name of a person or tool, bytes.
const WHO_MAX: usize = 256;
/// Longest path or state, bytes; a path has at most 4096.
const VALUE_MAX: usize = 4096;

pub(crate) async fn list(State(app): State<App>) -> Response {
    let changes = app.changes.borrow().clone();
    json(&ChangesView::new(&changes))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeBody {
    kind: String,
    what: String,
    who: String,
    #[serde(default)]
    before: String,
    #[serde(default)]
    after: String,
}

#[derive(Serialize)]
struct Recorded<'a> {
    status: &'static str,
    id: &'a str,
}

pub(crate) async fn record(
    State(app): State<App>,
    grant: ActGrant,
    ActBody(body): ActBody<ChangeBody>,
) -> Result<Response, ApiError> {
    let change = checked(&app, body)?;
    let id = change.id.0.clone();
    app.act(&grant, |who, reply| Command::RecordChange { change, who, reply }).await?;
    Ok(json(&Recorded { status: "success", id: &id }))
}

fn checked(app: &App, body: ChangeBody) -> Result<Change, ApiError> {
    let kind = ChangeKind::from_word(&body.kind).ok_or_else(|| {
        let known: Vec<_> = ChangeKind::ALL.into_iter().map(ChangeKind::word).collect();
        let shown: String = body.kind.chars().take(40).collect();
        ApiError::bad_data(Text::new("api.change_kind").with("kind", shown).with("known", known.join(", ")))
    })?;
    let fields = [
        ("what", &body.what, 1, VALUE_MAX),
        ("who", &body.who, 1, WHO_MAX),
        ("before", &body.before, 0, VALUE_MAX),
        ("after", &body.after, 0, VALUE_MAX),
    ];
    for (field, value, min, max) in fields {
        if value.len() > max {
            let text = Text::new("api.field_too_long").with("field", field).with("limit", max);
            return Err(ApiError::bad_data(text));
        }
        if value.trim().len() < min {
            return Err(ApiError::bad_data(Text::new("api.field_empty").with("field", field)));
        }
    }
    if kind == ChangeKind::Secret && !(body.before.is_empty() && body.after.is_empty()) {
        return Err(ApiError::bad_data(Text::new("api.secret_value")));
    }
    let at = (app.clock)();
    let number = count(&app.inner().counters.changes);
    let id = ChangeId(format!("api-{at}-{number}"));
    Ok(Change { id, at, who: body.who, kind, what: body.what, before: body.before, after: body.after })
}
