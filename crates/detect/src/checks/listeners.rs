//! Listening sockets against the declared ones: strangers, and ports of services that somebody else holds.
//!
//! Without a section `listeners` nothing is judged: only an operator knows what may listen on a host. What listens
//! becomes no part of any baseline by itself.

use std::collections::{BTreeMap, BTreeSet};

use wellkept_model::keep::{Keep, Service};
use wellkept_model::observe::{ListenerSeen, Observation};
use wellkept_model::{EntityId, EntityKind, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// How long a stranger must listen, milliseconds: programs try a port and let it go.
const HOLD_MS: u64 = 1000;
/// Programs take ports from here on for a short time, without anybody having chosen them (Linux's usual range).
const EPHEMERAL_FROM: u16 = 32_768;

/// Remembers which processes a service had last: those that outlive their main process may go on holding its port.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    members: BTreeMap<String, BTreeSet<u32>>,
}

impl Ports {
    pub(crate) fn check(&mut self, keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
        self.members.retain(|name, _| round.seen.services.contains_key(name));
        for (name, service) in round.seen.services.iter().filter(|(_, s)| !s.processes.is_empty()) {
            let pids = service.processes.iter().map(|p| p.pid).collect();
            self.members.insert(name.clone(), pids);
        }
        let mut found = taken(keep, round, &self.members);
        found.extend(strangers(keep, round));
        found
    }
}

fn strangers(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(declared) = &keep.listeners {
        let own = std::process::id();
        let unknown = round.seen.listeners.iter().filter(|l| l.pid != Some(own)).filter_map(|listener| {
            let address: std::net::SocketAddr = listener.address.parse().ok()?;
            let allowed = declared
                .allow
                .iter()
                .any(|a| a.port == address.port() && a.ip.is_none_or(|ip| ip == address.ip()));
            let of_service = keep.services.values().any(|s| covers(s, address));
            // A client's socket looks like a listening one in UDP; a chosen port shows that it is none.
            let chosen = listener.protocol == "tcp" || address.port() < EPHEMERAL_FROM;
            (!allowed && !of_service && chosen).then(|| stranger(listener, address, round))
        });
        found.extend(unknown);
    }
    found
}

/// A declared `0.0.0.0:80` stands for the port on every address.
fn covers(service: &Service, address: std::net::SocketAddr) -> bool {
    let same = |d: &std::net::SocketAddr| {
        d.port() == address.port() && (d.ip() == address.ip() || d.ip().is_unspecified())
    };
    service.listens.iter().any(same)
}

fn stranger(listener: &ListenerSeen, address: std::net::SocketAddr, round: &Round<'_>) -> Finding {
    let name = format!("{} {}", listener.protocol, listener.address);
    let entity = EntityId::new(EntityKind::Listener, name);
    // On the loopback of this host at a port that nobody chose: programs talk to themselves so.
    let private = address.ip().is_loopback() && address.port() >= EPHEMERAL_FROM;
    let severity = if private { Severity::Info } else { Severity::Warning };
    let mut f = finding(entity, FindingKind::ListenerUnexpected, "", severity, round.now, round.now);
    f.hold_ms = HOLD_MS;
    let (pid, comm, user) = who(listener);
    f.text = f.text.with("comm", &comm).with("user", &user);
    f.evidence.push(seen_at(
        round.now,
        Text::new("evidence.listener")
            .with("name", &listener.address)
            .with("pid", pid)
            .with("comm", comm)
            .with("user", user),
    ));
    f
}

fn who(listener: &ListenerSeen) -> (String, String, String) {
    let pid = listener.pid.map_or_else(|| "?".to_owned(), |p| p.to_string());
    let holder = listener.holder.as_ref();
    let text = |t: Option<&String>| t.cloned().unwrap_or_else(|| "?".to_owned());
    (pid, text(holder.map(|h| &h.comm)), text(holder.map(|h| &h.user)))
}

/// A service that does not work while another process listens where it should.
fn taken(keep: &Keep, round: &Round<'_>, members: &BTreeMap<String, BTreeSet<u32>>) -> Vec<Finding> {
    let mut found = Vec::new();
    for service in keep.services.values().filter(|s| is_ill(s, round.seen)) {
        let ours = members.get(&service.name);
        for listener in round.seen.listeners.iter().filter(|l| l.protocol == "tcp") {
            let Some(holder) = &listener.holder else { continue };
            let Ok(address) = listener.address.parse::<std::net::SocketAddr>() else { continue };
            let blocks = service.listens.iter().any(|d| {
                d.port() == address.port()
                    && (d.ip() == address.ip() || address.ip().is_unspecified() || d.ip().is_unspecified())
            });
            // The first process holds sockets for others (socket activation).
            let is_other =
                holder.process.pid > 1 && ours.is_none_or(|ours| !ours.contains(&holder.process.pid));
            if blocks && is_other && last_main(service, round.seen) != Some(holder.process.pid) {
                found.push(held(service, listener, round));
            }
        }
    }
    found
}

/// The process that was the service's until now: it may still hold its port for a moment.
fn last_main(service: &Service, seen: &Observation) -> Option<u32> {
    seen.services.get(&service.name)?.last_end.as_ref().map(|e| e.pid)
}

fn is_ill(service: &Service, seen: &Observation) -> bool {
    let gone = seen.services.get(&service.name).is_some_and(|s| s.processes.is_empty());
    gone || seen.health.iter().any(|h| h.service == service.name && h.failure.is_some())
}

fn held(service: &Service, listener: &ListenerSeen, round: &Round<'_>) -> Finding {
    let entity = EntityId::service(&service.name);
    let mut f =
        finding(entity, FindingKind::PortTaken, &listener.address, Severity::Critical, round.now, round.now);
    f.hold_ms = HOLD_MS;
    let (pid, comm, user) = who(listener);
    f.text = f.text.with("address", &listener.address).with("comm", &comm);
    f.evidence.push(seen_at(
        round.now,
        Text::new("evidence.listener")
            .with("name", &listener.address)
            .with("pid", pid)
            .with("comm", comm)
            .with("user", user),
    ));
    f
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{World, ended, listener};
    use wellkept_model::FindingKind;
    use wellkept_model::keep::{AllowedListener, Listeners};
    use wellkept_model::observe::Exit;

    fn world() -> World {
        let mut w = World::new(&["app"]);
        w.keep.services.get_mut("app").expect("declared").listens =
            vec!["127.0.0.1:9000".parse().expect("one")];
        let allow = vec![AllowedListener { ip: None, port: 22 }];
        w.keep.listeners = Some(Listeners { allow, isolate: true });
        w.up("app", 1);
        w
    }

    #[test]
    fn only_what_nobody_declares_is_a_stranger() {
        let mut w = world();
        for (address, expected) in [
            ("127.0.0.1:9000", false),
            ("0.0.0.0:22", false),
            ("0.0.0.0:31337", true),
            ("[::]:31337", true),
            ("10.0.0.1:9000", true),
        ] {
            w.seen.listeners = vec![listener("tcp", address, 77)];
            assert_eq!(w.kinds() == [FindingKind::ListenerUnexpected], expected, "{address}");
        }
    }

    #[test]
    fn without_the_section_nothing_is_judged_and_we_never_accuse_ourselves() {
        let mut w = world();
        w.seen.listeners = vec![listener("tcp", "0.0.0.0:7676", std::process::id())];
        assert!(w.kinds().is_empty());
        w.keep.listeners = None;
        w.seen.listeners = vec![listener("tcp", "0.0.0.0:31337", 77)];
        assert!(w.kinds().is_empty());
    }

    #[test]
    fn a_client_socket_of_udp_is_no_listener() {
        let mut w = world();
        w.seen.listeners = vec![listener("udp", "0.0.0.0:41234", 77)];
        assert!(w.kinds().is_empty());
        w.seen.listeners = vec![listener("udp", "0.0.0.0:5353", 77)];
        assert_eq!(w.kinds(), [FindingKind::ListenerUnexpected]);
    }

    #[test]
    fn a_worker_that_outlives_its_master_is_no_stranger_on_its_port() {
        let mut w = world();
        w.kinds();
        w.seen.listeners = vec![listener("tcp", "127.0.0.1:9000", 1)];
        w.down("app", ended(5, Exit::Signal(9)));
        assert!(!w.kinds().contains(&FindingKind::PortTaken));
        w.seen.listeners = vec![listener("tcp", "127.0.0.1:9000", 77)];
        assert!(w.kinds().contains(&FindingKind::PortTaken));
    }

    #[test]
    fn a_port_is_taken_only_while_its_service_does_not_work() {
        let mut w = world();
        w.seen.listeners = vec![listener("tcp", "127.0.0.1:9000", 77)];
        assert!(w.kinds().is_empty(), "it may be handed on by a parent of its own");
        w.health("app", Some("status 404"), 1);
        assert_eq!(w.kinds(), [FindingKind::PortTaken]);
        w.down("app", ended(5, Exit::Code(1)));
        assert!(w.kinds().contains(&FindingKind::PortTaken));
        w.seen.listeners = vec![listener("tcp", "127.0.0.1:9000", 5)];
        assert!(!w.kinds().contains(&FindingKind::PortTaken), "its own last process lets go in a moment");
    }
}
