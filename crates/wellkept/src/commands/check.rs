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
    let keep = parsed.map_err(|errors| Failure::new(USAGE, errors.to_string()))?;
    let bad = bad_queries(path, &keep);
    if bad.is_empty() { Ok(keep) } else { Err(Failure::new(USAGE, bad.join("\n"))) }
}

/// The keep file's reader knows no PromQL; queries that cannot be read are found here.
fn bad_queries(path: &Path, keep: &Keep) -> Vec<String> {
    let limits = wellkept_promql::Limits::default();
    let bad = keep.unusual.iter().enumerate().filter_map(|(i, rule)| {
        let error = wellkept_promql::Query::parse(&rule.query, &limits).err()?;
        Some(format!("{}: unusual[{i}].query = {:?} of `{}`: {error}", path.display(), rule.query, rule.name))
    });
    bad.collect()
}

pub(super) fn run(context: Context, path: &Path) -> anyhow::Result<u8> {
    let bytes = read(path)?;
    match wellkept_keep::parse_bytes(&path.display().to_string(), &bytes) {
        Ok(keep) => {
            let bad = bad_queries(path, &keep);
            if bad.is_empty() {
                report_good(context, path, &keep);
                return Ok(OK);
            }
            match context.output {
                Output::Json => {
                    let problems: Vec<_> = bad.iter().map(|message| json!({ "message": message })).collect();
                    say::line(&json!({ "ok": false, "problems": problems }).to_string());
                }
                Output::Table => bad.iter().for_each(|line| say::line(line)),
            }
            Ok(USAGE)
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
