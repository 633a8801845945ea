//! Files that services write: how fast declared logs grow, and when declared signs of progress were written last.
//!
//! One call of the kernel for each file and round.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::os::unix::fs::MetadataExt;

use wellkept_model::TimestampMs;
use wellkept_model::keep::Keep;
use wellkept_model::local::LocalSeen;

/// Over which time growth is counted, milliseconds, and the shortest time that says anything.
const WINDOW_MS: i64 = 10_000;
const SHORTEST_MS: i64 = 3_000;

/// What was written up to now.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    /// By service: when, and how much its log has grown since we watch.
    logs: HashMap<String, Log>,
}

#[derive(Debug, Default)]
struct Log {
    /// Inode and length.
    last: Option<(u64, u64)>,
    written: u64,
    past: VecDeque<(TimestampMs, u64)>,
}

impl Traces {
    pub(crate) fn read(&mut self, keep: &Keep, now: TimestampMs, local: &mut LocalSeen) {
        self.logs.retain(|name, _| keep.knobs.contains_key(name));
        for (name, knobs) in &keep.knobs {
            let Some(path) = &knobs.log else { continue };
            let log = self.logs.entry(name.clone()).or_default();
            if let Ok(meta) = std::fs::metadata(path) {
                log.grew(meta.ino(), meta.len());
            }
            local.log_growth.extend(log.rate(now).map(|rate| (name.clone(), rate)));
        }
        local.progress = keep
            .progress
            .iter()
            .filter_map(|(n, p)| Some((n.clone(), modified(&p.file)?)))
            .collect::<BTreeMap<_, _>>();
    }
}

impl Log {
    /// A file that was replaced or emptied has grown from nothing.
    fn grew(&mut self, inode: u64, len: u64) {
        self.written += match self.last {
            Some((known, before)) if known == inode && before <= len => len - before,
            Some(_) => len,
            None => 0,
        };
        self.last = Some((inode, len));
    }

    #[expect(clippy::cast_precision_loss, reason = "bytes of ten seconds")]
    fn rate(&mut self, now: TimestampMs) -> Option<f64> {
        self.past.push_back((now, self.written));
        while self.past.front().is_some_and(|(at, _)| now.0 - at.0 > WINDOW_MS) {
            self.past.pop_front();
        }
        let (then, before) = *self.past.front()?;
        let ms = now.0 - then.0;
        (ms >= SHORTEST_MS).then(|| (self.written - before) as f64 * 1000.0 / ms as f64)
    }
}

fn modified(path: &std::path::Path) -> Option<TimestampMs> {
    let at = std::fs::metadata(path).ok()?.modified().ok()?;
    let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(TimestampMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wellkept_model::keep::{Knobs, Progress};

    #[test]
    fn growth_is_counted_over_seconds_and_through_rotation() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("app.log");
        let mut keep = Keep::default();
        keep.knobs.insert("app".into(), Knobs { log: Some(path.clone()), ..Knobs::default() });
        let mut traces = Traces::default();
        let mut at = |ms: i64| {
            let mut local = LocalSeen::default();
            traces.read(&keep, TimestampMs(ms), &mut local);
            local.log_growth.get("app").copied()
        };
        std::fs::write(&path, vec![b'x'; 50_000]).expect("written");
        assert_eq!(at(0), None, "what was there is old");
        std::fs::write(&path, vec![b'x'; 90_000]).expect("written");
        assert_eq!(at(1000), None, "too soon to say");
        assert_eq!(at(4000), Some(10_000.0));
        std::fs::rename(&path, dir.path().join("app.log.1")).expect("renamed");
        std::fs::write(&path, vec![b'x'; 8_000]).expect("written");
        assert_eq!(at(8000), Some(6_000.0));
        assert_eq!(at(30_000), None, "nothing was read for long");
    }

    #[test]
    fn a_sign_of_progress_is_told_with_its_time() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("beat");
        let mut keep = Keep::default();
        let within = std::time::Duration::from_secs(5);
        keep.progress.insert("app".into(), Progress { file: file.clone(), within });
        let read = |keep: &Keep| {
            let mut local = LocalSeen::default();
            Traces::default().read(keep, TimestampMs(0), &mut local);
            local.progress.get("app").copied()
        };
        assert_eq!(read(&keep), None);
        std::fs::write(&file, "x").expect("written");
        assert!(read(&keep).is_some_and(|at| at > TimestampMs(0)));
    }
}
