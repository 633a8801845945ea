//! Shows a fresh token once.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::cli::Output;
use crate::commands::Context;
use crate::exit::OK;
use crate::say;

pub(super) async fn print(
    context: Context,
    name: &str,
    good_for: Duration,
    data_dir: &Path,
) -> anyhow::Result<u8> {
    let token = super::token_of(data_dir, name, good_for).await?;
    let text = token.reveal();
    match context.output {
        Output::Json => say::line(&json!({"name": name, "token": text.as_str()}).to_string()),
        Output::Table => say::line(&text),
    }
    Ok(OK)
}
