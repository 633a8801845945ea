//! `wellkept rules check` and `wellkept rules test`, as promtool does them.

use std::path::{Path, PathBuf};

use serde_json::json;
use wellkept_promql::Limits;
use wellkept_rules::unit;

use super::Context;
use super::promql::read;
use crate::cli::Output;
use crate::exit::{NOT_WELL, OK};
use crate::say;

/// Checks rule files; the exit code is 1 when one has mistakes.
pub(super) fn check(context: Context, files: &[PathBuf]) -> anyhow::Result<u8> {
    let mut code = OK;
    let mut shown = Vec::new();
    for path in files {
        let name = path.display().to_string();
        match wellkept_rules::check(&name, &read(context, path)?) {
            Ok(checked) => {
                let warnings: Vec<_> = checked.warnings.iter().map(|w| w.line(context.language)).collect();
                if context.output == Output::Table {
                    say::line(&format!("{name}: {}", say::text(context.language, &checked.summary())));
                    warnings.iter().for_each(|w| say::line(w));
                }
                shown.push(json!({
                    "file": name, "ok": true, "alerting": checked.alerting,
                    "recording": checked.recording, "warnings": warnings,
                }));
            }
            Err(errors) => {
                code = NOT_WELL;
                let problems: Vec<_> = errors.problems.iter().map(|p| p.line(context.language)).collect();
                if context.output == Output::Table {
                    problems.iter().for_each(|p| say::line(p));
                }
                shown.push(json!({"file": name, "ok": false, "problems": problems}));
            }
        }
    }
    if context.output == Output::Json {
        say::line(&json!({"ok": code == OK, "files": shown}).to_string());
    }
    Ok(code)
}

/// Runs unit tests; the exit code is 1 when one failed or cannot be read.
pub(super) fn test(context: Context, files: &[PathBuf]) -> anyhow::Result<u8> {
    let mut code = OK;
    let mut shown = Vec::new();
    for path in files {
        let name = path.display().to_string();
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut load = |pattern: &str| rule_files(folder, pattern);
        let text = read(context, path)?;
        let (ok, report) = match unit::run(&name, &text, &mut load, &Limits::default(), &|| false) {
            Ok(report) => (report.passed(), report.show(context.language)),
            Err(errors) => {
                let lines: Vec<_> = errors.problems.iter().map(|p| p.line(context.language)).collect();
                (false, lines.join("\n"))
            }
        };
        if !ok {
            code = NOT_WELL;
        }
        if context.output == Output::Table {
            say::line(report.trim_end());
        }
        shown.push(json!({"file": name, "ok": ok, "report": report}));
    }
    if context.output == Output::Json {
        say::line(&json!({"ok": code == OK, "files": shown}).to_string());
    }
    Ok(code)
}

/// The rule files of a pattern, which counts from the test file's folder.
fn rule_files(folder: &Path, pattern: &str) -> Result<Vec<(String, String)>, String> {
    let pattern = folder.join(pattern);
    let paths = glob::glob(&pattern.to_string_lossy()).map_err(|e| e.to_string())?;
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok((path.display().to_string(), text))
    };
    paths.map(|p| p.map_err(|e| e.to_string()).and_then(read)).collect()
}
