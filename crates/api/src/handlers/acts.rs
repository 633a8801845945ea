//! Acts: each becomes one command for the engine, which alone decides.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use wellkept_model::{ActionId, IncidentId, Text};

use super::{DONE, Done, incidents};
use crate::Command;
use crate::app::App;
use crate::body::ActBody;
use crate::error::ApiError;
use crate::gate::ActGrant;

type Answer = Result<Json<Done>, ApiError>;

/// Longest reason of a freeze, characters.
const REASON_MAX: usize = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApproveBody {
    generation: u32,
}

pub(crate) async fn approve(
    State(app): State<App>,
    grant: ActGrant,
    Path(id): Path<String>,
    ActBody(body): ActBody<ApproveBody>,
) -> Answer {
    let (incident, generation) = (incidents::parse(&id)?, body.generation);
    app.act(&grant, |who, reply| Command::Approve { incident, generation, who, reply }).await?;
    Ok(DONE)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UndoBody {
    action: String,
}

pub(crate) async fn undo(
    State(app): State<App>,
    grant: ActGrant,
    Path(id): Path<String>,
    ActBody(body): ActBody<UndoBody>,
) -> Answer {
    let action = action_id(incidents::parse(&id)?, &body.action)?;
    app.act(&grant, |who, reply| Command::Undo { action, who, reply }).await?;
    Ok(DONE)
}

/// `12-1` as an action of incident 12.
fn action_id(incident: IncidentId, text: &str) -> Result<ActionId, ApiError> {
    text.split_once('-')
        .and_then(|(i, n)| Some(ActionId { incident: IncidentId(i.parse().ok()?), number: n.parse().ok()? }))
        .filter(|id| id.incident == incident)
        .ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            ApiError::bad_data(Text::new("api.no_action").with("action", shown).with("incident", incident))
        })
}

pub(crate) async fn escalate(State(app): State<App>, grant: ActGrant, Path(id): Path<String>) -> Answer {
    let incident = incidents::parse(&id)?;
    app.act(&grant, |who, reply| Command::Escalate { incident, who, reply }).await?;
    Ok(DONE)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FreezeBody {
    reason: String,
}

pub(crate) async fn freeze(
    State(app): State<App>,
    grant: ActGrant,
    ActBody(body): ActBody<FreezeBody>,
) -> Answer {
    if body.reason.chars().count() > REASON_MAX {
        let text = Text::new("api.field_too_long").with("field", "reason").with("limit", REASON_MAX);
        return Err(ApiError::bad_data(text));
    }
    app.act(&grant, |who, reply| Command::Freeze { reason: body.reason, who, reply }).await?;
    Ok(DONE)
}

pub(crate) async fn unfreeze(State(app): State<App>, grant: ActGrant) -> Answer {
    app.act(&grant, |who, reply| Command::Unfreeze { who, reply }).await?;
    Ok(DONE)
}

pub(crate) async fn reload(State(app): State<App>, grant: ActGrant) -> Answer {
    app.act(&grant, |who, reply| Command::Reload { who, reply }).await?;
    Ok(DONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_must_belong_to_the_incident_of_the_path() {
        let id = action_id(IncidentId(12), "12-1").unwrap();
        assert_eq!(id.to_string(), "12-1");
        for bad in ["13-1", "12", "12-", "-1", "12-x", "12-1-1", "", "12-99999999999"] {
            assert!(action_id(IncidentId(12), bad).is_err(), "{bad}");
        }
    }
}
