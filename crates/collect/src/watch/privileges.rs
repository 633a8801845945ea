//! Looks who may become root: accounts, groups, files that run with the rights of their owner, and sudo's rules.
//!
//! What is there at the first look is taken as meant; only what comes later is told, until it is gone again. An account
//! with the number of root is told in any case, unless it is declared.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wellkept_model::TimestampMs;
use wellkept_model::keep::Privileges;
use wellkept_model::observe::{GainedSeen, GainedWay};

use super::{Shared, rest};
use crate::accounts::Accounts;
use crate::clock;
use crate::facts::kept::{read_kept, sha256_hex};
use crate::source::read_once;

/// Shortest time between two looks.
const EVERY: Duration = Duration::from_secs(5);
/// Entries of all folders, and how deep they may lie.
const ENTRIES_MAX: usize = 100_000;
const DEPTH_MAX: usize = 12;
/// Rights that are told.
const GAINED_MAX: usize = 100;
/// Groups whose members may become root, or as good as.
const GROUPS: [&str; 8] = ["root", "sudo", "wheel", "admin", "docker", "lxd", "disk", "shadow"];
const SETUID: u32 = 0o4000;

pub(super) async fn watch(shared: Shared, declared: Privileges) {
    let mut closely = shared.closely.subscribe();
    let mut rights = Rights::new("/");
    loop {
        let privileges = declared.clone();
        let work = tokio::task::spawn_blocking(move || {
            let before = clock::thread_cpu();
            let gained = rights.look(&privileges, clock::wall());
            (rights, gained, clock::thread_cpu().saturating_sub(before))
        });
        let Ok((after, gained, cost)) = work.await else { return };
        rights = after;
        shared.lock().security.gained = gained;
        rest(EVERY, cost, &mut closely).await;
    }
}

/// One right: in which way, who, and what about it.
type Right = (GainedWay, String, String);

/// What was there at the first look, and what came since.
#[derive(Debug)]
struct Rights {
    root: PathBuf,
    first: Option<BTreeSet<Right>>,
    since: BTreeMap<Right, TimestampMs>,
}

impl Rights {
    fn new(root: &str) -> Self {
        Self { root: PathBuf::from(root), first: None, since: BTreeMap::new() }
    }

    fn look(&mut self, declared: &Privileges, now: TimestampMs) -> Vec<GainedSeen> {
        let mut rights: BTreeSet<Right> = BTreeSet::new();
        rights.extend(members(&self.text("etc/group")));
        rights.extend(sudoers(&self.root));
        rights.extend(declared.folders.iter().flat_map(|f| setuid(f)));
        let first = self.first.get_or_insert_with(|| rights.clone());
        let mut gained: BTreeSet<Right> = rights.difference(first).cloned().collect();
        gained.extend(roots(&self.text("etc/passwd"), &declared.roots));
        self.since.retain(|right, _| gained.contains(right));
        let told = gained.into_iter().take(GAINED_MAX).map(|right| {
            let since = *self.since.entry(right.clone()).or_insert(now);
            let (way, name, what) = right;
            GainedSeen { way, name, what, since }
        });
        told.collect()
    }

    fn text(&self, path: &str) -> String {
        read_once(self.root.join(path)).unwrap_or_default()
    }
}

/// Accounts with the number of root.
fn roots(passwd: &str, declared: &[String]) -> Vec<Right> {
    let of = |line: &str| {
        let mut fields = line.split(':');
        let (name, uid) = (fields.next()?, fields.nth(1)?);
        let stranger = uid.trim() == "0" && name != "root" && !declared.iter().any(|d| d == name);
        stranger.then(|| (GainedWay::Account, name.to_owned(), "uid 0".to_owned()))
    };
    passwd.lines().filter_map(of).collect()
}

fn members(groups: &str) -> Vec<Right> {
    let of = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, _, members] = fields.as_slice() else { return Vec::new() };
        let members = members.split(',').filter(|m| !m.is_empty() && GROUPS.contains(name));
        members.map(|m| (GainedWay::Group, m.trim().to_owned(), (*name).to_owned())).collect()
    };
    groups.lines().flat_map(of).collect()
}

/// The files that say who may become root, with their checksums.
fn sudoers(root: &Path) -> Vec<Right> {
    let below = fs::read_dir(root.join("etc/sudoers.d")).into_iter().flatten().flatten().map(|e| e.path());
    let files = std::iter::once(root.join("etc/sudoers")).chain(below.take(1000));
    let of = |path: PathBuf| {
        let kept = read_kept(&path).ok()?;
        Some((GainedWay::Sudoers, path.to_string_lossy().into_owned(), sha256_hex(&kept.bytes)))
    };
    files.filter_map(of).collect()
}

/// Files that run with the rights of their owner; no link is followed.
fn setuid(folder: &Path) -> Vec<Right> {
    let mut found: Vec<(PathBuf, u32)> = Vec::new();
    let mut todo: VecDeque<(PathBuf, usize)> = [(folder.to_owned(), 0)].into();
    let mut left = ENTRIES_MAX;
    while let Some((folder, depth)) = todo.pop_front() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if left == 0 {
                break;
            }
            left -= 1;
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() && depth < DEPTH_MAX {
                todo.push_back((entry.path(), depth + 1));
            } else if meta.is_file() && meta.mode() & SETUID != 0 {
                found.push((entry.path(), meta.uid()));
            }
        }
    }
    let accounts = if found.is_empty() { Accounts::default() } else { Accounts::read() };
    let right = |(path, uid): (PathBuf, u32)| {
        (GainedWay::Setuid, path.to_string_lossy().into_owned(), format!("setuid {}", accounts.name(uid)))
    };
    found.into_iter().map(right).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    struct World {
        dir: tempfile::TempDir,
        rights: Rights,
        declared: Privileges,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let root = dir.path().to_string_lossy().into_owned();
            fs::create_dir_all(dir.path().join("etc/sudoers.d")).expect("made");
            fs::create_dir_all(dir.path().join("bin/deep")).expect("made");
            let declared = Privileges { folders: vec![dir.path().join("bin")], roots: vec!["toor".into()] };
            let world = Self { dir, rights: Rights::new(&root), declared };
            world.write(
                "etc/passwd",
                "root:x:0:0:r:/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\nann:x:1000:1000::/:/bin/sh\n",
            );
            world.write("etc/group", "root:x:0:\nsudo:x:27:ann\nusers:x:100:ann,bob\n");
            world.write("etc/sudoers", "%sudo ALL=(ALL) ALL\n");
            world.write("bin/deep/su", "x");
            world.mode("bin/deep/su", 0o4755);
            world
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.dir.path().join(name), text).expect("written");
        }

        fn mode(&self, name: &str, mode: u32) {
            fs::set_permissions(self.dir.path().join(name), fs::Permissions::from_mode(mode)).expect("set");
        }

        fn look(&mut self) -> Vec<String> {
            let root = self.dir.path().to_string_lossy().into_owned();
            let gained = self.rights.look(&self.declared, TimestampMs(7));
            gained.into_iter().map(|g| format!("{} {}", g.way.word(), g.name.replace(&root, ""))).collect()
        }
    }

    #[test]
    fn what_was_there_at_first_is_meant_and_what_comes_later_is_told_until_it_is_gone() {
        let mut world = World::new();
        assert!(world.look().is_empty());
        world.write("etc/group", "root:x:0:\nsudo:x:27:ann,eve\nusers:x:100:ann,bob,eve\n");
        assert_eq!(world.look(), ["group eve"]);
        world.write("etc/group", "root:x:0:\nsudo:x:27:ann\n");
        world.write("bin/tool", "x");
        assert!(world.look().is_empty());
        world.mode("bin/tool", 0o4755);
        assert_eq!(world.look(), ["setuid /bin/tool"]);
        world.mode("bin/tool", 0o755);
        world.write("etc/sudoers", "ALL ALL=(ALL) NOPASSWD: ALL\n");
        world.write("etc/sudoers.d/x", "eve ALL=(ALL) ALL\n");
        assert_eq!(world.look(), ["sudoers /etc/sudoers", "sudoers /etc/sudoers.d/x"]);
        world.write("etc/sudoers", "%sudo ALL=(ALL) ALL\n");
        fs::remove_file(world.dir.path().join("etc/sudoers.d/x")).expect("removed");
        assert!(world.look().is_empty());
    }

    #[test]
    fn an_account_with_the_number_of_root_is_told_from_the_first_look_on() {
        let mut world = World::new();
        world
            .write("etc/passwd", "root:x:0:0:r:/root:/bin/sh\neve:x:0:0::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\n");
        assert_eq!(world.look(), ["account eve"]);
    }
}
