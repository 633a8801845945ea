//! A person's shell on one host, written down as it is seen.
//!
//! The record is an asciicast (version 2): what the host writes and when, not what is typed. A password that the host
//! does not echo is therefore not in it.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde_json::json;
use tokio::time::Instant;
use wellkept_ssh::PtySize;

/// The largest record, bytes; what comes after it is shown and not written down.
const RECORD_MAX: u64 = 256 * 1024 * 1024;

/// A record that is written.
pub struct Cast {
    file: File,
    begun: Instant,
    written: u64,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of a character that is not whole yet.
    rest: Vec<u8>,
}

impl Cast {
    /// A new record in `folder`. `now_ms`: milliseconds since the epoch.
    ///
    /// # Errors
    /// The disk.
    pub fn new(folder: &Path, host: &str, who: &str, size: PtySize, now_ms: i64) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let name: String =
            host.chars().map(|c| if c.is_alphanumeric() || c == '.' { c } else { '_' }).collect();
        let path = folder.join(format!("{now_ms:015}-{name}.cast"));
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let head = json!({
            "version": 2,
            "width": size.columns,
            "height": size.rows,
            "timestamp": now_ms / 1000,
            "title": format!("{who} on {host}"),
        });
        writeln!(file, "{head}")?;
        Ok(Self { file, begun: Instant::now(), written: 0, path, rest: Vec::new() })
    }

    /// Writes down what the host wrote.
    ///
    /// # Errors
    /// The disk.
    pub fn output(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.rest.extend_from_slice(bytes);
        let whole = whole(&self.rest);
        let text = String::from_utf8_lossy(self.rest.get(..whole).unwrap_or_default()).into_owned();
        self.rest.drain(..whole);
        self.line("o", &text)
    }

    /// Writes down a new size of the terminal.
    ///
    /// # Errors
    /// The disk.
    pub fn resize(&mut self, size: PtySize) -> io::Result<()> {
        self.line("r", &format!("{}x{}", size.columns, size.rows))
    }

    fn line(&mut self, kind: &str, text: &str) -> io::Result<()> {
        if text.is_empty() || self.written > RECORD_MAX {
            return Ok(());
        }
        let line = format!("{}\n", json!([self.begun.elapsed().as_secs_f64(), kind, text]));
        self.written += line.len() as u64;
        self.file.write_all(line.as_bytes())
    }
}

/// So many bytes end with a whole character.
fn whole(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        // Bytes that are no text are not waited for.
        Err(_) => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_record_holds_what_was_seen_with_characters_whole() {
        let folder = tempfile::tempdir().expect("temp");
        let size = PtySize { columns: 80, rows: 24 };
        let mut cast = Cast::new(folder.path(), "h/1", "me", size, 1_000).expect("a record");
        let text = "né".as_bytes();
        cast.output(&text[..2]).expect("written");
        cast.output(&text[2..]).expect("written");
        cast.output(b"\xff").expect("written");
        let told = std::fs::read_to_string(&cast.path).expect("read");
        let lines: Vec<serde_json::Value> =
            told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!((&lines[0]["version"], &lines[0]["width"]), (&2.into(), &80.into()));
        let seen: Vec<_> = lines[1..].iter().map(|line| line[2].as_str().expect("text")).collect();
        assert_eq!(seen, ["n", "é", "\u{fffd}"]);
        assert!(cast.path.ends_with("000000000001000-h_1.cast"));
    }
}
