//! `logs mine`: each line with its template and parameters, or the templates with their counts.

use std::io::Write as _;
use std::path::Path;

use serde_json::json;
use wellkept_logmine::{Mined, Mining, header};
use wellkept_model::Text;

use super::{lines, read};
use crate::cli::Output;
use crate::commands::Context;
use crate::exit::OK;
use crate::say::{self, Progress};

/// How lines are taken and what is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    /// Leave time, level and component before the message out.
    pub(super) without_header: bool,
    /// Tell the templates, not the lines.
    pub(super) templates: bool,
}

pub(super) fn run(context: Context, path: &Path, options: Options) -> anyhow::Result<u8> {
    let bytes = read(context, path)?;
    let message = |line| if options.without_header { without_header(line) } else { line };
    let mut mining = Mining::default();
    let mut progress = Progress::new();
    for (done, line) in (1..).zip(lines(&bytes)) {
        mining.line(message(line));
        progress.at(done);
    }
    progress.end();
    let mined = mining.finish();
    if options.templates || context.output == Output::Table {
        templates(context, &mined);
        return Ok(OK);
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for (nth, line) in lines(&bytes).enumerate() {
        let Some(line) = mined.line(nth, message(line)) else { break };
        let written = serde_json::to_writer(&mut out, &line).map_err(std::io::Error::from);
        // A closed pipe ends the program quietly, as other tools do.
        if written.and_then(|()| out.write_all(b"\n")).is_err() {
            return Ok(OK);
        }
    }
    // As above.
    let _ = out.flush();
    Ok(OK)
}

fn without_header(line: &[u8]) -> &[u8] {
    line.get(header::header(line).message..).unwrap_or_default()
}

fn templates(context: Context, mined: &Mined) {
    let mut all = mined.miner().templates();
    all.sort_by(|a, b| b.lines.cmp(&a.lines).then_with(|| a.text.cmp(b.text)));
    if context.output == Output::Json {
        for t in &all {
            let line = json!({"template_id": t.id.0, "template": t.text, "lines": t.lines});
            say::line(&line.to_string());
        }
        return;
    }
    let head = ["count", "template"].map(|c| say::word(context.language, &format!("cli.logs.column.{c}")));
    let rows =
        all.iter().map(|t| vec![t.lines.to_string(), wellkept_catalogue::harmless(t.text).into_owned()]);
    say::table(&head, rows.collect());
    let lines: u64 = all.iter().map(|t| t.lines).sum();
    let text = Text::new("cli.logs.mined").with("templates", all.len()).with("lines", lines);
    say::line(&say::text(context.language, &text));
}
