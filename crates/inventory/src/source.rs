//! What the crate asks of its caller: folder listings, files with owner and mode, and running a script.
//!
//! Whose files are believed is decided here, once: an inventory may name commands and variables that end up in
//! templates, so a file that somebody else can write is as good as a login.

use crate::bounds::FILE_BYTES_MAX;
use crate::problem::{Place, Problem, Result, short};

/// What stands at a path, links followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// A folder (else a file).
    pub folder: bool,
    /// The owner's user number.
    pub owner: u32,
    /// The group's number.
    pub group: u32,
    /// The permission bits.
    pub mode: u32,
    /// Bytes of a file.
    pub size: u64,
}

/// A path itself, links not followed but where it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// It is a link.
    pub link: bool,
    /// Something is mounted there.
    pub mount: bool,
    /// Device and inode of what stands there, links followed; `None`: the link leads nowhere.
    pub file: Option<(u64, u64)>,
}

/// The caller's side: everything that touches the machine. Texts of errors are shown to people.
pub trait Files {
    /// What stands at the path, links followed; `None` when nothing does.
    ///
    /// # Errors
    /// Why it cannot be looked at.
    fn stat(&self, path: &str) -> std::result::Result<Option<Meta>, String>;

    /// The path itself; `None` when there is nothing, not even a link.
    ///
    /// # Errors
    /// Why it cannot be looked at.
    fn seat(&self, path: &str) -> std::result::Result<Option<Seat>, String> {
        Err(format!("links and mounts cannot be seen here: {path}"))
    }

    /// The names in a folder, in any order.
    ///
    /// # Errors
    /// Why it cannot be listed.
    fn list(&self, path: &str) -> std::result::Result<Vec<String>, String>;

    /// A file's bytes with the owner and mode of the very file that was opened; at most `max` bytes are read.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn read(&self, path: &str, max: u64) -> std::result::Result<(Meta, Vec<u8>), String>;

    /// Runs an inventory script with these arguments; standard output, at most `max` bytes.
    ///
    /// Called only when [`Options::scripts`] is set and for a file that passed the check of owner and mode.
    ///
    /// # Errors
    /// Why it failed: exit code and what it wrote to standard error.
    fn run(&self, path: &str, args: &[&str], max: u64) -> std::result::Result<Vec<u8>, String>;

    /// Opens a whole file that begins with `$ANSIBLE_VAULT`; `None` leaves it closed.
    ///
    /// # Errors
    /// Why it cannot be opened, for example a wrong password.
    fn unseal(&self, path: &str, sealed: &[u8]) -> std::result::Result<Option<Vec<u8>>, String> {
        let _ = (path, sealed);
        Ok(None)
    }
}

/// How to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Who runs this; files of this user and of root are believed.
    pub user: u32,
    /// Whether executable inventories may run.
    pub scripts: bool,
    /// The folder of the playbook, whose `group_vars` and `host_vars` count too.
    pub playbook_dir: Option<String>,
    /// What `ansible_python_interpreter` is for the implicit localhost.
    pub python: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { user: 0, scripts: false, playbook_dir: None, python: "/usr/bin/python3".to_owned() }
    }
}

/// Refuses files of other users and files that others can write.
///
/// A script may be writable for a group only when that is root's or the owner's own group.
pub(crate) fn check_trust(path: &str, meta: &Meta, user: u32, script: bool) -> Result<()> {
    let refuse = |problem| Err(Place::file(path).problem(problem));
    if meta.owner != 0 && meta.owner != user {
        return refuse(Problem::ForeignOwner { owner: meta.owner, user });
    }
    let foreign_group = meta.group != 0 && meta.group != meta.owner;
    if meta.mode & 0o002 != 0 || (script && meta.mode & 0o020 != 0 && foreign_group) {
        return refuse(Problem::WritableByOthers { mode: meta.mode & 0o7777 });
    }
    Ok(())
}

pub(crate) fn stat(files: &dyn Files, path: &str) -> Result<Option<Meta>> {
    files.stat(path).map_err(|detail| unreadable(path, &detail))
}

/// The names in a folder, sorted by their bytes as Ansible does.
pub(crate) fn list(files: &dyn Files, path: &str, user: u32) -> Result<Vec<String>> {
    if let Some(meta) = stat(files, path)? {
        // In a folder that others can write they could put links to files that are believed.
        check_trust(path, &meta, user, false)?;
    }
    let mut names = files.list(path).map_err(|detail| unreadable(path, &detail))?;
    if names.len() > crate::bounds::FOLDER_FILES_MAX {
        let max = crate::bounds::FOLDER_FILES_MAX;
        return Err(Place::file(path).problem(Problem::TooMany { what: "files in a folder", max }));
    }
    names.sort_unstable();
    Ok(names)
}

/// A believed file's bytes.
pub(crate) fn read(files: &dyn Files, path: &str, user: u32) -> Result<Vec<u8>> {
    let (meta, bytes) = files.read(path, FILE_BYTES_MAX + 1).map_err(|detail| unreadable(path, &detail))?;
    check_trust(path, &meta, user, false)?;
    let size = meta.size.max(bytes.len() as u64);
    if size > FILE_BYTES_MAX {
        return Err(Place::file(path).problem(Problem::TooLarge { bytes: size, max: FILE_BYTES_MAX }));
    }
    Ok(bytes)
}

pub(crate) fn text(path: &str, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Place::file(path).problem(Problem::NotText))
}

fn unreadable(path: &str, detail: &str) -> crate::problem::InventoryError {
    Place::file(path).problem(Problem::Unreadable { detail: short(detail) })
}

/// A folder's path and a name in it.
pub(crate) fn join(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_owned(),
        _ if folder.ends_with('/') => format!("{folder}{name}"),
        _ => format!("{folder}/{name}"),
    }
}

/// The folder a path stands in; `.` for a bare name.
pub(crate) fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((folder, _)) => folder,
        None => ".",
    }
}

/// What stands after the last dot of the file's name, with the dot; a leading dot begins no extension.
pub(crate) fn extension(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let trimmed = name.trim_start_matches('.');
    trimmed.rfind('.').and_then(|at| trimmed.get(at..)).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_and_roots_files_that_others_cannot_write_are_believed() {
        let meta = |owner, group, mode| Meta { folder: false, owner, group, mode, size: 0 };
        assert!(check_trust("f", &meta(0, 0, 0o644), 1000, false).is_ok());
        assert!(check_trust("f", &meta(1000, 50, 0o664), 1000, false).is_ok());
        assert!(check_trust("f", &meta(1000, 50, 0o775), 1000, true).is_err());
        assert!(check_trust("f", &meta(1000, 1000, 0o775), 1000, true).is_ok());
        let error = check_trust("f", &meta(1001, 1001, 0o644), 1000, false).expect_err("foreign");
        assert_eq!(error.problem, Problem::ForeignOwner { owner: 1001, user: 1000 });
        let error = check_trust("f", &meta(1000, 1000, 0o646), 1000, false).expect_err("open");
        assert!(error.to_string().starts_with("f: can be written by others (mode 0646)"), "{error}");
    }

    #[test]
    fn paths_split_as_ansible_splits_them() {
        assert_eq!((parent("a/b"), parent("/b"), parent("b")), ("a", "/", "."));
        assert_eq!((extension("a/b.yml"), extension("a.d/hosts"), extension(".hidden")), (".yml", "", ""));
    }
}
