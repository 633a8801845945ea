//! What a case reader asks of its caller, and what can go wrong.

use std::io::Read;

use flate2::read::GzDecoder;

/// Largest file after unpacking, bytes; the largest of the known cases has 8 MiB.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// How gzip begins (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Files around one case folder.
pub trait CaseFiles {
    /// The bytes of a file; `None` when there is none. `path` is relative to the case folder and may go up (`../`).
    fn read(&self, path: &str) -> Option<Vec<u8>>;

    /// Names in a folder, in any order; empty when there is none.
    fn list(&self, path: &str) -> Vec<String>;
}

/// A case that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// Not a case folder.
    #[error("the folder holds no case: expected metrics.csv (services) or metric.csv.gz (pods)")]
    Layout,
    /// A file that must be there is not.
    #[error("{0} is missing")]
    Missing(String),
    /// A file is not what its name says.
    #[error("{path} is not usable: {why}; expected {expected}")]
    Broken {
        /// The file, relative to the case folder.
        path: String,
        /// What is wrong.
        why: String,
        /// What would be accepted.
        expected: &'static str,
    },
}

/// Text of a file that must be there, unpacked when it is gzip; its name does not matter, as callers may have unpacked it.
pub(super) fn text(files: &impl CaseFiles, path: &str) -> Result<String, CaseError> {
    optional_text(files, path)?.ok_or_else(|| CaseError::Missing(path.to_owned()))
}

/// As [`text`], but a missing file is no error.
pub(super) fn optional_text(files: &impl CaseFiles, path: &str) -> Result<Option<String>, CaseError> {
    let Some(bytes) = files.read(path) else { return Ok(None) };
    let broken = |why: String| CaseError::Broken {
        path: path.to_owned(),
        why,
        expected: "UTF-8 text of at most 256 MiB, as it is or as gzip",
    };
    let bytes =
        if bytes.starts_with(&GZIP) { unpack(&bytes).map_err(|e| broken(e.to_string()))? } else { bytes };
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(broken("it is too large".to_owned()));
    }
    Ok(Some(String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())))
}

fn unpack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    GzDecoder::new(bytes).take(FILE_BYTES_MAX + 1).read_to_end(&mut out)?;
    Ok(out)
}
