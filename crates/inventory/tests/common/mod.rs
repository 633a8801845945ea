//! Files for the tests: the cases on disk, as if root owned them, and files that are only in memory.
#![allow(dead_code, reason = "each test file uses its share")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use wellkept_inventory::{Files, Meta};

pub(crate) fn case_path(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(path)
}

/// The folder `tests/cases`. Owner and mode are made up, so that the checkout's do not matter; scripts do not run:
/// what they print is in `answers`.
pub(crate) struct Case;

impl Files for Case {
    fn stat(&self, path: &str) -> Result<Option<Meta>, String> {
        let Ok(meta) = std::fs::metadata(case_path(path)) else { return Ok(None) };
        let mode = if path.ends_with(".sh") { 0o755 } else { 0o644 };
        Ok(Some(Meta { folder: meta.is_dir(), owner: 0, group: 0, mode, size: meta.len() }))
    }

    fn list(&self, path: &str) -> Result<Vec<String>, String> {
        let entries = std::fs::read_dir(case_path(path)).map_err(|error| error.to_string())?;
        Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
    }

    fn read(&self, path: &str, _max: u64) -> Result<(Meta, Vec<u8>), String> {
        let meta = self.stat(path)?.ok_or("missing")?;
        Ok((meta, std::fs::read(case_path(path)).map_err(|error| error.to_string())?))
    }

    fn run(&self, path: &str, args: &[&str], _max: u64) -> Result<Vec<u8>, String> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let answer = format!("answers/{name}{}", args.join("-"));
        std::fs::read(case_path(&answer)).map_err(|error| format!("{answer}: {error}"))
    }
}

/// Files in memory; each folder that a path names is there.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) files: BTreeMap<String, (Meta, Vec<u8>)>,
}

impl Memory {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let mut memory = Self::default();
        for (path, text) in files {
            memory.put(path, text.as_bytes(), 0, 0o644);
        }
        memory
    }

    pub(crate) fn put(&mut self, path: &str, bytes: &[u8], owner: u32, mode: u32) {
        let meta = Meta { folder: false, owner, group: owner, mode, size: bytes.len() as u64 };
        self.files.insert(path.to_owned(), (meta, bytes.to_vec()));
    }
}

impl Files for Memory {
    fn stat(&self, path: &str) -> Result<Option<Meta>, String> {
        if let Some((meta, _)) = self.files.get(path) {
            return Ok(Some(*meta));
        }
        let below = format!("{path}/");
        let folder = self.files.keys().any(|file| file.starts_with(&below));
        Ok(folder.then_some(Meta { folder: true, owner: 0, group: 0, mode: 0o755, size: 0 }))
    }

    fn list(&self, path: &str) -> Result<Vec<String>, String> {
        let below = format!("{path}/");
        let names = self.files.keys().filter_map(|file| file.strip_prefix(&below)?.split('/').next());
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.dedup();
        Ok(names)
    }

    fn read(&self, path: &str, max: u64) -> Result<(Meta, Vec<u8>), String> {
        let (meta, bytes) = self.files.get(path).ok_or("missing")?;
        Ok((*meta, bytes.iter().copied().take(max as usize).collect()))
    }

    fn run(&self, path: &str, args: &[&str], _max: u64) -> Result<Vec<u8>, String> {
        let answer = format!("{path} {}", args.join(" "));
        self.files.get(&answer).map(|(_, bytes)| bytes.clone()).ok_or_else(|| "exit code 1".to_owned())
    }
}
