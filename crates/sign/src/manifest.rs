//! The table of contents: what is signed.

use serde::{Deserialize, Serialize};

use crate::path::check_path;
use crate::{BundleError, Digest};

/// Largest table of contents, bytes.
pub const MANIFEST_MAX: usize = 4 << 20;
/// Most files.
pub const FILES_MAX: usize = 10_000;
/// Largest file, bytes.
pub const FILE_MAX: u64 = 64 << 20;
/// All files together, bytes.
pub const TOTAL_MAX: u64 = 256 << 20;
/// Most patterns of targets.
pub const TARGETS_MAX: usize = 1000;
/// Longest name, inventory pattern.
const NAME_MAX: usize = 64;
const PATTERN_MAX: usize = 255;

/// What a bundle says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Names the line of bundles whose generations follow each other.
    pub name: String,
    /// Grows with each new bundle of the name.
    pub generation: u64,
    /// Seconds since the epoch from which on it may be used.
    pub not_before: u64,
    /// Seconds since the epoch up to which it may be used.
    pub expires: u64,
    /// Whom it is for: host patterns for a run over many hosts, names with `*` for agents. Never empty.
    pub targets: Vec<String>,
    /// The playbook among the files.
    pub playbook: String,
    /// The inventory among the files, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<String>,
    /// All files, by path.
    pub files: Vec<FileEntry>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Below the bundle's folder, with slashes.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Whether it may be started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
    /// Of its content.
    pub sha256: Digest,
}

impl Manifest {
    /// Reads and checks a table of contents.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, BundleError> {
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|e| BundleError::Manifest { why: e.to_string() })?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Checks that it holds together and stays within the bounds.
    ///
    /// # Errors
    /// What is wrong first.
    pub fn check(&self) -> Result<(), BundleError> {
        let wrong = |why: &str| Err(BundleError::Manifest { why: why.to_owned() });
        if !is_name(&self.name) {
            return wrong(
                "the name has to be 1 to 64 of a-z, 0-9, dot, dash and underscore, and begin with a letter or digit",
            );
        }
        if self.expires <= self.not_before {
            return wrong("it expires before it begins");
        }
        if self.targets.is_empty() || self.targets.len() > TARGETS_MAX {
            return wrong("it has to name 1 to 1000 targets");
        }
        if self.targets.iter().any(|t| !is_pattern(t)) {
            return wrong("a target is empty, too long, begins with - or has control characters");
        }
        self.check_files()?;
        for named in [Some(&self.playbook), self.inventory.as_ref()].into_iter().flatten() {
            if !self.files.iter().any(|f| f.path == *named) {
                return Err(BundleError::Manifest { why: format!("{named:?} is not among its files") });
            }
        }
        Ok(())
    }

    fn check_files(&self) -> Result<(), BundleError> {
        bound("number of files", self.files.len() as u64, FILES_MAX as u64)?;
        let mut total = 0u64;
        let mut last: Option<&str> = None;
        for file in &self.files {
            check_path(&file.path)?;
            bound("file", file.size, FILE_MAX)?;
            total = total.saturating_add(file.size);
            // In order, so that none is twice; and none is also a folder.
            if last.is_some_and(|last| last >= file.path.as_str()) {
                return Err(BundleError::Path {
                    path: file.path.clone(),
                    why: "the files are not in order, or one is there twice",
                });
            }
            last = Some(&file.path);
        }
        self.check_folders()?;
        bound("size of all files", total, TOTAL_MAX)
    }

    fn check_folders(&self) -> Result<(), BundleError> {
        let names: std::collections::HashSet<&str> = self.files.iter().map(|f| f.path.as_str()).collect();
        for file in &self.files {
            let folders = file.path.match_indices('/').filter_map(|(at, _)| file.path.get(..at));
            for folder in folders {
                if names.contains(folder) {
                    return Err(BundleError::Path {
                        path: folder.to_owned(),
                        why: "it is a file and a folder at once",
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether it is for a host of this name. `*` in a target stands for any characters.
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        self.targets.iter().any(|pattern| fits(pattern, host))
    }
}

pub(crate) fn bound(what: &'static str, found: u64, max: u64) -> Result<(), BundleError> {
    if found > max { Err(BundleError::TooLarge { what, found, max }) } else { Ok(()) }
}

fn is_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
    first && name.len() <= NAME_MAX && name.bytes().all(plain)
}

fn is_pattern(pattern: &str) -> bool {
    let odd = |c: char| c.is_control() || c.is_whitespace();
    !pattern.is_empty() && pattern.len() <= PATTERN_MAX && !pattern.starts_with('-') && !pattern.contains(odd)
}

/// Linear in the text for each star, which a pattern has at most 255 of.
fn fits(pattern: &str, host: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| host.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest;

    fn manifest() -> Manifest {
        let file =
            |path: &str| FileEntry { path: path.into(), size: 1, executable: false, sha256: digest(b"x") };
        Manifest {
            name: "web".into(),
            generation: 1,
            not_before: 10,
            expires: 20,
            targets: vec!["web-*".into()],
            playbook: "site.yml".into(),
            inventory: None,
            files: vec![file("a/b"), file("site.yml")],
        }
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Manifest)) {
        let mut manifest = manifest();
        change(&mut manifest);
        assert!(manifest.check().is_err(), "{manifest:?}");
    }

    #[test]
    fn a_table_of_contents_holds_together_or_is_refused() {
        assert_eq!(manifest().check(), Ok(()));
        refused(|m| m.name = "Web".into());
        refused(|m| m.name = String::new());
        refused(|m| m.name = "-a".into());
        refused(|m| m.expires = 10);
        refused(|m| m.targets.clear());
        refused(|m| m.targets = vec!["-x".into()]);
        refused(|m| m.targets = vec!["a b".into()]);
        refused(|m| m.playbook = "other.yml".into());
        refused(|m| m.inventory = Some("hosts".into()));
        refused(|m| m.files.reverse());
        refused(|m| m.files[1] = m.files[0].clone());
        refused(|m| m.files[0].path = "../a".into());
        refused(|m| m.files[0].path = "/a".into());
        refused(|m| m.files.insert(0, FileEntry { path: "a".into(), ..m.files[0].clone() }));
        refused(|m| m.files[0].size = FILE_MAX + 1);
        refused(|m| m.files = vec![m.files[1].clone(); FILES_MAX + 1]);
    }

    #[test]
    fn a_target_is_a_whole_name_or_has_stars() {
        let fits_all = |pattern: &str, hosts: &[&str]| hosts.iter().all(|h| fits(pattern, h));
        assert!(fits_all("*", &["", "a", "web-1"]) && fits_all("web-*", &["web-", "web-1"]));
        assert!(fits("a*b*c", "a1b2c") && fits("a**", "a") && fits("web-1", "web-1"));
        for (pattern, host) in
            [("web", "web-1"), ("web-*", "xweb-1"), ("a*b*c", "acb"), ("*a", "b"), ("ab*b", "ab")]
        {
            assert!(!fits(pattern, host), "{pattern} {host}");
        }
    }
}
