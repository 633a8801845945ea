//! Checksums of files, read piece by piece.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha1::Digest;

/// Hexadecimal digits of the file's hash; `None` for an unknown algorithm.
pub(crate) fn file(path: &Path, algorithm: &str) -> io::Result<Option<String>> {
    reader(&mut File::open(path)?, algorithm)
}

/// Of bytes.
pub(crate) fn bytes(bytes: &[u8], algorithm: &str) -> Option<String> {
    reader(&mut { bytes }, algorithm).ok().flatten()
}

fn reader(from: &mut dyn Read, algorithm: &str) -> io::Result<Option<String>> {
    Ok(Some(match algorithm {
        "md5" => run::<md5::Md5>(from)?,
        "sha1" => run::<sha1::Sha1>(from)?,
        "sha224" => run::<sha2::Sha224>(from)?,
        "sha256" => run::<sha2::Sha256>(from)?,
        "sha384" => run::<sha2::Sha384>(from)?,
        "sha512" => run::<sha2::Sha512>(from)?,
        _ => return Ok(None),
    }))
}

fn run<D: Digest>(from: &mut dyn Read) -> io::Result<String> {
    let mut digest = D::new();
    let mut piece = vec![0u8; 64 * 1024];
    loop {
        let got = from.read(&mut piece)?;
        if got == 0 {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(piece.get(..got).unwrap_or_default());
    }
}

/// Hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |at: u8| DIGITS.get(usize::from(at)).copied().map_or('0', char::from);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
