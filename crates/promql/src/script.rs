//! Test scripts in the format of Prometheus' promqltest: `load` series, `eval` queries, compare.
//!
//! Pure: a text goes in, a [`Report`] comes out. Both forms of expectations are read, the older `eval_fail`,
//! `eval_warn`, `eval_info`, `eval_ordered` and the newer `expect …` lines. As in Prometheus, an instant query is also
//! run as a range query around its instant, and must say the same there.
//!
//! ```text
//! load 1m
//!   up{host="a"} 1 1 0 _ stale {{schema:0 count:2 sum:3 buckets:[2]}}
//! eval instant at 2m up == 0
//!   expect no_warn
//!   up{host="a"} 0
//! ```

mod command;
mod compare;
mod memory;
mod notation;
mod run;

pub use memory::Memory;
pub use notation::{SeriesValue, series};

use crate::Limits;
use command::Command;

/// Most lines of one script.
const LINES_MAX: usize = 200_000;

/// What became of a script.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Every `eval`, in order of the lines; also lines that could not be read or loaded, which failed.
    pub cases: Vec<Case>,
}

/// One query of a script.
#[derive(Debug, Clone)]
pub struct Case {
    /// Where it begins, from 1.
    pub line: usize,
    /// The query, or the line that could not be read.
    pub query: String,
    /// Why it failed; nothing when it passed.
    pub failure: Option<String>,
}

impl Report {
    /// How many cases passed.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.cases.iter().filter(|c| c.failure.is_none()).count()
    }

    /// The cases that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(|c| c.failure.is_some())
    }
}

/// Runs a script. Every query runs under `limits`; `cancelled` ends the script as it ends a query.
///
/// Prometheus runs its own scripts with [`Limits::delayed_name_removal`].
#[must_use]
pub fn run(text: &str, limits: &Limits, cancelled: &dyn Fn() -> bool) -> Report {
    let lines: Vec<&str> = text.lines().take(LINES_MAX).map(trimmed).collect();
    let mut report = Report::default();
    if text.lines().nth(LINES_MAX).is_some() {
        let failure = Some(format!("a script may have at most {LINES_MAX} lines; nothing of it was run"));
        report.cases.push(Case { line: LINES_MAX + 1, query: String::new(), failure });
        return report;
    }
    let mut memory = Memory::default();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let number = at + 1;
        at += 1;
        if line.is_empty() {
            continue;
        }
        if cancelled() {
            let failure = Some("the script was stopped before its end".to_owned());
            report.cases.push(Case { line: number, query: (*line).to_owned(), failure });
            return report;
        }
        let block: Vec<&str> =
            lines.get(at..).unwrap_or_default().iter().take_while(|l| !l.is_empty()).copied().collect();
        let (command, used) = match command::read(line, &block, limits) {
            Ok(read) => read,
            Err(why) => {
                report.cases.push(Case { line: number, query: (*line).to_owned(), failure: Some(why) });
                at += block.len();
                continue;
            }
        };
        at += used;
        let failure = match command {
            Command::Clear => {
                memory = Memory::default();
                continue;
            }
            Command::Load(load) => match memory.load(&load, limits) {
                Ok(()) => continue,
                Err(why) => (format!("load {}", load.series.len()), Some(why)),
            },
            Command::Eval(eval) => {
                let failure = run::check(&eval, &memory, limits, cancelled).err();
                (eval.query, failure)
            }
        };
        report.cases.push(Case { line: number, query: failure.0, failure: failure.1 });
    }
    report
}

/// Without the blanks around it; a comment is as good as an empty line.
fn trimmed(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with('#') { "" } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Report {
        run(text, &Limits::default(), &|| false)
    }

    #[test]
    fn a_script_tells_what_passed_and_what_failed_with_its_line() {
        let report = of("load 1m\n  a 1 2\n\neval instant at 1m a\n  a 2\n\neval instant at 1m a\n  a 3\n");
        assert_eq!(report.passed(), 1);
        let failed: Vec<_> = report.failed().collect();
        assert_eq!((failed[0].line, failed[0].query.as_str()), (7, "a"));
    }

    #[test]
    fn a_line_that_cannot_be_read_fails_and_the_rest_runs() {
        let report = of("evil\n\nload x\n\neval instant at 0 vector(1)\n  {} 1\n");
        assert_eq!((report.cases.len(), report.passed()), (3, 1));
    }

    #[test]
    fn a_script_cannot_load_without_bound() {
        let report = of("load 1m\n  a 1x99999999999\n");
        assert!(report.cases[0].failure.as_deref().is_some_and(|f| f.contains("samples")), "{report:?}");
    }
}
