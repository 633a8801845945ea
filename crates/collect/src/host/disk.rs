//! `/proc/diskstats`.

use super::{parse, words};
use crate::series::Series;
use crate::source::Source;

/// Column (from the fourth on), metric, factor. Sectors are 512 bytes whatever the disk says.
const COLUMNS: [(&str, f64); 17] = [
    ("node_disk_reads_completed_total", 1.0),
    ("node_disk_reads_merged_total", 1.0),
    ("node_disk_read_bytes_total", 512.0),
    ("node_disk_read_time_seconds_total", 0.001),
    ("node_disk_writes_completed_total", 1.0),
    ("node_disk_writes_merged_total", 1.0),
    ("node_disk_written_bytes_total", 512.0),
    ("node_disk_write_time_seconds_total", 0.001),
    ("node_disk_io_now", 1.0),
    ("node_disk_io_time_seconds_total", 0.001),
    ("node_disk_io_time_weighted_seconds_total", 0.001),
    ("node_disk_discards_completed_total", 1.0),
    ("node_disk_discards_merged_total", 1.0),
    ("node_disk_discarded_sectors_total", 1.0),
    ("node_disk_discard_time_seconds_total", 0.001),
    ("node_disk_flush_requests_total", 1.0),
    ("node_disk_flush_requests_time_seconds_total", 0.001),
];

#[derive(Debug)]
pub(super) struct Disk {
    source: Source,
}

impl Default for Disk {
    fn default() -> Self {
        Self { source: Source::new("/proc/diskstats") }
    }
}

impl Disk {
    /// A host without block devices has no such file in some containers: that is not an error.
    pub(super) fn read(&mut self, out: &mut Series) -> Result<(), String> {
        emit(self.source.text()?, out);
        Ok(())
    }
}

fn emit(text: &str, out: &mut Series) {
    for line in text.lines() {
        let mut fields = words(line).skip(2);
        let Some(device) = fields.next().filter(|d| !is_ignored(d)) else { continue };
        for ((name, factor), value) in COLUMNS.iter().zip(fields.map_while(parse)) {
            // Divided, not multiplied: 15 ms must be 0.015 and not 0.015000000000000001.
            let value = if *factor < 1.0 { value / 1000.0 } else { value * factor };
            out.put(name, &[("device", device)], value);
        }
    }
}

/// What node_exporter leaves out: partitions, loop and ram devices.
/// `^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$`.
fn is_ignored(device: &str) -> bool {
    let stem = device.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == device.len() {
        return false;
    }
    if matches!(stem, "ram" | "zram" | "loop" | "fd") {
        return true;
    }
    if let Some(nvme) = stem.strip_prefix("nvme").and_then(|s| s.strip_suffix('p')) {
        return nvme.split('n').count() == 2
            && nvme.split('n').all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    }
    ["hd", "sd", "vd", "xvd"]
        .iter()
        .filter_map(|p| stem.strip_prefix(p))
        .any(|letter| letter.len() == 1 && letter.bytes().all(|b| b.is_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::value;

    #[test]
    fn sectors_become_bytes_and_milliseconds_become_seconds() {
        let mut out = Series::default();
        emit(" 254 0 vda 10 1 4 15 20 2 8 30 0 40 50 1 2 3 4 5 6\n 254 1 vda1 1 1 1 1\n", &mut out);
        let got = out.take();
        assert_eq!(got.len(), 17);
        assert_eq!(value(&got, r#"node_disk_read_bytes_total{device="vda"}"#), Some(2048.0));
        assert_eq!(value(&got, r#"node_disk_read_time_seconds_total{device="vda"}"#), Some(0.015));
        assert_eq!(value(&got, r#"node_disk_written_bytes_total{device="vda"}"#), Some(4096.0));
    }

    #[test]
    fn whole_disks_are_kept_and_their_parts_are_not() {
        for kept in ["sda", "vda", "nvme0n1", "dm-0", "md127", "xvda", "mmcblk0p1", "sdaa1"] {
            assert!(!is_ignored(kept), "{kept}");
        }
        for ignored in ["sda1", "vda2", "nvme0n1p3", "loop7", "ram0", "zram1", "fd0", "xvdb1"] {
            assert!(is_ignored(ignored), "{ignored}");
        }
    }
}
