//! `logs anomalies`: what is odd in one file against another that is normal. Lines are judged one by one; a table of
//! sessions (`id,label,events`) session by session. Labels are never read.

use std::path::Path;

use serde_json::json;
use wellkept_logmine::anomaly::line::LineModel;
use wellkept_logmine::anomaly::session::{SessionConfig, SessionModel};
use wellkept_model::Text;

use super::sessions::{Row, table};
use super::{lines, read};
use crate::cli::Output;
use crate::commands::Context;
use crate::exit::{Failure, OK, USAGE};
use crate::say::{self, Progress};

/// Odd ones that people are shown.
const SHOWN_MAX: usize = 20;
/// P-value up to which a line counts as odd for people.
const ODD_LINE: f64 = 0.001;

pub(super) fn run(context: Context, train: &Path, test: &Path) -> anyhow::Result<u8> {
    let (normal, judged) = (read(context, train)?, read(context, test)?);
    let named = |path: &Path, e: anyhow::Error| Failure::new(USAGE, format!("{}: {e}", path.display()));
    match (table(&normal), table(&judged)) {
        (Some(normal), Some(judged)) => {
            sessions(context, &normal.map_err(|e| named(train, e))?, &judged.map_err(|e| named(test, e))?)
        }
        (None, None) => {
            by_line(context, &normal, &judged);
            Ok(OK)
        }
        _ => {
            let text = Text::new("cli.logs.two_kinds");
            Err(Failure::new(USAGE, say::text(context.language, &text)).into())
        }
    }
}

fn sessions(context: Context, normal: &[Row], judged: &[Row]) -> anyhow::Result<u8> {
    let train: Vec<_> = normal.iter().map(Row::session).collect();
    let model = SessionModel::train(&train, SessionConfig::default())
        .map_err(|e| Failure::new(USAGE, e.to_string()))?;
    let test: Vec<_> = judged.iter().map(Row::session).collect();
    let scores = model.judge(&test);
    if context.output == Output::Json {
        for (row, s) in judged.iter().zip(&scores) {
            let line = json!({"id": row.id, "score": s.score, "p_value": s.p_value, "odd": s.odd});
            say::line(&line.to_string());
        }
        return Ok(OK);
    }
    let mut odd: Vec<_> = judged.iter().zip(&scores).filter(|(_, s)| s.odd).collect();
    odd.sort_by(|a, b| b.1.score.total_cmp(&a.1.score).then_with(|| a.0.id.cmp(&b.0.id)));
    let rows = odd.iter().take(SHOWN_MAX).map(|(row, s)| {
        let why = s.reasons.iter().map(|r| format!("{}: {} ({})", r.event, r.count, r.expected));
        vec![
            wellkept_catalogue::harmless(&row.id).into_owned(),
            format!("{:.3}", s.score),
            format!("{:.2e}", s.p_value),
            why.collect::<Vec<_>>().join(", "),
        ]
    });
    show(context, ["session", "score", "p_value", "events"], rows.collect(), odd.len(), scores.len());
    Ok(OK)
}

fn by_line(context: Context, normal: &[u8], judged: &[u8]) {
    let mut model = LineModel::default();
    lines(normal).for_each(|line| model.train(line));
    let mut progress = Progress::new();
    let (mut rows, mut odd, mut all) = (Vec::new(), 0, 0);
    for (number, line) in (1_u64..).zip(lines(judged)) {
        let s = model.judge(line);
        all += 1;
        progress.at(number);
        if context.output == Output::Json {
            let line = json!({
                "line": number, "score": s.score, "p_value": s.p_value, "template_id": s.template.0, "new": s.new,
            });
            say::line(&line.to_string());
        } else if s.p_value <= ODD_LINE || s.new {
            odd += 1;
            if rows.len() < SHOWN_MAX {
                let text = String::from_utf8_lossy(line);
                let text = wellkept_catalogue::harmless(&text).chars().take(200).collect();
                rows.push(vec![
                    number.to_string(),
                    format!("{:.3}", s.score),
                    format!("{:.2e}", s.p_value),
                    text,
                ]);
            }
        }
    }
    progress.end();
    if context.output == Output::Table {
        show(context, ["line", "score", "p_value", "text"], rows, odd, all);
    }
}

fn show(context: Context, head: [&str; 4], rows: Vec<Vec<String>>, odd: usize, all: usize) {
    let head = head.map(|c| say::word(context.language, &format!("cli.logs.column.{c}")));
    say::table(&head, rows);
    let text = Text::new("cli.logs.odd").with("odd", odd).with("all", all);
    say::line(&say::text(context.language, &text));
}
