//! The table at the end, and the one line that a machine reads.

use std::fmt;
use std::time::Duration;

use super::counts::Counts;

/// What became of one step.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) counts: Counts,
    /// Why it was skipped or failed.
    pub(super) note: Option<String>,
    pub(super) took: Duration,
}

/// All steps so far.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) rows: Vec<Row>,
}

impl Summary {
    /// Something was run and nothing failed.
    pub(super) fn ok(&self) -> bool {
        !self.rows.is_empty() && self.sum().failed == 0
    }

    fn sum(&self) -> Counts {
        let mut sum = Counts::default();
        for row in &self.rows {
            sum.add(row.counts);
        }
        sum
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:<24} {:>8} {:>7} {:>7} {:>8}", "step", "time", "passed", "failed", "skipped")?;
        for row in &self.rows {
            let Counts { passed, failed, skipped } = row.counts;
            let took = format!("{:.1} s", row.took.as_secs_f64());
            write!(f, "{:<24} {took:>8} {passed:>7} {failed:>7} {skipped:>8}", row.name)?;
            match row.note.as_deref().and_then(|n| n.lines().next()) {
                Some(note) => writeln!(f, "  {note}")?,
                None => writeln!(f)?,
            }
        }
        let Counts { passed, failed, skipped } = self.sum();
        writeln!(f, "\n{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &'static str, passed: u64, failed: u64, skipped: u64) -> Row {
        let counts = Counts { passed, failed, skipped };
        Row { name, counts, note: None, took: Duration::from_millis(1234) }
    }

    #[test]
    fn the_last_line_is_the_sum_alone() {
        let summary = Summary { rows: vec![row("fmt", 1, 0, 0), row("tests", 40, 2, 3)] };
        let text = summary.to_string();
        assert_eq!(text.lines().next_back(), Some("41 passed, 2 failed, 3 skipped"));
        assert!(text.contains("tests                       1.2 s      40       2        3\n"), "{text}");
        assert!(!summary.ok());
    }

    #[test]
    fn a_run_without_any_step_is_not_well() {
        assert!(!Summary::default().ok());
    }
}
