//! Keeps the record of each decision, so that it can be replayed later.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use wellkept_model::{IncidentId, TimestampMs};

use crate::record::Record;

/// Records kept; one takes some ten KiB.
const KEPT_MAX: usize = 500;

/// Writes one in the background; a failure is logged and stops nothing.
pub(super) fn keep(data_dir: &Path, record: Record) {
    let folder = data_dir.join("situations");
    tokio::task::spawn_blocking(move || {
        let id = record.incident.id;
        if let Err(error) = write(&folder, &name(id, record.situation.now), &record) {
            tracing::warn!(incident = %id, %error, "the record of a decision could not be kept");
        }
    });
}

/// Names sort by age, so that the oldest can be told without opening any. An incident is decided once at an instant.
fn name(id: IncidentId, at: TimestampMs) -> String {
    format!("{:012}-{:013}.json", id.0, at.0)
}

fn write(folder: &Path, name: &str, record: &Record) -> io::Result<()> {
    if !folder.exists() {
        fs::DirBuilder::new().mode(0o700).create(folder)?;
    }
    let text = serde_json::to_vec(record).map_err(io::Error::other)?;
    let new = folder.join(format!("{name}.new"));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&text)?;
    fs::rename(&new, folder.join(name))?;
    prune(folder)
}

fn prune(folder: &Path) -> io::Result<()> {
    let entries = fs::read_dir(folder)?.filter_map(|e| e.ok().map(|e| e.path()));
    let mut kept: Vec<PathBuf> = entries.filter(|p| p.extension().is_some_and(|e| e == "json")).collect();
    kept.sort();
    let surplus = kept.len().saturating_sub(KEPT_MAX);
    kept.iter().take(surplus).try_for_each(fs::remove_file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_record_is_read_back_and_gives_the_same_answer() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("situations");
        let mut record = crate::record::tests::crash();
        record.answer = record.judge(&record.keep().unwrap()).text().unwrap();
        write(&folder, &name(IncidentId(3), TimestampMs(5)), &record).unwrap();
        let bytes = fs::read(folder.join("000000000003-0000000000005.json")).unwrap();
        let read = Record::read(&bytes).unwrap();
        assert_eq!(read, record);
        assert_eq!(read.judge(&read.keep().unwrap()).text().unwrap(), record.answer);
    }

    #[test]
    fn only_the_newest_are_kept() {
        let temp = tempfile::tempdir().unwrap();
        let file = |i| temp.path().join(name(IncidentId(i), TimestampMs(1)));
        for i in 0..KEPT_MAX as u64 + 3 {
            fs::write(file(i), "x").unwrap();
        }
        prune(temp.path()).unwrap();
        assert!(!file(2).exists() && file(3).exists());
    }
}
