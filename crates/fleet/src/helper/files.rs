//! Files of the controller that an order may read: those that its task names, and nothing else.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use wellkept_modules::{Source, SourceEntry, SourceKind};

/// The largest file that is handed out, bytes.
const FILE_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// The most names of a folder.
const NAMES_MAX: usize = 100_000;

/// The roots of what an order may read. A host that asks for anything else is refused.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// Files and folders, absolute.
    pub roots: Vec<PathBuf>,
    /// Links are handed out as links.
    pub keep_links: bool,
}

impl Allowed {
    fn check(&self, name: &str) -> io::Result<PathBuf> {
        let path = PathBuf::from(name.trim_end_matches('/'));
        let plain = path.components().all(|part| matches!(part, Component::Normal(_) | Component::RootDir));
        if plain && self.roots.iter().any(|root| path.starts_with(root)) {
            return Ok(path);
        }
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "the task names no such file of the controller"))
    }

    fn entry(&self, name: String, path: &Path) -> io::Result<SourceEntry> {
        let link = std::fs::symlink_metadata(path)?.is_symlink();
        if link && self.keep_links {
            let to = std::fs::read_link(path)?.to_string_lossy().into_owned();
            return Ok(SourceEntry { name, kind: SourceKind::Link(to), mode: 0o777 });
        }
        let about = std::fs::metadata(path)?;
        let kind = if about.is_dir() { SourceKind::Folder } else { SourceKind::File(about.len()) };
        Ok(SourceEntry { name, kind, mode: about.permissions().mode() & 0o7777 })
    }
}

impl Source for Allowed {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let path = self.check(name)?;
        let about = std::fs::metadata(&path)?;
        if about.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if about.len() > FILE_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        std::fs::read(path)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<SourceEntry>> {
        let path = self.check(folder)?;
        if !std::fs::metadata(&path)?.is_dir() {
            return Ok(vec![self.entry(String::new(), &path)?]);
        }
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(&path)?.take(NAMES_MAX) {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let below = path.join(&name);
            entries.push(self.entry(name, &below)?);
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_task_names_is_handed_out() {
        let folder = tempfile::tempdir().expect("temp");
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(at("tree")).expect("dir");
        for name in ["tree/a", "secret", "tree2"] {
            std::fs::write(at(name), name).expect("write");
        }
        let allowed = Allowed { roots: vec![at("tree").into()], keep_links: false };
        assert_eq!(allowed.read(&at("tree/a")).expect("read"), b"tree/a");
        assert_eq!(allowed.list(&at("tree/")).expect("list").len(), 1);
        for name in ["secret", "tree2", "tree/../secret", "tree/./a/../../secret"] {
            assert!(allowed.read(&at(name)).is_err(), "{name}");
        }
        assert!(allowed.read("/etc/passwd").is_err() && allowed.list("/").is_err());
    }
}
