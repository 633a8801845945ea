//! A sink that keeps what it was given, for the tests of this crate.

use wellkept_model::{Labels, Level, LogLine, LogSink};

use crate::{Arrival, Zone};

/// A line as it was handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptLine {
    pub(crate) at_ns: i64,
    pub(crate) labels: Labels,
    pub(crate) level: Option<Level>,
    pub(crate) text: Vec<u8>,
    pub(crate) fields: Vec<(String, String)>,
}

#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) lines: Vec<KeptLine>,
}

static UTC: Zone = Zone::utc();

impl Kept {
    /// 2024-03-10T12:00:00Z.
    pub(crate) const ARRIVAL: Arrival<'static> =
        Arrival { now_ns: 1_710_072_000_000_000_000, zone: &UTC, labels: &[] };

    pub(crate) fn texts(&self) -> Vec<String> {
        self.lines.iter().map(|l| String::from_utf8_lossy(&l.text).into_owned()).collect()
    }
}

impl KeptLine {
    pub(crate) fn fields(&self) -> Vec<(&str, &str)> {
        self.fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect()
    }
}

impl LogSink for Kept {
    fn line(&mut self, line: &LogLine<'_>) {
        self.lines.push(KeptLine {
            at_ns: line.at_ns,
            labels: line.labels.clone(),
            level: line.level,
            text: line.text.to_vec(),
            fields: line.fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        });
    }
}
