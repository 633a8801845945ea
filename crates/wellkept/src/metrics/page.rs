//! What the store, the doors, the targets and the receivers say about themselves on `/metrics`.

use std::fmt::Write as _;

use wellkept_doors::Doors;
use wellkept_tsdb::Store;

use super::Intake;

/// The lines in Prometheus' text format.
pub(crate) fn page(store: &Store, doors: &Doors, intake: &Intake) -> String {
    let mut page = Page::default();
    of_store(&mut page, store);
    of_doors(&mut page, doors);
    of_intake(&mut page, intake);
    page.0
}

/// A page that is being written.
#[derive(Default)]
pub(crate) struct Page(pub(crate) String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a String cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    pub(crate) fn one(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.head(name, kind, help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    /// One line for each value of a label; none at all without values.
    pub(crate) fn each<'a>(
        &mut self,
        (name, kind, help): (&str, &str, &str),
        label: &str,
        values: impl Iterator<Item = (&'a str, u64)>,
    ) {
        let mut values = values.peekable();
        if values.peek().is_some() {
            self.head(name, kind, help);
        }
        for (of, value) in values {
            let of = of.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = writeln!(self.0, "{name}{{{label}=\"{of}\"}} {value}");
        }
    }
}

fn of_store(page: &mut Page, store: &Store) {
    let stats = store.stats();
    for (name, help, value) in [
        ("wellkept_store_series", "Series in memory and blocks.", stats.series as u64),
        ("wellkept_store_head_samples", "Samples in memory.", stats.head_samples as u64),
        ("wellkept_store_head_bytes", "Memory of those samples.", stats.head_bytes as u64),
        ("wellkept_store_blocks", "Blocks on disk.", stats.blocks as u64),
        ("wellkept_store_block_samples", "Samples in blocks.", stats.block_samples),
        ("wellkept_store_block_bytes", "Bytes of blocks on disk.", stats.block_bytes),
        ("wellkept_store_log_bytes", "Bytes of the log on disk.", stats.log_bytes),
        ("wellkept_store_pending_samples", "Samples in memory only.", stats.pending_samples as u64),
    ] {
        page.one(name, "gauge", help, value);
    }
    page.one(
        "wellkept_store_quarantined_total",
        "counter",
        "Damaged places found since the start.",
        stats.quarantined_total,
    );
    let refused = [
        ("out_of_order", stats.out_of_order_total),
        ("full", stats.full_total),
        ("invalid", stats.invalid_total),
        ("over_limit", stats.over_limit_total),
    ];
    let about =
        ("wellkept_store_refused_samples_total", "counter", "Samples that the store refused, by reason.");
    page.each(about, "reason", refused.into_iter());
}

fn of_doors(page: &mut Page, doors: &Doors) {
    let counts = doors.counts();
    type Count = fn(&wellkept_doors::Counts) -> u64;
    let columns: [(&str, &str, Count); 4] = [
        ("wellkept_door_samples_total", "Samples that came through a door and were stored.", |c| c.stored),
        ("wellkept_door_refused_samples_total", "Samples that came and were left out.", |c| c.refused),
        ("wellkept_door_broken_bodies_total", "Bodies that could not be read.", |c| c.broken),
        ("wellkept_door_limited_bodies_total", "Bodies of sources that had sent too much.", |c| c.limited),
    ];
    for (name, help, count) in columns {
        let values = counts.iter().map(|(format, c)| (format.word(), count(c)));
        page.each((name, "counter", help), "door", values);
    }
}

fn of_intake(page: &mut Page, intake: &Intake) {
    let targets = intake.scraping().targets();
    page.one("wellkept_scrape_targets", "gauge", "Targets that are scraped.", targets.active.len() as u64);
    let stats = intake.senders().stats();
    let columns: [(&str, &str, &str, Sent); 5] = [
        ("wellkept_send_samples_total", "counter", "Samples that the receiver took.", |s| s.samples_sent),
        ("wellkept_send_dropped_samples_total", "counter", "Samples that were given up.", |s| {
            s.dropped_busy + s.dropped_disk + s.dropped_full + s.dropped_refused + s.dropped_old
        }),
        ("wellkept_send_failed_total", "counter", "Requests that failed and were tried again.", |s| {
            s.failures
        }),
        ("wellkept_send_bytes_total", "counter", "Bytes of bodies that were taken.", |s| s.bytes_sent),
        ("wellkept_send_queued_samples_total", "counter", "Samples written to the queue.", |s| {
            s.samples_queued
        }),
    ];
    for (name, kind, help, count) in columns {
        page.each((name, kind, help), "receiver", stats.iter().map(|s| (s.name.as_str(), count(s))));
    }
}

type Sent = fn(&wellkept_scrape::sender::SenderStats) -> u64;
