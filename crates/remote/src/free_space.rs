//! Removes what the rules of a full file system allow, oldest first, until it is well below full.
//!
//! Before a file goes, it is in the list on disk, no process has it open, and it is still the file that was listed.
//! To be sure of both although others work beside us, it is first renamed to a name that nobody can guess and looked
//! at again: if somebody put another file in its place, or has opened it meanwhile, it gets its name back.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, RenameFlags, fstatvfs, renameat_with, statat, unlinkat};
use rustix::io::Errno;
use tokio::time::Instant;
use wellkept_model::keep::Filesystem;
use wellkept_model::{Text, TimestampMs};

use crate::Outcome;
use crate::candidates::{Candidate, Candidates, Mark, list, open_mount};
use crate::evidence::Evidence;
use crate::lease::{Use, use_of};
use crate::open_files::OpenFiles;
use crate::outcome::human_bytes;
use crate::place::private_name;

/// How far below "full" the file system shall come: a share of its size. Less would fill up again in no time, more
/// would take more than the fault asks for.
const BELOW_FULL: f64 = 0.20;
/// How many files are removed between two looks at what is open.
const BATCH: usize = 16;

/// What happened so far.
#[derive(Debug, Default)]
struct Freed {
    files: u64,
    bytes: u64,
    open: u64,
    changed: u64,
    problem: Option<Text>,
}

/// What became of one candidate.
enum Removal {
    Removed,
    /// Somebody has it open; it stays.
    Open,
    /// Nobody can tell whether it is open; it stays.
    Untold,
    /// It is not the file that was listed any more; it stays.
    Changed,
    /// Another file could not be given its name back; it stays under this one.
    LeftAside(String),
}

/// Frees space on one file system. Blocks; `deadline` is looked at between files.
pub(crate) fn free_space(
    filesystem: &Filesystem,
    mut evidence: Evidence,
    now: TimestampMs,
    deadline: Instant,
) -> Outcome {
    let text = |key: &str| Text::new(key).with("mountpoint", &filesystem.mountpoint);
    if filesystem.free_space.is_empty() {
        return Outcome::failed(text("outcome.free_no_rule"));
    }
    let failed = |e: io::Error| Outcome::failed(text("outcome.free_failed").with("error", e));
    let mount = match open_mount(filesystem) {
        Ok(mount) => mount,
        Err(e) => return failed(e),
    };
    let mut found = match list(filesystem, &mount, now) {
        Ok(found) => found,
        Err((rule, e)) => {
            return Outcome::failed(text("outcome.free_bad_rule").with("rule", rule).with("error", e));
        }
    };
    if found.files.is_empty() {
        return Outcome::failed(text("outcome.free_nothing"));
    }
    if let Err(e) = keep_list(&mut found, &mut evidence) {
        return Outcome::failed(Text::new("outcome.evidence_failed").with("error", e));
    }
    let before = match used_share(&mount) {
        Ok(before) => before,
        Err(e) => return failed(e),
    };
    let freed = remove_all(filesystem, &mount, &found, deadline);
    let after = used_share(&mount).unwrap_or(before);
    report(filesystem, &freed, before, after)
}

fn report(filesystem: &Filesystem, freed: &Freed, before: f64, after: f64) -> Outcome {
    let percent = |share: f64| format!("{:.0}", share * 100.0);
    let text = |key: &str| {
        Text::new(key)
            .with("mountpoint", &filesystem.mountpoint)
            .with("files", freed.files)
            .with("bytes", human_bytes(freed.bytes))
            .with("open", freed.open)
            .with("changed", freed.changed)
            .with("before", percent(before))
            .with("after", percent(after))
    };
    match (&freed.problem, freed.files) {
        (Some(problem), 0) => Outcome::failed(problem.clone()),
        (None, 0) if before <= target(filesystem) => Outcome::succeeded(text("outcome.free_enough")),
        (None, 0) => Outcome::failed(text("outcome.free_none_removed")),
        // What was removed is proven; that it went on to the end is not claimed.
        (Some(_), _) => Outcome::succeeded(text("outcome.freed_partly")),
        (None, _) => Outcome::succeeded(text("outcome.freed")),
    }
}

/// Only what is in the list on disk may go: a list that does not fit is cut, with the files it names.
fn keep_list(found: &mut Candidates, evidence: &mut Evidence) -> io::Result<()> {
    let mut json = vec![b'['];
    let mut listed = 0;
    for file in &found.files {
        let entry = serde_json::to_vec(file).map_err(io::Error::other)?;
        if json.len() + entry.len() + 3 > evidence.left() {
            break;
        }
        json.extend_from_slice(if listed == 0 { b"\n" } else { b",\n" });
        json.extend_from_slice(&entry);
        listed += 1;
    }
    json.push(b']');
    found.files.truncate(listed);
    evidence.add("removed.json", &json)
}

fn remove_all(filesystem: &Filesystem, mount: &OwnedFd, found: &Candidates, deadline: Instant) -> Freed {
    let mut freed = Freed::default();
    for batch in found.files.chunks(BATCH) {
        let enough = used_share(mount).is_ok_and(|used| used <= target(filesystem));
        if enough || Instant::now() >= deadline {
            break;
        }
        let open = OpenFiles::now();
        for file in batch {
            if used_share(mount).is_ok_and(|used| used <= target(filesystem)) {
                return freed;
            }
            if open.uses(file.mark.dev, file.mark.ino) {
                freed.open += 1;
                continue;
            }
            let Some(dir) = found.dirs.get(file.dir) else { continue };
            match remove(dir, file, open.blind().is_some()) {
                Ok(Removal::Removed) => {
                    freed.files += 1;
                    freed.bytes += file.bytes_on_disk;
                }
                Ok(Removal::Open) => freed.open += 1,
                Ok(Removal::Changed) => freed.changed += 1,
                Ok(Removal::Untold) => {
                    let why = open.blind().map(ToString::to_string).unwrap_or_default();
                    freed.problem = Some(Text::new("outcome.free_cannot_see").with("error", why));
                    return freed;
                }
                Ok(Removal::LeftAside(name)) => {
                    let text =
                        Text::new("outcome.free_left_aside").with("path", &file.path).with("name", name);
                    freed.problem = Some(text);
                    return freed;
                }
                Err(e) => {
                    let text =
                        Text::new("outcome.free_not_removed").with("path", &file.path).with("error", e);
                    freed.problem = Some(text);
                    return freed;
                }
            }
        }
    }
    freed
}

/// The share of used space (or of used inodes, when that is more) at which we stop.
fn target(filesystem: &Filesystem) -> f64 {
    filesystem.full_at - BELOW_FULL
}

/// 0 to 1, as `df` counts it: what is reserved for root is not available.
fn used_share(mount: &OwnedFd) -> io::Result<f64> {
    let stat = fstatvfs(mount)?;
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
    let share = |used: u64, avail: u64| {
        if used + avail == 0 { 0.0 } else { used as f64 / (used + avail) as f64 }
    };
    let space = share(stat.f_blocks.saturating_sub(stat.f_bfree), stat.f_bavail);
    let inodes = share(stat.f_files.saturating_sub(stat.f_ffree), stat.f_favail);
    Ok(space.max(inodes))
}

/// `blind`: `/proc` could not tell of all processes, so the kernel itself must say that nobody has the file open.
fn remove(dir: &OwnedFd, file: &Candidate, blind: bool) -> io::Result<Removal> {
    if mark_at(dir, &file.name)? != Some(file.mark) {
        return Ok(Removal::Changed);
    }
    match use_of(dir, &file.name) {
        Use::Somebody => return Ok(Removal::Open),
        Use::Untold if blind => return Ok(Removal::Untold),
        Use::Untold | Use::Nobody => {}
    }
    let aside = private_name()?;
    match renameat_with(dir, &file.name, dir, &aside, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(Removal::Changed),
        // This file system cannot rename without replacing, or has no room for the name: remove what was just seen.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOSPC | Errno::DQUOT) => {
            unlinkat(dir, &file.name, AtFlags::empty())?;
            return Ok(Removal::Removed);
        }
        Err(e) => return Err(e.into()),
    }
    // Nobody can reach it by its name any more, so what is said now stays true.
    let stays = if mark_at(dir, &aside)? != Some(file.mark) {
        Removal::Changed
    } else if use_of(dir, &aside) == Use::Somebody {
        Removal::Open
    } else {
        unlinkat(dir, &aside, AtFlags::empty())?;
        return Ok(Removal::Removed);
    };
    match renameat_with(dir, &aside, dir, &file.name, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(stays),
        Err(_) => Ok(Removal::LeftAside(aside)),
    }
}

fn mark_at(dir: &OwnedFd, name: impl rustix::path::Arg) -> io::Result<Option<Mark>> {
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Mark::of(&stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use wellkept_model::keep::FreeSpaceRule;

    fn listed(dir: &Path) -> Candidates {
        let mountpoint = std::fs::canonicalize(dir).expect("real").to_string_lossy().into_owned();
        let glob = format!("{mountpoint}/x*");
        let filesystem = Filesystem {
            mountpoint,
            full_at: 0.0,
            free_space: vec![FreeSpaceRule { glob, unless_open: true, older_than: None }],
            ..Filesystem::default()
        };
        let mount = open_mount(&filesystem).expect("open");
        list(&filesystem, &mount, TimestampMs(i64::MAX)).expect("lists")
    }

    #[test]
    fn a_file_that_was_replaced_written_to_or_opened_since_the_listing_stays() {
        let attacks: [fn(&Path) -> Option<std::fs::File>; 6] = [
            |x| {
                std::fs::write(x.with_file_name("new"), "precious").expect("write");
                std::fs::rename(x.with_file_name("new"), x).expect("replace");
                None
            },
            |x| {
                std::fs::write(x, "longer than it was").expect("write");
                None
            },
            |x| Some(std::fs::File::open(x).expect("open")),
            |x| {
                std::fs::hard_link(x, x.with_file_name("second")).expect("link");
                None
            },
            |x| {
                std::fs::rename(x, x.with_file_name("kept")).expect("rename");
                std::os::unix::fs::symlink("kept", x).expect("link");
                None
            },
            |x| {
                std::fs::remove_file(x).expect("remove");
                std::fs::create_dir(x).expect("dir");
                None
            },
        ];
        for (n, attack) in attacks.into_iter().enumerate() {
            let temp = tempfile::tempdir().expect("temp");
            let x = temp.path().join("x");
            std::fs::write(&x, "x").expect("write");
            let found = listed(temp.path());
            let _held = attack(&x);
            let (dir, file) = (found.dirs.first().expect("dir"), found.files.first().expect("listed"));
            let removal = remove(dir, file, true).expect("looks");
            assert!(!matches!(removal, Removal::Removed), "attack {n}");
            assert!(x.symlink_metadata().is_ok(), "attack {n}");
        }
    }

    #[test]
    fn a_file_that_is_still_the_same_goes() {
        let temp = tempfile::tempdir().expect("temp");
        std::fs::write(temp.path().join("x"), "x").expect("write");
        let found = listed(temp.path());
        let (dir, file) = (found.dirs.first().expect("dir"), found.files.first().expect("listed"));
        assert!(matches!(remove(dir, file, false).expect("removes"), Removal::Removed));
        assert_eq!(std::fs::read_dir(temp.path()).expect("read").count(), 0, "no private name is left");
    }

    #[test]
    fn the_list_is_cut_to_the_evidence_and_only_what_it_names_may_go() {
        let temp = tempfile::tempdir().expect("temp");
        for n in 0..3000 {
            std::fs::write(temp.path().join(format!("x{n:0>200}")), "").expect("write");
        }
        let mut found = listed(temp.path());
        let data = tempfile::tempdir().expect("temp");
        let mut evidence = Evidence::open(data.path(), "1-1").expect("open");
        evidence.add("other", &vec![0; 900_000]).expect("add");
        keep_list(&mut found, &mut evidence).expect("keep");
        let kept = std::fs::read(data.path().join("evidence/1-1/removed.json")).expect("kept");
        let list: Vec<serde_json::Value> = serde_json::from_slice(&kept).expect("whole JSON");
        assert_eq!(list.len(), found.files.len());
        assert!(!list.is_empty() && list.len() < 3000, "{}", list.len());
    }
}
