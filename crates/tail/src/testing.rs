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
