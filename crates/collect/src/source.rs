//! Small kernel files read again and again.
//!
//! Opening a file in /proc costs more than reading it, so a source stays open and is read from offset 0 into a
//! buffer that is used again. A file that has gone (a process, an unplugged device) is opened anew at the next read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Longest content that is read of one kernel file, bytes. `/proc/net/tcp` of a busy server is the longest:
/// 150 bytes a socket, so this holds 100,000 sockets.
pub(crate) const SOURCE_MAX: usize = 16 << 20;

/// First size of a buffer; most kernel files fit.
const BUFFER_START: usize = 4096;

/// One kernel file, kept open.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
}

impl Source {
    /// A file that will be opened at the first read.
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), file: None, buffer: Vec::new() }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The whole content as it is now. Bytes that are no UTF-8 (in names that anybody may choose) become `?`, so
    /// that one odd name hides nothing after it.
    ///
    /// # Errors
    /// When it cannot be opened or read, or is longer than [`SOURCE_MAX`].
    pub(crate) fn read(&mut self) -> io::Result<&str> {
        let len = match self.fill() {
            Ok(len) => len,
            Err(_) if self.file.take().is_some() => self.fill()?,
            Err(e) => return Err(e),
        };
        let bytes = self.buffer.get_mut(..len).unwrap_or_default();
        mask_non_text(bytes);
        std::str::from_utf8(bytes).map_err(io::Error::other)
    }

    /// As [`Self::read`], with the path in the error: for the list of problems.
    pub(crate) fn text(&mut self) -> Result<&str, String> {
        let path = self.path.clone();
        self.read().map_err(|e| format!("{}: {e}", path.display()))
    }

    fn fill(&mut self) -> io::Result<usize> {
        let file = match self.file.take() {
            Some(file) => file,
            None => File::open(&self.path)?,
        };
        if self.buffer.is_empty() {
            self.buffer.resize(BUFFER_START, 0);
        }
        let mut len = 0;
        loop {
            if len == self.buffer.len() {
                if len >= SOURCE_MAX {
                    return Err(io::Error::other(format!("longer than {SOURCE_MAX} bytes")));
                }
                self.buffer.resize((len * 2).min(SOURCE_MAX), 0);
            }
            match file.read_at(self.buffer.get_mut(len..).unwrap_or_default(), len as u64) {
                Ok(0) => break,
                Ok(n) => len += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.file = Some(file);
                    return Err(e);
                }
            }
        }
        self.file = Some(file);
        Ok(len)
    }
}

fn mask_non_text(bytes: &mut [u8]) {
    let mut from = 0;
    while let Some(rest) = bytes.get_mut(from..) {
        let Err(e) = std::str::from_utf8(rest) else { return };
        let (bad, len) = (e.valid_up_to(), e.error_len().unwrap_or(rest.len() - e.valid_up_to()));
        rest.iter_mut().skip(bad).take(len).for_each(|b| *b = b'?');
        from += bad + len;
    }
}

/// A file of one number, such as most of /sys; `None` when it is absent, unreadable or no number.
pub(crate) fn number(source: &mut Source) -> Option<f64> {
    source.read().ok()?.trim().parse().ok()
}

/// Reads a small file once. For what is read at most every few seconds.
///
/// # Errors
/// As [`Source::read`].
pub(crate) fn read_once(path: impl Into<PathBuf>) -> io::Result<String> {
    Source::new(path).read().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_replaced_or_grew_is_read_anew() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("f");
        std::fs::write(&path, "1").expect("it can be written");
        let mut source = Source::new(&path);
        assert_eq!(number(&mut source), Some(1.0));
        std::fs::write(&path, "x".repeat(10_000)).expect("it can be written");
        assert_eq!(source.read().expect("it is there").len(), 10_000);
    }

    #[test]
    fn a_missing_file_names_its_path() {
        let mut source = Source::new("/nonexistent/x");
        assert!(source.text().expect_err("it is not there").starts_with("/nonexistent/x: "));
    }

    #[test]
    fn bytes_that_are_no_text_hide_nothing_after_them() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("f");
        std::fs::write(&path, b"abc\xff\xfed\xe2\x82").expect("it can be written");
        assert_eq!(Source::new(&path).read().expect("it is there"), "abc??d??");
    }
}
