//! What was learned: which actions are believed to help against which causes; and forgetting it.

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use wellkept_catalogue::Language;
use wellkept_model::{ActionKind, CauseKind, Text};

use super::incidents::json;
use super::{DONE, Done};
use crate::Command;
use crate::app::App;
use crate::body::ActBody;
use crate::error::ApiError;
use crate::gate::ActGrant;
use crate::views::learned::LearnedView;

pub(crate) async fn list(State(app): State<App>, Extension(language): Extension<Language>) -> Response {
    let beliefs = app.beliefs.borrow().clone();
    json(&LearnedView::new(language, &beliefs))
}

/// What to forget; everything when nothing is named.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetBody {
    cause: Option<String>,
    action: Option<String>,
}

pub(crate) async fn reset(
    State(app): State<App>,
    grant: ActGrant,
    ActBody(body): ActBody<ResetBody>,
) -> Result<Json<Done>, ApiError> {
    let cause = body.cause.as_deref().map(cause_kind).transpose()?;
    let action = body.action.as_deref().map(action_kind).transpose()?;
    app.act(&grant, |who, reply| Command::Forget { cause, action, who, reply }).await?;
    Ok(DONE)
}

fn cause_kind(word: &str) -> Result<CauseKind, ApiError> {
    CauseKind::from_word(word)
        .ok_or_else(|| unknown("api.cause_kind", word, CauseKind::ALL.into_iter().map(CauseKind::word)))
}

fn action_kind(word: &str) -> Result<ActionKind, ApiError> {
    ActionKind::from_word(word)
        .ok_or_else(|| unknown("api.action_kind", word, ActionKind::ALL.into_iter().map(ActionKind::word)))
}

fn unknown(key: &str, word: &str, known: impl Iterator<Item = &'static str>) -> ApiError {
    let shown: String = word.chars().take(40).collect();
    let known: Vec<_> = known.collect();
    ApiError::bad_data(Text::new(key).with("kind", shown).with("known", known.join(", ")))
}
