//! Which incident a new finding belongs to.
//!
//! A finding joins an open incident when it is about the same entity, when one leans on the other, or when both
//! are services that need the same one and fell ill at about the same time. Sharing a host is not enough.

use std::time::Duration;

use wellkept_model::{
    EntityId, EntityKind, Finding, FindingKind, Incident, IncidentStatus, TimestampMs, Topology,
};

/// Two findings with a shared dependency join when they begin within this time of each other.
const TOGETHER: Duration = Duration::from_secs(30);
/// A finding joins what leans on it, or what it leans on, when they begin within this time of each other: a
/// later illness of a neighbour is a story of its own.
const JOIN_WINDOW: Duration = Duration::from_secs(300);

/// True when the finding belongs to this incident.
pub(crate) fn joins(finding: &Finding, incident: &Incident, topology: &Topology) -> bool {
    if incident.status == IncidentStatus::Resolved {
        return false;
    }
    incident.findings.iter().any(|other| related(finding, other, topology))
}

fn related(a: &Finding, b: &Finding, topology: &Topology) -> bool {
    let (x, y) = (&a.key.entity, &b.key.entity);
    let apart = distance(a.since, b.since);
    if x == y {
        return true;
    }
    if is_one_offence(a, b) || is_one_offence(b, a) || is_in_circle(a, b) || is_in_circle(b, a) {
        return true;
    }
    if x.kind == EntityKind::Network && y.kind == EntityKind::Network {
        // Two ends of one link are often in two namespaces.
        return apart <= TOGETHER;
    }
    if x.kind == EntityKind::Host || y.kind == EntityKind::Host {
        return false;
    }
    let (below_x, below_y) = (topology.leans_on(x), topology.leans_on(y));
    if below_x.contains_key(y) || below_y.contains_key(x) {
        return apart <= JOIN_WINDOW;
    }
    let shared = |e: &&EntityId| e.kind == EntityKind::Service && below_y.contains_key(*e);
    apart <= TOGETHER && below_x.keys().any(|e| shared(&e))
}

/// A login that succeeded, and the attempts before it from the same address.
fn is_one_offence(login: &Finding, attempts: &Finding) -> bool {
    login.key.kind == FindingKind::LoginSuspicious
        && attempts.key.kind == FindingKind::LoginsFailing
        && login.key.subject == attempts.key.entity.name
}

/// Services that wait for each other, and what is wrong with any of them.
fn is_in_circle(circle: &Finding, other: &Finding) -> bool {
    circle.key.kind == FindingKind::WaitingInCircle
        && other.key.entity.kind == EntityKind::Service
        && circle.key.subject.split(',').any(|name| name == other.key.entity.name)
}

fn distance(a: TimestampMs, b: TimestampMs) -> Duration {
    a.since(b).max(b.since(a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{finding, incident};

    fn about(kind: FindingKind, entity: EntityId, subject: &str) -> Finding {
        let mut found = finding("a", kind);
        (found.key.entity, found.key.subject) = (entity, subject.to_owned());
        found
    }

    #[test]
    fn a_login_joins_the_attempts_from_its_own_address_only() {
        let address = |a: &str| about(FindingKind::LoginsFailing, EntityId::new(EntityKind::Address, a), "");
        let ann = EntityId::new(EntityKind::Account, "ann");
        let login = about(FindingKind::LoginSuspicious, ann, "203.0.113.9");
        let joined = |a: &str| joins(&login, &incident(vec![address(a)]), &Topology::default());
        assert_eq!([joined("203.0.113.9"), joined("203.0.113.8")], [true, false]);
        assert!(joins(&address("203.0.113.9"), &incident(vec![login.clone()]), &Topology::default()));
    }

    #[test]
    fn whoever_waits_in_a_circle_joins_what_is_wrong_with_the_others_in_it() {
        let circle = about(FindingKind::WaitingInCircle, EntityId::service("a"), "a,b");
        let ill = |name: &str| about(FindingKind::HealthFailing, EntityId::service(name), "http");
        let none = Topology::default();
        assert!(joins(&circle, &incident(vec![ill("b")]), &none));
        assert!(joins(&ill("b"), &incident(vec![circle.clone()]), &none));
        assert!(!joins(&circle, &incident(vec![ill("c")]), &none));
    }
}
