//! Reads from a test program's output how many tests passed, failed and were skipped.

/// How many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
}

impl Counts {
    pub(super) fn total(self) -> u64 {
        self.passed + self.failed + self.skipped
    }

    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Whose words the output is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reporter {
    /// Not a test program: its exit status is the one result.
    Check,
    /// `cargo nextest run`: one `Summary` line.
    Nextest,
    /// `cargo test`: one `test result:` line for each test binary.
    Cargo,
    /// The same where having no test at all is fine.
    MayBeEmpty,
    /// Vitest: one `Tests` line.
    Vitest,
    /// `node --test`: one line for each kind of result, after `#` or `ℹ`.
    Node,
}

/// Adds up what the output says; a program that says nothing has no tests.
pub(super) fn count(reporter: Reporter, output: &str) -> Counts {
    let text = without_colours(output);
    let mut counts = match reporter {
        Reporter::Check => Counts { passed: 1, ..Counts::default() },
        Reporter::Nextest => {
            last(&text, |line| line.split_once("tests run:").or(line.split_once("test run:")))
        }
        Reporter::Cargo | Reporter::MayBeEmpty => cargo(&text),
        Reporter::Vitest => last(&text, |line| line.trim_start().strip_prefix("Tests ").map(|r| ("", r))),
        Reporter::Node => node(&text),
    };
    // Nextest indents what a test printed.
    counts.skipped += text.lines().filter(|line| line.trim_start().starts_with("SKIPPED: ")).count() as u64;
    counts
}

fn cargo(text: &str) -> Counts {
    let mut sum = Counts::default();
    for line in text.lines().filter_map(|line| line.trim_start().strip_prefix("test result: ")) {
        sum.add(words(line));
    }
    sum
}

fn last<'t>(text: &'t str, tail: impl Fn(&'t str) -> Option<(&'t str, &'t str)>) -> Counts {
    text.lines().filter_map(tail).next_back().map(|(_, rest)| words(rest)).unwrap_or_default()
}

fn node(text: &str) -> Counts {
    let mut sum = Counts::default();
    for line in text.lines() {
        let Some((word, number)) =
            line.strip_prefix("# ").or(line.strip_prefix("ℹ ")).and_then(|l| l.split_once(' '))
        else {
            continue;
        };
        let n = number.trim().parse::<u64>().unwrap_or(0);
        match word {
            "pass" => sum.passed += n,
            "fail" | "cancelled" => sum.failed += n,
            "skipped" | "todo" => sum.skipped += n,
            _ => {}
        }
    }
    sum
}

/// Every `number word` pair in the line.
fn words(line: &str) -> Counts {
    let mut counts = Counts::default();
    let mut number = None;
    for word in line.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()) {
        if let Ok(n) = word.parse::<u64>() {
            number = Some(n);
            continue;
        }
        let n = number.take().unwrap_or(0);
        match word {
            "passed" => counts.passed += n,
            "failed" | "timed" => counts.failed += n,
            "skipped" | "ignored" | "todo" => counts.skipped += n,
            _ => {}
        }
    }
    counts
}

/// Drops terminal colours: ESC, `[`, digits and semicolons, one letter.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        let mut letters = rest.chars();
        letters.next();
        rest = letters.as_str();
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reporter: Reporter, output: &str, passed: u64, failed: u64, skipped: u64) {
        assert_eq!(count(reporter, output), Counts { passed, failed, skipped }, "{output}");
    }

    #[test]
    fn nextest_is_read_from_its_summary() {
        let text = "   PASS [0.1s] x 3 passed\n  Summary [   2.1s] 12 tests run: 10 passed (1 slow), 1 failed, 1 timed out, 4 skipped\n";
        check(Reporter::Nextest, text, 10, 2, 4);
        check(Reporter::Nextest, " Summary [ 0.1s] 1 test run: 1 passed, 0 skipped\n", 1, 0, 0);
    }

    #[test]
    fn colours_do_not_hide_numbers() {
        let text = "\u{1b}[32;1m     Summary\u{1b}[0m [   0.0s] \u{1b}[1m2\u{1b}[0m tests run: \u{1b}[1m2\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, \u{1b}[1m0\u{1b}[0m skipped";
        check(Reporter::Nextest, text, 2, 0, 0);
    }

    #[test]
    fn cargo_test_is_summed_over_all_binaries() {
        let text = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
                    test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out\n";
        check(Reporter::Cargo, text, 4, 2, 1);
    }

    #[test]
    fn vitest_is_read_from_its_line_of_tests_not_of_files() {
        let text = " Test Files  2 passed (2)\n      Tests  1 failed | 11 passed | 1 skipped (13)\n";
        check(Reporter::Vitest, text, 11, 1, 1);
    }

    #[test]
    fn node_is_read_from_its_last_lines_in_both_of_its_forms() {
        for mark in ["#", "ℹ"] {
            let text = [
                "ok 1 - pass 7",
                "tests 9",
                "suites 1",
                "pass 4",
                "fail 1",
                "cancelled 1",
                "skipped 2",
                "todo 1",
            ]
            .map(|line| format!("{mark} {line}\n"))
            .concat();
            check(Reporter::Node, &text, 4, 2, 3);
        }
    }

    #[test]
    fn a_line_that_begins_with_skipped_counts() {
        check(
            Reporter::Nextest,
            "    SKIPPED: no root\n Summary [ 1s] 2 tests run: 2 passed, 0 skipped\n",
            2,
            0,
            1,
        );
        check(Reporter::Cargo, "SKIPPED: no network here\ntest result: ok. 1 passed; 0 failed\n", 1, 0, 1);
    }

    #[test]
    fn a_program_that_says_nothing_has_no_tests() {
        for reporter in [Reporter::Nextest, Reporter::Cargo, Reporter::Vitest, Reporter::Node] {
            check(reporter, "compiling\n", 0, 0, 0);
        }
    }
}
