//! Whether the files of a playbook have changed: names, lengths and times, within a bound.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The most files that are looked at; what lies beyond is noticed by the schedule only.
const FILES_MAX: usize = 2000;

/// A number that differs when a file beside or below the playbook, or of the inventory, has another length or time.
pub(super) fn stamp(playbook: &Path, inventory: &[String]) -> u64 {
    let mut hash = DefaultHasher::new();
    let mut open: Vec<PathBuf> = playbook.parent().map(Path::to_owned).into_iter().collect();
    open.extend(inventory.iter().filter(|source| !source.contains(',')).map(PathBuf::from));
    let mut looked = 0;
    while let Some(path) = open.pop() {
        looked += 1;
        if looked > FILES_MAX {
            break;
        }
        let Ok(about) = std::fs::symlink_metadata(&path) else { continue };
        if about.is_dir() {
            let Ok(entries) = std::fs::read_dir(&path) else { continue };
            let hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
            let mut below: Vec<PathBuf> =
                entries.flatten().filter(|e| !hidden(&e.file_name())).map(|e| e.path()).collect();
            below.sort();
            open.extend(below);
        } else {
            (path, about.len(), about.mtime(), about.mtime_nsec(), about.ino()).hash(&mut hash);
        }
    }
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_content_a_new_file_and_a_removed_one_are_noticed() {
        let folder = tempfile::tempdir().expect("temp");
        let (playbook, role) = (folder.path().join("site.yml"), folder.path().join("roles/a"));
        std::fs::create_dir_all(&role).expect("dir");
        std::fs::write(&playbook, "a").expect("write");
        let mut seen = vec![stamp(&playbook, &[])];
        assert_eq!(stamp(&playbook, &[]), seen[0]);
        std::fs::write(&playbook, "ab").expect("write");
        seen.push(stamp(&playbook, &[]));
        std::fs::write(role.join("t"), "x").expect("write");
        seen.push(stamp(&playbook, &[]));
        std::fs::write(folder.path().join("hosts"), "x").expect("write");
        seen.push(stamp(&playbook, &["h1,".to_owned()]));
        seen.dedup();
        assert_eq!(seen.len(), 4);
        std::fs::remove_file(role.join("t")).expect("removed");
        assert_ne!(stamp(&playbook, &[]), seen[3]);
    }
}
