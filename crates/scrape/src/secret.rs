//! What must never be seen: passwords and tokens.
//!
//! The type has no `Display`, no `Serialize`, and a `Debug` without content, so that a secret cannot reach a log, an
//! answer or an error by accident. It is read where it is put into a request, and nowhere else.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Most bytes of a file that holds a secret.
const FILE_MAX: u64 = 64 << 10;

/// A password or token.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that puts it into a request.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// It stands in the configuration.
    Inline(Secret),
    /// It is read from this file for each connection or request, so that it may be changed while running.
    File(PathBuf),
}

impl SecretSource {
    /// Gets the secret; white space around the content of a file does not count.
    ///
    /// # Errors
    /// When the file cannot be read, is longer than 64 KiB or is no UTF-8. The message names the file only.
    pub(crate) async fn get(&self) -> Result<Secret, String> {
        match self {
            Self::Inline(secret) => Ok(secret.clone()),
            Self::File(path) => {
                let text =
                    read_bounded(path, FILE_MAX).await.map_err(|e| format!("{}: {e}", path.display()))?;
                let text =
                    String::from_utf8(text).map_err(|_| format!("{}: is not UTF-8", path.display()))?;
                Ok(Secret(text.trim().to_owned()))
            }
        }
    }
}

/// Reads a file, but no more than `max` bytes of it: a longer one is an error.
pub(crate) async fn read_bounded(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    use tokio::io::AsyncReadExt;
    let mut out = Vec::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(max + 1).read_to_end(&mut out).await?;
    if out.len() as u64 > max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("is longer than {max} bytes")));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_it() {
        let source = SecretSource::Inline(Secret::new("hunter2"));
        assert!(!format!("{source:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn a_file_is_read_each_time_and_its_length_is_bounded() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("token");
        std::fs::write(&path, "first\n").expect("it can be written");
        let source = SecretSource::File(path.clone());
        assert_eq!(source.get().await.expect("it is there").reveal(), "first");
        std::fs::write(&path, " second ").expect("it can be written");
        assert_eq!(source.get().await.expect("it is there").reveal(), "second");
        std::fs::write(&path, vec![b'x'; 70_000]).expect("it can be written");
        assert!(source.get().await.is_err_and(|e| e.contains("token") && e.contains("longer")));
    }
}
