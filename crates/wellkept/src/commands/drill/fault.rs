//! The faults: each knows how it is done, how it is undone, and what its right diagnosis is. Undoing twice does no harm.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use rustix::fs::{FallocateFlags, OFlags, StatVfs, fallocate, statvfs};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wellkept_model::keep::{Filesystem, Keep, Mode};
use wellkept_model::{ActionKind, CauseKind, EntityId, Text};

use super::{Kind, Wish};
use crate::clock::now;

/// How far above the mark a file system is filled.
const ABOVE: f64 = 0.01;
/// Never more than this share is filled, so that others can still write.
const FILLED_MAX: f64 = 0.99;

/// One fault with every choice made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fault {
    /// Stops one process.
    Stop { pid: i32, start_ticks: u64 },
    /// Writes one file of this size.
    Fill { mountpoint: String, path: PathBuf, bytes: u64, older_s: u64 },
    /// Refuses connections to one port with a table of its own.
    Block { table: String, port: u16, namespace: Option<String> },
}

impl Fault {
    /// Makes all choices, or says why it cannot be done here.
    pub(super) fn plan(wish: &Wish, keep: &Keep, overview: &Value) -> Result<Self, Text> {
        match wish.fault {
            Kind::Stop => plan_stop(wish, overview),
            Kind::Fill => plan_fill(wish, keep),
            Kind::Block => plan_block(wish, keep),
        }
    }

    /// What it is about, for people.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Stop { pid, .. } => pid.to_string(),
            Self::Fill { path, bytes, .. } => format!("{} ({} MiB)", path.display(), bytes >> 20),
            Self::Block { port, namespace: None, .. } => port.to_string(),
            Self::Block { port, namespace: Some(name), .. } => format!("{port} ({name})"),
        }
    }

    /// Whom an incident about it names.
    pub(super) fn entity(&self, service: &str) -> EntityId {
        match self {
            Self::Stop { .. } | Self::Block { .. } => EntityId::service(service),
            Self::Fill { mountpoint, .. } => EntityId::filesystem(mountpoint),
        }
    }

    /// What the keep file lacks, so that Wellkept could not heal it by itself; the drill is held all the same.
    pub(super) fn missing_means(&self, service: &str, keep: &Keep) -> Option<Text> {
        if keep.automation.mode != Mode::Act {
            return Some(Text::new("cli.drill.means_mode"));
        }
        let may_resume = || keep.services.get(service).is_some_and(|s| s.may.contains(&ActionKind::Resume));
        let may_roll_back = || {
            keep.watched.networks.values().any(|n| {
                n.rules.is_some()
                    && n.carries.iter().any(|c| c == service)
                    && n.may.contains(&ActionKind::Rollback)
            })
        };
        let (has, key) = match self {
            Self::Stop { .. } => (may_resume(), "cli.drill.means_stop"),
            Self::Block { .. } => (may_roll_back(), "cli.drill.means_block"),
            // Without a rule it is not planned at all.
            Self::Fill { .. } => (true, ""),
        };
        (!has).then(|| Text::new(key).with("name", service))
    }

    /// The kinds of cause that are right.
    pub(super) fn right_causes(&self) -> &'static [CauseKind] {
        match self {
            Self::Stop { .. } => &[CauseKind::ProcessStopped],
            Self::Fill { .. } => &[CauseKind::DiskFull],
            Self::Block { .. } => &[CauseKind::FirewallBlock],
        }
    }

    pub(super) fn inject(&self) -> anyhow::Result<()> {
        match self {
            Self::Stop { pid, start_ticks } => {
                anyhow::ensure!(state(*pid, *start_ticks).is_some(), "the process has ended");
                Ok(kill_process(process(*pid)?, Signal::STOP)?)
            }
            Self::Fill { path, bytes, older_s, .. } => fill(path, *bytes, Duration::from_secs(*older_s)),
            Self::Block { table, port, namespace } => {
                let rules = format!(
                    "add table inet {table}\nadd chain inet {table} input {{ type filter hook input priority -10; }}\n\
                     add rule inet {table} input tcp dport {port} reject with tcp reset\n"
                );
                anyhow::ensure!(nft(namespace.as_deref(), &rules)?, "nft refused the rules");
                Ok(())
            }
        }
    }

    /// Takes it away; true when there was something to take away.
    pub(super) fn undo(&self) -> anyhow::Result<bool> {
        match self {
            Self::Stop { pid, start_ticks } => {
                let stopped = state(*pid, *start_ticks).is_some_and(|s| matches!(s, 'T' | 't'));
                if stopped {
                    kill_process(process(*pid)?, Signal::CONT)?;
                }
                Ok(stopped)
            }
            Self::Fill { path, .. } => match std::fs::remove_file(path) {
                Ok(()) => Ok(true),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
                Err(e) => Err(e.into()),
            },
            Self::Block { table, namespace, .. } => {
                nft(namespace.as_deref(), &format!("delete table inet {table}\n"))
            }
        }
    }
}

fn process(pid: i32) -> anyhow::Result<Pid> {
    Some(pid)
        .filter(|pid| *pid > 1)
        .and_then(Pid::from_raw)
        .ok_or_else(|| anyhow::anyhow!("{pid} is no process of a service"))
}

fn plan_stop(wish: &Wish, overview: &Value) -> Result<Fault, Text> {
    let all = overview["services"].as_array().map(Vec::as_slice).unwrap_or_default();
    let service = all.iter().find(|s| s["name"] == wish.service.as_str());
    let pid = service.and_then(|s| s["pid"].as_i64()).and_then(|pid| i32::try_from(pid).ok());
    let found = pid.and_then(|pid| Some((pid, stat(pid)?)));
    let (pid, (_, start_ticks)) =
        found.ok_or_else(|| Text::new("cli.drill.no_process").with("name", &wish.service))?;
    Ok(Fault::Stop { pid, start_ticks })
}

/// State and start of a process, from `/proc/PID/stat`. The name in it may hold anything, so it is skipped by its last
/// parenthesis.
fn stat(pid: i32) -> Option<(char, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// The state of exactly this process; `None` when it has ended.
fn state(pid: i32, start_ticks: u64) -> Option<char> {
    stat(pid).filter(|(_, start)| *start == start_ticks).map(|(state, _)| state)
}

fn plan_fill(wish: &Wish, keep: &Keep) -> Result<Fault, Text> {
    let used = keep.services.get(&wish.service).and_then(|s| s.uses.first());
    let Some(mountpoint) = wish.on.as_ref().or(used) else {
        return Err(Text::new("cli.drill.no_filesystem"));
    };
    let undeclared = || Text::new("cli.drill.no_rule").with("name", mountpoint);
    let declared = keep.filesystems.get(mountpoint).ok_or_else(undeclared)?;
    let rule = declared.free_space.iter().find(|r| r.glob.contains('*')).ok_or_else(undeclared)?;
    let name = format!("wellkept-drill-{}", now().0);
    let path = PathBuf::from(rule.glob.replacen('*', &name, 1).replace(['*', '?'], "x"));
    let older_s = rule.older_than.map_or(0, |t| t.as_secs() + 60);
    let vfs = statvfs(mountpoint.as_str())
        .map_err(|e| Text::new("cli.drill.not_injected").with("why", format!("{mountpoint}: {e}")))?;
    let bytes = missing_bytes(&vfs, declared);
    if bytes == 0 || path.exists() {
        return Err(Text::new("cli.drill.full_already").with("name", mountpoint));
    }
    if bytes > wish.at_most_mib << 20 {
        let text =
            Text::new("cli.drill.too_large").with("name", mountpoint).with("mib", bytes.div_ceil(1 << 20));
        return Err(text.with("at_most", wish.at_most_mib));
    }
    Ok(Fault::Fill { mountpoint: mountpoint.clone(), path, bytes, older_s })
}

/// What must be written until it counts as full; 0 when it does already.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes of file systems are exact in 64-bit floats up to 8 PiB, and not negative here"
)]
fn missing_bytes(vfs: &StatVfs, declared: &Filesystem) -> u64 {
    let used = vfs.f_blocks.saturating_sub(vfs.f_bfree).saturating_mul(vfs.f_frsize) as f64;
    let all = used + vfs.f_bavail.saturating_mul(vfs.f_frsize) as f64;
    let wanted = all * (declared.full_at + ABOVE).min(FILLED_MAX);
    (wanted - used).max(0.0).ceil() as u64
}

/// Takes the space without writing it, and makes the file as old as the rule wants.
fn fill(path: &Path, bytes: u64, older: Duration) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32);
    let file = options.open(path)?;
    fallocate(&file, FallocateFlags::empty(), 0, bytes)?;
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(now().0.unsigned_abs());
    Ok(file.set_modified(at - older)?)
}

/// In the namespace of the network that leads to the service, where one is declared.
fn plan_block(wish: &Wish, keep: &Keep) -> Result<Fault, Text> {
    let service = keep.services.get(&wish.service);
    let address = service.and_then(|s| s.listens.first());
    let port = address.ok_or_else(|| Text::new("cli.drill.no_port").with("name", &wish.service))?.port();
    let network = keep.watched.networks.values().find(|n| n.carries.contains(&wish.service));
    // Tables named after ourselves are left alone, and so would this one be: it must look like anybody's.
    let table = format!("drill_{}", now().0);
    Ok(Fault::Block { table, port, namespace: network.and_then(|n| n.namespace.clone()) })
}

/// Feeds `nft`; true when it took everything.
fn nft(namespace: Option<&str>, rules: &str) -> anyhow::Result<bool> {
    let mut words: Vec<&str> = namespace.into_iter().flat_map(|n| ["ip", "netns", "exec", n]).collect();
    words.extend(["nft", "-f", "-"]);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|e| anyhow::anyhow!("{} cannot be run: {e}", words[0]))?;
    if let Some(mut stdin) = child.stdin.take() {
        std::io::Write::write_all(&mut stdin, rules.as_bytes())?;
    }
    Ok(child.wait()?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_keep_file_lacks_for_healing_is_said_before() {
        let missing = |fault: &Fault, text: &str| {
            let keep = wellkept_keep::parse("wellkept.yml", text).unwrap();
            fault.missing_means("app", &keep).map(|t| t.key)
        };
        let file = |mode: &str, may: &str, more: &str| {
            format!(
                "automation: {{ mode: {mode} }}\nservices:\n  app: {{ pidfile: /run/a, may: [{may}] }}\n{more}"
            )
        };
        let stop = Fault::Stop { pid: 9, start_ticks: 1 };
        let block = Fault::Block { table: "t".into(), port: 1, namespace: None };
        assert_eq!(missing(&stop, &file("propose", "resume", "")).as_deref(), Some("cli.drill.means_mode"));
        assert_eq!(missing(&stop, &file("act", "", "")).as_deref(), Some("cli.drill.means_stop"));
        assert_eq!(missing(&stop, &file("act", "resume", "")), None);
        assert_eq!(missing(&block, &file("act", "resume", "")).as_deref(), Some("cli.drill.means_block"));
    }

    #[test]
    fn a_process_is_stopped_and_goes_on_and_another_with_its_number_is_left_alone() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let (_, start_ticks) = stat(pid).unwrap();
        let fault = Fault::Stop { pid, start_ticks };
        fault.inject().unwrap();
        while state(pid, start_ticks) != Some('T') {
            std::thread::yield_now();
        }
        let other = Fault::Stop { pid, start_ticks: start_ticks + 1 };
        assert!(other.inject().is_err() && !other.undo().unwrap());
        assert_eq!(state(pid, start_ticks), Some('T'));
        assert!(fault.undo().unwrap());
        while state(pid, start_ticks) == Some('T') {
            std::thread::yield_now();
        }
        assert!(!fault.undo().unwrap(), "undone already");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!fault.undo().unwrap() && fault.inject().is_err(), "it has ended");
        assert!(process(1).is_err() && process(0).is_err() && process(-5).is_err());
    }

    #[test]
    fn a_file_takes_its_space_is_old_enough_and_goes() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("x-drill.bin");
        let mountpoint = temp.path().display().to_string();
        let fault = Fault::Fill { mountpoint, path: path.clone(), bytes: 1 << 20, older_s: 7200 };
        fault.inject().unwrap();
        let meta = std::fs::metadata(&path).unwrap();
        assert_eq!(meta.len(), 1 << 20);
        let age = now().0 / 1000 - std::os::unix::fs::MetadataExt::mtime(&meta);
        assert!((7199..7300).contains(&age), "{age}");
        assert!(fault.inject().is_err(), "what is there is not written over");
        assert!(fault.undo().unwrap() && !path.exists());
        assert!(!fault.undo().unwrap());
    }
}
