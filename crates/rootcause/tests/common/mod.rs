//! A case folder on disk.
#![allow(unreachable_pub, reason = "an example includes this file as a module, where nothing is public")]

use std::fs;
use std::path::{Path, PathBuf};

use wellkept_rootcause::case::CaseFiles;

/// Files around one case folder.
pub struct Folder(PathBuf);

impl Folder {
    /// The case `name` below `root`.
    pub fn of(root: &Path, name: &str) -> Self {
        Self(root.join(name))
    }
}

impl CaseFiles for Folder {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.0.join(path)).ok()
    }

    fn list(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.0.join(path)).into_iter().flatten().flatten();
        entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
    }
}
