//! Configuration files on disk: only those that nobody else may have written.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::read::Files;
use super::{Caller, ConfigError, SshConfig};

/// The largest file, bytes.
const FILE_MAX: u64 = 4 * 1024 * 1024;
/// The most files that one pattern names.
const MATCHES_MAX: usize = 512;

/// The real files. Like `ssh`, they must belong to root or to us, and others may not write them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> Result<Option<String>, String> {
        let file = match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|e| e.to_string())?,
        };
        let about = file.metadata().map_err(|e| e.to_string())?;
        let ours = rustix::process::geteuid().as_raw();
        if about.uid() != 0 && about.uid() != ours {
            return Err(format!("it belongs to user {}; root or we must own it", about.uid()));
        }
        if about.mode() & 0o022 != 0 {
            return Err("group or others may write it; `chmod go-w` it".to_owned());
        }
        let mut bytes = Vec::new();
        file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        if bytes.len() as u64 > FILE_MAX {
            return Err(format!("it has more than {} MiB", FILE_MAX >> 20));
        }
        String::from_utf8(bytes).map(Some).map_err(|_| "it is no UTF-8 text".to_owned())
    }

    fn matching(&self, pattern: &str) -> Vec<PathBuf> {
        // A pattern that is none, and folders that cannot be read, name nothing, as for `ssh`.
        let Ok(found) = glob::glob(pattern) else { return Vec::new() };
        found.filter_map(Result::ok).filter(|p| p.is_file()).take(MATCHES_MAX).collect()
    }
}

impl SshConfig {
    /// Our configuration and that of the host we are on.
    ///
    /// # Errors
    /// As [`SshConfig::read`].
    pub fn of(caller: &Caller) -> Result<Self, ConfigError> {
        let ssh = caller.home.join(".ssh");
        let system = PathBuf::from("/etc/ssh");
        Self::read(&Disk, &[(ssh.join("config"), ssh), (system.join("ssh_config"), system)], &caller.home)
    }
}
