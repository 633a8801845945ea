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
    let options = wellkept_discover::Options { probe_http: true, leave_out: our_processes() };
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
    made.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|e| {
        let text = match e.kind() {
            std::io::ErrorKind::AlreadyExists => Text::new("cli.discover.there").with("file", path.display()),
            _ => Text::new("cli.error.write").with("file", path.display()).with("error", e),
        };
        Failure::new(USAGE, say::text(context.language, &text))
    })?;
    let told =
        Text::new("cli.discover.written").with("file", path.display()).with("services", found.services.len());
    say::line(&say::text(context.language, &told));
    Ok(OK)
}

/// Processes of this program: a running Wellkept is not one of the services that it keeps.
fn our_processes() -> Vec<i32> {
    let name = |exe: &Path| {
        let name = exe.file_name().map(|n| n.to_string_lossy().into_owned());
        // After an upgrade the old program still runs.
        name.map(|n| n.trim_end_matches(" (deleted)").to_owned())
    };
    let Some(own) = std::env::current_exe().ok().as_deref().and_then(name) else { return Vec::new() };
    let ours = |pid: &i32| {
        std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| name(&exe).as_ref() == Some(&own))
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).filter(ours).collect()
}
