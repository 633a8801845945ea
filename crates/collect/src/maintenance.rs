//! Maintenance windows from files that people and deploy tools write.
//!
//! ```json
//! {"windows": [{"from": "2026-11-21T02:00:00Z", "until": "2026-11-21T03:00:00Z", "components": ["app"], "reason": "release 7"}]}
//! ```
//!
//! A file is read again when it has changed. One that cannot be read has no windows: what is not announced counts.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use wellkept_model::TimestampMs;
use wellkept_model::maintenance::Window;
use wellkept_model::observe::CollectProblem;

use crate::facts::kept::{Stamp, read_kept};

/// Windows that are read of one file.
const WINDOWS_MAX: usize = 1000;
/// Longest window: an announcement that is forgotten must not blind us for ever.
const LENGTH_MAX_MS: i64 = 7 * 86_400_000;

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    windows: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    from: String,
    until: String,
    #[serde(default)]
    components: Vec<String>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    drill: bool,
}

/// The windows of these files that are open now, for who looks once.
#[must_use]
pub fn open_windows(files: &[PathBuf], now: TimestampMs) -> Vec<Window> {
    Maintenance::default().read(files, now, &mut Vec::new())
}

/// The files, with what was found last.
#[derive(Debug, Default)]
pub(crate) struct Maintenance {
    known: HashMap<PathBuf, (Stamp, Vec<Window>)>,
}

impl Maintenance {
    /// The windows that are open now.
    pub(crate) fn read(
        &mut self,
        files: &[PathBuf],
        now: TimestampMs,
        problems: &mut Vec<CollectProblem>,
    ) -> Vec<Window> {
        self.known.retain(|path, _| files.contains(path));
        let mut open = Vec::new();
        for path in files {
            match self.file(path) {
                Ok(windows) => open.extend(windows.iter().filter(|w| w.is_open(now)).cloned()),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => {
                    let message = format!("{}: {e}", path.display());
                    problems.push(CollectProblem { collector: "maintenance".to_owned(), message });
                }
            }
        }
        open
    }

    fn file(&mut self, path: &Path) -> io::Result<&[Window]> {
        let stamp = Stamp::of(&std::fs::metadata(path)?);
        if self.known.get(path).is_none_or(|(known, _)| *known != stamp) {
            let windows = parse(&read_kept(path)?.bytes)?;
            self.known.insert(path.to_owned(), (stamp, windows));
        }
        Ok(self.known.get(path).map_or(&[], |(_, windows)| windows))
    }
}

fn parse(bytes: &[u8]) -> io::Result<Vec<Window>> {
    let document: Document = serde_json::from_slice(bytes)?;
    let time = |text: &str| {
        let at: jiff::Timestamp = text.parse().map_err(|e| io::Error::other(format!("{text:?}: {e}")))?;
        Ok::<_, io::Error>(TimestampMs(at.as_millisecond()))
    };
    let window = |entry: Entry| {
        let (from, until) = (time(&entry.from)?, time(&entry.until)?);
        let until = TimestampMs(until.0.min(from.0.saturating_add(LENGTH_MAX_MS)));
        Ok(Window { from, until, components: entry.components, reason: entry.reason, drill: entry.drill })
    };
    document.windows.into_iter().take(WINDOWS_MAX).map(window).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str, at: &str) -> (Vec<String>, usize) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("windows.json");
        std::fs::write(&path, text).expect("it can be written");
        let now = TimestampMs(at.parse::<jiff::Timestamp>().expect("a time").as_millisecond());
        let mut problems = Vec::new();
        let windows = Maintenance::default().read(&[path], now, &mut problems);
        (windows.into_iter().flat_map(|w| w.components).collect(), problems.len())
    }

    #[test]
    fn only_open_windows_count() {
        let text = r#"{"windows": [
            {"from": "2026-11-21T02:00:00Z", "until": "2026-11-21T03:00:00Z", "components": ["app"]},
            {"from": "2026-11-21T02:30:00+01:00", "until": "2026-11-21T02:45:00+01:00", "components": ["db"]}]}"#;
        assert_eq!(open(text, "2026-11-21T02:10:00Z"), (vec!["app".to_owned()], 0));
        assert_eq!(open(text, "2026-11-21T01:40:00Z"), (vec!["db".to_owned()], 0));
        assert_eq!(open(text, "2026-11-21T03:00:00Z"), (vec![], 0));
    }

    #[test]
    fn what_cannot_be_read_announces_nothing_and_is_reported() {
        assert_eq!(open("{", "2026-11-21T02:10:00Z"), (vec![], 1));
        assert_eq!(
            open(r#"{"windows": [{"from": "now", "until": "then"}]}"#, "2026-11-21T02:10:00Z"),
            (vec![], 1)
        );
        let mut problems = Vec::new();
        let windows = Maintenance::default().read(&["/no/such/file".into()], TimestampMs(0), &mut problems);
        assert!(windows.is_empty() && problems.is_empty(), "the first announcement creates it");
    }

    #[test]
    fn a_forgotten_window_ends() {
        let text = r#"{"windows": [{"from": "2026-01-01T00:00:00Z", "until": "2036-01-01T00:00:00Z", "components": ["app"]}]}"#;
        assert_eq!(open(text, "2026-01-02T00:00:00Z").0, ["app"]);
        assert!(open(text, "2026-02-01T00:00:00Z").0.is_empty());
    }
}
