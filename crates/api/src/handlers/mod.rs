//! What the routes answer, one file for each group.

use axum::Json;
use serde::Serialize;

pub(crate) mod acts;
pub(crate) mod changes;
pub(crate) mod console;
pub(crate) mod events;
pub(crate) mod fleet;
pub(crate) mod incidents;
pub(crate) mod learned;
pub(crate) mod own;
pub(crate) mod push;

/// The answer of an act that was done.
#[derive(Serialize)]
pub(crate) struct Done {
    status: &'static str,
}

pub(crate) const DONE: Json<Done> = Json(Done { status: "success" });
