//! What the logs say about themselves on `/metrics`.

use wellkept_logs::Logs;

use super::Sources;
use crate::metrics::Page;

/// The lines in Prometheus' text format.
pub(crate) fn page(logs: &Logs, sources: &Sources) -> String {
    let mut page = Page::default();
    let (status, files) = (logs.status(), sources.files());
    let store = &status.store;
    for (name, help, value) in [
        ("wellkept_logs_head_lines", "Lines in memory.", store.head_lines as u64),
        ("wellkept_logs_head_bytes", "Memory of those lines.", store.head_bytes as u64),
        ("wellkept_logs_segments", "Segments on disk.", store.segments as u64),
        ("wellkept_logs_segment_lines", "Lines in segments.", store.segment_lines),
        ("wellkept_logs_segment_bytes", "Bytes of segments on disk.", store.segment_bytes),
        ("wellkept_logs_log_bytes", "Bytes of the write-ahead log on disk.", store.wal_bytes),
        ("wellkept_logs_pending_bytes", "Bytes in memory only.", store.pending_bytes as u64),
        ("wellkept_logs_templates", "Forms of templates that the miner holds.", status.templates as u64),
        ("wellkept_logs_files", "Files that are followed.", files.followed),
    ] {
        page.one(name, "gauge", help, value);
    }
    for (name, help, value) in [
        ("wellkept_logs_lines_total", "Lines taken since the start.", store.appended_total),
        ("wellkept_logs_bytes_total", "Bytes of their texts.", store.appended_bytes_total),
        ("wellkept_logs_quarantined_total", "Damaged places found since the start.", store.set_aside_total),
        (
            "wellkept_logs_tail_dropped_total",
            "Lines that live tails were too slow for.",
            store.tail_dropped_total,
        ),
        ("wellkept_logs_files_emptied_total", "Files that were emptied while followed.", files.truncated),
        ("wellkept_logs_split_lines_total", "Lines longer than allowed, taken in pieces.", files.split),
    ] {
        page.one(name, "counter", help, value);
    }
    let refused = [("too_large", store.too_large_total), ("full", store.full_total)];
    let about = ("wellkept_logs_refused_lines_total", "counter", "Lines that the store refused, by reason.");
    page.each(about, "reason", refused.into_iter());
    let dropped = status.dropped.iter().map(|(source, lines)| (source.as_str(), *lines));
    let about = ("wellkept_logs_dropped_lines_total", "counter", "Lines beyond what their source may bring.");
    page.each(about, "source", dropped);
    page.0
}
