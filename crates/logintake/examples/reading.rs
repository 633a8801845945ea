//! Reads lines of files as the doors do, and says how many carry a time and a level, and how fast that was.
//!
//! `cargo run --release -p wellkept-logintake --example reading -- FILE…`
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a program for measuring"
)]

use std::time::Instant;

use wellkept_logintake::join::{JoinConfig, Joiner};
use wellkept_logintake::{Fields, Limits, Zone, read};

/// 2026-01-01: for stamps without a year.
const NOW_NS: i64 = 1_767_225_600_000_000_000;
/// Lines that are read at least, by reading a file again and again.
const LINES_MIN: usize = 1_000_000;

fn main() {
    println!(
        "{:>8} {:>7} {:>7} {:>10} {:>10} {:>10}",
        "lines", "time", "level", "read/s", "join/s", "fields/s"
    );
    for path in std::env::args().skip(1) {
        let text = std::fs::read(&path).unwrap();
        let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').filter(|l| !l.is_empty()).collect();
        let readings: Vec<_> = lines.iter().map(|line| read(line, NOW_NS, &Zone::utc())).collect();
        let share = |n: usize| 100.0 * n as f64 / lines.len() as f64;
        let times = share(readings.iter().filter(|r| r.at_ns.is_some()).count());
        let levels = share(readings.iter().filter(|r| r.level.is_some()).count());
        let rounds = LINES_MIN.div_ceil(lines.len());
        let speed = |work: &mut dyn FnMut(&[u8])| {
            let start = Instant::now();
            (0..rounds).for_each(|_| lines.iter().for_each(|line| work(line)));
            (rounds * lines.len()) as f64 / start.elapsed().as_secs_f64()
        };
        let reading = speed(&mut |line| {
            std::hint::black_box(read(line, NOW_NS, &Zone::utc()));
        });
        let mut joiner = Joiner::new(JoinConfig::default());
        let joining = speed(&mut |line| {
            if !joiner.continues(line) {
                std::hint::black_box(joiner.group());
                joiner.clear();
            }
            joiner.hold(line, 0);
        });
        let fields = speed(&mut |line| {
            std::hint::black_box(Fields::of(line, &Limits::default()).count());
        });
        println!(
            "{:>8} {times:>6.1}% {levels:>6.1}% {reading:>10.0} {joining:>10.0} {fields:>10.0}  {path}",
            lines.len()
        );
        for (line, reading) in lines.iter().zip(&readings).filter(|(_, r)| r.at_ns.is_none()).take(2) {
            println!("    no time: {} ({:?})", String::from_utf8_lossy(line), reading.level);
        }
        for (line, _) in lines.iter().zip(&readings).filter(|(_, r)| r.level.is_none()).take(2) {
            println!("    no level: {}", String::from_utf8_lossy(line));
        }
    }
}
