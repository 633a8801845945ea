//! `wellkept replay`: makes a stored decision again, and says whether it comes out as it did then.

use std::io::Read as _;
use std::path::Path;

use wellkept_model::Text;
use wellkept_recover::Decision;

use super::Context;
use crate::cli::Output;
use crate::exit::{Failure, NOT_WELL, OK, USAGE};
use crate::record::{Answer, Record};
use crate::say::{self, paint, word};

/// Largest record that is read, bytes; the engine's own are far below a MiB.
const RECORD_MAX: u64 = 64 << 20;

pub(super) fn run(c: Context, file: &Path) -> anyhow::Result<u8> {
    let refused = |why: &dyn std::fmt::Display| {
        let text = Text::new("cli.error.read").with("file", file.display()).with("error", why);
        Failure::new(USAGE, say::text(c.language, &text))
    };
    let in_words = |why: Text| refused(&say::text(c.language, &why));
    let bytes = read(file).map_err(|e| refused(&e))?;
    let record = Record::read(&bytes).map_err(in_words)?;
    let answer = record.judge(&record.keep().map_err(in_words)?);
    let text = answer.text()?;
    let same = text == record.answer;
    match c.output {
        Output::Json => say::line(&text),
        Output::Table => {
            tell(c, &record, &answer);
            let verdict = if same { "cli.replay.same" } else { "cli.replay.differs" };
            say::line("");
            say::line(&word(c.language, verdict));
        }
    }
    if !same && c.output == Output::Json {
        say::error(&word(c.language, "cli.replay.differs"));
    }
    Ok(if same { OK } else { NOT_WELL })
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(RECORD_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > RECORD_MAX {
        let limit = format!("it is larger than {RECORD_MAX} bytes, as no record is");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, limit));
    }
    Ok(bytes)
}

fn tell(c: Context, record: &Record, answer: &Answer) {
    let text = |t: &Text| say::text(c.language, t);
    say::line(&paint("1", &format!("#{} {}", record.incident.id, text(&record.incident.title))));
    say::line(&text(&Text::new("cli.time").with("at", record.situation.now)));
    section(c, "cli.why.causes");
    for cause in &answer.causes {
        let score = text(&Text::new("cli.percent").with("x", cause.score));
        say::line(&format!("  {score:>5}  {}", text(&cause.detail)));
        for evidence in &cause.evidence {
            let at = text(&Text::new("cli.time").with("at", evidence.at));
            say::line(&paint("2", &format!("           {at}  {}", text(&evidence.text))));
        }
    }
    section(c, heading(&answer.decision));
    match &answer.decision {
        Decision::Run(plan) | Decision::Propose(plan) => {
            for step in &plan.steps {
                say::line(&format!("  {}", text(&step.reason)));
            }
            if let Some(why) = &plan.withheld {
                say::line(&format!("  {}", text(why)));
            }
        }
        Decision::Escalate(why) | Decision::Wait(_, why) => say::line(&format!("  {}", text(why))),
        Decision::Nothing => say::line(&format!("  {}", word(c.language, "cli.replay.nothing"))),
    }
}

/// What the steps are: begun, only shown, or none.
fn heading(decision: &Decision) -> &'static str {
    match decision {
        Decision::Run(_) => "cli.replay.run",
        Decision::Propose(_) => "cli.why.plan",
        Decision::Escalate(_) => "cli.replay.escalate",
        Decision::Wait(..) | Decision::Nothing => "cli.replay.wait",
    }
}

fn section(c: Context, key: &str) {
    say::line("");
    say::line(&paint("1", &word(c.language, key)));
}
