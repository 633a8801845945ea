//! A service runs, but nobody listens any more where it should, and somebody goes on asking.
//!
//! Three things together: an address of the service that was listened on during the life of this very process (one that
//! has not come so far may be slow to start, and one that never does may live in another network namespace, which is not
//! ours to see), nobody there now, and connections that are refused on this host, for longer than a service takes to end
//! its last requests before it stops. A process that is gone is another matter, and so is a port that was taken.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use wellkept_model::keep::{Keep, Service};
use wellkept_model::observe::ListenerSeen;
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_in};
use crate::Round;

/// Fewest refusals in a second that are somebody's trouble.
const RATE_MIN: f64 = 0.3;
/// How long it must last, milliseconds.
const HOLD_MS: u64 = 30_000;
/// Those who need it that are named.
const NAMED_MAX: usize = 5;

/// Remembers where each service listened, and the main process that did.
#[derive(Debug, Default)]
pub(crate) struct Refusing {
    listened: BTreeMap<(String, SocketAddr), u32>,
}

impl Refusing {
    pub(crate) fn check(&mut self, keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
        self.listened.retain(|(name, at), _| keep.services.get(name).is_some_and(|s| s.listens.contains(at)));
        if round.seen.problems.iter().any(|p| p.collector == "sockets") {
            return Vec::new();
        }
        let mut found = Vec::new();
        for service in keep.services.values() {
            let main = round.seen.services.get(&service.name).and_then(|s| s.processes.first());
            let Some(main) = main.filter(|p| !matches!(p.state, 'T' | 't' | 'Z')) else { continue };
            for address in &service.listens {
                let key = (service.name.clone(), *address);
                if round.seen.listeners.iter().any(|l| answers_for(l, *address)) {
                    self.listened.insert(key, main.pid);
                } else if self.listened.get(&key) == Some(&main.pid) {
                    found.extend(judge(service, *address, keep, round));
                }
            }
        }
        found
    }
}

fn judge(service: &Service, address: SocketAddr, keep: &Keep, round: &Round<'_>) -> Option<Finding> {
    let rate = round.seen.local.refused.filter(|rate| *rate >= RATE_MIN)?;
    let entity = EntityId::service(&service.name);
    let (kind, subject) = (FindingKind::ConnectionsRefused, address.to_string());
    let mut f = finding(entity, kind, &subject, Severity::Critical, round.now, round.now);
    let needed_by = keep.services.values().filter(|s| s.depends_on.contains(&service.name));
    let names: Vec<&str> = needed_by.map(|s| s.name.as_str()).take(NAMED_MAX).collect();
    let by = if names.is_empty() { "-".to_owned() } else { names.join(", ") };
    f.hold_ms = HOLD_MS;
    f.text = f.text.with("address", &subject).with("by", &by);
    let text = Text::new("evidence.connections_refused")
        .with("rate", format!("{rate:.1}"))
        .with("address", &subject)
        .with("by", by);
    f.evidence.push(seen_in(round.now, text, "rate(node_netstat_Tcp_OutRsts[1m])".to_owned()));
    Some(f)
}

/// True when what listens there takes connections to this address.
fn answers_for(listener: &ListenerSeen, address: SocketAddr) -> bool {
    listener.protocol == "tcp"
        && listener.address.parse::<SocketAddr>().is_ok_and(|at| {
            let wide = at.ip().is_unspecified() || address.ip().is_unspecified();
            at.port() == address.port() && (wide || at.ip().to_canonical() == address.ip().to_canonical())
        })
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{World, listener};
    use wellkept_model::FindingKind;
    use wellkept_model::observe::CollectProblem;

    const REFUSED: [FindingKind; 1] = [FindingKind::ConnectionsRefused];

    /// `cache`, on which `app` leans, has listened and does so no more; connections are refused.
    fn away() -> World {
        let mut w = World::new(&["app", "cache"]);
        let listens = vec!["127.0.0.1:6379".parse().expect("an address")];
        w.keep.services.get_mut("cache").expect("declared").listens = listens;
        w.keep.services.get_mut("app").expect("declared").depends_on = vec!["cache".to_owned()];
        w.up("app", 1);
        w.up("cache", 2);
        w.seen.listeners = vec![listener("tcp", "127.0.0.1:6379", 2)];
        assert!(w.kinds().is_empty());
        w.seen.listeners.clear();
        w.seen.local.refused = Some(2.0);
        w.advance(20_000);
        w
    }

    #[test]
    fn one_that_runs_and_listens_no_more_is_found_with_those_who_need_it() {
        let mut w = away();
        let found = w.findings();
        assert_eq!(found.iter().map(|f| f.key.kind).collect::<Vec<_>>(), REFUSED);
        assert_eq!(found[0].key.subject, "127.0.0.1:6379");
        assert_eq!(found[0].text.arg("by"), Some("app"));
        w.seen.listeners = vec![listener("tcp", "[::]:6379", 2)];
        assert!(w.kinds().is_empty(), "a wider address takes them as well");
    }

    #[test]
    fn without_refusals_and_for_a_process_that_has_not_listened_yet_nothing_is_said() {
        let mut w = away();
        w.seen.local.refused = Some(0.2);
        assert!(w.kinds().is_empty(), "nobody asks");
        w.seen.local.refused = None;
        assert!(w.kinds().is_empty());
        let mut w = away();
        assert_eq!(w.kinds(), REFUSED);
        w.seen.services.get_mut("cache").expect("up").processes.clear();
        assert!(!w.kinds().contains(&REFUSED[0]), "its end is a finding of its own");
        w.up("cache", 3);
        w.advance(60_000);
        assert!(w.kinds().is_empty(), "one that takes long to start");
        let mut w = away();
        let problem = CollectProblem { collector: "sockets".to_owned(), message: "x".to_owned() };
        w.seen.problems.push(problem);
        assert!(w.kinds().is_empty(), "who listens could not be read");
    }

    #[test]
    fn what_never_listened_where_we_can_see_it_is_not_judged() {
        let mut w = World::new(&["db"]);
        let listens = vec!["10.9.1.2:5432".parse().expect("an address")];
        w.keep.services.get_mut("db").expect("declared").listens = listens;
        w.up("db", 2);
        w.seen.local.refused = Some(9.0);
        w.advance(60_000);
        assert!(w.kinds().is_empty());
    }
}
