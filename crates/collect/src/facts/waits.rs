//! Who waits for whom: requests to other services that nobody answers, and locks of files that others hold.
//!
//! It is looked at only while two services or more fail their checks: then the question is whether one of them is the
//! reason for the others. The kernel knows for each connection when data was sent and received last: one on which the last
//! word is ours waits for an answer, while one that lies idle in a pool had the answer as its last word. A service may live
//! in a network namespace of its own (a container): it is asked there, through a door that is opened inside and kept. An
//! address on the loopback means another place in each of them.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use wellkept_model::TimestampMs;
use wellkept_model::keep::Keep;
use wellkept_model::local::WaitSeen;
use wellkept_model::observe::{HealthSeen, ServiceSeen};

use super::sock_diag::{Asking, Diag};
use crate::pace::Pace;
use crate::watch::netlink::inside;

/// Fewest and most rounds between two looks while services are ill.
const ROUNDS: (u64, u64) = (1, 30);
/// What a look may cost, spread over the rounds.
const COST_A_ROUND: Duration = Duration::from_millis(2);
/// Failing results in a row from which a service counts as ill.
const FAILING_MIN: u32 = 2;
/// Processes and descriptors that are looked at.
const PROCESSES_MAX: usize = 1_000;
const FDS_MAX: usize = 100_000;
/// Waits that are told.
const WAITS_MAX: usize = 100;
/// Locks that are read.
const LOCKS_MAX: usize = 10_000;
/// Network namespaces that are asked.
const SPACES_MAX: usize = 32;

/// What was seen of waiting so far.
#[derive(Debug)]
pub(crate) struct Waits {
    /// One for each network namespace of an ill service, by its number.
    doors: BTreeMap<u64, Diag>,
    pace: Pace,
    /// Since when a lock is waited for: who, by which one.
    locks: BTreeMap<(String, String), TimestampMs>,
    last: Vec<WaitSeen>,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            doors: BTreeMap::new(),
            pace: Pace::new(ROUNDS, COST_A_ROUND),
            locks: BTreeMap::new(),
            last: Vec::new(),
        }
    }
}

impl Waits {
    /// Waits between services that fail their checks; none, at no cost, while fewer than two do.
    pub(crate) fn read(
        &mut self,
        keep: &Keep,
        services: &BTreeMap<String, ServiceSeen>,
        health: &[HealthSeen],
        now: TimestampMs,
    ) -> Vec<WaitSeen> {
        let ill = ill(services, health);
        if ill.len() < 2 {
            *self = Self::default();
            return Vec::new();
        }
        if self.pace.is_due(false) {
            let mut pace = self.pace;
            self.last = pace.measure(|| self.look(keep, &ill, now));
            self.pace = pace;
        }
        self.last.clone()
    }

    fn look(&mut self, keep: &Keep, ill: &BTreeMap<&str, &ServiceSeen>, now: TimestampMs) -> Vec<WaitSeen> {
        let mut found = self.asked(keep, ill);
        found.extend(self.locked(ill, now));
        found.sort_by(|a, b| (&a.service, &a.on, &a.at).cmp(&(&b.service, &b.on, &b.at)));
        found.truncate(WAITS_MAX);
        found
    }

    /// Requests to addresses that other ill services declare, on which the last word was ours.
    fn asked(&mut self, keep: &Keep, ill: &BTreeMap<&str, &ServiceSeen>) -> Vec<WaitSeen> {
        let homes: BTreeMap<&str, (u64, u32)> =
            ill.iter().filter_map(|(name, s)| Some((*name, home(s.processes.first()?.pid)?))).collect();
        let asking = self.asking(&homes);
        let listens = ill.keys().filter_map(|name| Some((*name, &keep.services.get(*name)?.listens)));
        let at: Vec<(&str, SocketAddr)> =
            listens.flat_map(|(name, all)| all.iter().map(move |a| (name, *a))).collect();
        let lives_in = |name: &str, space: u64| homes.get(name).is_none_or(|(home, _)| *home == space);
        let to = |remote: SocketAddr, space: u64| {
            let here = |name: &str| !remote.ip().to_canonical().is_loopback() || lives_in(name, space);
            at.iter().find(|(name, a)| is_at(*a, remote) && here(name)).map(|(name, _)| *name)
        };
        let asking: Vec<(Asking, &str)> =
            asking.into_iter().filter_map(|(space, a)| Some((a, to(a.remote, space)?))).collect();
        if asking.is_empty() {
            return Vec::new();
        }
        let owners = sockets(ill);
        let waits = asking.into_iter().filter_map(|(a, on)| {
            let service = (*owners.get(&a.inode)?).to_owned();
            (service != on).then(|| WaitSeen {
                service,
                on: on.to_owned(),
                at: a.remote.to_string(),
                for_ms: a.for_ms,
            })
        });
        waits.collect()
    }

    /// Connections that wait for an answer, with the namespace that they are in.
    fn asking(&mut self, homes: &BTreeMap<&str, (u64, u32)>) -> Vec<(u64, Asking)> {
        let spaces: BTreeMap<u64, u32> = homes.values().copied().take(SPACES_MAX).collect();
        self.doors.retain(|space, _| spaces.contains_key(space));
        let own = home(std::process::id()).map(|(space, _)| space);
        let mut found = Vec::new();
        for (space, pid) in spaces {
            let path = (own != Some(space)).then(|| PathBuf::from(format!("/proc/{pid}/ns/net")));
            let opened = || inside(path, Diag::open).and_then(|door| door).ok();
            let Some(mut door) = self.doors.remove(&space).or_else(opened) else { continue };
            let Ok(asking) = door.asking() else { continue };
            found.extend(asking.into_iter().map(|a| (space, a)));
            self.doors.insert(space, door);
        }
        found
    }

    /// Locks of files that an ill service waits for and another one holds.
    fn locked(&mut self, ill: &BTreeMap<&str, &ServiceSeen>, now: TimestampMs) -> Vec<WaitSeen> {
        let text = fs::read_to_string("/proc/locks").unwrap_or_default();
        let owners: HashMap<u32, &str> =
            ill.iter().flat_map(|(name, s)| s.processes.iter().map(|p| (p.pid, *name))).collect();
        let pairs = waiting_locks(&text);
        let waits = pairs.into_iter().filter_map(|(waiter, holder, file)| {
            let (service, on) = (*owners.get(&waiter)?, *owners.get(&holder)?);
            (service != on).then(|| (service.to_owned(), on.to_owned(), file))
        });
        let mut known = std::mem::take(&mut self.locks);
        let found = waits.map(|(service, on, file)| {
            let key = (service.clone(), file.clone());
            let since = known.remove(&key).unwrap_or(now);
            self.locks.insert(key, since);
            let for_ms = u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX);
            WaitSeen { service, on, at: format!("lock {file}"), for_ms }
        });
        found.collect()
    }
}

/// Services that run and fail a check.
fn ill<'a>(
    services: &'a BTreeMap<String, ServiceSeen>,
    health: &[HealthSeen],
) -> BTreeMap<&'a str, &'a ServiceSeen> {
    let fails = |name: &str| {
        let mut own = health.iter().filter(|h| h.service == name);
        own.any(|h| h.failure.is_some() && h.in_a_row >= FAILING_MIN)
    };
    let runs = services.iter().filter(|(_, s)| !s.processes.is_empty());
    runs.filter(|(name, _)| fails(name)).map(|(name, s)| (name.as_str(), s)).collect()
}

/// The number of a process's network namespace, with the process as a way into it.
fn home(pid: u32) -> Option<(u64, u32)> {
    Some((fs::metadata(format!("/proc/{pid}/ns/net")).ok()?.ino(), pid))
}

/// True when a declared address answers for this one: the same, or all of its port.
fn is_at(declared: SocketAddr, asked: SocketAddr) -> bool {
    declared.port() == asked.port()
        && (declared.ip().is_unspecified() || declared.ip() == asked.ip().to_canonical())
}

/// Sockets of these services' processes.
fn sockets<'a>(ill: &BTreeMap<&'a str, &ServiceSeen>) -> HashMap<u64, &'a str> {
    let mut owners = HashMap::new();
    let processes = ill.iter().flat_map(|(name, s)| s.processes.iter().map(|p| (*name, p.pid)));
    let mut left = FDS_MAX;
    for (name, pid) in processes.take(PROCESSES_MAX) {
        let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for fd in fds.flatten().take(left) {
            left -= 1;
            let Ok(link) = fs::read_link(fd.path()) else { continue };
            let inode =
                link.to_str().and_then(|l| l.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            owners.extend(inode.map(|inode: u64| (inode, name)));
        }
    }
    owners
}

/// Who waits, who holds, and which file as the kernel writes it, of the text of `/proc/locks`.
fn waiting_locks(text: &str) -> Vec<(u32, u32, String)> {
    let mut holder = None;
    let mut found = Vec::new();
    for line in text.lines().take(LOCKS_MAX) {
        // `1: POSIX ADVISORY WRITE 700 08:01:1234 0 EOF`; one that waits follows, with an arrow after its number.
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let waits = words.get(1) == Some(&"->");
        let skip = if waits { 5 } else { 4 };
        let (Some(pid), Some(file)) =
            (words.get(skip).and_then(|p| p.parse::<u32>().ok()), words.get(skip + 1))
        else {
            continue;
        };
        if !waits {
            holder = Some(pid);
        } else if let Some(holder) = holder {
            found.push((pid, holder, (*file).to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn one_who_waits_for_a_lock_is_told_with_its_holder() {
        let text = "1: POSIX  ADVISORY  WRITE 700 08:01:1234 0 EOF\n1: -> POSIX  ADVISORY  WRITE 701 08:01:1234 0 EOF\n\
                    2: FLOCK  ADVISORY  WRITE 701 08:01:99 0 EOF\n2: -> FLOCK  ADVISORY  WRITE 700 08:01:99 0 EOF\nodd\n";
        let want = [(701, 700, "08:01:1234".to_owned()), (700, 701, "08:01:99".to_owned())];
        assert_eq!(waiting_locks(text), want);
    }

    #[test]
    fn a_request_without_an_answer_waits_and_one_with_an_answer_does_not() {
        let Ok(mut diag) = Diag::open() else { return };
        let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = server.local_addr().expect("it is bound");
        let pair = || {
            let client = TcpStream::connect(address).expect("it listens");
            (client, server.accept().expect("it came").0)
        };
        let (mut asks, _silent) = pair();
        let (mut asks_at_once, _silent_too) = pair();
        asks_at_once.write_all(b"q").expect("sent");
        let (_says_nothing, _) = pair();
        let (mut asked, mut answers) = pair();
        let mut byte = [0];
        asked.write_all(b"q").expect("sent");
        answers.read_exact(&mut byte).expect("read");
        std::thread::sleep(Duration::from_millis(50));
        answers.write_all(b"a").expect("sent");
        asked.read_exact(&mut byte).expect("read");
        std::thread::sleep(Duration::from_millis(50));
        asks.write_all(b"q").expect("sent");
        let waiting = match diag.asking() {
            Ok(all) => all.into_iter().filter(|a| a.remote == address).count(),
            // Said by kernels without tcp_diag.
            Err(e) => return assert_eq!(e.kind(), std::io::ErrorKind::NotFound, "{e}"),
        };
        assert_eq!(waiting, 2);
    }

    #[test]
    fn a_declared_address_stands_for_the_same_and_for_all_of_its_port() {
        let a = |t: &str| t.parse::<SocketAddr>().expect("an address");
        assert!(is_at(a("127.0.0.1:80"), a("127.0.0.1:80")));
        assert!(is_at(a("0.0.0.0:80"), a("10.0.0.1:80")));
        assert!(is_at(a("127.0.0.1:80"), a("[::ffff:127.0.0.1]:80")));
        assert!(!is_at(a("127.0.0.1:80"), a("127.0.0.2:80")));
        assert!(!is_at(a("0.0.0.0:80"), a("10.0.0.1:81")));
    }

    #[test]
    fn nothing_is_looked_at_while_fewer_than_two_services_are_ill() {
        let mut waits = Waits::default();
        let services = [("a".to_owned(), ServiceSeen::default())].into();
        assert!(waits.read(&Keep::default(), &services, &[], TimestampMs(0)).is_empty());
        assert!(waits.doors.is_empty());
    }

    /// A process in a network namespace of its own that asks a silent server there, ended when it is dropped.
    struct Contained(std::process::Child);

    impl Drop for Contained {
        fn drop(&mut self) {
            let _ = self.0.kill().and_then(|()| self.0.wait());
        }
    }

    #[test]
    fn who_waits_inside_of_a_container_is_seen_and_its_loopback_is_its_own() {
        let script = "import os, socket, subprocess, time\n\
            subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)\n\
            s = socket.socket(); s.bind(('127.0.0.1', 7001)); s.listen()\n\
            if os.fork(): time.sleep(600)\n\
            s.close(); c = socket.create_connection(('127.0.0.1', 7001)); c.send(b'q')\n\
            parent = os.getppid(); print(os.getpid(), flush=True)\n\
            while os.getppid() == parent: time.sleep(0.1)\n";
        let mut command = std::process::Command::new("unshare");
        command.args(["--net", "python3", "-c", script]).stdout(std::process::Stdio::piped());
        let Ok(child) = command.stderr(std::process::Stdio::null()).spawn() else { return };
        let mut contained = Contained(child);
        let mut line = String::new();
        let out = contained.0.stdout.take().expect("it is piped");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).expect("read");
        let Ok(client) = line.trim().parse::<u32>() else { return }; // No right to a namespace.
        if Diag::open().and_then(|mut door| door.asking()).is_err() {
            return; // A kernel without the door.
        }
        let waits = |server: u32| {
            let keep = Keep {
                services: [declared("asks", "127.0.0.1:1"), declared("silent", "127.0.0.1:7001")].into(),
                ..Keep::default()
            };
            let (asks, silent) = (runs(client), runs(server));
            Waits::default().asked(&keep, &[("asks", &asks), ("silent", &silent)].into())
        };
        let seen: Vec<_> = waits(contained.0.id()).into_iter().map(|w| (w.service, w.on, w.at)).collect();
        assert_eq!(seen, [("asks".to_owned(), "silent".to_owned(), "127.0.0.1:7001".to_owned())]);
        assert!(waits(std::process::id()).is_empty(), "the loopback of the host is another place");
    }

    fn declared(name: &str, listens: &str) -> (String, wellkept_model::keep::Service) {
        let identity = wellkept_model::keep::Identity::Cgroup("/".into());
        let mut service = wellkept_model::keep::Service::named(name, identity);
        service.listens = vec![listens.parse().expect("an address")];
        (name.to_owned(), service)
    }

    fn runs(pid: u32) -> ServiceSeen {
        let process = wellkept_model::observe::ProcessSeen {
            pid,
            started_at: TimestampMs(0),
            state: 'S',
            state_since: TimestampMs(0),
            cpu_seconds: 0.0,
            rss_bytes: 0,
            open_fds: None,
            threads: 1,
            uid: 0,
            comm: String::new(),
        };
        ServiceSeen { processes: vec![process], ..ServiceSeen::default() }
    }
}
