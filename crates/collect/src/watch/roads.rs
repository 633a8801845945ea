//! Looks at the ways through a network: declared routes, sizes of packets, quality of links, addresses used twice.
//!
//! All of it is read from tables of the kernel, inside the network's namespace, every few seconds. Nothing is sent.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use wellkept_model::TimestampMs;
use wellkept_model::keep::{Network, Route};
use wellkept_model::observe::RoadsSeen;

use super::netlink::{Links, inside, namespace_path};
use super::{Shared, pause};
use crate::clock;
use crate::source::read_once;

const EVERY: Duration = Duration::from_secs(5);
/// Looks over which errors of links and changes of neighbours are counted.
const LOOKS: usize = 12;
/// Errors, and their share of all packets, from which a link is degraded.
const ERRORS_MIN: u64 = 20;
const ERRORS_SHARE: f64 = 0.01;
/// Changes of a neighbour's hardware address from which two machines use its address; one change is a replacement.
const CHANGES_MIN: usize = 3;
/// Neighbours that are remembered.
const NEIGHBOURS_MAX: usize = 1024;
/// `IFA_F_DADFAILED`: another machine had the address already when we took it.
const DAD_FAILED: u32 = 0x08;
/// `RTF_UP` and `RTF_REJECT`.
const ROUTE_UP: u32 = 0x1;
const ROUTE_REJECT: u32 = 0x200;

pub(super) async fn watch(shared: Shared, declared: Network) {
    let mut closely = shared.closely.subscribe();
    let mut links = Links::new(declared.namespace.as_deref());
    let mut past = Past::default();
    loop {
        let seen = past.look(&declared, &mut links, clock::wall());
        shared.with_network(&declared.name, |n| n.roads = seen);
        pause(EVERY, &mut closely).await;
    }
}

/// The tables of one namespace.
#[derive(Debug, Default)]
struct Tables {
    route: String,
    route6: String,
    arp: String,
    dev: String,
    if_inet6: String,
}

impl Tables {
    fn read(namespace: Option<&str>) -> std::io::Result<Self> {
        inside(namespace.map(namespace_path), || {
            // A thread has tables of its own namespace, whatever the process has.
            let table = |name: &str| read_once(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
            Self {
                route: table("route"),
                route6: table("ipv6_route"),
                arp: table("arp"),
                dev: table("dev"),
                if_inet6: table("if_inet6"),
            }
        })
    }
}

/// What earlier looks saw.
#[derive(Debug, Default)]
struct Past {
    /// By link: packets and errors.
    counters: HashMap<String, VecDeque<(u64, u64)>>,
    /// By neighbour: its last hardware address, and in which looks it changed.
    neighbours: HashMap<String, (String, VecDeque<u64>)>,
    looks: u64,
}

impl Past {
    fn look(&mut self, declared: &Network, links: &mut Links, at: TimestampMs) -> RoadsSeen {
        let mut seen = RoadsSeen { at, ..RoadsSeen::default() };
        let tables = match Tables::read(declared.namespace.as_deref()) {
            Ok(tables) => tables,
            Err(e) => return RoadsSeen { problem: Some(e.to_string()), ..seen },
        };
        self.looks += 1;
        let wanted = &declared.wanted;
        let missing = |r: &&Route| !has_route(&tables, r);
        seen.routes_missing = wanted.routes.iter().filter(missing).map(Route::to_string).collect();
        for (link, want) in &wanted.mtu {
            if let Ok(Some(found)) = links.ask(link)
                && found.mtu != 0
                && found.mtu != *want
            {
                seen.mtu.insert(link.clone(), found.mtu);
            }
        }
        for link in declared.links.keys() {
            let slow = wanted.speed.get(link).filter(|_| declared.namespace.is_none());
            let slow = slow.and_then(|want| slower(link, *want));
            let what = slow.or_else(|| self.errors(link, &tables.dev));
            seen.degraded.extend(what.map(|what| (link.clone(), what)));
        }
        seen.conflicts = self.conflicts(&tables);
        seen
    }

    fn errors(&mut self, link: &str, dev: &str) -> Option<String> {
        let now = counters(dev, link)?;
        let past = self.counters.entry(link.to_owned()).or_default();
        if past.back().is_some_and(|before| before.0 > now.0) {
            past.clear();
        }
        past.push_back(now);
        if past.len() > LOOKS {
            past.pop_front();
        }
        let before = *past.front()?;
        let (packets, errors) = (now.0 - before.0, now.1.saturating_sub(before.1));
        #[expect(clippy::cast_precision_loss, reason = "counts of a minute")]
        let share = errors as f64 / (packets + errors).max(1) as f64;
        let degraded = errors >= ERRORS_MIN && share >= ERRORS_SHARE;
        degraded.then(|| format!("{errors} errors in {packets} packets"))
    }

    fn conflicts(&mut self, tables: &Tables) -> BTreeMap<String, String> {
        let mut found: BTreeMap<String, String> = dad_failed(&tables.if_inet6)
            .map(|address| (address, "taken by another machine when it was set here".to_owned()))
            .collect();
        let looks = self.looks;
        for (address, hardware) in neighbours(&tables.arp).take(NEIGHBOURS_MAX) {
            let (last, changes) = self
                .neighbours
                .entry(address.to_owned())
                .or_insert_with(|| (hardware.to_owned(), VecDeque::new()));
            if last != hardware {
                *last = hardware.to_owned();
                changes.push_back(looks);
            }
            while changes.front().is_some_and(|at| looks - at > LOOKS as u64) {
                changes.pop_front();
            }
            if changes.len() >= CHANGES_MIN {
                let what = format!("its hardware address changed {} times, now {hardware}", changes.len());
                found.insert(address.to_owned(), what);
            }
        }
        if self.neighbours.len() > NEIGHBOURS_MAX {
            self.neighbours.retain(|_, (_, changes)| !changes.is_empty());
        }
        found
    }
}

/// What the driver says of the speed; virtual links have none.
fn slower(link: &str, want: u32) -> Option<String> {
    let speed: i64 = read_once(format!("/sys/class/net/{link}/speed")).ok()?.trim().parse().ok()?;
    (speed > 0 && speed < i64::from(want)).then(|| format!("{speed} Mbit/s instead of {want}"))
}

/// Packets and errors of both directions.
fn counters(dev: &str, link: &str) -> Option<(u64, u64)> {
    let line = dev.lines().find_map(|l| l.trim_start().strip_prefix(link)?.strip_prefix(':'))?;
    let numbers: Vec<u64> = line.split_ascii_whitespace().filter_map(|w| w.parse().ok()).collect();
    let at = |i: usize| numbers.get(i).copied().unwrap_or(0);
    Some((at(1) + at(9), at(2) + at(10) + at(14)))
}

/// Neighbours that have answered, with their hardware addresses.
fn neighbours(arp: &str) -> impl Iterator<Item = (&str, &str)> {
    arp.lines().skip(1).filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (address, hardware) = (words.next()?, words.nth(2)?);
        (hardware != "00:00:00:00:00:00").then_some((address, hardware))
    })
}

fn dad_failed(if_inet6: &str) -> impl Iterator<Item = String> {
    if_inet6.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [address, _, _, _, flags, ..] = words.as_slice() else { return None };
        let failed = u32::from_str_radix(flags, 16).ok()? & DAD_FAILED != 0;
        failed.then(|| six(address).map(|a| a.to_string()))?
    })
}

fn has_route(tables: &Tables, route: &Route) -> bool {
    let same = |to: IpAddr, prefix: u8, via: IpAddr, dev: &str| {
        to == route.to.address
            && prefix == route.to.prefix
            && route.via.is_none_or(|want| want == via)
            && route.dev.as_deref().is_none_or(|want| want == dev)
    };
    if route.to.address.is_ipv4() {
        tables
            .route
            .lines()
            .skip(1)
            .filter_map(four_line)
            .any(|(to, prefix, via, dev)| same(to, prefix, via, dev))
    } else {
        tables.route6.lines().filter_map(six_line).any(|(to, prefix, via, dev)| same(to, prefix, via, dev))
    }
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask …`, addresses as the machine stores them.
fn four_line(line: &str) -> Option<(IpAddr, u8, IpAddr, &str)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [dev, to, via, flags, _, _, _, mask, ..] = words.as_slice() else { return None };
    let flags = u32::from_str_radix(flags, 16).ok()?;
    let bytes = |hex: &str| u32::from_str_radix(hex, 16).ok().map(u32::to_ne_bytes);
    let prefix = u8::try_from(u32::from_be_bytes(bytes(mask)?).count_ones()).ok()?;
    let usable = flags & ROUTE_UP != 0 && flags & ROUTE_REJECT == 0;
    usable.then_some((Ipv4Addr::from(bytes(to)?).into(), prefix, Ipv4Addr::from(bytes(via)?).into(), *dev))
}

/// `destination prefix source prefix gateway metric refs use flags device`.
fn six_line(line: &str) -> Option<(IpAddr, u8, IpAddr, &str)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [to, prefix, _, _, via, _, _, _, flags, dev] = words.as_slice() else { return None };
    let flags = u32::from_str_radix(flags, 16).ok()?;
    let usable = flags & ROUTE_UP != 0 && flags & ROUTE_REJECT == 0;
    usable.then_some((six(to)?.into(), u8::from_str_radix(prefix, 16).ok()?, six(via)?.into(), *dev))
}

fn six(hex: &str) -> Option<Ipv6Addr> {
    (hex.len() == 32).then(|| u128::from_str_radix(hex, 16).ok().map(Ipv6Addr::from))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use wellkept_model::keep::{AddressRange, NetworkWanted};

    /// A namespace with two ends of one link, taken away at the end.
    struct Space(String);

    impl Space {
        fn new() -> Self {
            let name = format!("wk-roads-{}", std::process::id());
            let space = Self(name);
            space.run(&format!("ip netns add {}", space.0));
            space.ip("link add name a type veth peer name b");
            space.ip("addr add 10.9.0.2/24 dev a");
            space.ip("link set dev a up");
            space.ip("link set dev b up");
            space
        }

        fn run(&self, line: &str) {
            let done = std::process::Command::new("sh").args(["-c", line]).output().expect("sh is there");
            assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
        }

        fn ip(&self, words: &str) {
            self.run(&format!("ip -n {} {words}", self.0));
        }
    }

    impl Drop for Space {
        fn drop(&mut self) {
            self.run(&format!("ip netns del {}", self.0));
        }
    }

    fn route(to: &str, via: Option<&str>, dev: Option<&str>) -> Route {
        Route {
            to: AddressRange::parse(to).expect("a range"),
            via: via.map(|v| v.parse().expect("an address")),
            dev: dev.map(str::to_owned),
        }
    }

    #[test]
    fn routes_and_sizes_are_read_inside_the_namespace() {
        let space = Space::new();
        let wanted = NetworkWanted {
            routes: vec![
                route("10.9.0.0/24", None, Some("a")),
                route("10.77.0.0/16", Some("10.9.0.1"), Some("a")),
                route("0.0.0.0/0", Some("10.9.0.1"), None),
            ],
            mtu: [("a".to_owned(), 1500)].into(),
            ..NetworkWanted::default()
        };
        let declared = Network {
            name: "n".into(),
            namespace: Some(space.0.clone()),
            links: [("a".to_owned(), None)].into(),
            rules: None,
            carries: vec![],
            may: vec![],
            wanted,
        };
        let (mut past, mut links) = (Past::default(), Links::new(Some(&space.0)));
        let mut look = || past.look(&declared, &mut links, TimestampMs(1));
        let both = ["10.77.0.0/16 via 10.9.0.1 dev a", "0.0.0.0/0 via 10.9.0.1"];
        assert_eq!(look().routes_missing, both);
        space.ip("route add 10.77.0.0/16 via 10.9.0.1 dev a");
        space.ip("route add default via 10.9.0.3");
        let seen = look();
        assert_eq!(
            (seen.routes_missing.as_slice(), seen.mtu.len()),
            (&[both[1].to_owned()][..], 0),
            "another way"
        );
        space.ip("route replace default via 10.9.0.1");
        space.ip("link set dev a mtu 1400");
        let seen = look();
        assert!(seen.routes_missing.is_empty());
        assert_eq!(seen.mtu["a"], 1400);
        assert!(seen.degraded.is_empty() && seen.conflicts.is_empty() && seen.problem.is_none());
    }

    #[test]
    fn routes_of_version_six_are_read_as_well() {
        let line = "20010db8000000000000000000000000 20 00000000000000000000000000000000 00 \
                    fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0";
        let tables = Tables { route6: line.to_owned(), ..Tables::default() };
        assert!(has_route(&tables, &route("2001:db8::/32", Some("fe80::1"), Some("eth0"))));
        assert!(!has_route(&tables, &route("2001:db8::/32", Some("fe80::2"), None)));
    }

    #[test]
    fn errors_count_by_their_share_of_the_last_minute() {
        let dev = |packets: u64, errors: u64| {
            format!("head\n  eth0: 1 {packets} {errors} 0 0 0 0 0 1 0 0 0 0 0 0 0\n")
        };
        let mut past = Past::default();
        assert_eq!(past.errors("eth0", &dev(1000, 500)), None, "that was before us");
        assert_eq!(past.errors("eth0", &dev(9000, 510)), None);
        assert!(past.errors("eth0", &dev(10_000, 600)).is_some_and(|w| w.starts_with("100 errors")));
        assert_eq!(past.errors("eth1", &dev(1, 1)), None);
    }

    #[test]
    fn an_address_that_wanders_between_two_machines_is_a_conflict_and_one_that_moved_is_not() {
        let arp = |hardware: &str| {
            format!("IP address HW type Flags HW address Mask Device\n10.0.0.1 0x1 0x2 {hardware} * eth0\n")
        };
        let (a, b) = ("02:00:00:00:00:01", "02:00:00:00:00:02");
        let mut past = Past::default();
        let mut look = |hardware: &str| {
            past.looks += 1;
            past.conflicts(&Tables { arp: arp(hardware), ..Tables::default() }).len()
        };
        assert_eq!([look(a), look(b), look(b)], [0, 0, 0], "it was replaced");
        assert_eq!([look(a), look(b)], [0, 1]);
        let taken = "fd000000000000000000000000000001 02 40 00 88 eth0\nfd000000000000000000000000000002 02 40 00 80 eth0\n";
        assert_eq!(dad_failed(taken).collect::<Vec<_>>(), ["fd00::1"]);
    }
}
