//! Real OpenSSH servers as hosts of an inventory, and the program in a home of its own.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

#[path = "../../../ssh/tests/bed/mod.rs"]
pub mod bed;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use bed::Sshd;

use crate::common::{Ended, Home, run, wellkept};

pub struct Fleet {
    pub home: Home,
    pub servers: Vec<Sshd>,
}

impl Fleet {
    /// `h1` to `hN` in the group `web`, on loopback addresses of their own, and all known.
    pub fn new(count: u8) -> Self {
        Self::made(count, &|cache, n| {
            let setting = format!("SetEnv XDG_CACHE_HOME={cache}");
            Sshd::with(&[&setting], Ipv4Addr::new(127, 0, 0, n))
        })
    }

    /// The same with servers as `start` makes them, from the folder for helpers and the number.
    pub fn made(count: u8, start: &dyn Fn(&str, u8) -> Sshd) -> Self {
        let home = Home::new();
        let cache = home.path("cache");
        std::fs::create_dir_all(&cache).unwrap();
        let cache = cache.display().to_string();
        let fleet = Self { servers: (1..=count).map(|n| start(&cache, n)).collect(), home };
        let at: Vec<SocketAddr> = fleet.servers.iter().map(|server| server.address).collect();
        fleet.inventory(&at);
        std::fs::create_dir_all(fleet.home.path("home/.ssh")).unwrap();
        fleet.know(&at);
        fleet
    }

    /// Makes the servers known under these addresses.
    pub fn know(&self, at: &[SocketAddr]) {
        let lines: String = self.servers.iter().zip(at).map(|(server, at)| server.known_line(*at)).collect();
        std::fs::write(self.home.path("home/.ssh/known_hosts"), lines).unwrap();
    }

    /// Writes the inventory with the hosts at these addresses.
    pub fn inventory(&self, at: &[SocketAddr]) {
        let mut text = "[web]\n".to_owned();
        for ((server, at), n) in self.servers.iter().zip(at).zip(1..) {
            let key = server.path("user_key");
            text.push_str(&format!(
                "h{n} ansible_host={} ansible_port={} ansible_ssh_private_key_file={}\n",
                at.ip(),
                at.port(),
                key.display()
            ));
        }
        std::fs::write(self.home.path("hosts"), text).unwrap();
    }

    /// A data directory that runs are recorded in.
    pub fn with_data(self) -> Self {
        std::fs::create_dir_all(self.home.data()).unwrap();
        std::fs::write(self.home.data().join("VERSION"), "1\n").unwrap();
        self
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = wellkept();
        command.current_dir(self.home.path("")).env("HOME", self.home.path("home"));
        command.env_remove("SSH_AUTH_SOCK").env("XDG_STATE_HOME", self.home.path("state"));
        command.args(args);
        command
    }

    #[track_caller]
    pub fn cli(&self, args: &[&str]) -> Ended {
        run(&mut self.command(args))
    }

    /// Writes a file into the home and gives its path.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.home.path(name)).unwrap_or_default()
    }
}
