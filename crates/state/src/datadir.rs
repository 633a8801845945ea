//! The data directory: its format, its lock and its token.
//!
//! A directory that holds other people's files is refused, so that a mistyped path never has its mode changed or
//! files put between its own. One process at a time works on it: two would each do a step once.

use std::fmt;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::StateError;
use crate::disk::{TEMP_SUFFIX, create_private_dir, hex, write_private};
use crate::freeze_file;

/// The format of the directory that this version reads and writes.
pub const FORMAT: i64 = 1;

const VERSION_FILE: &str = "VERSION";
const TOKEN_FILE: &str = "token";
const LOCK_FILE: &str = "LOCK";
/// How often it is tried to get the lock, and the time between.
const LOCK_LOOKS: u32 = 40;
const LOCK_EVERY: Duration = Duration::from_millis(50);
/// Random bytes in a token; twice as many hexadecimal digits.
const TOKEN_BYTES: usize = 32;
/// Longest small file that is read; ours are far shorter.
const SMALL_FILE_MAX: u64 = 4096;

/// An open data directory; it is locked for other processes until this value is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    token: Token,
    token_is_new: bool,
    _lock: File,
}

/// The secret that acts need. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The 64 hexadecimal digits.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl DataDir {
    /// Opens the directory at `path`; makes it (mode 0700) when it is not there.
    ///
    /// # Errors
    /// [`StateError::NotOurs`] for a directory with other files, [`StateError::Newer`], [`StateError::InUse`],
    /// [`StateError::NotWritable`], [`StateError::DiskFull`], or another failure of a file.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        create_private_dir(path)?;
        let version = check_version(path)?;
        if version.is_none() {
            refuse_foreign(path)?;
        }
        let lock = lock(path)?;
        let mode = std::fs::metadata(path).map_err(|e| StateError::io("read", path, e))?.mode();
        if mode & 0o077 != 0 {
            std::fs::set_permissions(path, Permissions::from_mode(0o700))
                .map_err(|e| StateError::io("change the mode of", path, e))?;
        }
        if version.is_none() {
            write_private(&path.join(VERSION_FILE), format!("{FORMAT}\n").as_bytes())?;
        }
        let (token, token_is_new) = match read_token(path)? {
            Some(token) => (token, false),
            None => (make_token(path)?, true),
        };
        freeze_file::prepare(path).map_err(|e| StateError::io("prepare the stop switch in", path, e))?;
        Ok(Self { path: path.to_owned(), token, token_is_new, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The token that acts need.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// True when the token was made just now, and so has to be shown once.
    #[must_use]
    pub fn token_is_new(&self) -> bool {
        self.token_is_new
    }
}

/// The token of a data directory, for tools that talk to a running process; `None` when there is none yet.
///
/// # Errors
/// [`StateError::NotWritable`] when this user may not read it, [`StateError::Damaged`] when it is no token.
pub fn read_token(data_dir: &Path) -> Result<Option<Token>, StateError> {
    let path = data_dir.join(TOKEN_FILE);
    let Some(text) = read_small(&path)? else { return Ok(None) };
    let token = text.trim_end();
    if token.len() != TOKEN_BYTES * 2 || !token.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(StateError::Damaged {
            what: path.display().to_string(),
            why: "it is not 64 hexadecimal digits; remove it and a new one is made at the next start"
                .to_owned(),
        });
    }
    Ok(Some(Token(token.to_owned())))
}

fn make_token(dir: &Path) -> Result<Token, StateError> {
    let path = dir.join(TOKEN_FILE);
    let mut bytes = [0u8; TOKEN_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|e| StateError::io("make", &path, io::Error::other(e.to_string())))?;
    let token = hex(&bytes);
    write_private(&path, format!("{token}\n").as_bytes())?;
    Ok(Token(token))
}

fn check_version(dir: &Path) -> Result<Option<i64>, StateError> {
    let path = dir.join(VERSION_FILE);
    let Some(text) = read_small(&path)? else { return Ok(None) };
    let found: i64 = text.trim().parse().map_err(|_| StateError::Damaged {
        what: path.display().to_string(),
        why: "it holds no format number".to_owned(),
    })?;
    if found > FORMAT {
        return Err(StateError::Newer { path: dir.to_owned(), found, supported: FORMAT });
    }
    if found < 1 {
        return Err(StateError::Damaged {
            what: path.display().to_string(),
            why: format!("format {found} has never existed"),
        });
    }
    Ok(Some(found))
}

/// Leftovers of a first start that was cut short are ours, and so is a stop switch that was set before it; what `mkfs`
/// puts into a fresh file system is nobody's.
fn refuse_foreign(dir: &Path) -> Result<(), StateError> {
    let version_temp = format!("{VERSION_FILE}{TEMP_SUFFIX}");
    let ours = [LOCK_FILE, &version_temp, freeze_file::FREEZE_FILE, "lost+found"];
    let entries = std::fs::read_dir(dir).map_err(|e| StateError::io("read", dir, e))?;
    for entry in entries {
        let name = entry.map_err(|e| StateError::io("read", dir, e))?.file_name();
        if !ours.iter().any(|o| name == *o) {
            return Err(StateError::NotOurs(dir.to_owned()));
        }
    }
    Ok(())
}

fn lock(dir: &Path) -> Result<File, StateError> {
    let path = dir.join(LOCK_FILE);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(&path)
        .map_err(|e| StateError::io("open", &path, e))?;
    // One that was killed a moment ago lets go of its files last of all, long after nobody can see it any more.
    for _ in 0..LOCK_LOOKS {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(LOCK_EVERY),
            Err(e) => return Err(StateError::io("lock", &path, e.into())),
        }
    }
    Err(StateError::InUse(dir.to_owned()))
}

/// The text of a short file of ours; `None` when it is not there. Links are not followed.
fn read_small(path: &Path) -> Result<Option<String>, StateError> {
    let mut text = String::new();
    let read = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
        .open(path)
        .and_then(|file| file.take(SMALL_FILE_MAX).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StateError::io("read", path, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("there").mode() & 0o7777
    }

    #[test]
    fn a_fresh_directory_is_private_and_has_a_new_token() {
        let temp = tempfile::tempdir().expect("temp");
        let path = temp.path().join("a/data");
        let dir = DataDir::open(&path).expect("opens");
        assert!(dir.token_is_new());
        assert_eq!(dir.token().reveal().len(), 64);
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join("token")), 0o600);
        assert_eq!(format!("{:?}", dir.token()), "Token(…)");
    }

    #[test]
    fn a_second_start_keeps_the_token() {
        let temp = tempfile::tempdir().expect("temp");
        let first = DataDir::open(temp.path()).expect("opens").token().clone();
        let again = DataDir::open(temp.path()).expect("opens again");
        assert_eq!(again.token(), &first);
        assert!(!again.token_is_new());
    }

    #[test]
    fn a_newer_format_is_refused_in_words() {
        let temp = tempfile::tempdir().expect("temp");
        std::fs::write(temp.path().join("VERSION"), "2\n").expect("write");
        let error = DataDir::open(temp.path()).expect_err("newer");
        assert!(matches!(error, StateError::Newer { found: 2, supported: 1, .. }), "{error}");
        assert!(error.to_string().contains("use a newer wellkept"), "{error}");
    }

    #[test]
    fn a_directory_with_other_files_is_refused_and_keeps_its_mode() {
        let temp = tempfile::tempdir().expect("temp");
        std::fs::write(temp.path().join("thesis.tex"), "x").expect("write");
        std::fs::set_permissions(temp.path(), Permissions::from_mode(0o755)).expect("chmod");
        let error = DataDir::open(temp.path()).expect_err("not ours");
        assert!(matches!(error, StateError::NotOurs(_)), "{error}");
        assert_eq!(mode(temp.path()), 0o755);
        assert!(!temp.path().join("token").exists());
    }

    #[test]
    fn a_stop_switch_that_was_set_before_the_first_start_counts() {
        let temp = tempfile::tempdir().expect("temp");
        std::fs::write(temp.path().join("FREEZE"), "").expect("touch");
        DataDir::open(temp.path()).expect("opens");
        assert!(freeze_file::is_set(temp.path()));
    }

    #[test]
    fn two_processes_cannot_work_on_one_directory() {
        let temp = tempfile::tempdir().expect("temp");
        let first = DataDir::open(temp.path()).expect("opens");
        assert!(matches!(DataDir::open(temp.path()), Err(StateError::InUse(_))));
        drop(first);
        DataDir::open(temp.path()).expect("free again");
    }

    #[test]
    fn one_that_is_just_ending_is_waited_for() {
        let temp = tempfile::tempdir().expect("temp");
        let first = DataDir::open(temp.path()).expect("opens");
        let path = temp.path().to_owned();
        let (trying, is_trying) = std::sync::mpsc::channel();
        let second = std::thread::spawn(move || {
            trying.send(()).expect("heard");
            DataDir::open(&path).map(drop)
        });
        is_trying.recv().expect("it tries");
        drop(first);
        second.join().expect("no panic").expect("opens");
    }

    #[test]
    fn a_path_through_a_file_names_the_path() {
        let temp = tempfile::tempdir().expect("temp");
        std::fs::write(temp.path().join("file"), "x").expect("write");
        let error = DataDir::open(&temp.path().join("file")).expect_err("a file");
        assert!(error.to_string().contains("file"), "{error}");
    }

    #[test]
    fn a_damaged_token_is_reported_and_not_replaced() {
        let temp = tempfile::tempdir().expect("temp");
        drop(DataDir::open(temp.path()).expect("opens"));
        std::fs::write(temp.path().join("token"), "short").expect("write");
        assert!(matches!(DataDir::open(temp.path()), Err(StateError::Damaged { .. })));
    }
}
