//! `wellkept promql test`: scripts in the format of Prometheus' own.

use std::path::{Path, PathBuf};

use serde_json::json;
use wellkept_model::Text;
use wellkept_promql::{Limits, script};

use super::Context;
use crate::cli::Output;
use crate::exit::{Failure, NOT_WELL, OK, USAGE};
use crate::say;

/// Runs scripts; the exit code is 1 when a case failed.
pub(super) fn test(context: Context, files: &[PathBuf]) -> anyhow::Result<u8> {
    let (mut passed, mut failed) = (0, 0);
    // As Prometheus runs its own scripts.
    let limits = Limits { delayed_name_removal: true, ..Limits::default() };
    let mut shown = Vec::new();
    for path in files {
        let report = script::run(&read(context, path)?, &limits, &|| false);
        let bad: Vec<_> = report.failed().collect();
        passed += report.passed();
        failed += bad.len();
        if context.output == Output::Table {
            for case in &bad {
                let why = case.failure.as_deref().unwrap_or_default();
                say::line(&format!("{}:{}: {}\n    {why}", path.display(), case.line, case.query));
            }
            let counts = Text::new("cli.promql.counts")
                .with("file", path.display())
                .with("passed", report.passed())
                .with("failed", bad.len());
            say::line(&say::text(context.language, &counts));
        }
        let cases = bad.iter().map(|c| json!({"line": c.line, "query": c.query, "failure": c.failure}));
        shown.push(json!({
            "file": path.display().to_string(), "passed": report.passed(),
            "failed": cases.collect::<Vec<_>>(),
        }));
    }
    if context.output == Output::Json {
        say::line(&json!({"passed": passed, "failed": failed, "files": shown}).to_string());
    }
    Ok(if failed == 0 { OK } else { NOT_WELL })
}

/// The text of a file that the user named.
pub(super) fn read(context: Context, path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|e| {
        let text = Text::new("cli.error.read").with("file", path.display()).with("error", e);
        Failure::new(USAGE, say::text(context.language, &text))
    })
}
