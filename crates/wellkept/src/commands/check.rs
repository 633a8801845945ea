//! `wellkept check`: all mistakes of a keep file at once.

use std::io::Read as _;
use std::path::Path;

use serde_json::json;
use wellkept_model::Text;
use wellkept_model::keep::Keep;

use super::Context;
use crate::cli::Output;
use crate::exit::{Failure, OK, USAGE};
use crate::say;

/// One byte more than is accepted, so that a larger file is seen as such and not read.
const READ_MAX: u64 = (1 << 20) + 1;

/// Reads and checks a keep file.
pub(crate) fn load(path: &Path) -> Result<Keep, Failure> {
    let bytes = read(path)?;
    let parsed = wellkept_keep::parse_bytes(&path.display().to_string(), &bytes);
    parsed.map_err(|errors| Failure::new(USAGE, errors.to_string()))
}

pub(super) fn run(context: Context, path: &Path) -> anyhow::Result<u8> {
    let bytes = read(path)?;
    match wellkept_keep::parse_bytes(&path.display().to_string(), &bytes) {
        Ok(keep) => {
            report_good(context, path, &keep);
            Ok(OK)
        }
        Err(errors) => {
            match context.output {
                Output::Json => {
                    say::line(&json!({ "ok": false, "problems": problems(&errors, context) }).to_string())
                }
                Output::Table => say::line(&errors.render(say::is_terminal())),
            }
            Ok(USAGE)
        }
    }
}

fn report_good(context: Context, path: &Path, keep: &Keep) {
    let (services, filesystems) = (keep.services.len(), keep.filesystems.len());
    match context.output {
        Output::Json => {
            let mode = keep.automation.mode.word();
            let all = json!({ "ok": true, "services": services, "filesystems": filesystems, "mode": mode });
            say::line(&all.to_string());
        }
        Output::Table => {
            let text = Text::new("cli.check.good")
                .with("file", path.display())
                .with("services", services)
                .with("filesystems", filesystems)
                .with("mode", keep.automation.mode.word());
            say::line(&say::text(context.language, &text));
        }
    }
}

fn problems(errors: &wellkept_keep::KeepErrors, context: Context) -> Vec<serde_json::Value> {
    let one = |p: &wellkept_keep::Problem| {
        json!({
            "file": p.file, "line": p.line, "column": p.column, "path": p.path,
            "message": say::text(context.language, &p.message), "help": say::text(context.language, &p.help),
        })
    };
    errors.problems.iter().map(one).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |e: std::io::Error| Failure::new(USAGE, format!("cannot read {}: {e}", path.display()));
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(failed)?.take(READ_MAX).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
