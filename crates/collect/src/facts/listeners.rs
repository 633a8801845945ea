//! Sockets: who listens where, and TCP connections by state.
//!
//! Both come from the same tables in /proc/net. The kernel walks its whole hash table for each of them, which takes
//! milliseconds on a machine with much memory or many sockets. So the longer a reading took, the longer we wait until
//! the next one; in between the last result holds. Listening TCP sockets come cheaper (see [`super::sock_diag`]) and
//! are asked for every round. Which process holds a listening socket is looked up in `/proc/*/fd` only when a socket is new, and once a minute.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use wellkept_model::ProcessRef;
use wellkept_model::observe::{CollectProblem, HolderSeen, ListenerSeen};

use super::sock_diag::{Diag, Listening};
use crate::accounts::Accounts;
use crate::pace::Pace;
use crate::proc_stat;
use crate::series::Series;
use crate::source::{Source, read_once};

/// Fewest and most rounds between two readings: five minutes at one a second.
const ROUNDS: (u64, u64) = (5, 300);

/// What reading the tables may cost, spread over the rounds: 0.02 % of a core at one round a second.
const COST_A_ROUND: Duration = Duration::from_micros(200);

/// Readings after which holders are looked up anew: a minute or more, because a holder can hand a socket on.
const HOLDERS_READINGS: u64 = 12;

/// Listening sockets that are kept.
const LISTENERS_MAX: usize = 4096;

/// Descriptors that are looked at for holders in one go.
const FDS_MAX: usize = 1_000_000;

/// Names of the TCP states 1 to 11, as node_exporter writes them.
const STATES: [&str; 11] = [
    "established",
    "syn_sent",
    "syn_recv",
    "fin_wait1",
    "fin_wait2",
    "time_wait",
    "close",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
];

/// TCP state of a listening socket.
const LISTEN: usize = 10;

/// "State" of a UDP socket that is bound and not connected.
const UDP_BOUND: usize = 7;

/// The socket tables, with what was found last.
#[derive(Debug)]
pub(crate) struct Sockets {
    tables: [(&'static str, Source); 4],
    pace: Pace,
    readings: u64,
    holders: HashMap<u64, Option<u32>>,
    states: [u32; STATES.len()],
    /// Sockets of the last reading of the tables.
    found: Vec<(&'static str, Socket)>,
    diag: Option<Diag>,
    tcp: Vec<Listening>,
    listeners: Vec<ListenerSeen>,
}

impl Default for Sockets {
    fn default() -> Self {
        Self {
            tables: [
                ("tcp", Source::new("/proc/net/tcp")),
                ("tcp", Source::new("/proc/net/tcp6")),
                ("udp", Source::new("/proc/net/udp")),
                ("udp", Source::new("/proc/net/udp6")),
            ],
            pace: Pace::new(ROUNDS, COST_A_ROUND),
            readings: 0,
            holders: HashMap::new(),
            states: [0; STATES.len()],
            found: Vec::new(),
            diag: Diag::open().ok(),
            tcp: Vec::new(),
            listeners: Vec::new(),
        }
    }
}

/// One line of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Socket {
    local: SocketAddr,
    state: usize,
    uid: u32,
    inode: u64,
}

impl Sockets {
    /// The listening sockets, sorted; emits `node_tcp_connection_states`.
    pub(crate) fn read(&mut self, out: &mut Series, problems: &mut Vec<CollectProblem>) -> Vec<ListenerSeen> {
        if self.pace.is_due(false) {
            let mut pace = self.pace;
            pace.measure(|| self.read_tables(problems));
            self.pace = pace;
        }
        self.ask_for_tcp();
        for (state, count) in STATES.iter().zip(self.states) {
            out.put("node_tcp_connection_states", &[("state", state)], f64::from(count));
        }
        self.listeners.clone()
    }

    fn read_tables(&mut self, problems: &mut Vec<CollectProblem>) {
        let mut found = Vec::new();
        self.states = [0; STATES.len()];
        for (protocol, source) in &mut self.tables {
            let text = match source.read() {
                Ok(text) => text,
                // Without IPv6 its tables are missing.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => {
                    let message = format!("{}: {e}", source.path().display());
                    problems.push(CollectProblem { collector: "sockets".to_owned(), message });
                    continue;
                }
            };
            for socket in text.lines().filter_map(parse) {
                let is_tcp = *protocol == "tcp";
                if let Some(count) = self.states.get_mut(socket.state.wrapping_sub(1)).filter(|_| is_tcp) {
                    *count += 1;
                }
                if socket.state == if is_tcp { LISTEN } else { UDP_BOUND } && found.len() < LISTENERS_MAX {
                    found.push((*protocol, socket));
                }
            }
        }
        self.found = found;
        self.tell();
    }

    /// Puts the listening TCP sockets of this moment in the place of those from the tables.
    fn ask_for_tcp(&mut self) {
        let Some(diag) = &mut self.diag else { return };
        let Ok(tcp) = diag.listening() else {
            self.diag = None;
            return;
        };
        if tcp == self.tcp && self.found.iter().filter(|(p, _)| *p == "tcp").count() == tcp.len() {
            return;
        }
        self.found.retain(|(protocol, _)| *protocol != "tcp");
        let socket = |l: &Listening| Socket { local: l.local, state: LISTEN, uid: l.uid, inode: l.inode };
        self.found.extend(tcp.iter().take(LISTENERS_MAX).map(|l| ("tcp", socket(l))));
        self.tcp = tcp;
        self.tell();
    }

    fn tell(&mut self) {
        let found = std::mem::take(&mut self.found);
        self.find_holders(&found);
        let accounts = Accounts::read();
        self.listeners = found.iter().map(|(protocol, s)| self.seen(protocol, s, &accounts)).collect();
        self.listeners.sort_unstable();
        self.listeners.dedup();
        self.found = found;
    }

    fn seen(&self, protocol: &str, socket: &Socket, accounts: &Accounts) -> ListenerSeen {
        let pid = self.holders.get(&socket.inode).copied().flatten();
        ListenerSeen {
            protocol: protocol.to_owned(),
            address: socket.local.to_string(),
            uid: socket.uid,
            pid,
            holder: pid.and_then(|pid| holder(pid, accounts)),
        }
    }

    fn find_holders(&mut self, found: &[(&str, Socket)]) {
        let inodes: HashSet<u64> = found.iter().map(|(_, s)| s.inode).filter(|inode| *inode != 0).collect();
        self.holders.retain(|inode, _| inodes.contains(inode));
        if self.readings.is_multiple_of(HOLDERS_READINGS) {
            self.holders.clear();
        }
        self.readings += 1;
        if inodes.iter().all(|inode| self.holders.contains_key(inode)) {
            return;
        }
        self.holders = inodes.into_iter().map(|inode| (inode, None)).collect();
        scan_holders(&mut self.holders);
    }
}

/// The process as it is now; `None` when it is gone.
fn holder(pid: u32, accounts: &Accounts) -> Option<HolderSeen> {
    let text = read_once(format!("/proc/{pid}/stat")).ok()?;
    let stat = proc_stat::parse(&text)?;
    let uid = fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    let process = ProcessRef { pid, start_ticks: stat.start_ticks };
    Some(HolderSeen { process, comm: stat.comm.to_owned(), user: accounts.name(uid) })
}

/// Fills in the lowest process number that holds each socket. Processes whose descriptors we may not see hold
/// nothing in our eyes.
fn scan_holders(holders: &mut HashMap<u64, Option<u32>>) {
    let Ok(processes) = fs::read_dir("/proc") else { return };
    let mut left = FDS_MAX;
    for entry in processes.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let Ok(fds) = fs::read_dir(entry.path().join("fd")) else { continue };
        for fd in fds.flatten() {
            left = left.saturating_sub(1);
            if left == 0 {
                return;
            }
            let Ok(link) = fs::read_link(fd.path()) else { continue };
            let inode =
                link.to_str().and_then(|l| l.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            if let Some(holder) = inode.and_then(|inode: u64| holders.get_mut(&inode)) {
                *holder = Some(holder.map_or(pid, |known| known.min(pid)));
            }
        }
    }
}

fn parse(line: &str) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = address(fields.next()?)?;
    let state = usize::from_str_radix(fields.nth(1)?, 16).ok()?;
    let uid = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    Some(Socket { local, state, uid, inode })
}

/// `0100007F:1F90`: the address as the machine keeps it in memory, 32 bits at a time; the port in reading order.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = address.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut octets = [0; 16];
            for (at, chunk) in octets.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::value;

    #[cfg(target_endian = "little")]
    #[test]
    fn addresses_are_read_as_people_write_them() {
        assert_eq!(address("0100007F:1F90").map(|a| a.to_string()).as_deref(), Some("127.0.0.1:8080"));
        let v6 = address("00000000000000000000000001000000:0050");
        assert_eq!(v6.map(|a| a.to_string()).as_deref(), Some("[::1]:80"));
        for bad in ["", "0100007F", "01007F:1F90", "0100007F:zz", "ééééé:1"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn owner_and_state_stand_in_their_columns() {
        let line = "   0: 0100007F:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 4711 1 0 100 0";
        let local = SocketAddr::from(([127, 0, 0, 1], 9000));
        assert_eq!(parse(line), Some(Socket { local, state: LISTEN, uid: 1001, inode: 4711 }));
        assert_eq!(parse("  sl  local_address rem_address   st tx_queue rx_queue"), None);
    }

    #[test]
    fn a_socket_of_this_test_is_found_with_its_holder() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("it is bound").to_string();
        let (mut out, mut problems) = (Series::default(), Vec::new());
        let seen = Sockets::default().read(&mut out, &mut problems);
        let ours = seen.iter().find(|l| l.address == address).expect("it listens");
        assert_eq!((ours.protocol.as_str(), ours.pid), ("tcp", Some(std::process::id())));
        let listening = value(&out.take(), r#"node_tcp_connection_states{state="listen"}"#);
        assert!(listening >= Some(1.0) && problems.is_empty());
    }
}
