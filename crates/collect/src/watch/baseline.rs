//! What was taken as meant at the first look, kept over restarts in a folder of ours.
//!
//! A right that somebody gained while we did not run is one that came later. A file that cannot be read is as if there were
//! none, and that is told: then what is there now is taken as meant again.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wellkept_model::observe::GainedWay;

/// One right: in which way, who, and what about it.
pub(super) type Right = (GainedWay, String, String);

/// Version of the file.
const FORMAT: u32 = 1;
/// Longest file that is read, bytes.
const LEN_MAX: u64 = 32 << 20;

/// What is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Baseline {
    format: u32,
    /// The folders that were looked at then.
    pub(super) folders: Vec<PathBuf>,
    pub(super) rights: BTreeSet<Right>,
}

impl Baseline {
    pub(super) fn new(folders: &[PathBuf], rights: BTreeSet<Right>) -> Self {
        Self { format: FORMAT, folders: folders.to_vec(), rights }
    }

    /// `Ok(None)`: there is none yet.
    pub(super) fn load(file: &Path) -> Result<Option<Self>, String> {
        let bad = |why: String| format!("{}: {why}", file.display());
        let len = match fs::metadata(file) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(bad(e.to_string())),
            Ok(meta) => meta.len(),
        };
        if len > LEN_MAX {
            return Err(bad(format!("{len} bytes; at most {LEN_MAX} are read")));
        }
        let text = fs::read(file).map_err(|e| bad(e.to_string()))?;
        let known: Self = serde_json::from_slice(&text).map_err(|e| bad(e.to_string()))?;
        if known.format != FORMAT {
            return Err(bad(format!("format {}; this version reads {FORMAT}", known.format)));
        }
        Ok(Some(known))
    }

    /// Written beside it and put in its place, for nobody else to read.
    pub(super) fn save(&self, file: &Path) -> Result<(), String> {
        let work = || -> std::io::Result<()> {
            if let Some(folder) = file.parent() {
                fs::create_dir_all(folder)?;
            }
            let beside = file.with_extension("new");
            let mut options = fs::OpenOptions::new();
            let mut new = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
            new.write_all(&serde_json::to_vec(self)?)?;
            new.sync_all()?;
            fs::rename(&beside, file)
        };
        work().map_err(|e| format!("{}: {e}", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_comes_back_and_damage_is_told() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("baselines/rights.json");
        assert_eq!(Baseline::load(&file), Ok(None));
        let right = (GainedWay::Setuid, "/bin/su".to_owned(), "setuid root".to_owned());
        let known = Baseline::new(&["/bin".into()], [right].into());
        known.save(&file).expect("saved");
        assert_eq!(Baseline::load(&file), Ok(Some(known.clone())));
        let newer = fs::read_to_string(&file).expect("read").replace("\"format\":1", "\"format\":2");
        fs::write(&file, newer).expect("written");
        assert!(Baseline::load(&file).is_err_and(|e| e.contains("format 2")));
        fs::write(&file, "{").expect("written");
        assert!(Baseline::load(&file).is_err());
    }
}
