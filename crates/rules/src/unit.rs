//! promtool's unit tests for rules: series in a short notation, and what alerts and expressions they must give.
//!
//! Files are read through a closure; nothing here touches a disk. All groups are evaluated at every evaluation
//! interval from time 0, whatever interval they have themselves, as promtool does.

mod file;
mod report;
mod run;
mod series;

use std::sync::Arc;

use wellkept_model::Text;
use wellkept_promql::Limits;

pub use report::{DiffLine, Failure, Report, TestReport};

use crate::file::RuleFile;
use crate::problem::{FileErrors, Problem, Problems, short};

/// Gives the rule files that a pattern of `rule_files` means, each with its name and text; no file is no error. The
/// pattern is as the test file writes it; relative ones count from the test file's folder.
pub type Load<'a> = &'a mut dyn FnMut(&str) -> Result<Vec<(String, String)>, String>;

/// Runs all tests of a unit-test file; `name` is what messages call it.
///
/// # Errors
/// [`FileErrors`] when the test file or a rule file cannot be read or has mistakes. A test that fails is no error.
pub fn run(
    name: &str,
    text: &str,
    load: Load<'_>,
    limits: &Limits,
    cancelled: &dyn Fn() -> bool,
) -> Result<Report, FileErrors> {
    let tests = file::TestFile::read(name, text)?;
    let mut warnings = Vec::new();
    let rules = rule_files(name, &tests, load, &mut warnings)?;
    let reports = tests.tests.iter().enumerate().map(|(index, test)| TestReport {
        index,
        name: test.name.clone(),
        failures: run::run(&tests, test, &rules, limits, cancelled),
    });
    Ok(Report { file: name.to_owned(), tests: reports.collect(), warnings })
}

/// The groups of all rule files in the order in which they are evaluated.
fn rule_files(
    name: &str,
    tests: &file::TestFile,
    load: Load<'_>,
    warnings: &mut Vec<Problem>,
) -> Result<Vec<Arc<crate::file::Group>>, FileErrors> {
    let mut groups = Vec::new();
    let mut problems = Problems::new(name);
    for (pattern, at) in &tests.rule_files {
        let accepted = Text::new("rules.accept.rule_file");
        match load(pattern) {
            Err(e) => {
                let message = Text::new("rules.rule_file_missing")
                    .with("name", short(pattern))
                    .with("detail", short(&e));
                problems.add(at, message, accepted);
            }
            Ok(files) if files.is_empty() => warnings.push(Problem {
                file: name.to_owned(),
                place: at.place,
                path: at.path.clone(),
                message: Text::new("rules.no_rule_file").with("name", short(pattern)),
                accepted,
            }),
            Ok(files) => {
                for (file, text) in files {
                    groups.extend(RuleFile::read(&file, &text)?.groups.into_iter().map(Arc::new));
                }
            }
        }
    }
    let place = |name: &String| tests.order.iter().position(|n| n == name).unwrap_or(usize::MAX);
    groups.sort_by_key(|g| place(&g.name));
    problems.finish(groups)
}

#[cfg(test)]
mod tests;
