//! Copies of kept files by content: `files/<sha256>.zst`, mode 0600 in a directory of mode 0700.
//!
//! The name is the SHA-256 of the plain content and is checked at every read, so a damaged copy can never be put back
//! into a service. Copies hold secrets as the kept files do; nothing of them leaves this directory but by `get`.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::StateError;
use crate::disk::{TEMP_SUFFIX, create_private_dir, hex, write_private};

/// Biggest file that is kept, bytes. Settings and configuration are far smaller.
pub const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Directory below the data directory.
const DIR: &str = "files";
/// Fast, and good enough for text.
const ZSTD_LEVEL: i32 = 3;

/// The directory of copies.
#[derive(Debug, Clone)]
pub(crate) struct Blobs {
    dir: PathBuf,
}

impl Blobs {
    /// Opens the directory and removes what a crash left half-written.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, StateError> {
        let dir = data_dir.join(DIR);
        create_private_dir(&dir)?;
        let read = |e| StateError::io("read", &dir, e);
        for entry in std::fs::read_dir(&dir).map_err(read)? {
            let entry = entry.map_err(read)?;
            if entry.file_name().to_string_lossy().ends_with(TEMP_SUFFIX) {
                std::fs::remove_file(entry.path()).map_err(|e| StateError::io("remove", &entry.path(), e))?;
            }
        }
        Ok(Self { dir })
    }

    /// Keeps content; a good copy that is there already stays, a damaged one is replaced.
    pub(crate) fn put(&self, content: &[u8]) -> Result<String, StateError> {
        if content.len() > FILE_BYTES_MAX {
            let (what, len) = ("a file to keep".to_owned(), content.len());
            return Err(StateError::TooBig { what, len, max: FILE_BYTES_MAX });
        }
        let sha256 = hex(&Sha256::digest(content));
        if self.get(&sha256).is_ok() {
            return Ok(sha256);
        }
        let path = self.path(&sha256)?;
        let packed =
            zstd::bulk::compress(content, ZSTD_LEVEL).map_err(|e| StateError::io("compress", &path, e))?;
        write_private(&path, &packed)?;
        Ok(sha256)
    }

    /// The content with this hash.
    pub(crate) fn get(&self, sha256: &str) -> Result<Vec<u8>, StateError> {
        let path = self.path(sha256)?;
        let damaged =
            |why: &str| StateError::Damaged { what: path.display().to_string(), why: why.to_owned() };
        let packed = match std::fs::File::open(&path) {
            Ok(file) => read_bounded(file).map_err(|e| StateError::io("read", &path, e))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(StateError::NoSuchCopy(sha256.to_owned()));
            }
            Err(e) => return Err(StateError::io("open", &path, e)),
        };
        let decoder = zstd::stream::read::Decoder::new(packed.as_slice())
            .map_err(|_| damaged("it is not compressed with zstd"))?;
        let content = read_bounded(decoder).map_err(|_| damaged("it cannot be decompressed"))?;
        if hex(&Sha256::digest(&content)) != sha256 {
            return Err(damaged("its content has another SHA-256 than its name"));
        }
        Ok(content)
    }

    /// Forgets a copy; one that is not there is no error.
    pub(crate) fn remove(&self, sha256: &str) -> Result<(), StateError> {
        let path = self.path(sha256)?;
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StateError::io("remove", &path, e)),
            _ => Ok(()),
        }
    }

    fn path(&self, sha256: &str) -> Result<PathBuf, StateError> {
        let digits = sha256.len() == 64 && sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !digits {
            return Err(StateError::NotASha256(sha256.chars().take(80).collect()));
        }
        Ok(self.dir.join(format!("{sha256}.zst")))
    }
}

/// A copy that claims to be bigger than anything we keep is damaged: one byte more than allowed tells it.
fn read_bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(FILE_BYTES_MAX as u64 + 64 * 1024).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn fresh() -> (tempfile::TempDir, Blobs) {
        let temp = tempfile::tempdir().expect("temp");
        let blobs = Blobs::open(temp.path()).expect("opens");
        (temp, blobs)
    }

    #[test]
    fn content_comes_back_by_its_hash_and_is_private() {
        let (temp, blobs) = fresh();
        for content in [&b""[..], b"KEY=1\n", &[0, 255, 10]] {
            let sha256 = blobs.put(content).expect("put");
            assert_eq!(blobs.get(&sha256).expect("get"), content);
            let mode = std::fs::metadata(blobs.path(&sha256).expect("path")).expect("there").mode();
            assert_eq!(mode & 0o7777, 0o600);
        }
        assert_eq!(std::fs::metadata(temp.path().join("files")).expect("there").mode() & 0o7777, 0o700);
    }

    #[test]
    fn every_damaged_byte_is_an_error_and_a_new_put_heals_it() {
        let (_temp, blobs) = fresh();
        let sha256 = blobs.put(b"DB_HOST=db.shop.test\nDB_PORT=5432\n").expect("put");
        let path = blobs.path(&sha256).expect("path");
        let good = std::fs::read(&path).expect("read");
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 0x41;
            std::fs::write(&path, &bad).expect("write");
            match blobs.get(&sha256) {
                Err(StateError::Damaged { .. }) => {}
                // A changed byte that zstd ignores gives the same content, which the hash proves.
                Ok(content) => assert_eq!(content, b"DB_HOST=db.shop.test\nDB_PORT=5432\n"),
                Err(other) => panic!("byte {i}: {other}"),
            }
        }
        std::fs::write(&path, b"junk").expect("write");
        assert_eq!(blobs.put(b"DB_HOST=db.shop.test\nDB_PORT=5432\n").expect("put"), sha256);
        blobs.get(&sha256).expect("healed");
    }

    #[test]
    fn a_name_that_is_no_hash_never_becomes_a_path() {
        let (_temp, blobs) = fresh();
        for name in ["", "../../etc/shadow", &"A".repeat(64), &"0".repeat(63)] {
            assert!(matches!(blobs.get(name), Err(StateError::NotASha256(_))), "{name}");
        }
        assert!(matches!(blobs.get(&"0".repeat(64)), Err(StateError::NoSuchCopy(_))));
    }

    #[test]
    fn what_a_crash_left_half_written_is_removed_at_open() {
        let (temp, _) = fresh();
        let left = temp.path().join("files").join(format!("{}.zst.tmp", "0".repeat(64)));
        std::fs::write(&left, "half").expect("write");
        Blobs::open(temp.path()).expect("opens");
        assert!(!left.exists());
    }

    #[test]
    fn a_file_that_is_too_big_is_refused() {
        let (_temp, blobs) = fresh();
        assert!(matches!(blobs.put(&vec![0; FILE_BYTES_MAX + 1]), Err(StateError::TooBig { .. })));
    }
}
