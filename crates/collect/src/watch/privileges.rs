//! Looks who may become root: accounts, groups, files that run with the rights of their owner, and sudo's rules.
//!
//! What is there at the first look is taken as meant, and kept over restarts; only what comes later is told, until it is
//! gone again or declared as meant. An account with the number of root is told in any case, unless it is declared.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wellkept_model::TimestampMs;
use wellkept_model::keep::Privileges;
use wellkept_model::observe::{GainedSeen, GainedWay};

use super::baseline::{Baseline, Right};
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
/// Keys of one account, and how much of each is told.
const KEYS_MAX: usize = 200;
const KEY_END: usize = 12;
/// What is meant is kept there.
const FILE: &str = "rights.json";
const PROBLEM: &str = "rights: ";

pub(super) async fn watch(shared: Shared, declared: Privileges) {
    let mut closely = shared.closely.subscribe();
    let mut rights = Rights::new("/", shared.memory.as_deref().map(|m| m.join(FILE)));
    loop {
        let privileges = declared.clone();
        let work = tokio::task::spawn_blocking(move || {
            let before = clock::thread_cpu();
            let gained = rights.look(&privileges, clock::wall());
            (rights, gained, clock::thread_cpu().saturating_sub(before))
        });
        let Ok((after, gained, cost)) = work.await else { return };
        rights = after;
        {
            let security = &mut shared.lock().security;
            security.gained = gained;
            security.problems.retain(|p| !p.starts_with(PROBLEM));
            security.problems.extend(rights.problem.as_ref().map(|p| format!("{PROBLEM}{p}")));
        }
        rest(EVERY, cost, &mut closely).await;
    }
}

/// What was there at the first look, and what came since.
#[derive(Debug)]
struct Rights {
    root: PathBuf,
    file: Option<PathBuf>,
    first: Option<Baseline>,
    since: BTreeMap<Right, TimestampMs>,
    /// Why what is meant could not be kept.
    problem: Option<String>,
}

impl Rights {
    fn new(root: &str, file: Option<PathBuf>) -> Self {
        Self { root: PathBuf::from(root), file, first: None, since: BTreeMap::new(), problem: None }
    }

    /// What is taken as meant: what was there at the first look ever, and in folders at their first look.
    fn meant(&mut self, declared: &Privileges, rights: &BTreeSet<Right>) -> &Baseline {
        let known = self.first.take().or_else(|| self.stored());
        let mut first = known.clone().unwrap_or_else(|| Baseline::new(&declared.folders, rights.clone()));
        let fresh: Vec<&PathBuf> = declared.folders.iter().filter(|f| !first.folders.contains(*f)).collect();
        let below =
            |r: &&Right| r.0 == GainedWay::Setuid && fresh.iter().any(|f| Path::new(&r.1).starts_with(f));
        first.rights.extend(rights.iter().filter(below).cloned());
        first.folders.extend(fresh.into_iter().cloned());
        if known.as_ref() != Some(&first)
            && let Some(file) = &self.file
            && let Err(problem) = first.save(file)
        {
            self.problem = Some(problem);
        }
        self.first.insert(first)
    }

    fn stored(&mut self) -> Option<Baseline> {
        let loaded = Baseline::load(self.file.as_deref()?);
        loaded.unwrap_or_else(|problem| {
            self.problem = Some(problem);
            None
        })
    }

    fn look(&mut self, declared: &Privileges, now: TimestampMs) -> Vec<GainedSeen> {
        let mut rights: BTreeSet<Right> = BTreeSet::new();
        let (passwd, groups) = (self.text("etc/passwd"), self.text("etc/group"));
        rights.extend(members(&groups));
        rights.extend(sudoers(&self.root));
        rights.extend(declared.folders.iter().flat_map(|f| setuid(f)));
        rights.extend(keys(&self.root, &passwd, &rights));
        let meant = self.meant(declared, &rights);
        let mut gained: BTreeSet<Right> = rights
            .difference(&meant.rights)
            .filter(|r| !declared.meant.contains(&word(r)))
            .cloned()
            .collect();
        gained.extend(roots(&passwd, &declared.roots));
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

/// How a right is named in the keep file: the path of a file, else `what:who`.
fn word((way, name, what): &Right) -> String {
    match way {
        GainedWay::Setuid | GainedWay::Sudoers => name.clone(),
        GainedWay::Account | GainedWay::Group => format!("{what}:{name}"),
        GainedWay::Key => format!("{}:{name}", what.rsplit(' ').next().unwrap_or_default()),
    }
}

/// Keys by which those may come in who are root or may become it.
fn keys(root: &Path, passwd: &str, rights: &BTreeSet<Right>) -> Vec<Right> {
    let mighty = |name: &str, uid: &str| {
        uid == "0" || rights.iter().any(|(way, member, _)| *way == GainedWay::Group && member == name)
    };
    let mut found = Vec::new();
    for line in passwd.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, _, _, home, ..] = fields.as_slice() else { continue };
        if !mighty(name, uid) || !home.starts_with('/') {
            continue;
        }
        let folder = root.join(home.trim_start_matches('/')).join(".ssh");
        for file in ["authorized_keys", "authorized_keys2"] {
            let Ok(kept) = read_kept(&folder.join(file)) else { continue };
            let text = String::from_utf8_lossy(&kept.bytes).into_owned();
            let told = text.lines().take(KEYS_MAX).filter_map(key);
            found.extend(told.map(|key| (GainedWay::Key, (*name).to_owned(), key)));
        }
    }
    found
}

/// The kind of a key and the end of it, of a line of `authorized_keys`.
fn key(line: &str) -> Option<String> {
    let mut words = line.split_ascii_whitespace();
    let is_kind = |w: &&str| ["ssh-", "ecdsa-", "sk-"].iter().any(|kind| w.starts_with(kind));
    let kind = words.find(is_kind).filter(|_| !line.trim_start().starts_with('#'))?;
    let body = words.next().filter(|b| b.len() >= 40 && b.is_ascii())?;
    let body = body.trim_end_matches('=');
    let end = body.get(body.len().saturating_sub(KEY_END)..)?;
    Some(format!("{} {end}", kind.chars().filter(char::is_ascii_graphic).take(60).collect::<String>()))
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
            let (folders, roots) = (vec![dir.path().join("bin")], vec!["toor".into()]);
            let declared = Privileges { folders, roots, meant: vec![] };
            let memory = Some(dir.path().join("memory/rights.json"));
            let world = Self { dir, rights: Rights::new(&root, memory), declared };
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

    #[test]
    fn what_was_gained_while_nobody_looked_is_told_after_a_restart_as_well() {
        let mut world = World::new();
        assert!(world.look().is_empty());
        let again = |world: &mut World| {
            let root = world.dir.path().to_string_lossy().into_owned();
            world.rights = Rights::new(&root, world.rights.file.take());
            world.look()
        };
        assert!(again(&mut world).is_empty());
        world.write("etc/group", "root:x:0:\nsudo:x:27:ann,eve\n");
        assert_eq!(again(&mut world), ["group eve"]);
        assert_eq!(again(&mut world), ["group eve"], "telling it does not make it meant");
        world.declared.meant = vec!["sudo:eve".to_owned()];
        assert!(again(&mut world).is_empty());
    }

    #[test]
    fn a_folder_that_is_declared_later_has_a_first_look_of_its_own() {
        let mut world = World::new();
        world.look();
        fs::create_dir(world.dir.path().join("sbin")).expect("made");
        world.write("sbin/ping", "x");
        world.mode("sbin/ping", 0o4755);
        world.declared.folders.push(world.dir.path().join("sbin"));
        assert!(world.look().is_empty());
        world.write("sbin/new", "x");
        world.mode("sbin/new", 0o4755);
        assert_eq!(world.look(), ["setuid /sbin/new"]);
    }

    #[test]
    fn what_cannot_be_kept_or_read_is_told() {
        let mut world = World::new();
        world.write("memory", "a file where the folder should be");
        world.look();
        assert!(world.rights.problem.as_ref().is_some_and(|p| p.contains("rights.json")));
    }

    #[test]
    fn a_key_of_one_who_may_become_root_is_told_and_that_of_another_is_not() {
        let mut world = World::new();
        world.write(
            "etc/passwd",
            "root:x:0:0:r:/root:/bin/sh\nann:x:1:1::/home/ann:/bin/sh\nbob:x:2:2::/home/bob:/bin/sh\n",
        );
        for home in ["root", "home/ann", "home/bob"] {
            fs::create_dir_all(world.dir.path().join(home).join(".ssh")).expect("made");
        }
        let body = "AAAAC3NzaC1lZDI1NTE5AAAAIPz0";
        let line = |end: &str| format!("from=\"10.0.0.1\" ssh-ed25519 {body}{body}{end} me@there\n");
        world.write("home/ann/.ssh/authorized_keys", &line("FirstKeyEnd1"));
        assert!(world.look().is_empty());
        let both = format!("# ssh-ed25519 {body}{body}\n{}{}", line("FirstKeyEnd1"), line("OtherKeyEnd2"));
        world.write("home/ann/.ssh/authorized_keys", &both);
        world.write("home/bob/.ssh/authorized_keys", &line("FirstKeyEnd1"));
        assert_eq!(world.look(), ["key ann"]);
        world.declared.meant = vec!["OtherKeyEnd2:ann".to_owned()];
        assert!(world.look().is_empty());
    }
}
