//! The files of known hosts on disk: reading them, and adding a key that a person has accepted.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use russh::keys::PublicKey;

use super::known::{FILE_MAX, KnownHosts, line_for};
use super::{HostId, HostKeyRefusal, judge};

/// Which files know the hosts, and where an accepted key goes.
#[derive(Debug, Clone, Default)]
pub struct HostKeys {
    /// Read in order; a file that is not there is empty.
    pub files: Vec<PathBuf>,
    /// Takes the keys that a person accepts; one of `files`. `None`: no key is accepted on the way.
    pub accept_into: Option<PathBuf>,
    /// Names are written as hashes.
    pub hash_names: bool,
}

/// An accepted key could not be written.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// There is no file to write to.
    #[error(
        "no key is accepted on the way here: StrictHostKeyChecking says so, or there is no file to write to"
    )]
    NoFile,
    /// The file says something else about the host by now.
    #[error("{0}")]
    Refused(#[source] Box<HostKeyRefusal>),
    /// The disk.
    #[error("the key of {host} could not be written to {file}")]
    Io {
        /// The host.
        host: HostId,
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl HostKeys {
    /// One file that is read and takes accepted keys.
    pub fn file(path: impl Into<PathBuf>, hash_names: bool) -> Self {
        let path = path.into();
        Self { files: vec![path.clone()], accept_into: Some(path), hash_names }
    }

    /// Reads all files.
    ///
    /// # Errors
    /// [`HostKeyRefusal::Unreadable`] when one is there but cannot be read, or has more than 16 MiB: what cannot be
    /// checked is refused.
    pub fn read(&self, host: &HostId) -> Result<KnownHosts, HostKeyRefusal> {
        let mut known = KnownHosts::default();
        for file in &self.files {
            let text = read_bounded(file).map_err(|e| HostKeyRefusal::Unreadable {
                host: host.clone(),
                file: file.clone(),
                reason: e.to_string(),
            })?;
            known.add_file(file, &text);
        }
        Ok(known)
    }

    /// Writes down a key that a person has looked at and accepted. `salt`: random bytes for a hashed name.
    ///
    /// The line is appended by one write under a lock, so that two processes and a crash leave whole lines only. A key
    /// that is already known is not written again.
    ///
    /// # Errors
    /// [`AcceptError`]; also when the host has got another key since.
    pub fn accept(&self, host: &HostId, key: &PublicKey, salt: [u8; 20]) -> Result<(), AcceptError> {
        let path = self.accept_into.as_ref().ok_or(AcceptError::NoFile)?;
        let refused = |refusal| AcceptError::Refused(Box::new(refusal));
        let failed = |source| AcceptError::Io { host: host.clone(), file: path.clone(), source };
        let file = open_locked(path).map_err(failed)?;
        let known = self.read(host).map_err(refused)?;
        match judge(&known, host, key) {
            Ok(()) => return Ok(()),
            Err(HostKeyRefusal::Unknown { .. }) => {}
            Err(refusal) => return Err(refused(refusal)),
        }
        let line = line_for(host, key, self.hash_names.then_some(salt));
        append_line(&file, &line).map_err(failed)
    }
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(FILE_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > FILE_MAX {
        return Err(io::Error::other(format!("it has more than {} MiB", FILE_MAX >> 20)));
    }
    // A strange byte spoils its own line only.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn open_locked(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    file.lock()?;
    Ok(file)
}

/// One write; when it comes to half, the file is cut back to what it was.
fn append_line(file: &File, line: &str) -> io::Result<()> {
    let length = (&*file).seek(SeekFrom::End(0))?;
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    let text = if last == *b"\n" { line.to_owned() } else { format!("\n{line}") };
    let written = (&*file).write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // What the caller hears is why the write failed.
        let _ = file.set_len(length);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::known::Verdict;
    use crate::name::HostName;

    const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G1sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X";

    fn key(text: &str) -> PublicKey {
        PublicKey::from_openssh(text).expect("a key")
    }

    fn host(name: &str) -> HostId {
        HostId { host: HostName::new(name).expect("a name"), port: 2200 }
    }

    #[test]
    fn an_accepted_key_is_known_from_then_on_and_written_once() {
        let folder = tempfile::tempdir().expect("temp");
        let keys = HostKeys::file(folder.path().join("new/known_hosts"), true);
        assert_eq!(keys.read(&host("a")).expect("no file").check(&host("a"), &key(A)), Verdict::Unknown);
        keys.accept(&host("a"), &key(A), [3; 20]).expect("accepted");
        keys.accept(&host("a"), &key(A), [4; 20]).expect("again");
        assert_eq!(keys.read(&host("a")).expect("read").check(&host("a"), &key(A)), Verdict::Known);
        let text = std::fs::read_to_string(&keys.files[0]).expect("read");
        assert_eq!((text.lines().count(), text.contains("[a]")), (1, false), "{text}");
    }

    #[test]
    fn a_changed_key_cannot_be_accepted() {
        let folder = tempfile::tempdir().expect("temp");
        let keys = HostKeys::file(folder.path().join("known_hosts"), false);
        keys.accept(&host("a"), &key(A), [0; 20]).expect("accepted");
        let refused = keys.accept(&host("a"), &key(B), [0; 20]).expect_err("changed");
        assert!(refused.to_string().contains("has changed"), "{refused}");
    }

    #[test]
    fn a_file_without_a_last_line_end_gets_one_first() {
        let folder = tempfile::tempdir().expect("temp");
        let path = folder.path().join("known_hosts");
        std::fs::write(&path, format!("[a]:2200 {A}")).expect("write");
        let keys = HostKeys::file(path, false);
        keys.accept(&host("b"), &key(B), [0; 20]).expect("accepted");
        let known = keys.read(&host("a")).expect("read");
        assert_eq!(known.check(&host("a"), &key(A)), Verdict::Known);
        assert_eq!(known.check(&host("b"), &key(B)), Verdict::Known);
    }

    #[test]
    fn writers_at_the_same_time_leave_whole_lines() {
        let folder = tempfile::tempdir().expect("temp");
        let keys = HostKeys::file(folder.path().join("known_hosts"), false);
        std::thread::scope(|scope| {
            for n in 0..16 {
                let keys = &keys;
                scope
                    .spawn(move || keys.accept(&host(&format!("h{n}")), &key(A), [0; 20]).expect("accepted"));
            }
        });
        let known = keys.read(&host("h0")).expect("read");
        assert!(known.problems().is_empty(), "{:?}", known.problems());
        assert!((0..16).all(|n| known.check(&host(&format!("h{n}")), &key(A)) == Verdict::Known));
    }

    #[test]
    fn a_file_that_cannot_be_read_refuses_the_host() {
        let folder = tempfile::tempdir().expect("temp");
        let keys = HostKeys::file(folder.path().to_owned(), false);
        let refused = keys.read(&host("a")).expect_err("a folder is no file");
        assert!(matches!(refused, HostKeyRefusal::Unreadable { .. }), "{refused}");
    }
}
