//! Looks at declared links, and at how many segments must be sent again in their namespace.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use wellkept_model::TimestampMs;
use wellkept_model::keep::Network;
use wellkept_model::observe::{LinkSeen, NetworkSeen};

use super::Shared;
use super::netlink::Links;
use crate::{beat, clock};

/// How often; a look costs a few calls of the kernel.
const EVERY: Duration = Duration::from_secs(1);
/// Looks over which segments that were sent again are counted.
const WINDOW: usize = 6;
/// From here on it is worth to look at the packet filter.
const RESENT_COUNT_MIN: u64 = 2;
const RESENT_MIN: f64 = 0.02;
/// Downs that are remembered per link.
const DOWNS_MAX: usize = 10;

pub(super) async fn watch(shared: Shared, declared: Network) {
    let mut links = Links::new(declared.namespace.as_deref());
    let mut seen_links: BTreeMap<String, LinkSeen> = BTreeMap::new();
    let mut counters: VecDeque<(u64, u64)> = VecDeque::new();
    let mut of_pid = None;
    let mut queue_differed = false;
    loop {
        let at = clock::wall();
        let mut problem = None;
        for name in declared.links.keys() {
            match links.ask(name) {
                Ok(found) => look(seen_links.entry(name.clone()).or_default(), found, at),
                Err(e) => problem = Some(format!("{name}: {e}")),
            }
        }
        let pid = shared.pid_of(&declared.carries);
        if of_pid != pid {
            (of_pid, counters) = (pid, VecDeque::new());
        }
        if declared.namespace.is_none() || pid.is_some() {
            let table = pid.filter(|_| declared.namespace.is_some());
            let path = table.map_or("/proc/self/net/snmp".to_owned(), |p| format!("/proc/{p}/net/snmp"));
            counters.extend(std::fs::read_to_string(path).ok().and_then(|t| segments(&t)));
            if counters.len() > WINDOW {
                counters.pop_front();
            }
        }
        let (resent_count, resent) = share(&counters);
        let queue_differs = declared.links.iter().any(|(link, want)| {
            want.as_ref().is_some_and(|w| seen_links.get(link).is_some_and(|l| l.exists && l.queue != *w))
        });
        if queue_differs && !queue_differed || resent_count >= RESENT_COUNT_MIN && resent >= RESENT_MIN {
            shared.look_closely();
        }
        queue_differed = queue_differs;
        let links_seen = seen_links.clone();
        shared.with_network(&declared.name, |n| {
            *n = NetworkSeen { at, links: links_seen, resent, resent_count, problem, ..std::mem::take(n) };
        });
        beat::wait(EVERY).await;
    }
}

fn look(seen: &mut LinkSeen, found: Option<super::netlink::Link>, at: TimestampMs) {
    let was_up = seen.exists && seen.up;
    let found_exists = found.is_some();
    let link = found.unwrap_or_default();
    if was_up && !link.up {
        seen.downs.push(at);
        if seen.downs.len() > DOWNS_MAX {
            seen.downs.remove(0);
        }
    }
    (seen.exists, seen.up, seen.carrier, seen.queue) = (found_exists, link.up, link.carrier, link.queue);
}

/// Segments sent and sent again, of the `Tcp:` lines.
fn segments(snmp: &str) -> Option<(u64, u64)> {
    let mut lines = snmp.lines().filter(|l| l.starts_with("Tcp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let value = |name: &str| {
        let at = names.split_whitespace().position(|n| n == name)?;
        values.split_whitespace().nth(at)?.parse::<u64>().ok()
    };
    Some((value("OutSegs")?, value("RetransSegs")?))
}

/// How many segments of the window were sent again, and which share of all.
fn share(counters: &VecDeque<(u64, u64)>) -> (u64, f64) {
    let (Some(first), Some(last)) = (counters.front(), counters.back()) else { return (0, 0.0) };
    let (out, again) = (last.0.saturating_sub(first.0), last.1.saturating_sub(first.1));
    #[expect(clippy::cast_precision_loss, reason = "a share of a few seconds")]
    let share = again as f64 / (out + again).max(1) as f64;
    (again, share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_read_by_the_names_of_the_kernel() {
        let snmp = "Ip: A\nIp: 1\nTcp: InSegs OutSegs RetransSegs\nTcp: 5 70 3\n";
        assert_eq!(segments(snmp), Some((70, 3)));
        assert_eq!(segments("Tcp: OutSegs\n"), None);
    }

    #[test]
    fn the_share_is_that_of_the_window() {
        let counters = [(1000, 100), (1050, 104), (1090, 110)].into();
        assert_eq!(share(&counters), (10, 0.1));
        assert_eq!(share(&VecDeque::new()), (0, 0.0));
    }

    #[test]
    fn a_link_that_goes_down_is_remembered_and_one_that_never_was_up_is_not() {
        let up = || {
            Some(super::super::netlink::Link {
                up: true,
                carrier: true,
                ..super::super::netlink::Link::default()
            })
        };
        let down = || Some(super::super::netlink::Link::default());
        let mut seen = LinkSeen::default();
        for (at, found) in [(1, down()), (2, up()), (3, down()), (4, down()), (5, up()), (6, None)] {
            look(&mut seen, found, TimestampMs(at));
        }
        assert_eq!(seen.downs, [TimestampMs(3), TimestampMs(6)]);
        assert!(!seen.exists);
    }
}
