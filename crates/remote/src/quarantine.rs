//! Moves a file aside and keeps it, with owner and mode, so that it can be put back.
//!
//! What is moved must still be what was found: the content is compared with its checksum first. The copy lies in the data
//! directory, readable by us alone and never executable, and is on disk before the file goes.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use wellkept_model::keep::Keep;
use wellkept_model::{EntityKind, Means, PlannedAction, Text, Undo};

use crate::kept_file::sha256_of;
use crate::place::{Place, PlaceError};
use crate::{FileCopy, Outcome};

/// Folder below the data directory.
const FOLDER: &str = "quarantine";

/// Moves the file that a step names aside.
pub(crate) fn move_aside(keep: &Keep, action: &PlannedAction, path: &str, data_dir: &Path) -> Outcome {
    let text = |key: &str| Text::new(key).with("path", path);
    let (target, Some(sha256)) = (&action.target, &action.to_version) else {
        return Outcome::failed(text("outcome.refuse_quarantine"));
    };
    let named = target.kind == EntityKind::File && target.name == path;
    if !named || !is_checksum(sha256) || !keep.may_quarantine(Path::new(path)) {
        return Outcome::failed(text("outcome.refuse_quarantine"));
    }
    match aside(path, sha256, data_dir) {
        Ok(true) => Outcome::succeeded(text("outcome.quarantined").with("sha256", sha256))
            .with_undo(Undo::Means { subject: Means::PutBack(path.to_owned()).to_string() }),
        Ok(false) => Outcome::failed(text("outcome.quarantine_changed")),
        Err(e) => Outcome::failed(text("outcome.quarantine_failed").with("error", e)),
    }
}

/// Puts it back, unless something else lies there now.
pub(crate) fn put_back(action: &PlannedAction, path: &str, data_dir: &Path) -> Outcome {
    let text = |key: &str| Text::new(key).with("path", path);
    let Some(sha256) = action.to_version.as_ref().filter(|s| is_checksum(s) && action.target.name == path)
    else {
        return Outcome::failed(text("outcome.refuse_quarantine"));
    };
    match back(path, sha256, data_dir) {
        Ok(true) => Outcome::succeeded(text("outcome.quarantine_back")),
        Ok(false) => Outcome::failed(text("outcome.quarantine_changed")),
        Err(e) => Outcome::failed(text("outcome.quarantine_failed").with("error", e)),
    }
}

fn aside(path: &str, sha256: &str, data_dir: &Path) -> Result<bool, PlaceError> {
    let place = Place::of(Path::new(path))?;
    let Some(copy) = place.read()?.filter(|c| sha256_of(&c.content) == sha256) else { return Ok(false) };
    let (content, owner) = places(data_dir, sha256);
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir.join(FOLDER))?;
    write(&content, &copy.content)?;
    write(&owner, format!("{} {} {:o}\n{path}\n", copy.uid, copy.gid, copy.mode).as_bytes())?;
    fs::File::open(data_dir.join(FOLDER))?.sync_all()?;
    place.remove()?;
    Ok(true)
}

fn back(path: &str, sha256: &str, data_dir: &Path) -> Result<bool, PlaceError> {
    let place = Place::of(Path::new(path))?;
    if place.read()?.is_some() {
        return Ok(false);
    }
    let (content, owner) = places(data_dir, sha256);
    let owner = fs::read_to_string(owner)?;
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "its owner was not kept");
    let mut words = owner.lines().next().unwrap_or_default().split(' ');
    let mut number = |radix| words.next().and_then(|w| u32::from_str_radix(w, radix).ok()).ok_or_else(broken);
    let (uid, gid, mode) = (number(10)?, number(10)?, number(8)?);
    let content = fs::read(content)?;
    if sha256_of(&content) != sha256 {
        return Ok(false);
    }
    place.put(&FileCopy { content, uid, gid, mode })?;
    Ok(true)
}

fn places(data_dir: &Path, sha256: &str) -> (PathBuf, PathBuf) {
    let folder = data_dir.join(FOLDER);
    (folder.join(sha256), folder.join(format!("{sha256}.owner")))
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn is_checksum(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}
