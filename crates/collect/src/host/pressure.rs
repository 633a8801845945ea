//! `/proc/pressure/*`: how long tasks waited for processor, memory, disks and interrupts.

use crate::series::Series;
use crate::source::Source;

use super::{parse, words};

/// File, metric for `some` (one task waited), metric for `full` (all tasks waited).
const KINDS: [(&str, Option<&str>, Option<&str>); 4] = [
    ("/proc/pressure/cpu", Some("node_pressure_cpu_waiting_seconds_total"), None),
    (
        "/proc/pressure/io",
        Some("node_pressure_io_waiting_seconds_total"),
        Some("node_pressure_io_stalled_seconds_total"),
    ),
    (
        "/proc/pressure/memory",
        Some("node_pressure_memory_waiting_seconds_total"),
        Some("node_pressure_memory_stalled_seconds_total"),
    ),
    ("/proc/pressure/irq", None, Some("node_pressure_irq_stalled_seconds_total")),
];

#[derive(Debug)]
pub(super) struct Pressure {
    sources: Vec<Source>,
}

impl Default for Pressure {
    fn default() -> Self {
        Self { sources: KINDS.iter().map(|(path, _, _)| Source::new(*path)).collect() }
    }
}

impl Pressure {
    /// A kernel without pressure accounting, or with it switched off, gives nothing.
    #[expect(clippy::unnecessary_wraps, reason = "all sources are called alike")]
    pub(super) fn read(&mut self, out: &mut Series) -> Result<(), String> {
        for (source, (_, some, full)) in self.sources.iter_mut().zip(KINDS) {
            if let Ok(text) = source.read() {
                emit(text, some, full, out);
            }
        }
        Ok(())
    }
}

fn emit(text: &str, some: Option<&str>, full: Option<&str>, out: &mut Series) {
    for line in text.lines() {
        let mut fields = words(line);
        let name = match fields.next() {
            Some("some") => some,
            Some("full") => full,
            _ => None,
        };
        let total = fields.find_map(|f| f.strip_prefix("total=")).and_then(parse);
        if let (Some(name), Some(microseconds)) = (name, total) {
            out.put(name, &[], microseconds / 1e6);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::value;

    #[test]
    fn waiting_time_is_in_seconds() {
        let mut out = Series::default();
        let text = "some avg10=0.00 avg60=0.10 avg300=0.00 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n";
        emit(text, Some("w"), Some("s"), &mut out);
        let got = out.take();
        assert_eq!(value(&got, "w"), Some(2.5));
        assert_eq!(value(&got, "s"), Some(0.5));
    }
}
