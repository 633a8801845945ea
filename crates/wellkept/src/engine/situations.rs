//! Keeps the frozen situation behind each decision, so that it can be replayed later: the same situation gives the
//! same causes.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use wellkept_diagnose::Situation;
use wellkept_model::IncidentId;

/// Situations kept; one takes some ten KiB.
const KEPT_MAX: usize = 500;

/// Writes one in the background; a failure is logged and stops nothing.
pub(super) fn keep(data_dir: &Path, id: IncidentId, generation: u32, situation: Situation) {
    let folder = data_dir.join("situations");
    tokio::task::spawn_blocking(move || {
        if let Err(error) = write(&folder, &name(id, generation), &situation) {
            tracing::warn!(incident = %id, %error, "the situation behind a decision could not be kept");
        }
    });
}

/// Names sort by age, so that the oldest can be told without opening any.
fn name(id: IncidentId, generation: u32) -> String {
    format!("{:012}-{generation:06}.json", id.0)
}

fn write(folder: &Path, name: &str, situation: &Situation) -> io::Result<()> {
    if !folder.exists() {
        fs::DirBuilder::new().mode(0o700).create(folder)?;
    }
    let text = serde_json::to_vec(situation).map_err(io::Error::other)?;
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
    use wellkept_diagnose::{SITUATION_FORMAT, diagnose};
    use wellkept_model::observe::Observation;
    use wellkept_model::{EntityId, Finding, FindingKey, FindingKind, Severity, Text, TimestampMs, Topology};

    fn situation() -> Situation {
        let key = FindingKey {
            entity: EntityId::service("a"),
            kind: FindingKind::ProcessGone,
            subject: String::new(),
        };
        let (at, text) = (TimestampMs(5), Text::new("finding.process_gone").with("name", "a"));
        let finding = Finding {
            key,
            severity: Severity::Critical,
            since: at,
            at,
            text,
            evidence: Vec::new(),
            hold_ms: 0,
        };
        Situation {
            format: SITUATION_FORMAT,
            now: at,
            host: "h".to_owned(),
            findings: vec![finding],
            seen: Observation::default(),
            topology: Topology::default(),
            changes: Vec::new(),
            file_changes: Vec::new(),
            tried: Vec::new(),
            space: Vec::new(),
        }
    }

    #[test]
    fn a_kept_situation_gives_the_same_causes_when_it_is_read_back() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("situations");
        write(&folder, &name(IncidentId(3), 1), &situation()).unwrap();
        let text = fs::read(folder.join("000000000003-000001.json")).unwrap();
        let read: Situation = serde_json::from_slice(&text).unwrap();
        assert_eq!(diagnose(&read), diagnose(&situation()));
        assert!(!diagnose(&read).is_empty());
    }

    #[test]
    fn only_the_newest_are_kept() {
        let temp = tempfile::tempdir().unwrap();
        for i in 0..KEPT_MAX as u64 + 3 {
            fs::write(temp.path().join(name(IncidentId(i), 1)), "x").unwrap();
        }
        prune(temp.path()).unwrap();
        assert!(!temp.path().join(name(IncidentId(2), 1)).exists());
        assert!(temp.path().join(name(IncidentId(3), 1)).exists());
    }
}
