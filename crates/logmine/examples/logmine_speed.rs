//! Mined lines per second on one core, and memory, over a mix of systems.
//!
//! `logmine_speed FOLDER [LINES]`: FOLDER holds `<S>/<S>_2k.log`. The files are cycled line by line in a fixed
//! shuffle; each line gets a rising time in front, and after the first cycle half of the runs of three and more
//! digits are replaced by random ones, so that nothing lives on plain repetition.
//!
//! `logmine_speed distinct [LINES]`: lines of random words, hardly two of one template, and what they cost.
#![allow(clippy::print_stdout, clippy::unwrap_used)]
#![expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]

use std::path::Path;
use std::time::Instant;

use wellkept_logmine::Miner;
use wellkept_model::TemplateMiner;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn main() {
    let folder = std::env::args().nth(1).unwrap();
    if folder == "distinct" {
        return distinct(std::env::args().nth(2).map_or(10_000_000, |n| n.parse().unwrap()));
    }
    let wanted: usize = std::env::args().nth(2).map_or(1_000_000, |n| n.parse().unwrap());
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for system in files {
        let Ok(text) = std::fs::read(Path::new(&folder).join(&system).join(format!("{system}_2k.log")))
        else {
            continue;
        };
        lines.extend(
            text.split(|&b| b == b'\n').filter(|l| !l.is_empty()).map(|l| l.trim_ascii_end().to_vec()),
        );
    }
    let mut random = Random(88_172_645_463_325_252);
    for i in (1..lines.len()).rev() {
        lines.swap(i, (random.next() % (i as u64 + 1)) as usize);
    }
    let mut raw = Vec::new();
    let mut time = 1_700_000_000_000u64;
    for n in 0..wanted {
        let line = &lines[n % lines.len()];
        time += random.next() % 10;
        raw.extend_from_slice(format!("{}.{:03} ", time / 1000, time % 1000).as_bytes());
        if n < lines.len() {
            raw.extend_from_slice(line)
        } else {
            vary(line, &mut random, &mut raw)
        }
        raw.push(b'\n');
    }
    // Lines are cut before the clock starts: only mining is measured.
    let cut_lines: Vec<&[u8]> = raw.split(|&b| b == b'\n').filter(|l| !l.is_empty()).collect();
    for round in 1..=2 {
        let mut miner = Miner::default();
        let (mut params, mut cut, mut n) = (Vec::new(), 0usize, 0usize);
        let (start, cpu) = (Instant::now(), on_cpu_ns());
        let mut half = start;
        for line in &cut_lines {
            let shape = miner.split(line, &mut params);
            cut += params.len() + shape.literals.len();
            n += 1;
            if n == wanted / 2 {
                half = Instant::now();
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        let cpu = (on_cpu_ns() - cpu) as f64 / 1e9;
        let second_half = half.elapsed().as_secs_f64();
        let before = miner.forms();
        let settle = Instant::now();
        miner.settle();
        println!(
            "round {round}: {n} lines, {:.0} MB, {:.0} lines per second of one core, {:.0} lines/s by the clock ({:.0} lines/s in the second half), {:.0} MB/s, {before} forms, \
             {} templates, settle {:.0} ms, {:?}, {cut} pieces",
            raw.len() as f64 / 1e6,
            n as f64 / cpu,
            n as f64 / seconds,
            (n - n / 2) as f64 / second_half,
            raw.len() as f64 / 1e6 / seconds,
            miner.templates().len(),
            settle.elapsed().as_secs_f64() * 1e3,
            miner.counts(),
        );
    }
}

fn distinct(wanted: u64) {
    let (mut random, mut miner, mut params) = (Random(88_172_645_463_325_252), Miner::default(), Vec::new());
    let (cpu, mut line) = (on_cpu_ns(), Vec::new());
    for _ in 0..wanted {
        line.clear();
        for _ in 0..3 + random.next() % 6 {
            let mut letters = random.next();
            for _ in 0..3 + letters % 6 {
                line.push(b'a' + (letters % 26) as u8);
                letters /= 26;
            }
            line.push(b' ');
        }
        miner.split(&line, &mut params);
    }
    let cpu = (on_cpu_ns() - cpu) as f64 / 1e9;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|l| l.starts_with("VmHWM")).unwrap().to_owned();
    println!(
        "{wanted} lines, {:.0} lines per second of one core, {} forms, {:?}, {peak}",
        wanted as f64 / cpu,
        miner.forms(),
        miner.counts()
    );
}

/// Time this thread ran, which unlike the clock does not count its neighbours on the machine.
fn on_cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split_ascii_whitespace().next().unwrap().parse().unwrap()
}

fn vary(line: &[u8], random: &mut Random, out: &mut Vec<u8>) {
    let mut at = 0;
    while at < line.len() {
        let digits = line[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        if digits >= 3 && random.next().is_multiple_of(2) {
            out.push(b'1' + (random.next() % 9) as u8);
            out.extend((1..digits).map(|_| b'0' + (random.next() % 10) as u8));
        } else {
            out.extend_from_slice(&line[at..at + digits.max(1)]);
        }
        at += digits.max(1);
    }
}
