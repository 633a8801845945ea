//! Folders of cases on disk.
#![allow(unreachable_pub, reason = "an example includes this file as a module, where nothing is public")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use wellkept_rootcause::case::CaseFiles;

/// Many cases below one folder. What lies outside of a case is shared by many, so it is kept, unpacked.
pub struct Cases {
    root: PathBuf,
    shared: RefCell<BTreeMap<PathBuf, Option<Vec<u8>>>>,
}

impl Cases {
    /// Cases below `root`.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), shared: RefCell::default() }
    }

    /// The folder of one case.
    pub fn of<'c>(&'c self, name: &str) -> Case<'c> {
        Case { all: self, name: name.to_owned() }
    }
}

/// Files around one case folder.
pub struct Case<'c> {
    all: &'c Cases,
    name: String,
}

impl Case<'_> {
    fn path(&self, path: &str) -> PathBuf {
        self.all.root.join(&self.name).join(path)
    }
}

impl CaseFiles for Case<'_> {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        let full = self.path(path);
        if !path.starts_with("..") {
            return fs::read(full).ok();
        }
        let full = full.canonicalize().ok()?;
        let mut shared = self.all.shared.borrow_mut();
        shared.entry(full.clone()).or_insert_with(|| unpacked(&fs::read(full).ok()?)).clone()
    }

    fn list(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).into_iter().flatten().flatten();
        entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
    }
}

fn unpacked(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match GzDecoder::new(bytes).read_to_end(&mut out) {
        Ok(_) => Some(out),
        Err(_) => Some(bytes.to_vec()),
    }
}
