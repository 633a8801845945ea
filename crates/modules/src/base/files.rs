//! Reading of files with a bound, and questions about paths.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

/// Largest file that is read whole. Playbooks edit configuration; what is larger is copied piece by piece.
pub(crate) const WHOLE_MAX: u64 = 512 << 20;

/// The whole file.
pub(crate) fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    bytes_up_to(path, WHOLE_MAX)
}

/// The whole file, when it has at most this many bytes.
pub(crate) fn bytes_up_to(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut out)?;
    if out.len() as u64 > most {
        return Err(io::Error::other(format!("{} is larger than {most} bytes", path.display())));
    }
    Ok(out)
}

/// The whole file as text; what is no UTF-8 is replaced.
pub(crate) fn text(path: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&bytes(path)?).into_owned())
}

/// Whether something is there, links followed.
pub(crate) fn exists(path: &Path) -> bool {
    fs::metadata(path).is_ok()
}

/// Whether something is there, be it a broken link.
pub(crate) fn lexists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

pub(crate) fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink())
}

pub(crate) fn readable(path: &Path) -> bool {
    rustix::fs::access(path, Access::READ_OK).is_ok()
}

pub(crate) fn writable(path: &Path) -> bool {
    rustix::fs::access(path, Access::WRITE_OK).is_ok()
}

pub(crate) fn executable(path: &Path) -> bool {
    rustix::fs::access(path, Access::EXEC_OK).is_ok()
}

/// `os.path.dirname`, as a folder that can be opened.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// `os.path.dirname`: all before the last slash.
pub(crate) fn dirname(path: &str) -> &str {
    match path.rfind('/') {
        Some(at) => {
            let head = path.get(..at).unwrap_or_default();
            let trimmed = head.trim_end_matches('/');
            if trimmed.is_empty() { path.get(..=at).unwrap_or("/") } else { trimmed }
        }
        None => "",
    }
}

/// `os.path.basename`: all after the last slash.
pub(crate) fn basename(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// `os.path.join`
pub(crate) fn join(folder: &str, name: &str) -> String {
    if name.starts_with('/') {
        name.to_owned()
    } else if folder.is_empty() || folder.ends_with('/') {
        format!("{folder}{name}")
    } else {
        format!("{folder}/{name}")
    }
}

/// `os.path.realpath`: links resolved as far as they lead somewhere.
pub(crate) fn realpath(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let target = fs::read_link(&absolute).ok();
    match (target, absolute.parent(), absolute.file_name()) {
        (Some(target), Some(parent), _) => realpath_of(&parent.join(target), 40),
        (None, Some(parent), Some(name)) => realpath(parent).join(name),
        _ => absolute,
    }
}

fn realpath_of(path: &Path, left: usize) -> PathBuf {
    if left == 0 {
        path.to_owned()
    } else if is_link(path) {
        realpath(path)
    } else {
        lexical(path)
    }
}

/// Without `.` and `..`, by text alone.
pub(crate) fn lexical(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                out.pop();
            }
            std::path::Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

/// Path as text; what is no UTF-8 is replaced.
pub(crate) fn shown(path: &Path) -> String {
    String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned()
}

/// Permissions that the process takes away from new files.
pub(crate) fn umask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o022)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_paths_are_those_of_python() {
        for (path, folder, name) in
            [("/a/b", "/a", "b"), ("a", "", "a"), ("/a", "/", "a"), ("a/b/", "a/b", ""), ("//a", "//", "a")]
        {
            assert_eq!((dirname(path), basename(path)), (folder, name), "{path}");
        }
        assert_eq!(join("/a", "b"), "/a/b");
        assert_eq!(join("/a/", "b"), "/a/b");
        assert_eq!(join("/a", "/b"), "/b");
    }

    #[test]
    fn a_file_above_the_bound_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "12345").unwrap();
        assert_eq!(bytes_up_to(&path, 5).unwrap(), b"12345");
        assert!(bytes_up_to(&path, 4).unwrap_err().to_string().contains("larger than 4 bytes"));
    }
}
