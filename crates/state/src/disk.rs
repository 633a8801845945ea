//! Small file operations that are safe against a crash: written beside, synced, renamed, directory synced.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::StateError;

/// End of the name of a file that is being written.
pub(crate) const TEMP_SUFFIX: &str = ".tmp";

/// Creates `dir` (and its parents) with mode 0700; one that is there stays as it is.
pub(crate) fn create_private_dir(dir: &Path) -> Result<(), StateError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| StateError::io("create", dir, e))
}

/// Puts `content` at `path`, wholly or not at all; mode 0600.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), StateError> {
    let temp = temp_name(path);
    let written = (|| {
        // A leftover of a crash, or a link that somebody laid here, is removed and never written through.
        match std::fs::remove_file(&temp) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temp)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&temp, path)
    })();
    if let Err(e) = written {
        // Best effort: the next start removes what stays.
        let _ = std::fs::remove_file(&temp);
        return Err(StateError::io("write", path, e));
    }
    sync_parent(path)
}

/// Makes a name in its directory durable.
pub(crate) fn sync_parent(path: &Path) -> Result<(), StateError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    File::open(parent).and_then(|d| d.sync_all()).map_err(|e| StateError::io("sync", parent, e))
}

fn temp_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMP_SUFFIX);
    PathBuf::from(name)
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{b:02x}");
        out
    })
}
