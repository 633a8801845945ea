//! Who waits for whom: requests to other services that nobody answers, and locks of files that others hold.
//!
//! It is looked at only while two services or more fail their checks: then the question is whether one of them is the
//! reason for the others. The kernel knows for each connection when data was sent and received last: one on which the last
//! word is ours waits for an answer, while one that lies idle in a pool had the answer as its last word. Connections in
//! other network namespaces than our own are not seen.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use wellkept_model::TimestampMs;
use wellkept_model::keep::Keep;
use wellkept_model::local::WaitSeen;
use wellkept_model::observe::{HealthSeen, ServiceSeen};

use super::sock_diag::{Asking, Diag};
use crate::pace::Pace;

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

/// What was seen of waiting so far.
#[derive(Debug)]
pub(crate) struct Waits {
    diag: Option<Diag>,
    pace: Pace,
    /// Since when a lock is waited for: who, by which one.
    locks: BTreeMap<(String, String), TimestampMs>,
    last: Vec<WaitSeen>,
}

impl Default for Waits {
    fn default() -> Self {
        Self { diag: None, pace: Pace::new(ROUNDS, COST_A_ROUND), locks: BTreeMap::new(), last: Vec::new() }
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
        let Some(diag) = self.diag.take().or_else(|| Diag::open().ok()) else { return Vec::new() };
        let diag = self.diag.insert(diag);
        let Ok(asking) = diag.asking() else {
            self.diag = None;
            return Vec::new();
        };
        let listens = ill.keys().filter_map(|name| Some((*name, &keep.services.get(*name)?.listens)));
        let at: Vec<(&str, SocketAddr)> =
            listens.flat_map(|(name, all)| all.iter().map(move |a| (name, *a))).collect();
        let to = |remote: SocketAddr| at.iter().find(|(_, a)| is_at(*a, remote)).map(|(name, _)| *name);
        let asking: Vec<(Asking, &str)> =
            asking.into_iter().filter_map(|a| Some((a, to(a.remote)?))).collect();
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
        assert!(waits.diag.is_none());
    }
}
