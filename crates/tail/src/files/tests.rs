//! Following real files: rotated, emptied, compressed, removed, and read on after a restart. Nothing may be lost, nothing
//! doubled.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use super::*;
use crate::batch::CommitError;

/// A store that keeps what was committed, and can refuse.
#[derive(Default)]
struct Store(Mutex<Stored>);

#[derive(Default)]
struct Stored {
    lines: Vec<(Labels, String)>,
    notes: BTreeMap<String, String>,
    refuse: usize,
    commits: usize,
    hurries: bool,
}

impl Outlet for Store {
    fn commit(&self, batch: &Batch) -> Result<(), CommitError> {
        struct Lines<'a>(&'a mut Vec<(Labels, String)>);
        impl LogSink for Lines<'_> {
            fn line(&mut self, line: &LogLine<'_>) {
                self.0.push((line.labels.clone(), String::from_utf8_lossy(line.text).into_owned()));
            }
        }
        let mut stored = self.0.lock().unwrap();
        if stored.refuse > 0 {
            stored.refuse -= 1;
            return Err(CommitError("full".into()));
        }
        stored.commits += usize::from(!batch.is_empty());
        batch.replay(&mut Lines(&mut stored.lines));
        for note in batch.notes() {
            match &note.value {
                Some(value) => drop(stored.notes.insert(note.key.clone(), value.clone())),
                None => drop(stored.notes.remove(&note.key)),
            }
        }
        Ok(())
    }

    fn hurries(&self) -> bool {
        self.0.lock().unwrap().hurries
    }
}

impl Store {
    fn notes(&self) -> Vec<Note> {
        let stored = self.0.lock().unwrap();
        stored.notes.iter().map(|(k, v)| Note { key: k.clone(), value: Some(v.clone()) }).collect()
    }

    fn texts(&self) -> Vec<String> {
        self.0.lock().unwrap().lines.iter().map(|(_, text)| text.clone()).collect()
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().lines.len()
    }
}

#[expect(clippy::disallowed_methods, reason = "a test of real files")]
fn now_ns() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test of real files")]
fn patience() -> Instant {
    Instant::now() + Duration::from_secs(15)
}

#[expect(clippy::disallowed_methods, reason = "a test of real files")]
fn in_time(until: Instant) -> bool {
    Instant::now() < until
}

/// A folder with logs, and those who follow them.
struct Bench {
    folder: TempDir,
    store: Store,
    pattern: &'static str,
    options: FilesOptions,
    source: FileSource,
}

impl Bench {
    fn new(pattern: &'static str) -> Self {
        let options = FilesOptions {
            host: "web-1".into(),
            scan_every: Duration::from_millis(50),
            linger: Duration::from_millis(200),
            linger_nameless: Duration::from_millis(200),
            ..FilesOptions::default()
        };
        let source = FileSource::default();
        Self { folder: tempfile::tempdir().unwrap(), store: Store::default(), pattern, options, source }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self) -> Files {
        let include = vec![self.path(self.pattern).to_str().unwrap().to_owned()];
        let source = FileSource { include, ..self.source.clone() };
        Files::new(&[source], self.options.clone(), &self.store.notes()).unwrap()
    }

    /// Turns until the store holds as many lines, and then until nothing is left to do.
    fn until(&self, files: &mut Files, lines: usize) {
        let patience = patience();
        while self.store.len() < lines {
            assert!(
                in_time(patience),
                "{} of {lines} lines: {:?} {files:?} {:?} {:?} {}",
                self.store.len(),
                self.store.texts(),
                files.counts(),
                files.followed,
                files.queue.len()
            );
            let turn = files.turn(now_ns(), &self.store);
            if !turn.more {
                files.wait(now_ns(), turn.until_ns.min(now_ns() + 20_000_000));
            }
        }
        self.settle(files);
    }

    /// Turns until two looks at everything found nothing new.
    fn settle(&self, files: &mut Files) {
        let mut quiet = 0;
        let patience = patience();
        while quiet < 2 {
            assert!(in_time(patience));
            let before = (self.store.len(), self.store.notes(), files.last_scan_ns);
            files.next_scan_ns = i64::MIN;
            let turn = files.turn(now_ns(), &self.store);
            let still = !turn.more && files.waiting.is_empty() && !files.refused;
            let same = (self.store.len(), self.store.notes()) == (before.0, before.1);
            quiet = if still && same { quiet + 1 } else { 0 };
            if !turn.more {
                files.wait(now_ns(), turn.until_ns.min(now_ns() + 5_000_000));
            }
        }
    }

    /// Nothing lost, nothing doubled, in whatever order.
    fn holds_exactly(&self, range: std::ops::Range<usize>) {
        let texts = self.store.texts();
        let lost: Vec<_> =
            expected(range.clone()).into_iter().filter(|t| !texts.contains(t)).take(10).collect();
        let mut sorted = texts.clone();
        sorted.sort();
        let doubled: Vec<_> =
            sorted.windows(2).filter(|w| w[0] == w[1]).map(|w| w[0].clone()).take(10).collect();
        let strange: Vec<_> =
            texts.iter().filter(|t| !t.starts_with("line ") || t.len() != 11).take(10).collect();
        assert!(
            lost.is_empty() && doubled.is_empty() && texts.len() == range.len(),
            "{} lines; lost {lost:?}, doubled {doubled:?}, strange {strange:?}",
            texts.len()
        );
    }

    fn write(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn gzip(&self, from: &str, to: &str) {
        let mut w =
            flate2::write::GzEncoder::new(File::create(self.path(to)).unwrap(), flate2::Compression::fast());
        w.write_all(&fs::read(self.path(from)).unwrap()).unwrap();
        let file = w.finish().unwrap();
        file.set_modified(fs::metadata(self.path(from)).unwrap().modified().unwrap()).unwrap();
        fs::remove_file(self.path(from)).unwrap();
    }
}

fn numbered(range: std::ops::Range<usize>) -> String {
    range.map(|i| format!("line {i:06}\n")).collect()
}

fn expected(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|i| format!("line {i:06}")).collect()
}

#[test]
fn lines_come_with_their_labels_as_they_are_written() {
    let bench = Bench::new("*.log");
    bench.write("app.log", "2024-01-02 03:04:05 ERROR bad\njava.lang.Error: x\n\tat a.b(C.java:1)\n2024-01-02 03:04:06 INFO up\nhal");
    let mut files = bench.start();
    bench.until(&mut files, 2);
    bench.write("app.log", "f\n");
    bench.until(&mut files, 3);
    let stored = bench.store.0.lock().unwrap();
    assert!(stored.lines[0].1.ends_with("(C.java:1)") && stored.lines[2].1 == "half");
    let labels = &stored.lines[0].0;
    assert_eq!((labels.get("host"), labels.get("service")), ("web-1", "app"));
    assert!(labels.get("filename").ends_with("/app.log"));
    assert_eq!(files.counts().lines, 3);
}

#[test]
fn a_restart_in_the_middle_loses_and_doubles_nothing() {
    let bench = Bench::new("*.log");
    bench.write("app.log", &(numbered(0..500) + "line 0005"));
    let mut files = bench.start();
    bench.until(&mut files, 500);
    drop(files);
    bench.write("app.log", &("00\n".to_owned() + &numbered(501..1000)));
    let mut files = bench.start();
    bench.until(&mut files, 1000);
    assert_eq!(bench.store.texts(), expected(0..1000));
}

#[test]
fn rename_rotation_while_another_thread_writes() {
    let bench = Bench::new("app.log");
    let path = bench.path("app.log");
    bench.write("app.log", "line 000000\n");
    let mut files = bench.start();
    bench.until(&mut files, 1);
    let writer = std::thread::spawn(move || {
        for round in 0..20 {
            let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
            for i in round * 200..(round + 1) * 200 {
                if i > 0 {
                    writeln!(file, "line {i:06}").unwrap();
                }
                if i % 200 == 100 {
                    // Renamed under the writer, who goes on writing to it for a while.
                    rotate(&path, round);
                }
            }
        }
    });
    bench.until(&mut files, 4000);
    writer.join().unwrap();
    bench.settle(&mut files);
    bench.holds_exactly(0..4000);
    let labels = bench.store.0.lock().unwrap().lines.iter().map(|(l, _)| l.clone()).collect::<HashSet<_>>();
    assert_eq!(
        labels.len(),
        1,
        "lines of rotated files keep the name under which they were written: {labels:?}"
    );
}

/// `app.log` becomes `app.log.1`, and so on.
fn rotate(path: &Path, rotated: usize) {
    let name = |n: usize| path.with_extension(format!("log.{n}"));
    (1..=rotated).rev().for_each(|n| drop(fs::rename(name(n), name(n + 1))));
    fs::rename(path, name(1)).unwrap();
}

#[test]
fn restarts_while_another_thread_writes_and_rotates() {
    let bench = Bench::new("app.log");
    let path = bench.path("app.log");
    bench.write("app.log", "line 000000\n");
    bench.until(&mut bench.start(), 1);
    let writer = std::thread::spawn(move || {
        for round in 0..10 {
            let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
            for i in round * 300 + 1..(round + 1) * 300 + 1 {
                // Written in halves, so that a stop may fall into a line.
                write!(file, "line ").unwrap();
                writeln!(file, "{i:06}").unwrap();
            }
            rotate(&path, round);
        }
    });
    let mut stops = 0;
    while !writer.is_finished() || stops < 10 {
        stops += 1;
        let mut files = bench.start();
        for _ in 0..5 {
            let turn = files.turn(now_ns(), &bench.store);
            files.wait(now_ns(), turn.until_ns.min(now_ns() + 1_000_000));
        }
    }
    writer.join().unwrap();
    let mut files = bench.start();
    bench.until(&mut files, 3001);
    bench.holds_exactly(0..3001);
}

#[test]
fn copytruncate_is_followed_through_the_copy() {
    for pattern in ["app.log", "app.log*"] {
        let bench = Bench::new(pattern);
        bench.write("app.log", &numbered(0..100));
        let mut files = bench.start();
        bench.until(&mut files, 100);
        // Not seen before the copy is made: only the copy has them.
        bench.write("app.log", &numbered(100..150));
        fs::copy(bench.path("app.log"), bench.path("app.log.1")).unwrap();
        File::options().write(true).open(bench.path("app.log")).unwrap().set_len(0).unwrap();
        bench.write("app.log", &numbered(150..160));
        bench.until(&mut files, 160);
        bench.holds_exactly(0..160);
        assert_eq!((files.counts().truncated, files.counts().not_found), (1, 0));
        drop(files);
        let mut files = bench.start();
        bench.write("app.log", &numbered(160..170));
        bench.until(&mut files, 170);
        bench.holds_exactly(0..170);
    }
}

#[test]
fn a_copy_waits_until_its_original_is_emptied() {
    let bench = Bench::new("app.log*");
    bench.write("app.log", &numbered(0..100));
    let mut files = bench.start();
    bench.until(&mut files, 100);
    fs::copy(bench.path("app.log"), bench.path("app.log.1")).unwrap();
    bench.settle(&mut files);
    bench.write("app.log", &numbered(100..120));
    bench.until(&mut files, 120);
    bench.holds_exactly(0..120);
}

#[test]
fn a_file_that_is_emptied_and_grows_beyond_its_old_length_is_noticed() {
    let bench = Bench::new("app.log");
    bench.write("app.log", &numbered(0..50));
    let mut files = bench.start();
    bench.until(&mut files, 50);
    fs::write(bench.path("app.log"), numbered(50..500)).unwrap();
    bench.until(&mut files, 500);
    bench.holds_exactly(0..500);
    assert_eq!(files.counts().not_found, 1);
}

#[test]
fn copytruncate_while_we_were_down() {
    let bench = Bench::new("app.log");
    bench.write("app.log", &numbered(0..100));
    bench.until(&mut bench.start(), 100);
    bench.write("app.log", &numbered(100..150));
    fs::copy(bench.path("app.log"), bench.path("app.log.1")).unwrap();
    fs::write(bench.path("app.log"), numbered(150..400)).unwrap();
    let mut files = bench.start();
    bench.until(&mut files, 400);
    bench.holds_exactly(0..400);
}

#[test]
fn rotated_and_compressed_files_that_were_missed_are_read() {
    let bench = Bench::new("app.log");
    bench.write("app.log", &numbered(0..100));
    bench.until(&mut bench.start(), 100);
    // Three rotations while nobody looks; the one that was being read is compressed.
    bench.write("app.log", &numbered(100..150));
    fs::rename(bench.path("app.log"), bench.path("app.log.3")).unwrap();
    bench.write("app.log", &numbered(150..200));
    fs::rename(bench.path("app.log"), bench.path("app.log.2")).unwrap();
    bench.write("app.log", &numbered(200..250));
    fs::rename(bench.path("app.log"), bench.path("app.log.1")).unwrap();
    bench.write("app.log", &numbered(250..300));
    bench.gzip("app.log.3", "app.log.3.gz");
    bench.gzip("app.log.2", "app.log.2.gz");
    let mut files = bench.start();
    bench.until(&mut files, 300);
    bench.holds_exactly(0..300);
    drop(files);
    let mut files = bench.start();
    bench.settle(&mut files);
    assert_eq!(bench.store.len(), 300, "nothing is read again");
}

#[test]
fn a_restart_in_the_middle_of_a_missed_compressed_file_goes_on_there() {
    let mut bench = Bench::new("app.log");
    bench.write("app.log", &numbered(0..10));
    bench.until(&mut bench.start(), 10);
    bench.write("app.log", &numbered(10..20_000));
    fs::rename(bench.path("app.log"), bench.path("app.log.1")).unwrap();
    bench.write("app.log", &numbered(20_000..20_010));
    bench.gzip("app.log.1", "app.log.1.gz");
    (bench.options.turn_bytes, bench.options.batch_bytes) = (4096, 1);
    let mut stops = 0;
    while bench.store.len() < 15_000 {
        stops += 1;
        let mut files = bench.start();
        for _ in 0..7 {
            files.turn(now_ns(), &bench.store);
        }
    }
    assert!(stops > 5, "{stops}");
    let mut files = bench.start();
    bench.until(&mut files, 20_010);
    bench.holds_exactly(0..20_010);
}

#[test]
fn rotated_logs_of_pods_are_found_beside_what_their_links_point_at() {
    let bench = Bench::new("containers/*.log");
    let id = "cd".repeat(32);
    fs::create_dir_all(bench.path("pods/shop_web-1_u/app")).unwrap();
    fs::create_dir_all(bench.path("containers")).unwrap();
    let cri = |range: std::ops::Range<usize>| -> String {
        range.map(|i| format!("2024-01-02T03:04:05.1Z stdout F line {i:06}\n")).collect()
    };
    let real = "pods/shop_web-1_u/app/0.log";
    bench.write(real, &cri(0..10));
    std::os::unix::fs::symlink(bench.path(real), bench.path(&format!("containers/web-1_shop_app-{id}.log")))
        .unwrap();
    bench.until(&mut bench.start(), 10);
    bench.write(real, &cri(10..20));
    fs::rename(bench.path(real), bench.path("pods/shop_web-1_u/app/0.log.20240102-150405")).unwrap();
    bench.write(real, &cri(20..30));
    let mut files = bench.start();
    bench.until(&mut files, 30);
    bench.write(real, &cri(30..40));
    bench.until(&mut files, 40);
    bench.holds_exactly(0..40);
    let stored = bench.store.0.lock().unwrap();
    assert!(stored.lines.iter().all(|(labels, _)| labels.get("pod") == "web-1"));
}

#[test]
fn compressed_files_that_match_are_read_once() {
    let bench = Bench::new("app.log*");
    bench.write("app.log.2", &numbered(0..50));
    bench.gzip("app.log.2", "app.log.2.gz");
    bench.write("app.log", &numbered(50..100));
    let mut files = bench.start();
    bench.until(&mut files, 100);
    fs::rename(bench.path("app.log"), bench.path("app.log.1")).unwrap();
    bench.write("app.log", &numbered(100..120));
    bench.until(&mut files, 120);
    bench.gzip("app.log.1", "app.log.1.gz");
    bench.write("app.log", &numbered(120..130));
    bench.until(&mut files, 130);
    drop(files);
    let mut files = bench.start();
    bench.settle(&mut files);
    bench.holds_exactly(0..130);
    bench.write("app.log.9.gz", "this is no gzip");
    bench.settle(&mut files);
    assert_eq!(bench.store.len(), 130);
}

#[test]
fn a_removed_file_is_read_to_its_end_and_let_go_with_its_last_half_line() {
    let bench = Bench::new("*.log");
    bench.write("app.log", &numbered(0..10));
    let mut files = bench.start();
    bench.until(&mut files, 10);
    bench.write("app.log", "line 000010");
    fs::remove_file(bench.path("app.log")).unwrap();
    bench.until(&mut files, 11);
    let patience = patience();
    while files.counts().followed > 0 {
        assert!(in_time(patience));
        bench.settle(&mut files);
    }
    bench.write("app.log", &numbered(11..20));
    bench.until(&mut files, 20);
    bench.holds_exactly(0..20);
}

#[test]
fn a_removed_file_gives_its_room_back_long_before_a_renamed_one_is_let_go() {
    let mut bench = Bench::new("*.log");
    bench.options.linger = Duration::from_secs(3600);
    bench.options.scan_every = Duration::from_secs(3600);
    bench.write("removed.log", &numbered(0..10));
    bench.write("renamed.log", &numbered(10..20));
    let mut files = bench.start();
    bench.until(&mut files, 20);
    fs::rename(bench.path("renamed.log"), bench.path("renamed.log.1")).unwrap();
    fs::remove_file(bench.path("removed.log")).unwrap();
    let ours_nameless = || {
        let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
        let links = open.filter_map(|fd| fs::read_link(fd.path()).ok());
        links.filter(|l| l.to_string_lossy().contains(bench.path("removed.log").to_str().unwrap())).count()
    };
    assert_eq!(ours_nameless(), 1);
    let patience = patience();
    while ours_nameless() > 0 {
        assert!(in_time(patience));
        let turn = files.turn(now_ns(), &bench.store);
        files.wait(now_ns(), turn.until_ns.min(now_ns() + 20_000_000));
    }
    assert_eq!(files.counts().followed, 1, "what was renamed is still read");
}

#[test]
fn a_store_that_refuses_gets_the_same_lines_again() {
    let bench = Bench::new("*.log");
    bench.write("app.log", &numbered(0..100));
    bench.store.0.lock().unwrap().refuse = 3;
    let mut files = bench.start();
    bench.until(&mut files, 100);
    assert_eq!((bench.store.texts(), files.counts().commits_failed), (expected(0..100), 3));
}

#[test]
fn thousands_of_files_are_followed_with_few_held_open() {
    let mut bench = Bench::new("*.log");
    bench.options.open_max = 50;
    (0..2000).for_each(|i| bench.write(&format!("f{i}.log"), &format!("line {i:06}\n")));
    let mut files = bench.start();
    bench.until(&mut files, 2000);
    assert!(files.followed.values().filter(|f| f.is_open()).count() <= 50);
    bench.write("f7.log", "line 002000\n");
    bench.write("f1999.log", "line 002001\n");
    bench.until(&mut files, 2002);
    bench.holds_exactly(0..2002);
}

#[test]
fn files_beyond_the_limit_are_counted() {
    let mut bench = Bench::new("*.log");
    bench.options.files_max = 3;
    (0..5).for_each(|i| bench.write(&format!("f{i}.log"), "x\n"));
    let mut files = bench.start();
    bench.until(&mut files, 3);
    assert_eq!((files.counts().followed, files.counts().unreadable), (3, 2));
}

#[test]
fn ten_mebibytes_without_an_end_are_bounded_and_nothing_else_waits_for_them() {
    let bench = Bench::new("*.log");
    fs::write(bench.path("big.log"), vec![b'x'; 10 << 20]).unwrap();
    bench.write("small.log", "line\n");
    let mut files = bench.start();
    let pieces = (10 << 20) / (256 << 10);
    bench.until(&mut files, pieces);
    assert_eq!(files.counts().split, 1);
    assert!(bench.store.texts().contains(&"line".to_owned()));
    drop(files);
    bench.write("big.log", "end\nnext\n");
    let mut files = bench.start();
    bench.until(&mut files, pieces + 3);
    assert_eq!(bench.store.texts().iter().map(String::len).sum::<usize>(), (10 << 20) + 3 + 4 + 4);
}

#[test]
fn a_file_that_floods_is_cut_and_others_are_unharmed() {
    let mut bench = Bench::new("*.log");
    bench.source.lines_per_second = Some(50.0);
    bench.write("loud.log", &numbered(0..50_000));
    bench.write("quiet.log", "quiet\n");
    let mut files = bench.start();
    let patience = patience();
    while files.counts().lines < 50_001 {
        assert!(in_time(patience));
        let turn = files.turn(now_ns(), &bench.store);
        files.wait(now_ns(), turn.until_ns.min(now_ns() + 5_000_000));
    }
    assert!(bench.store.texts().contains(&"quiet".to_owned()));
    let counts = files.counts();
    assert_eq!(counts.dropped as usize + bench.store.len(), 50_001);
    assert!(counts.dropped > 40_000, "{counts:?}");
    let dropped = files.take_dropped();
    assert_eq!(dropped.iter().map(|(_, n)| n).sum::<u64>(), counts.dropped);
    assert!(dropped[0].0.as_ref().unwrap().ends_with("/loud.log"));
}

#[test]
fn only_new_lines_are_read_where_that_is_wanted() {
    let mut bench = Bench::new("*.log");
    bench.source.start = Start::End;
    bench.write("old.log", &(numbered(0..100) + "line 00"));
    let mut files = bench.start();
    bench.settle(&mut files);
    assert_eq!(bench.store.len(), 0);
    bench.write("old.log", "0000\n");
    bench.write("new.log", "line 000001\n");
    bench.until(&mut files, 2);
    drop(files);
    let mut files = bench.start();
    bench.write("later.log", "line 000002\n");
    bench.until(&mut files, 3);
    // A copy of a file that was begun at its end is known as well.
    bench.write("old.log", "line 000003\n");
    fs::copy(bench.path("old.log"), bench.path("old.log.1")).unwrap();
    fs::write(bench.path("old.log"), "line 000004\n").unwrap();
    bench.until(&mut files, 5);
    bench.holds_exactly(0..5);
}

#[test]
fn a_hole_at_the_beginning_is_passed_over() {
    let bench = Bench::new("*.log");
    bench.write("app.log", &numbered(0..20_000));
    let mut files = bench.start();
    bench.until(&mut files, 20_000);
    // A writer that keeps its place goes on behind a hole when its file is emptied.
    let file = File::options().write(true).open(bench.path("app.log")).unwrap();
    file.set_len(0).unwrap();
    bench.settle(&mut files);
    std::os::unix::fs::FileExt::write_all_at(&file, b"\nline 020000\n", 240_000).unwrap();
    bench.until(&mut files, 20_001);
    assert!(files.counts().nul_bytes > 200_000, "{:?}", files.counts());
    assert_eq!(bench.store.texts().last().unwrap(), "line 020000");
}

#[test]
fn polling_finds_what_the_kernel_does_not_tell() {
    let mut bench = Bench::new("*.log");
    bench.options.inotify = false;
    bench.options.poll_every = Duration::from_millis(10);
    let mut files = bench.start();
    bench.write("a.log", &numbered(0..10));
    bench.until(&mut files, 10);
    bench.write("a.log", &numbered(10..20));
    bench.until(&mut files, 20);
    assert_eq!(bench.store.texts(), expected(0..20));
}

#[test]
fn container_logs_are_found_behind_their_links_and_unwrapped() {
    let bench = Bench::new("containers/*.log");
    let id = "cd".repeat(32);
    fs::create_dir_all(bench.path("pods/shop_web-1_u/app")).unwrap();
    fs::create_dir_all(bench.path("containers")).unwrap();
    let real = bench.path("pods/shop_web-1_u/app/0.log");
    bench.write("pods/shop_web-1_u/app/0.log", "2024-01-02T03:04:05.1Z stdout P one \n");
    std::os::unix::fs::symlink(&real, bench.path(&format!("containers/web-1_shop_app-{id}.log"))).unwrap();
    let mut files = bench.start();
    bench.settle(&mut files);
    bench.write("pods/shop_web-1_u/app/0.log", "2024-01-02T03:04:05.2Z stdout F line\n");
    bench.until(&mut files, 1);
    let stored = bench.store.0.lock().unwrap();
    let (labels, text) = &stored.lines[0];
    assert_eq!(text, "one line");
    for (name, value) in [("pod", "web-1"), ("namespace", "shop"), ("service", "app"), ("stream", "stdout")] {
        assert_eq!(labels.get(name), value);
    }
}

#[test]
fn it_runs_by_itself_until_it_is_stopped_and_is_quick() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let bench = Bench::new("*.log");
    let mut files = bench.start();
    let (waker, stop) = (files.waker(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| files.run(&bench.store, &now_ns, &stop, |_, _| {}));
        for i in 0..5 {
            bench.write("app.log", &format!("line {i:06}\n"));
            let patience = patience();
            while bench.store.len() <= i {
                assert!(in_time(patience));
                std::thread::yield_now();
            }
        }
        stop.store(true, Ordering::Release);
        waker.wake();
        thread.join().unwrap();
    });
    assert_eq!(bench.store.texts(), expected(0..5));
}

/// Lines that are written one by one, each with time enough for a reader who takes each by itself to do so: how many
/// commits they took, and how many times the pause they could have gathered in.
fn one_by_one(bench: &Bench, lines: usize) -> (i64, i64) {
    use std::sync::atomic::{AtomicBool, Ordering};
    let mut files = bench.start();
    let (waker, stop) = (files.waker(), AtomicBool::new(false));
    let began_ns = now_ns();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| files.run(&bench.store, &now_ns, &stop, |_, _| {}));
        let waits = |until_ns: i64, lines: usize| {
            while bench.store.len() < lines && now_ns() < until_ns {
                std::thread::yield_now();
            }
        };
        for i in 0..lines {
            bench.write("app.log", &format!("line {i:06}\n"));
            waits(now_ns() + 20_000_000, i + 1);
        }
        waits(now_ns() + 15_000_000_000, lines);
        stop.store(true, Ordering::Release);
        waker.wake();
        thread.join().unwrap();
    });
    assert_eq!(bench.store.texts(), expected(0..lines));
    let commits = bench.store.0.lock().unwrap().commits;
    (i64::try_from(commits).unwrap(), (now_ns() - began_ns) / 200_000_000)
}

#[test]
fn lines_that_come_one_by_one_are_taken_together() {
    let (commits, gathers) = one_by_one(&Bench::new("*.log"), 40);
    assert!(commits <= gathers + 2, "{commits} commits in {gathers} times the pause");
}

#[test]
fn lines_that_somebody_waits_for_are_taken_one_by_one() {
    let bench = Bench::new("*.log");
    bench.store.0.lock().unwrap().hurries = true;
    let (commits, gathers) = one_by_one(&bench, 40);
    assert!(commits > gathers + 2, "{commits} commits in {gathers} times the pause");
}
