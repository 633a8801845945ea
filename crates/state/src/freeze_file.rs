//! The stop switch as a file: `FREEZE` in the data directory.
//!
//! It must work when everything else is broken, so it needs no database, no network and, as far as possible, no
//! space: [`prepare`] lays a spare file at start, and [`set`] only renames it. Who set it and why is written
//! into it when there is room.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Its name; an operator can make it with `touch`.
pub const FREEZE_FILE: &str = "FREEZE";
const SPARE_FILE: &str = "FREEZE.spare";
/// Longest note that is written or read, bytes.
const NOTE_MAX: usize = 512;

/// Whether the switch is on. When that cannot be told, it is on.
#[must_use]
pub fn is_set(data_dir: &Path) -> bool {
    !matches!(std::fs::symlink_metadata(data_dir.join(FREEZE_FILE)),
        Err(e) if e.kind() == io::ErrorKind::NotFound)
}

/// What was written into the switch; empty when it was made by hand or the disk was full.
#[must_use]
pub fn note(data_dir: &Path) -> String {
    let mut bytes = Vec::new();
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags((rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32)
        .open(data_dir.join(FREEZE_FILE));
    if let Ok(file) = opened {
        // A note that cannot be read is no note; the switch is on all the same.
        let _ = file.take(NOTE_MAX as u64).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// Turns the switch on. `note`: who and why; its first 512 bytes are kept when there is space for them.
///
/// # Errors
/// When neither renaming the spare file nor making a new one works.
pub fn set(data_dir: &Path, note: &str) -> io::Result<()> {
    let path = data_dir.join(FREEZE_FILE);
    if !is_set(data_dir) && std::fs::rename(data_dir.join(SPARE_FILE), &path).is_err() {
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
    }
    write_note(&path, note);
    // Durable as far as the disk allows; the switch works from now on in any case.
    let _ = std::fs::File::open(data_dir).and_then(|d| d.sync_all());
    Ok(())
}

/// Turns the switch off.
///
/// # Errors
/// When the file is there and cannot be removed.
pub fn clear(data_dir: &Path) -> io::Result<()> {
    match std::fs::remove_file(data_dir.join(FREEZE_FILE)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    std::fs::File::open(data_dir)?.sync_all()?;
    // Without a spare the next `set` makes a new file; that needs a little space.
    let _ = prepare(data_dir);
    Ok(())
}

/// Lays the spare file, so that turning the switch on needs no space.
///
/// # Errors
/// When it cannot be made.
pub fn prepare(data_dir: &Path) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(data_dir.join(SPARE_FILE))
        .map(drop)
}

/// Best effort on purpose: see the module's head.
fn write_note(path: &Path, note: &str) {
    let end = (0..=NOTE_MAX.min(note.len())).rev().find(|&i| note.is_char_boundary(i)).unwrap_or(0);
    let text = note.get(..end).unwrap_or_default();
    let opened = OpenOptions::new()
        .write(true)
        .truncate(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(path);
    if let Ok(mut file) = opened {
        let _ = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_set_and_cleared_and_keeps_the_note() {
        let temp = tempfile::tempdir().expect("temp");
        assert!(!is_set(temp.path()));
        set(temp.path(), "ann: disk swap").expect("set");
        assert!(is_set(temp.path()));
        assert_eq!(note(temp.path()), "ann: disk swap");
        set(temp.path(), "again").expect("set twice");
        clear(temp.path()).expect("clear");
        assert!(!is_set(temp.path()));
        clear(temp.path()).expect("clear twice");
    }

    #[test]
    fn setting_uses_the_spare_file() {
        let temp = tempfile::tempdir().expect("temp");
        prepare(temp.path()).expect("prepare");
        set(temp.path(), "").expect("set");
        assert!(!temp.path().join(SPARE_FILE).exists());
        clear(temp.path()).expect("clear");
        assert!(temp.path().join(SPARE_FILE).exists());
    }

    #[test]
    fn an_empty_file_made_by_hand_counts() {
        let temp = tempfile::tempdir().expect("temp");
        std::fs::write(temp.path().join("FREEZE"), "").expect("touch");
        assert!(is_set(temp.path()));
    }

    #[test]
    fn what_cannot_be_told_counts_as_set() {
        let temp = tempfile::tempdir().expect("temp");
        let file = temp.path().join("file");
        std::fs::write(&file, "").expect("write");
        assert!(is_set(&file), "the data directory is a file: nobody can say that we may act");
    }

    #[test]
    fn a_long_note_is_cut_at_a_character() {
        let temp = tempfile::tempdir().expect("temp");
        set(temp.path(), &"值".repeat(1000)).expect("set");
        assert_eq!(note(temp.path()).chars().count(), 170);
    }
}
