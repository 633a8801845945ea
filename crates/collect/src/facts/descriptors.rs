//! What the descriptors of a service are, when it has suspiciously many: files, sockets and to whom, pipes.
//!
//! Looked at once when a process comes to the share of its limit from which a leak may be found, and again only when
//! there are a quarter more: a service that stands high and steady is counted once. The sockets are those of the
//! process's own network namespace.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use wellkept_model::TimestampMs;
use wellkept_model::local::{DescriptorKind, DescriptorsSeen};
use wellkept_model::observe::{ProcessSeen, ServiceSeen};

/// From this share of the limit on, in hundredths, they are counted.
const SUSPECT_PERCENT: u64 = 30;
/// Descriptors of one process that are looked at.
const FDS_MAX: usize = 65_536;
/// What is read of a table of sockets, bytes.
const TABLE_BYTES_MAX: u64 = 32 << 20;
/// Places that are told apart.
const PLACES_MAX: usize = 10_000;

/// What was counted, by service.
#[derive(Debug, Default)]
pub(crate) struct Descriptors(BTreeMap<String, DescriptorsSeen>);

impl Descriptors {
    pub(crate) fn read(
        &mut self,
        services: &BTreeMap<String, ServiceSeen>,
        now: TimestampMs,
    ) -> BTreeMap<String, DescriptorsSeen> {
        self.0.retain(|name, _| services.contains_key(name));
        for (name, service) in services {
            let Some(process) = suspect(service) else {
                self.0.remove(name);
                continue;
            };
            let fds = process.open_fds.unwrap_or(0);
            let known = self.0.get(name).filter(|k| k.pid == process.pid && fds <= k.total + k.total / 4);
            if known.is_none() {
                self.0.insert(name.clone(), count(process.pid, now));
            }
        }
        self.0.clone()
    }
}

/// The process with the most, when these are many for its limit.
fn suspect(service: &ServiceSeen) -> Option<&ProcessSeen> {
    let limit = service.limits.fds.filter(|l| *l > 0)?;
    let most = service.processes.iter().max_by_key(|p| p.open_fds)?;
    (most.open_fds?.saturating_mul(100) >= limit.saturating_mul(SUSPECT_PERCENT)).then_some(most)
}

fn count(pid: u32, now: TimestampMs) -> DescriptorsSeen {
    let mut seen = DescriptorsSeen { pid, at: now, ..DescriptorsSeen::default() };
    let remotes = remotes(pid);
    let mut places: HashMap<(DescriptorKind, String), u64> = HashMap::new();
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    for link in fds.take(FDS_MAX).filter_map(|fd| fs::read_link(fd.path()).ok()) {
        let (kind, place) = sort(&link.to_string_lossy(), &remotes);
        seen.total += 1;
        *seen.kinds.entry(kind).or_default() += 1;
        if places.len() < PLACES_MAX || places.contains_key(&(kind, place.clone())) {
            *places.entry((kind, place)).or_default() += 1;
        }
    }
    let of_most = seen.kinds.iter().max_by_key(|(_, count)| **count).map(|(kind, _)| *kind);
    let mine = places.into_iter().filter(|((kind, place), _)| Some(*kind) == of_most && !place.is_empty());
    let most = mine.max_by(|((_, a), m), ((_, b), n)| m.cmp(n).then_with(|| b.cmp(a)));
    if let Some(((_, place), count)) = most {
        (seen.most, seen.most_count) = (place, count);
    }
    seen
}

/// What a descriptor is, and where it leads to: the other end of a socket, the folder of a file.
fn sort(link: &str, remotes: &HashMap<u64, SocketAddr>) -> (DescriptorKind, String) {
    let folder = |path: &str| path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    if let Some(inode) = link.strip_prefix("socket:[").and_then(|l| l.strip_suffix(']')) {
        let remote = inode.parse().ok().and_then(|inode: u64| remotes.get(&inode));
        (DescriptorKind::Sockets, remote.map(ToString::to_string).unwrap_or_default())
    } else if link.starts_with("pipe:[") {
        (DescriptorKind::Pipes, String::new())
    } else if let Some(path) = link.strip_suffix(" (deleted)").filter(|l| l.starts_with('/')) {
        (DescriptorKind::Deleted, folder(path))
    } else if link.starts_with('/') {
        (DescriptorKind::Files, folder(link))
    } else {
        (DescriptorKind::Anonymous, link.strip_prefix("anon_inode:").unwrap_or(link).to_owned())
    }
}

/// Other ends of the connections in a process's network namespace, by socket.
fn remotes(pid: u32) -> HashMap<u64, SocketAddr> {
    let mut found = HashMap::new();
    for table in ["tcp", "tcp6"] {
        let mut text = String::new();
        let file = File::open(format!("/proc/{pid}/net/{table}"));
        // What was read before an error is what there is.
        let _ = file.map(|f| f.take(TABLE_BYTES_MAX).read_to_string(&mut text));
        found.extend(text.lines().filter_map(connection));
    }
    found
}

/// Socket and other end of one line of the kernel's table.
fn connection(line: &str) -> Option<(u64, SocketAddr)> {
    let mut fields = line.split_ascii_whitespace();
    let remote = address(fields.nth(2)?)?;
    let inode = fields.nth(6)?.parse().ok()?;
    (remote.port() != 0).then_some((inode, remote))
}

/// `0500000A:1538`: words of the address in the machine's own order.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let words = || (0..ip.len() / 8).map(|i| u32::from_str_radix(ip.get(i * 8..i * 8 + 8)?, 16).ok());
    let words: Vec<[u8; 4]> = words().map(|w| w.map(u32::to_ne_bytes)).collect::<Option<_>>()?;
    let ip: IpAddr = match words.as_slice() {
        [four] => Ipv4Addr::from(*four).into(),
        [a, b, c, d] => Ipv6Addr::from(<[u8; 16]>::try_from([*a, *b, *c, *d].concat()).ok()?).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn descriptors_of_a_real_process_are_sorted_and_the_other_end_is_named() {
        let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = server.local_addr().expect("it is bound");
        let connect =
            |_| (TcpStream::connect(address).expect("it listens"), server.accept().expect("came").0);
        let _open: Vec<_> = (0..200).map(connect).collect();
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("x");
        let _file = File::create(&path).expect("it can be made");
        fs::remove_file(&path).expect("it is ours");
        let seen = count(std::process::id(), TimestampMs(5));
        assert!(
            seen.kinds[&DescriptorKind::Sockets] >= 401 && seen.kinds[&DescriptorKind::Deleted] >= 1,
            "{seen:?}"
        );
        assert_eq!((seen.most, seen.most_count), (address.to_string(), 200));
        assert_eq!(seen.total, seen.kinds.values().sum::<u64>());
    }

    #[test]
    fn each_kind_is_told_by_its_link() {
        let remotes = [(7, SocketAddr::from(([10, 0, 0, 5], 5432)))].into();
        let told = |link| sort(link, &remotes);
        let place = |p: &str| p.to_owned();
        assert_eq!(told("socket:[7]"), (DescriptorKind::Sockets, place("10.0.0.5:5432")));
        assert_eq!(told("socket:[8]"), (DescriptorKind::Sockets, place("")));
        assert_eq!(told("pipe:[1]"), (DescriptorKind::Pipes, place("")));
        assert_eq!(told("anon_inode:[eventpoll]"), (DescriptorKind::Anonymous, place("[eventpoll]")));
        assert_eq!(told("/tmp/a (deleted)"), (DescriptorKind::Deleted, place("/tmp")));
        assert_eq!(told("/srv/app/log/x"), (DescriptorKind::Files, place("/srv/app/log")));
        assert_eq!(told("net:[4026]").0, DescriptorKind::Anonymous);
    }

    #[test]
    fn a_service_that_stands_high_is_counted_once_and_one_with_few_not_at_all() {
        let mut all = Descriptors::default();
        let service = |fds: u64| {
            let process = ProcessSeen {
                pid: std::process::id(),
                started_at: TimestampMs(0),
                state: 'S',
                state_since: TimestampMs(0),
                cpu_seconds: 0.0,
                rss_bytes: 0,
                open_fds: Some(fds),
                threads: 1,
                uid: 0,
                comm: String::new(),
            };
            let mut service = ServiceSeen { processes: vec![process], ..ServiceSeen::default() };
            service.limits.fds = Some(1000);
            BTreeMap::from([("app".to_owned(), service)])
        };
        assert!(all.read(&service(299), TimestampMs(1)).is_empty());
        let first = all.read(&service(300), TimestampMs(2))["app"].clone();
        if let Some(known) = all.0.get_mut("app") {
            known.total = 300;
        }
        assert_eq!(all.read(&service(375), TimestampMs(3))["app"].at, first.at);
        assert_eq!(all.read(&service(376), TimestampMs(4))["app"].at, TimestampMs(4));
        assert!(all.read(&service(20), TimestampMs(5)).is_empty());
    }
}
