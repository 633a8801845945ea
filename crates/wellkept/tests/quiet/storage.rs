//! File systems that are as they always are.

use crate::play::Play;

#[test]
fn a_steady_82_percent() {
    let mut p = Play::new();
    p.for_seconds(900, |p, second| {
        // A few MiB to and fro, as databases do.
        let wobble = f64::from(second * 7 % 5) / 10_000.0;
        p.used("/data", 0.82 + wobble);
    });
    p.is_quiet();
    assert!(p.findings().is_empty(), "{:?}", p.findings());
}

#[test]
fn temporary_files_that_come_and_go_below_the_limit() {
    let mut p = Play::new();
    // Teeth of twenty minutes: 50 % to 80 %, then the job cleans up. A few days in fast motion.
    p.for_seconds(4800, |p, second| p.used("/data", 0.5 + 0.3 * f64::from(second % 1200) / 1200.0));
    p.is_quiet();
}

#[test]
fn a_backup_that_reads_everything() {
    let mut p = Play::new();
    p.for_seconds(600, |p, second| {
        let runs = (60..400).contains(&second);
        p.takes(if runs { 90 } else { 5 });
        p.value(
            "time to answer",
            Some("app"),
            if runs { 0.011 } else { 0.01 } + f64::from(second % 7) / 1000.0,
        );
        // It writes its file, and the old one goes.
        p.used(
            "/data",
            if second < 60 {
                0.6
            } else if runs {
                0.6 + 0.12 * f64::from(second - 60) / 340.0
            } else {
                0.6
            },
        );
        p.seen.local.table = runs.then(|| crate::load::table(p.now, "backup", 1.0, 0.5, 0.05));
    });
    p.is_quiet();
}
