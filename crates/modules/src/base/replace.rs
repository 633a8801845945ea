//! Replaces a file as a whole: written beside it, flushed, given owner and mode, renamed over it.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::files;

/// Which owner and mode the new file has.
pub(crate) enum Keep<'m> {
    /// Those of the file that it replaces; for a new one what a freshly made file has.
    Old,
    /// Mode and times of another file; owner of the process.
    Of(&'m Metadata),
}

/// Puts these bytes in the place of `dest`. With `in_place` a file that cannot be replaced is overwritten.
pub(crate) fn with_bytes(dest: &Path, bytes: &[u8], keep: &Keep<'_>, in_place: bool) -> io::Result<()> {
    with(dest, &mut { bytes }, keep, in_place)
}

/// As [`with_bytes`], read piece by piece.
pub(crate) fn with(dest: &Path, from: &mut dyn Read, keep: &Keep<'_>, in_place: bool) -> io::Result<()> {
    let folder = files::folder_of(dest);
    let made = tempfile::Builder::new().prefix(".ansible_tmp").tempfile_in(&folder);
    let mut new = match made {
        Ok(new) => new,
        Err(_) if in_place => return overwrite(dest, from),
        Err(error) => return Err(error),
    };
    io::copy(from, new.as_file_mut())?;
    let old = match keep {
        Keep::Old => fs::metadata(dest).ok(),
        Keep::Of(_) => None,
    };
    match (&old, keep) {
        (Some(old), _) => {
            own(new.path(), old.uid(), old.gid())?;
            new.as_file().set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
        }
        (None, Keep::Of(meta)) => {
            new.as_file().set_permissions(Permissions::from_mode(meta.mode() & 0o7777))?;
            let times = fs::FileTimes::new().set_accessed(meta.accessed()?).set_modified(meta.modified()?);
            new.as_file().set_times(times)?;
        }
        (None, Keep::Old) => {}
    }
    if !files::exists(dest) {
        new.as_file().set_permissions(Permissions::from_mode(0o666 & !files::umask()))?;
        let parent = fs::metadata(&folder)?;
        if parent.mode() & 0o2000 != 0 {
            // Inherited groups are a kindness: without the right to give the file away it stays ours.
            let _ = std::os::unix::fs::chown(new.path(), None, Some(parent.gid()));
        }
    }
    new.as_file().sync_all()?;
    match new.persist(dest) {
        Ok(_) => {}
        Err(refused) if in_place => {
            let mut again = refused.file.reopen()?;
            return overwrite(dest, &mut again);
        }
        Err(refused) => return Err(refused.error),
    }
    // A rename is durable once the folder is flushed; folders that cannot be flushed exist.
    if let Ok(folder) = File::open(&folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

fn overwrite(dest: &Path, from: &mut dyn Read) -> io::Result<()> {
    let mut file = File::create(dest)?;
    io::copy(from, &mut file)?;
    file.sync_all()
}

/// Gives it away, unless nobody but root may.
fn own(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let now = fs::metadata(path)?;
    if now.uid() == uid && now.gid() == gid {
        return Ok(());
    }
    match std::os::unix::fs::chown(path, Some(uid), Some(gid)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

/// A copy with the time in its name, as Ansible's `backup`; its path.
pub(crate) fn backup(path: &str, now: std::time::SystemTime) -> io::Result<String> {
    let zoned =
        jiff::Timestamp::try_from(now).map_err(io::Error::other)?.to_zoned(jiff::tz::TimeZone::system());
    let name = format!("{path}.{}.{}~", std::process::id(), zoned.strftime("%Y-%m-%d@%H:%M:%S"));
    let (from, to) = (Path::new(path), Path::new(&name));
    let meta = fs::metadata(from)?;
    let mut old = File::open(from)?;
    with(to, &mut old, &Keep::Of(&meta), false)?;
    fs::set_permissions(to, Permissions::from_mode(meta.mode() & 0o7777))?;
    own(to, meta.uid(), meta.gid())?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_replaced_file_keeps_its_mode_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        with_bytes(&path, b"new", &Keep::Old, false).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_new_file_has_the_rights_that_the_umask_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        with_bytes(&path, b"new", &Keep::Old, false).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o666 & !files::umask());
    }
}
