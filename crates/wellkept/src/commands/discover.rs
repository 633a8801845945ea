//! `wellkept discover`: a first keep file from what runs here.

use std::io::Write as _;
use std::path::Path;

use serde_json::json;
use wellkept_model::Text;

use super::Context;
use crate::cli::Output;
use crate::exit::{Failure, OK, USAGE};
use crate::say;

pub(super) fn run(context: Context, to: Option<&Path>) -> anyhow::Result<u8> {
    let options = wellkept_discover::Options { probe_http: true, leave_out: Vec::new() };
    let found = wellkept_discover::host(&options)?.observed;
    let text = wellkept_keep::discover::write(&found);
    let Some(path) = to else {
        match context.output {
            Output::Table => say::line(text.trim_end()),
            Output::Json => {
                say::line(&json!({ "services": found.services.len(), "keep_file": text }).to_string())
            }
        }
        return Ok(OK);
    };
    let made = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    made.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|e| Failure::new(USAGE, format!("cannot write {}: {e}", path.display())))?;
    let told =
        Text::new("cli.discover.written").with("file", path.display()).with("services", found.services.len());
    say::line(&say::text(context.language, &told));
    Ok(OK)
}
