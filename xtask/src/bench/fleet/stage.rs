//! Servers on loopback addresses, with what they have used so far.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::super::Bed;
use super::super::procstat::Usage;
use super::books;
use crate::{clock, process};

/// Hosts: loopback addresses with a server each.
pub(super) const HOSTS: usize = 10;
/// Hosts of the largest case: addresses of one server more.
const MANY: usize = 200;
/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at what the servers have used.
const SETTLING: Duration = Duration::from_millis(100);
/// So many looks must be the same.
const STEADY: u32 = 5;

/// A folder with keys, inventories and playbooks, and the servers.
pub(super) struct Stage {
    folder: PathBuf,
    servers: Vec<process::Beside>,
}

impl Stage {
    pub(super) fn new(bed: &Bed) -> Result<Self> {
        let folder = bed.folder("fleet")?;
        let here = |name: &str| folder.join(name);
        for key in ["host_key", "user_key"] {
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(here(key));
            process::output(&mut command)?;
        }
        for name in ["home/.ssh", "cache", "out"] {
            std::fs::create_dir_all(here(name)).with_context(|| format!("failed to create {name}"))?;
        }
        if rustix::process::geteuid().is_root() {
            std::fs::create_dir_all("/run/sshd").context("failed to create /run/sshd")?;
        }
        let host_key = std::fs::read_to_string(here("host_key.pub"))?;
        let settings = format!(
            "[all:vars]\nansible_ssh_private_key_file={}\nansible_python_interpreter=/usr/bin/python3\n",
            here("user_key").display()
        );
        let (mut known, mut hosts, mut servers) = (String::new(), "[all]\n".to_owned(), Vec::new());
        for n in 1..=HOSTS {
            let address = format!("127.0.0.{n}");
            let port = TcpListener::bind((address.as_str(), 0))?.local_addr()?.port();
            servers.push(server(&folder, &address, &address, port)?);
            known.push_str(&format!("[{address}]:{port} {host_key}"));
            hosts.push_str(&format!("h{n} ansible_host={address} ansible_port={port}\n"));
        }
        let port = TcpListener::bind(("0.0.0.0", 0))?.local_addr()?.port();
        servers.push(server(&folder, "0.0.0.0", "127.0.1.1", port)?);
        let mut many = "[all]\n".to_owned();
        for n in 1..=MANY {
            known.push_str(&format!("[127.0.1.{n}]:{port} {host_key}"));
            many.push_str(&format!("m{n} ansible_host=127.0.1.{n} ansible_port={port}\n"));
        }
        std::fs::write(here("home/.ssh/known_hosts"), &known)?;
        std::fs::write(here("hosts"), hosts + &settings)?;
        std::fs::write(here("many"), many + &settings)?;
        books::write(&folder)?;
        Ok(Self { folder, servers })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn home(&self) -> String {
        self.path("home").display().to_string()
    }

    /// Nothing of the round before is left.
    pub(super) fn clear(&self) -> Result<()> {
        std::fs::remove_dir_all(self.path("out")).context("the files of the round before")?;
        Ok(std::fs::create_dir_all(self.path("out"))?)
    }

    /// CPU seconds of all servers and everything below them, once nothing goes on there any more: what ends its work after
    /// the controller has left would not be counted else.
    pub(super) fn settled_cpu_seconds(&self) -> Result<f64> {
        let begun = clock::now();
        let (mut last, mut same) = (self.cpu_seconds()?, 0);
        while same < STEADY && begun.elapsed() < PATIENCE {
            std::thread::sleep(SETTLING);
            let next = self.cpu_seconds()?;
            same = if next == last { same + 1 } else { 0 };
            last = next;
        }
        Ok(last)
    }

    /// CPU seconds of all servers and everything below them, ended or not.
    fn cpu_seconds(&self) -> Result<f64> {
        let parents = parents();
        let mut all: Vec<u32> = self.servers.iter().map(process::Beside::pid).collect();
        let mut at = 0;
        while let Some(parent) = all.get(at).copied() {
            all.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
            at += 1;
        }
        // One that has ended meanwhile is counted with its parent the next time.
        Ok(all.iter().filter_map(|pid| Usage::read(*pid).ok()).map(|usage| usage.cpu_seconds).sum())
    }
}

/// Every process with its parent.
fn parents() -> Vec<(u32, u32)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pairs = pids.filter_map(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((pid, parent))
    });
    pairs.collect()
}

/// The most memory that a process has had, KiB; 0 when it is gone.
pub(super) fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn server(folder: &Path, listen: &str, reached: &str, port: u16) -> Result<process::Beside> {
    let at = folder.display();
    let config = folder.join(format!("sshd_{listen}"));
    let text = format!(
        "Port {port}\nListenAddress {listen}\nHostKey {at}/host_key\nAuthorizedKeysFile {at}/user_key.pub\n\
         StrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none\nUseDNS no\nMaxSessions 20\nMaxStartups 500\n\
         Subsystem sftp internal-sftp\nSetEnv XDG_CACHE_HOME={at}/cache\n"
    );
    std::fs::write(&config, text)?;
    let mut command = Command::new("/usr/sbin/sshd");
    command.args(["-D", "-e", "-f"]).arg(&config);
    let running = process::Beside::start_quietly(&mut command, folder.join(format!("log_{listen}")))?;
    let listens = clock::wait_for(PATIENCE, Duration::from_millis(20), || {
        std::net::TcpStream::connect((reached, port)).ok()
    });
    ensure!(listens.is_some(), "the server on {listen} does not listen");
    Ok(running)
}
