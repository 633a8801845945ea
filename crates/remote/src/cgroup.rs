//! Ends all processes of a control group: freezes it, kills what is in it, thaws it.
//!
//! What is frozen cannot fork, so that a storm of new processes cannot outrun the killing, whatever sessions they are
//! in. Version 2 freezes and kills a group with all below it by itself; in version 1 the freezer does the first when
//! it is mounted, and the second is a signal to each, which takes effect before the process runs again. Never done to
//! the root, to a group of the system's manager as a whole, to one that we are in or below, or to one that holds a
//! process of a declared service that is not the target; looked at before and again when nothing moves any more.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use tokio::time::{Duration, Instant, sleep};
use wellkept_model::keep::{Identity, Keep};
use wellkept_model::{Text, TimestampMs};

use crate::Outcome;
use crate::identity::processes_of;
use crate::procs::{Process, read_proc, stat};
use crate::signals::list;

/// Groups below the one that is meant.
const BELOW_MAX: usize = 1000;
/// Longest list of processes that is read, bytes.
const MEMBERS_BYTES_MAX: u64 = 1024 * 1024;
/// How long a group gets to stand still. One process that waits for a disk holds that up, and the others stand.
const FREEZE_WAIT: Duration = Duration::from_secs(2);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Groups that systemd puts everything into.
const SYSTEM: [&str; 4] = ["/init.scope", "/system.slice", "/user.slice", "/machine.slice"];

/// A group in the hierarchy that can freeze it.
#[derive(Debug)]
struct Group {
    name: String,
    dir: PathBuf,
    /// True for version 2.
    unified: bool,
}

/// Thaws when it goes, whatever happened.
struct Frozen<'a>(&'a Group);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let (file, value) = if self.0.unified { ("cgroup.freeze", "0") } else { ("freezer.state", "THAWED") };
        // A group that is gone by now needs no thawing.
        let _ = fs::write(self.0.dir.join(file), value);
    }
}

/// Ends all in the group of this name.
pub(crate) async fn kill(keep: &Keep, target: &str, name: &str, deadline: Instant) -> Outcome {
    let Some(group) = Group::find(name) else {
        return Outcome::failed(Text::new("outcome.no_cgroup").with("group", name));
    };
    if let Some(text) = group.refusal(keep, target) {
        return Outcome::failed(text);
    }
    if group.members().is_empty() {
        return Outcome::failed(Text::new("outcome.no_process").with("target", format!("cgroup {name}")));
    }
    let frozen = match group.freeze(deadline).await {
        Ok(frozen) => frozen,
        Err(e) => {
            let text = Text::new("outcome.cgroup_not_frozen").with("group", name).with("error", e);
            return Outcome::failed(text);
        }
    };
    // Somebody may have been moved in meanwhile.
    if let Some(text) = group.refusal(keep, target) {
        return Outcome::failed(text);
    }
    let count = group.members().len();
    group.signal_all();
    drop(frozen);
    loop {
        let left = group.members();
        if left.is_empty() {
            let text = Text::new("outcome.cgroup_killed").with("group", name).with("count", count);
            return Outcome::succeeded(text);
        }
        if Instant::now() >= deadline {
            let some = list(left.get(..10).unwrap_or(&left));
            return Outcome::unknown(Text::new("outcome.survived").with("pids", some));
        }
        sleep(LOOK_EVERY).await;
        // What did not stand still in time may have forked.
        group.signal_all();
    }
}

impl Group {
    /// In the hierarchy of version 2, or in that of the freezer.
    fn find(name: &str) -> Option<Self> {
        let text = read_proc("/proc/self/mountinfo", MEMBERS_BYTES_MAX).ok()?;
        let text = String::from_utf8_lossy(&text);
        let found = hierarchies(&text).into_iter().map(|(unified, mount)| {
            let dir = mount.join(name.trim_start_matches('/'));
            Self { name: name.to_owned(), dir, unified }
        });
        let can_freeze =
            |g: &Self| g.dir.join(if g.unified { "cgroup.freeze" } else { "freezer.state" }).is_file();
        // Where both are mounted, a group of one name may be in both: the one with processes is meant.
        found.filter(can_freeze).max_by_key(|g| (!g.members().is_empty(), g.unified))
    }

    /// Why it must not be touched.
    fn refusal(&self, keep: &Keep, target: &str) -> Option<Text> {
        let refuse = || Some(Text::new("outcome.refuse_cgroup").with("group", &self.name));
        if self.name.trim_matches('/').is_empty() || SYSTEM.contains(&self.name.as_str()) {
            return refuse();
        }
        let members: BTreeSet<u32> = self.members().into_iter().collect();
        let is_forbidden = |pid: &u32| *pid <= 1 || stat(*pid).is_some_and(|s| s.is_kernel_thread());
        if members.contains(&std::process::id()) || self.holds_us() || members.iter().any(is_forbidden) {
            return refuse();
        }
        let others = keep.services.values().filter(|s| format!("service:{}", s.name) != target);
        for service in others {
            let of_unit = match &service.identity {
                Identity::Unit(unit) => members.iter().find(|pid| in_unit(**pid, unit)).copied(),
                other => processes_of(other).into_iter().find(|pid| members.contains(pid)),
            };
            if let Some(pid) = of_unit {
                let text = Text::new("outcome.refuse_service").with("pid", pid);
                return Some(text.with("service", &service.name));
            }
        }
        None
    }

    /// Whether our own group, in any hierarchy, is this one or below it.
    fn holds_us(&self) -> bool {
        let Ok(text) = read_proc("/proc/self/cgroup", MEMBERS_BYTES_MAX) else { return true };
        let text = String::from_utf8_lossy(&text);
        let ours = text.lines().filter_map(|l| l.splitn(3, ':').nth(2));
        ours.into_iter().any(|own| Path::new(own).starts_with(&self.name))
    }

    /// The group and all below it.
    fn all(&self) -> Vec<PathBuf> {
        let mut all = vec![self.dir.clone()];
        let mut next = 0;
        while let Some(dir) = all.get(next).filter(|_| all.len() < BELOW_MAX) {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            let below = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path());
            let below: Vec<PathBuf> = below.take(BELOW_MAX).collect();
            all.extend(below);
            next += 1;
        }
        all
    }

    /// Living processes in it.
    fn members(&self) -> Vec<u32> {
        let mut pids = Vec::new();
        for dir in self.all() {
            let path = dir.join("cgroup.procs");
            let text = read_proc(&path.to_string_lossy(), MEMBERS_BYTES_MAX).unwrap_or_default();
            pids.extend(String::from_utf8_lossy(&text).lines().filter_map(|l| l.trim().parse::<u32>().ok()));
        }
        pids.retain(|pid| stat(*pid).is_some_and(|s| s.lives()));
        pids
    }

    /// Lets it stand still; an error when that cannot even be asked for.
    async fn freeze(&self, deadline: Instant) -> std::io::Result<Frozen<'_>> {
        let patience = (Instant::now() + FREEZE_WAIT).min(deadline);
        let (file, value) = if self.unified { ("cgroup.freeze", "1") } else { ("freezer.state", "FROZEN") };
        let frozen = Frozen(self);
        fs::write(self.dir.join(file), value)?;
        while !self.stands_still() && Instant::now() < patience {
            sleep(LOOK_EVERY).await;
            // The freezer of version 1 gives up when somebody forks in the midst of it; asked again it goes on.
            fs::write(self.dir.join(file), value)?;
        }
        Ok(frozen)
    }

    fn stands_still(&self) -> bool {
        let (file, wanted) =
            if self.unified { ("cgroup.events", "frozen 1") } else { ("freezer.state", "FROZEN") };
        let text = fs::read_to_string(self.dir.join(file)).unwrap_or_default();
        text.lines().any(|l| l.trim() == wanted)
    }

    fn signal_all(&self) {
        // Kernels before 5.14 have no such file.
        if self.unified && self.dir.join("cgroup.kill").is_file() {
            let _ = fs::write(self.dir.join("cgroup.kill"), "1");
            return;
        }
        let inside: BTreeSet<u32> = self.members().into_iter().collect();
        let opened = inside.iter().filter_map(|pid| Process::open(*pid, TimestampMs(i64::MAX)).ok());
        let opened: Vec<Process> = opened.collect();
        // A number may have been given out anew while its handle was opened.
        let still: BTreeSet<u32> = self.members().into_iter().collect();
        for process in opened.iter().filter(|p| still.contains(&p.pid)) {
            // One that has ended meanwhile is what we want; one that lives on is found at the end.
            let _ = process.signal(Signal::KILL);
        }
    }
}

/// Systemd puts the processes of a unit into a control group of its name.
fn in_unit(pid: u32, unit: &str) -> bool {
    let text = read_proc(&format!("/proc/{pid}/cgroup"), 64 * 1024).unwrap_or_default();
    String::from_utf8_lossy(&text).split(['/', '\n']).any(|part| part == unit)
}

/// Where hierarchies that can freeze are mounted as a whole, version 2 first.
fn hierarchies(mountinfo: &str) -> Vec<(bool, PathBuf)> {
    let mut found: Vec<(bool, PathBuf)> = Vec::new();
    for line in mountinfo.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let mut before = before.split(' ').skip(3);
        let (Some("/"), Some(mount)) = (before.next(), before.next()) else { continue };
        let mut after = after.split(' ');
        let (kind, options) = (after.next(), after.nth(1).unwrap_or_default());
        match kind {
            Some("cgroup2") => found.push((true, mount.into())),
            Some("cgroup") if options.split(',').any(|o| o == "freezer") => found.push((false, mount.into())),
            _ => {}
        }
    }
    found.sort_by_key(|(unified, _)| !unified);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_hierarchies_that_can_freeze_are_used() {
        let text = "30 24 0:26 / /sys/fs/cgroup/freezer rw,relatime shared:9 - cgroup cgroup rw,freezer\n\
                    31 24 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                    32 24 0:28 /docker/x /mnt rw - cgroup2 cgroup2 rw\n\
                    33 24 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\nx";
        let expected = [(true, "/sys/fs/cgroup/unified"), (false, "/sys/fs/cgroup/freezer")];
        assert_eq!(hierarchies(text), expected.map(|(unified, path)| (unified, PathBuf::from(path))));
    }

    #[test]
    fn the_system_as_a_whole_is_refused_in_any_case() {
        for name in ["/", "//", "/system.slice", "/user.slice", "/init.scope", "/machine.slice"] {
            let group = Group { name: name.to_owned(), dir: PathBuf::from("/nonexistent"), unified: true };
            let refused = group.refusal(&Keep::default(), "process:x").map(|t| t.key);
            assert_eq!(refused.as_deref(), Some("outcome.refuse_cgroup"), "{name}");
        }
    }
}
