//! `copy` with `remote_src` of a folder: what is missing or differs is copied, nothing is removed.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::base::attributes::{Sides, Wanted};
use crate::base::replace::{self, Keep};
use crate::base::{Result, ResultExt, Task, fail, files, hash};

/// Levels of folders that are copied.
const DEPTH_MAX: usize = 64;

struct Copying<'t, 'a> {
    task: &'t Task<'a>,
    wanted: Wanted,
    follow: bool,
    changed: bool,
}

/// Copies `src` into `dest` (`src/`: what is in it); true when something changed.
pub(crate) fn folder(task: &Task<'_>, src: &str, dest: &str) -> Result<bool> {
    let both = Path::new(src).is_dir() && (Path::new(dest).is_dir() || !files::exists(Path::new(dest)));
    if !both {
        return Ok(false);
    }
    let mut to = PathBuf::from(dest);
    if !src.ends_with('/') {
        to.push(files::basename(src));
    }
    let follow = task.args.maybe("local_follow").unwrap_or(false);
    let mut copying = Copying { task, wanted: Wanted::of(task), follow, changed: false };
    copying.tree(Path::new(src), &to, 0)?;
    copying.own(&to, 0)?;
    Ok(copying.changed)
}

impl Copying<'_, '_> {
    fn tree(&mut self, from: &Path, to: &Path, depth: usize) -> Result<()> {
        if depth > DEPTH_MAX {
            return fail(format!("{} is nested deeper than {DEPTH_MAX} folders", from.display()));
        }
        let meta = fs::metadata(from).or_fail(|| files::shown(from))?;
        if !files::exists(to) {
            self.changed = true;
            if self.task.check() {
                return Ok(());
            }
            fs::create_dir_all(to).or_fail(|| files::shown(to))?;
            fs::set_permissions(to, meta.permissions()).or_fail(|| files::shown(to))?;
        }
        for entry in fs::read_dir(from).or_fail(|| files::shown(from))? {
            let entry = entry.or_fail(|| files::shown(from))?;
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            let meta = entry.metadata().or_fail(|| files::shown(&from))?;
            let target = fs::metadata(&from);
            if meta.is_symlink() && !self.follow {
                self.link(&from, &to)?;
            } else if target.as_ref().is_ok_and(Metadata::is_dir) {
                self.tree(&from, &to, depth + 1)?;
            } else if let Ok(target) = target {
                self.file(&from, &to, &target)?;
            }
        }
        Ok(())
    }

    fn link(&mut self, from: &Path, to: &Path) -> Result<()> {
        if files::lexists(to) {
            return Ok(());
        }
        self.changed = true;
        if self.task.check() {
            return Ok(());
        }
        let target = fs::read_link(from).or_fail(|| files::shown(from))?;
        symlink(target, to).or_fail(|| files::shown(to))
    }

    fn file(&mut self, from: &Path, to: &Path, meta: &Metadata) -> Result<()> {
        let same = |to: &Path| -> io::Result<bool> {
            Ok(fs::metadata(to)?.len() == meta.len() && hash::file(from, "sha1")? == hash::file(to, "sha1")?)
        };
        if meta.is_file() && same(to).unwrap_or(false) {
            return Ok(());
        }
        self.changed = true;
        if self.task.check() || !meta.is_file() {
            return Ok(());
        }
        let mut file = fs::File::open(from).or_fail(|| files::shown(from))?;
        replace::with(to, &mut file, &Keep::Old, false).or_fail(|| files::shown(to))?;
        fs::set_permissions(to, meta.permissions()).or_fail(|| files::shown(to))
    }

    /// Owner and group of all that is there.
    fn own(&mut self, path: &Path, depth: usize) -> Result<()> {
        if depth > DEPTH_MAX
            || !files::lexists(path)
            || (self.wanted.owner.is_none() && self.wanted.group.is_none())
        {
            return Ok(());
        }
        self.changed |= self.wanted.owner_and_group(self.task, path, &mut Sides::default())?;
        if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) {
            for entry in fs::read_dir(path).or_fail(|| files::shown(path))? {
                self.own(&entry.or_fail(|| files::shown(path))?.path(), depth + 1)?;
            }
        }
        Ok(())
    }
}
