//! What a sender tells of itself.

use std::time::Duration;

use wellkept_model::TimestampMs;

use super::queue;

/// Counts since the start, and how it stands now. Samples are of all kinds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SenderStats {
    /// Name of the receiver.
    pub name: String,
    /// Samples that were offered.
    pub samples_offered: u64,
    /// Samples that were written to the queue.
    pub samples_queued: u64,
    /// Samples that the receiver has taken.
    pub samples_sent: u64,
    /// Samples of requests that had to be sent again.
    pub samples_retried: u64,
    /// Samples left out by rules, or because the receiver wants no native histograms.
    pub dropped_relabel: u64,
    /// Samples dropped because the disk did not keep up.
    pub dropped_busy: u64,
    /// Samples dropped because the queue could not be written.
    pub dropped_disk: u64,
    /// Oldest samples dropped because the queue was full.
    pub dropped_full: u64,
    /// Samples that the receiver refused for good.
    pub dropped_refused: u64,
    /// Samples dropped because they had become too old.
    pub dropped_old: u64,
    /// Bytes of the queue that could not be read back.
    pub damaged_bytes: u64,
    /// Requests that were answered, whatever the answer.
    pub requests: u64,
    /// Requests that failed and were made again.
    pub failures: u64,
    /// Bytes of bodies that were taken.
    pub bytes_sent: u64,
    /// Bytes that wait on disk.
    pub queue_bytes: u64,
    /// Samples that wait on disk, as far as is known.
    pub queue_samples: u64,
    /// Newest sample that was taken.
    pub newest_sent: Option<TimestampMs>,
    /// How long it waits before it asks again; zero when the receiver answers.
    pub backoff: Duration,
    /// What went wrong last; empty after a request that was taken.
    pub last_error: String,
}

impl SenderStats {
    pub(super) fn see(&mut self, counts: queue::Counts) {
        self.queue_bytes = counts.bytes;
        self.queue_samples = counts.samples;
        self.dropped_full = counts.dropped;
        self.damaged_bytes = counts.damaged_bytes;
    }
}

/// A folder name for a receiver: what can be read of its name, and a hash of all of it.
pub(super) fn folder_name(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(40).collect();
    format!("{plain}-{:08x}", crc32fast::hash(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_names_are_plain_and_differ() {
        let names = ["http://a/x", "http://a:x", "../..", "", "far"].map(folder_name);
        assert!(names.iter().all(|n| !n.contains(['/', '.'])));
        let unique: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
    }
}
