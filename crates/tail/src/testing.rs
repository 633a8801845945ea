//! A sink that keeps what it was given, for the tests of this crate.

use wellkept_model::{Labels, LogLine, LogSink};

#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) lines: Vec<KeptLine>,
}

#[derive(Debug, Clone)]
pub(crate) struct KeptLine {
    pub(crate) at_ns: i64,
    pub(crate) labels: Labels,
    pub(crate) text: Vec<u8>,
}

impl Kept {
    pub(crate) fn texts(&self) -> Vec<String> {
        self.lines.iter().map(|l| String::from_utf8_lossy(&l.text).into_owned()).collect()
    }
}

impl LogSink for Kept {
    fn line(&mut self, line: &LogLine<'_>) {
        self.lines.push(KeptLine {
            at_ns: line.at_ns,
            labels: line.labels.clone(),
            text: line.text.to_vec(),
        });
    }
}

/// A store that keeps what was committed, and refuses when it is told to.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    kept: std::sync::Mutex<Kept>,
    notes: std::sync::Mutex<std::collections::BTreeMap<String, String>>,
    refuse: std::sync::atomic::AtomicUsize,
}

impl crate::Outlet for Shelf {
    fn commit(&self, batch: &crate::Batch) -> Result<(), crate::CommitError> {
        use std::sync::atomic::Ordering::SeqCst;
        if self.refuse.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok() {
            return Err(crate::CommitError("full".into()));
        }
        batch.replay(&mut *self.kept.lock().unwrap());
        for note in batch.notes() {
            let mut notes = self.notes.lock().unwrap();
            match &note.value {
                Some(value) => drop(notes.insert(note.key.clone(), value.clone())),
                None => drop(notes.remove(&note.key)),
            }
        }
        Ok(())
    }
}

impl Shelf {
    pub(crate) fn refuse(&self, times: usize) {
        self.refuse.store(times, std::sync::atomic::Ordering::SeqCst);
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.kept.lock().unwrap().texts()
    }

    pub(crate) fn lines(&self) -> Vec<KeptLine> {
        self.kept.lock().unwrap().lines.clone()
    }

    pub(crate) fn note(&self, key: &str) -> Option<String> {
        self.notes.lock().unwrap().get(key).cloned()
    }

    /// Waits until as many lines are there.
    pub(crate) async fn holds(&self, lines: usize) {
        let there = async {
            while self.kept.lock().unwrap().lines.len() < lines {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(30), there).await;
        assert!(waited.is_ok(), "{} of {lines} lines: {:?}", self.texts().len(), self.texts());
    }
}

/// The clock on the wall.
#[expect(clippy::disallowed_methods, reason = "tests of sources that wait for real time")]
pub(crate) fn wall_clock() -> crate::Clock {
    std::sync::Arc::new(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        i64::try_from(since.as_nanos()).unwrap()
    })
}
