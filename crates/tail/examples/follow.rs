//! Speed of following: lines per second of a file that is there, and how long a line takes from its writing to its
//! commit.
//!
//! `cargo run --release -p wellkept-tail --example follow -- [FILE]`: the lines of FILE, or made ones.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a program for measuring"
)]

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wellkept_tail::files::{FileSource, Files, FilesOptions};
use wellkept_tail::{Batch, CommitError, Outlet};

/// Bytes that are followed.
const BYTES: usize = 300 << 20;
/// Lines whose way is measured.
const LINES: u64 = 300;

#[derive(Default)]
struct Counter(AtomicU64);

impl Outlet for Counter {
    fn commit(&self, batch: &Batch) -> Result<(), CommitError> {
        self.0.fetch_add(batch.len() as u64, Ordering::Release);
        Ok(())
    }
}

fn now_ns() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.log");
    let line =
        b"2024-01-02 03:04:05,678 INFO [worker-7] org.example.Shop - order 8123 of user 42 took 15ms\n";
    let given = std::env::args().nth(1).map(|path| std::fs::read(path).unwrap());
    let text = given.unwrap_or_else(|| line.repeat(10_000));
    let mut file = std::fs::File::create(&path).unwrap();
    let lines = (0..BYTES / text.len()).map(|_| file.write_all(&text).unwrap()).count() as u64
        * text.iter().filter(|b| **b == b'\n').count() as u64;
    let source = FileSource { include: vec![path.to_str().unwrap().to_owned()], ..FileSource::default() };
    let mut files = Files::new(&[source], FilesOptions::default(), &[]).unwrap();
    let counter = Counter::default();
    let (start, cpu_start) = (Instant::now(), cpu());
    while files.turn(now_ns(), &counter).more {}
    let (wall, cpu) = (start.elapsed().as_secs_f64(), (cpu() - cpu_start).as_secs_f64());
    println!("{lines} lines: {:.0}/s, {:.0}/s of CPU", lines as f64 / wall, lines as f64 / cpu);

    let (stop, waker) = (AtomicBool::new(false), files.waker());
    let mut took = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| files.run(&counter, &now_ns, &stop, |_, _| {}));
        std::thread::sleep(Duration::from_millis(300));
        for i in 0..LINES {
            let before = counter.0.load(Ordering::Acquire);
            let start = Instant::now();
            file.write_all(line).unwrap();
            while counter.0.load(Ordering::Acquire) == before {
                std::thread::sleep(Duration::from_micros(100));
            }
            took.push(start.elapsed());
            std::thread::sleep(Duration::from_millis(i % 7));
        }
        stop.store(true, Ordering::Release);
        waker.wake();
    });
    took.sort();
    println!("from writing to commit: median {:?}, longest {:?}", took[took.len() / 2], took[took.len() - 1]);
}
