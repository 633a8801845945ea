//! A small file system of a test's own, to be filled.
//!
//! It is mounted in a mount namespace of its own: other tests watch this host, and a full file system on it would
//! be an incident for all of them.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::process::wellkept;

/// A tmpfs that only the programs of [`Mounted::wellkept`] see; gone when this is dropped.
pub struct Mounted {
    holder: Child,
    path: PathBuf,
}

impl Mounted {
    /// Mounts one of so many KiB at a folder; `Err` says why that cannot be done here.
    pub fn new(path: &Path, kib: u32) -> Result<Self, String> {
        std::fs::create_dir_all(path).unwrap();
        // The holder ends by itself when the pipe from this test closes, however the test ends.
        let script =
            format!("mount -t tmpfs -o size={kib}k,mode=0700 tmpfs \"$0\" && echo mounted && read end");
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--propagation", "private", "sh", "-c", &script]).arg(path);
        unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = unshare.spawn().map_err(|e| format!("unshare cannot be run: {e}"))?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line != "mounted\n" {
            let said = holder.wait_with_output().unwrap().stderr;
            return Err(format!("no tmpfs can be mounted: {}", String::from_utf8_lossy(&said).trim()));
        }
        Ok(Self { holder, path: path.to_owned() })
    }

    /// A program in the namespace.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id())).arg("--").arg(program);
        command.stdin(Stdio::null());
        command
    }

    /// The program under test, in the namespace.
    pub fn wellkept(&self) -> Command {
        let inner = wellkept();
        let mut command = self.command(inner.get_program());
        for (name, _) in inner.get_envs() {
            command.env_remove(name);
        }
        command
    }

    /// A path as the program sees it.
    pub fn inside(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The same path as the test sees it.
    pub fn outside(&self, name: &str) -> PathBuf {
        let inside = self.inside(name);
        Path::new(&format!("/proc/{}/root", self.holder.id())).join(inside.strip_prefix("/").unwrap())
    }

    /// Fills it to the last byte.
    pub fn fill(&self) {
        use std::io::Write;
        let name = self.outside("ballast");
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(name).unwrap();
        for block in [vec![b'x'; 1 << 16], vec![b'x'; 512], vec![b'x'; 1]] {
            while file.write_all(&block).is_ok() {}
        }
    }

    /// Gives back what `fill` took.
    pub fn empty(&self) {
        std::fs::remove_file(self.outside("ballast")).unwrap();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // Gone already is as good.
        let _ = self.holder.wait();
    }
}
