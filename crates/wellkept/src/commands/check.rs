//! `wellkept check`: all mistakes of a keep file at once.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use wellkept_catalogue::Language;
use wellkept_model::Text;
use wellkept_model::keep::Keep;

use super::Context;
use crate::cli::Output;
use crate::exit::{Failure, OK, USAGE};
use crate::metrics::Files;
use crate::say;

/// One byte more than is accepted, so that a larger file is seen as such and not read.
const READ_MAX: u64 = (1 << 20) + 1;
/// Mistakes named in one line; whoever wants all of them runs `wellkept check`.
const BRIEF_MAX: usize = 5;

/// A keep file as it was read: what it says, and its text.
pub(crate) type Loaded = (Keep, Arc<str>);

/// Reads and checks a keep file; mistakes are told at length in the language.
pub(crate) fn load(path: &Path, language: Language) -> Result<Loaded, Failure> {
    load_with(path, language, &|errors| {
        errors.render_with(&|text| say::text(language, text), false).trim_end().to_owned()
    })
}

/// The same with mistakes in one line, as they fit into an answer and a log.
pub(crate) fn load_briefly(path: &Path) -> Result<Loaded, Failure> {
    load_with(path, Language::En, &|errors| {
        let one = |p: &wellkept_keep::Problem| {
            let place = format!("{}:{}:{}: {}", p.file, p.line, p.column, p.path);
            format!("{place}: {} ({})", p.message_en(), p.help_en())
        };
        let shown: Vec<_> = errors.problems.iter().take(BRIEF_MAX).map(one).collect();
        let more = (errors.problems.len() + errors.not_shown).saturating_sub(shown.len());
        let tail = if more > 0 { format!("; and {more} more") } else { String::new() };
        shown.join("; ") + &tail
    })
}

fn load_with(
    path: &Path,
    language: Language,
    told: &dyn Fn(&wellkept_keep::KeepErrors) -> String,
) -> Result<Loaded, Failure> {
    let bytes = read(path, language)?;
    let parsed = wellkept_keep::parse_bytes(&path.display().to_string(), &bytes);
    let keep = parsed.map_err(|errors| Failure::new(USAGE, told(&errors)))?;
    let bad = bad_queries(path, &keep);
    // What is no UTF-8 was refused just now.
    let text = String::from_utf8_lossy(&bytes).into();
    if bad.is_empty() { Ok((keep, text)) } else { Err(Failure::new(USAGE, bad.join("\n"))) }
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

/// Mistakes in the files that a keep file names under `metrics`, and in the patterns of `logs`. A file that is not there
/// yet is no mistake.
fn bad_files(keep: &Keep) -> Vec<String> {
    let mut there = keep.clone();
    there.metrics.scrape = keep.metrics.scrape.clone().filter(|p| p.exists());
    let read = Files::read(&there);
    let told = |e: anyhow::Error| format!("{e:#}").lines().map(str::to_owned).collect::<Vec<_>>();
    let logs = crate::logs::plan(keep, Path::new("/"), true);
    read.err().into_iter().chain(logs.err()).flat_map(told).collect()
}

pub(super) fn run(context: Context, path: &Path) -> anyhow::Result<u8> {
    let bytes = read(path, context.language)?;
    match wellkept_keep::parse_bytes_on(&path.display().to_string(), &bytes, users().as_deref()) {
        Ok(keep) => {
            let mut bad = bad_queries(path, &keep);
            bad.extend(bad_files(&keep));
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
                Output::Table => {
                    let told =
                        errors.render_with(&|text| say::text(context.language, text), say::is_terminal());
                    say::line(told.trim_end());
                }
            }
            Ok(USAGE)
        }
    }
}

/// Names of this host's users; `None` when they cannot be told.
fn users() -> Option<Vec<String>> {
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    Some(text.lines().filter_map(|l| l.split_once(':')).map(|(name, _)| name.to_owned()).collect())
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

fn read(path: &Path, language: Language) -> Result<Vec<u8>, Failure> {
    let failed = |e: std::io::Error| {
        let text = Text::new("cli.error.read").with("file", path.display()).with("error", e);
        Failure::new(USAGE, say::text(language, &text))
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(failed)?.take(READ_MAX).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
