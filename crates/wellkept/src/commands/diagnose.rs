//! `wellkept diagnose rank`: recorded cases through the same engine that ranks what no rule knows.

use std::path::{Path, PathBuf};

use wellkept_model::Text;
use wellkept_rootcause::case::{self, Answer, CaseFiles};
use wellkept_rootcause::{Ranking, SignKind, rank};

use super::Context;
use crate::cli::Output;
use crate::exit::{Failure, OK, USAGE};
use crate::say::{self, Progress};

/// Suspects of a case that people are shown.
const SHOWN_MAX: usize = 5;
/// Signs of a suspect that people are shown.
const SIGNS_MAX: usize = 3;

/// Ranks each case folder; with `--output json` as the usual scorers read it: case, then entities with their scores.
pub(super) fn rank_cases(context: Context, folders: &[PathBuf]) -> anyhow::Result<u8> {
    let mut answer = Answer::default();
    let mut progress = Progress::new();
    for (done, folder) in (1..).zip(folders) {
        let files = Folder(folder.clone());
        let name = case::key(&folder.to_string_lossy(), &files);
        let scene = case::read(&name, &files).map_err(|e| {
            let text = Text::new("cli.error.read").with("file", folder.display()).with("error", e);
            Failure::new(USAGE, say::text(context.language, &text))
        })?;
        let ranking = rank(&scene);
        if context.output == Output::Table {
            show(context, &name, &ranking);
        }
        answer.add(&name, &ranking);
        progress.at(done);
    }
    progress.end();
    if context.output == Output::Json {
        say::line(&serde_json::to_string(&answer)?);
    }
    Ok(OK)
}

fn show(context: Context, name: &str, ranking: &Ranking) {
    say::line(&say::paint("1", &wellkept_catalogue::harmless(name)));
    let word = |key: &str| say::word(context.language, key);
    if ranking.candidates.is_empty() {
        say::line(&word("cli.diagnose.unknown"));
    }
    let head = ["entity", "score", "sign", "series", "before", "after"];
    let head = head.map(|c| word(&format!("cli.diagnose.{c}")));
    let mut rows = Vec::new();
    for candidate in ranking.candidates.iter().take(SHOWN_MAX) {
        let mut first = true;
        for sign in candidate.signs.iter().take(SIGNS_MAX) {
            let whom = if std::mem::take(&mut first) {
                [candidate.entity.clone(), format!("{:.2}", candidate.score)]
            } else {
                [String::new(), String::new()]
            };
            let kind = match sign.kind {
                SignKind::Slow => "slow",
                SignKind::Failing => "failing",
                SignKind::Full => "full",
                SignKind::Changed => "changed",
            };
            let rest = [
                word(&format!("cli.diagnose.sign.{kind}")),
                sign.series.clone(),
                format!("{:.4}", sign.before),
                format!("{:.4}", sign.after),
            ];
            let row = whom.into_iter().chain(rest);
            // What hosts called their entities and series: shown harmless.
            rows.push(row.map(|cell| wellkept_catalogue::harmless(&cell).into_owned()).collect());
        }
    }
    say::table(&head, rows);
    say::line("");
}

/// The files around one case.
struct Folder(PathBuf);

impl CaseFiles for Folder {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        std::fs::read(self.0.join(path)).ok()
    }

    fn list(&self, path: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join(Path::new(path))).into_iter().flatten().flatten();
        entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
    }
}
