//! Disks of our own: a file system in a file or in memory, mounted for a while.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::clock;

/// A mounted file system, unmounted when dropped.
pub(super) struct Mount {
    pub(super) path: PathBuf,
}

impl Mount {
    /// Mounts `what` (a file or a type) at an empty folder.
    pub(super) fn new(arguments: &[&str], what: &Path, path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path)?;
        quiet(Command::new("mount").args(arguments).arg(what).arg(path))?;
        Ok(Self { path: path.to_owned() })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A process that is just ending may still hold it.
        let done = clock::wait_for(Duration::from_secs(5), Duration::from_millis(20), || {
            quiet(Command::new("umount").arg(&self.path)).ok()
        });
        if done.is_none() {
            eprintln!("note: {} could not be unmounted", self.path.display());
        }
    }
}

/// A file with an ext4 in it.
pub(super) fn ext4(file: &Path, bytes: u64, more: &[&str]) -> Result<()> {
    std::fs::File::create(file)?.set_len(bytes)?;
    quiet(Command::new("mkfs.ext4").args(["-q", "-F"]).args(more).arg(file))
}

/// Whether file systems can be mounted here, or why not.
pub(super) fn possible(folder: &Path) -> Result<(), String> {
    let place = folder.join("mount-try");
    let result = Mount::new(&["-t", "tmpfs", "-o", "size=1m"], Path::new("none"), &place);
    result.map(drop).map_err(|e| format!("nothing can be mounted here: {e:#}"))
}

/// Runs a program that must succeed, without its output.
pub(super) fn quiet(command: &mut Command) -> Result<()> {
    let out =
        command.stdin(Stdio::null()).output().with_context(|| format!("failed to start {command:?}"))?;
    ensure!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr).trim());
    Ok(())
}

/// Ends whoever runs with this data directory: what a killed `strace` leaves behind goes on without it.
pub(super) fn end_users_of(data: &Path) {
    let users = || {
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = entry.file_name().to_str().and_then(|n| n.parse().ok()).and_then(Pid::from_raw);
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let named = line.split(|b| *b == 0).any(|word| word == data.as_os_str().as_encoded_bytes());
            found.extend(pid.filter(|_| named));
        }
        found
    };
    clock::wait_for(Duration::from_secs(10), Duration::from_millis(5), || {
        let found = users();
        found.iter().for_each(|pid| {
            // One that is just gone is as wanted.
            let _ = kill_process(*pid, Signal::KILL);
        });
        found.is_empty().then_some(())
    });
}
