//! Output of many hosts as whole lines, so that those of different hosts do not mix.

use std::collections::HashMap;

use wellkept_catalogue::harmless;
use wellkept_ssh::Stream;

/// A line that has no end is shown in pieces of this many bytes.
const LINE_MAX: usize = 16 * 1024;

/// Collects bytes until a line is whole.
#[derive(Debug, Default)]
pub struct Lines {
    open: HashMap<(String, bool), Vec<u8>>,
}

impl Lines {
    /// Takes bytes of a host; gives the lines that are whole now, fit for a terminal.
    pub fn take(&mut self, host: &str, stream: Stream, bytes: &[u8]) -> Vec<String> {
        let open = self.open.entry((host.to_owned(), stream == Stream::Stderr)).or_default();
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            open.extend_from_slice(part);
            if part.ends_with(b"\n") || open.len() >= LINE_MAX {
                lines.push(shown(&std::mem::take(open)));
            }
        }
        lines
    }

    /// What a host left without a line end.
    pub fn end(&mut self, host: &str) -> Vec<String> {
        let both = [false, true].map(|stderr| self.open.remove(&(host.to_owned(), stderr)));
        both.into_iter().flatten().filter(|open| !open.is_empty()).map(|open| shown(&open)).collect()
    }
}

/// A line of a host without its end, fit for a terminal.
pub fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    harmless(text.trim_end_matches(['\n', '\r'])).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_and_harmless() {
        let mut lines = Lines::default();
        assert!(lines.take("a", Stream::Stdout, b"on").is_empty());
        assert!(lines.take("b", Stream::Stdout, b"other").is_empty());
        assert_eq!(lines.take("a", Stream::Stdout, b"e\r\ntwo\nthr"), ["one", "two"]);
        let evil = lines.take("a", Stream::Stderr, b"\x1b[2Jx\n");
        assert!(evil.iter().all(|line| !line.contains('\x1b')), "{evil:?}");
        assert_eq!(lines.end("a"), ["thr"]);
        assert_eq!(lines.take("a", Stream::Stdout, &[b'x'; LINE_MAX + 5]).len(), 1);
    }
}
