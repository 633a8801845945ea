//! Looks at files in declared folders for the malware test pattern, and has clamd look at new ones when it is there.
//!
//! Each file is read once, and again when it was changed. A look reads a bounded number of files and bytes, and the more
//! it costs the longer until the next one. No link is followed.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wellkept_model::TimestampMs;
use wellkept_model::keep::Scan;
use wellkept_model::observe::MalwareSeen;

use super::{Shared, rest};
use crate::clock;
use crate::facts::kept::sha256_hex;

/// Entries of all folders, and how deep they may lie.
const ENTRIES_MAX: usize = 50_000;
const DEPTH_MAX: usize = 16;
/// Files and bytes that one look reads.
const FILES_MAX: usize = 500;
const BYTES_MAX: u64 = 64 << 20;
/// Biggest file that clamd is given; its own default.
const FILE_MAX: u64 = 25 << 20;
/// Files that are told.
const FOUND_MAX: usize = 100;
/// Longest wait for clamd.
const CLAMD_WITHIN: Duration = Duration::from_secs(20);
/// A file that has the pattern is no longer than this, says its specification.
const TEST_LEN_MAX: u64 = 128;

/// The two halves of the EICAR test pattern: whole, it would make scanners move our own program aside.
const TEST_PATTERN: [&str; 2] = [r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*"];
const TEST_NAME: &str = "EICAR-Test-File";

pub(super) async fn watch(shared: Shared, declared: Scan) {
    let mut closely = shared.closely.subscribe();
    let mut scanner = Scanner::default();
    loop {
        let scan = declared.clone();
        let work = tokio::task::spawn_blocking(move || {
            let before = clock::thread_cpu();
            scanner.look(&scan, clock::wall());
            (scanner, clock::thread_cpu().saturating_sub(before))
        });
        let Ok((after, cost)) = work.await else { return };
        scanner = after;
        {
            let security = &mut shared.lock().security;
            security.malware = scanner.found.values().cloned().collect();
            security.malware.sort_by(|a, b| a.path.cmp(&b.path));
            security.problems.retain(|p| !p.starts_with("clamd"));
            security.problems.extend(scanner.problem.clone());
        }
        let every = if scanner.unfinished { super::CLOSE } else { declared.every };
        rest(every, cost, &mut closely).await;
    }
}

/// What is known of files.
#[derive(Debug, Default)]
struct Scanner {
    /// By path: when it was changed, and its length.
    known: HashMap<PathBuf, (i64, u64)>,
    found: HashMap<PathBuf, MalwareSeen>,
    unfinished: bool,
    problem: Option<String>,
}

impl Scanner {
    fn look(&mut self, declared: &Scan, now: TimestampMs) {
        let files = walk(&declared.folders);
        self.known.retain(|path, _| files.contains_key(path));
        self.found.retain(|path, _| files.contains_key(path));
        (self.unfinished, self.problem) = (false, None);
        let (mut read, mut bytes) = (0, 0);
        for (path, stamp) in files {
            if self.known.get(&path) == Some(&stamp) {
                continue;
            }
            if read >= FILES_MAX || bytes > BYTES_MAX {
                self.unfinished = true;
                return;
            }
            read += 1;
            let size = stamp.1;
            self.found.remove(&path);
            let clamd = declared.clamd.as_deref().filter(|_| size <= FILE_MAX);
            match judge(&path, size, clamd) {
                Ok(Some((signature, is_test, sha256))) if self.found.len() < FOUND_MAX => {
                    let name = path.to_string_lossy().into_owned();
                    let seen = MalwareSeen { path: name, signature, is_test, sha256, since: now };
                    self.found.insert(path.clone(), seen);
                }
                // One that went while we looked is none.
                Ok(_) => {}
                Err(e)
                    if e.kind() == io::ErrorKind::ConnectionRefused
                        || e.kind() == io::ErrorKind::TimedOut =>
                {
                    self.problem = Some(format!("clamd: {e}"));
                    continue;
                }
                Err(_) => {}
            }
            bytes += if declared.clamd.is_some() { size.min(FILE_MAX) } else { TEST_LEN_MAX };
            self.known.insert(path, stamp);
        }
    }
}

/// Regular files below the folders, with when they were changed and how long they are.
fn walk(folders: &[PathBuf]) -> HashMap<PathBuf, (i64, u64)> {
    let mut files = HashMap::new();
    let mut todo: VecDeque<(PathBuf, usize)> = folders.iter().map(|f| (f.clone(), 0)).collect();
    let mut left = ENTRIES_MAX;
    while let Some((folder, depth)) = todo.pop_front() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if left == 0 {
                return files;
            }
            left -= 1;
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() && depth < DEPTH_MAX {
                todo.push_back((entry.path(), depth + 1));
            } else if meta.is_file() && meta.len() > 0 {
                let changed = meta.ctime().saturating_mul(1_000_000_000).saturating_add(meta.ctime_nsec());
                files.insert(entry.path(), (changed, meta.len()));
            }
        }
    }
    files
}

/// What the file is known as, whether that is the test pattern, and its checksum.
fn judge(path: &Path, size: u64, clamd: Option<&Path>) -> io::Result<Option<(String, bool, String)>> {
    if size <= TEST_LEN_MAX {
        let content = read(path, TEST_LEN_MAX)?;
        if is_test(&content) {
            return Ok(Some((TEST_NAME.to_owned(), true, sha256_hex(&content))));
        }
    }
    let Some(socket) = clamd else { return Ok(None) };
    let content = read(path, FILE_MAX)?;
    let Some(name) = ask_clamd(socket, &content)? else { return Ok(None) };
    let is_test = name.to_ascii_lowercase().contains("eicar");
    Ok(Some((name, is_test, sha256_hex(&content))))
}

/// The pattern at the beginning, and nothing but blanks after it.
fn is_test(content: &[u8]) -> bool {
    let [first, second] = TEST_PATTERN.map(str::as_bytes);
    let rest = content.strip_prefix(first).and_then(|rest| rest.strip_prefix(second));
    rest.is_some_and(|rest| rest.iter().all(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x1a)))
}

fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let mut content = Vec::new();
    File::take(file, most).read_to_end(&mut content)?;
    Ok(content)
}

/// Gives clamd a file through its socket (`INSTREAM`); the name of what it found.
fn ask_clamd(socket: &Path, content: &[u8]) -> io::Result<Option<String>> {
    let mut stream = UnixStream::connect(socket).map_err(|e| {
        io::Error::new(io::ErrorKind::ConnectionRefused, format!("{}: {e}", socket.display()))
    })?;
    stream.set_read_timeout(Some(CLAMD_WITHIN))?;
    stream.set_write_timeout(Some(CLAMD_WITHIN))?;
    stream.write_all(b"zINSTREAM\0")?;
    for chunk in content.chunks(64 << 10) {
        stream.write_all(&u32::try_from(chunk.len()).unwrap_or(0).to_be_bytes())?;
        stream.write_all(chunk)?;
    }
    stream.write_all(&[0; 4])?;
    let mut answer = Vec::new();
    stream.take(1024).read_to_end(&mut answer).map_err(|e| io::Error::new(io::ErrorKind::TimedOut, e))?;
    let answer = String::from_utf8_lossy(&answer);
    let answer = answer.trim_end_matches(['\0', '\n']);
    let name = answer.strip_prefix("stream: ").and_then(|a| a.strip_suffix(" FOUND"));
    Ok(name.map(|n| n.chars().filter(|c| !c.is_control()).take(200).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn look(scanner: &mut Scanner, dir: &Path, clamd: Option<PathBuf>) -> Vec<(String, bool)> {
        let every = Duration::from_secs(5);
        let scan = Scan { folders: vec![dir.join("up")], quarantine: false, clamd, every };
        scanner.look(&scan, TimestampMs(1));
        let mut found: Vec<_> = scanner.found.values().map(|m| (m.path.clone(), m.is_test)).collect();
        found.sort();
        found
    }

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir_all(dir.path().join("up/deep")).expect("made");
        dir
    }

    #[test]
    fn the_test_pattern_is_found_where_it_is_all_that_a_file_holds() {
        let dir = folder();
        let path = |name: &str| dir.path().join("up").join(name);
        let pattern = TEST_PATTERN.concat();
        for (name, content) in [
            ("deep/test.txt", format!("{pattern}\r\n")),
            ("mail.txt", format!("look: {pattern}")),
            ("long.txt", format!("{pattern} and more")),
            ("plain.txt", "hello".to_owned()),
        ] {
            fs::write(path(name), content).expect("written");
        }
        std::os::unix::fs::symlink(path("deep/test.txt"), path("link")).expect("linked");
        let mut scanner = Scanner::default();
        let expected = vec![(path("deep/test.txt").to_string_lossy().into_owned(), true)];
        assert_eq!(look(&mut scanner, dir.path(), None), expected);
        assert_eq!(look(&mut scanner, dir.path(), None), expected, "it is still there");
        fs::write(path("deep/test.txt"), "harmless now").expect("written");
        assert!(look(&mut scanner, dir.path(), None).is_empty());
        fs::write(path("plain.txt"), pattern).expect("written");
        assert_eq!(look(&mut scanner, dir.path(), None).len(), 1, "a file that was changed is read again");
        fs::remove_file(path("plain.txt")).expect("removed");
        assert!(look(&mut scanner, dir.path(), None).is_empty());
    }

    /// Answers as clamd does: what holds `evil` is found.
    fn clamd(socket: &Path) {
        let listener = UnixListener::bind(socket).expect("bound");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut word = [0; 10];
                let (mut content, mut len) = (Vec::new(), [0; 4]);
                stream.read_exact(&mut word).expect("the word");
                loop {
                    stream.read_exact(&mut len).expect("a length");
                    let mut chunk = vec![0; u32::from_be_bytes(len) as usize];
                    if chunk.is_empty() {
                        break;
                    }
                    stream.read_exact(&mut chunk).expect("a chunk");
                    content.extend(chunk);
                }
                let evil = content.windows(4).any(|w| w == b"evil");
                let answer: &[u8] = if evil { b"stream: Win.Test.Evil FOUND\0" } else { b"stream: OK\0" };
                stream.write_all(answer).expect("answered");
            }
        });
    }

    #[test]
    fn clamd_is_asked_about_new_files_once() {
        let dir = folder();
        let socket = dir.path().join("clamd.ctl");
        fs::write(dir.path().join("up/a"), vec![b'x'; 200_000]).expect("written");
        fs::write(dir.path().join("up/b"), "this is evil").expect("written");
        let mut scanner = Scanner::default();
        assert!(look(&mut scanner, dir.path(), Some(socket.clone())).is_empty());
        assert!(scanner.problem.as_ref().is_some_and(|p| p.starts_with("clamd: ")), "it is not there yet");
        clamd(&socket);
        let found = look(&mut scanner, dir.path(), Some(socket.clone()));
        assert_eq!(found, [(dir.path().join("up/b").to_string_lossy().into_owned(), false)]);
        assert_eq!(scanner.problem, None);
        fs::remove_file(&socket).expect("removed");
        assert_eq!(look(&mut scanner, dir.path(), Some(socket)).len(), 1, "what is known is not asked again");
        assert_eq!(scanner.problem, None);
    }
}
