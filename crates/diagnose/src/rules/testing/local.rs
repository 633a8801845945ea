//! Statements about faults of this host.

use wellkept_model::local::{ConsumerSeen, CrowdSeen, ReleaseSeen, SwarmSeen, TasksSeen};
use wellkept_model::observe::{HolderSeen, ListenerSeen};
use wellkept_model::{
    Change, ChangeId, ChangeKind, EntityId, EntityKind, FileOrigin, FindingKind, ProcessRef,
};

use super::{change, find, sec};
use crate::Situation;

pub(super) fn apply(s: &mut Situation, words: &[&str]) {
    match words {
        [pid, "of", user, "holds", address, "of", a] => {
            find(s, EntityId::service(*a), FindingKind::PortTaken, address, None);
            let process = ProcessRef { pid: pid.parse().unwrap(), start_ticks: 5 };
            let holder = HolderSeen { process, comm: "python3".to_owned(), user: (*user).to_owned() };
            let (protocol, address) = ("tcp".to_owned(), (*address).to_owned());
            let (pid, holder) = (Some(process.pid), Some(holder));
            s.seen.listeners.push(ListenerSeen { protocol, address, uid: 1001, pid, holder });
        }
        ["a", "stranger", "listens", "on", address] => {
            let entity = EntityId::new(EntityKind::Listener, format!("tcp/{address}"));
            find(s, entity, FindingKind::ListenerUnexpected, "", None);
        }
        [a, "released", release, "after", before, "at", at] => {
            let (target, before) = ((*release).to_owned(), Some((*before).to_owned()));
            let release = ReleaseSeen { target, since: sec(at), before };
            s.seen.local.releases.insert((*a).to_owned(), release);
        }
        [a, "is", "at", release] => {
            let release = ReleaseSeen { target: (*release).to_owned(), since: sec("100"), before: None };
            s.seen.local.releases.insert((*a).to_owned(), release);
        }
        [release, "after", before, "recorded", "at", at] => s.changes.push(Change {
            id: ChangeId((*at).to_owned()),
            at: sec(at),
            who: "ann".to_owned(),
            kind: ChangeKind::Release,
            what: "/srv/app/current".to_owned(),
            before: (*before).to_owned(),
            after: (*release).to_owned(),
        }),
        [a, "unsteady"] => find(s, EntityId::service(*a), FindingKind::HealthUnsteady, "http", None),
        [a, "leaks", "memory"] => find(s, EntityId::service(*a), FindingKind::MemoryRising, "", None),
        [a, "leaks", "descriptors"] => {
            find(s, EntityId::service(*a), FindingKind::FdsRising, "", Some(sec("100")))
        }
        [a, "leaves", "children"] => find(s, EntityId::service(*a), FindingKind::ZombiesRising, "9", None),
        [a, "holds", "deleted", path] => find(s, EntityId::service(*a), FindingKind::DeletedOpen, path, None),
        [a, "has", "no", "pids", "of", limit] => {
            let limits = &mut s.seen.services.entry((*a).to_owned()).or_default().limits;
            (limits.pids, limits.pids_group) = (Some(limit.parse().unwrap()), Some("/x".to_owned()));
            find(s, EntityId::service(*a), FindingKind::PidsExhausted, "", None);
        }
        ["host", "has", "no", "tasks", "of", limit] => {
            let limit = limit.parse().unwrap();
            s.seen.local.tasks = Some(TasksSeen { used: limit, limit });
            find(s, EntityId::host("h"), FindingKind::PidsExhausted, "", None);
        }
        _ => processes(s, words),
    }
}

fn processes(s: &mut Situation, words: &[&str]) {
    match words {
        [count, comm, "of", user, "in", "session", session] => {
            let crowd = CrowdSeen {
                session: session.parse().unwrap(),
                uid: 1001,
                user: (*user).to_owned(),
                comm: (*comm).to_owned(),
                count: count.parse().unwrap(),
                of_service: false,
                group: "/x".to_owned(),
            };
            s.seen.local.table.get_or_insert_default().crowds.push(crowd);
        }
        [count, comm, "of", user, "since", ticks, "in", group] => {
            let first_ticks = ticks.parse().unwrap();
            swarm(s, SwarmSeen { first_ticks, ..swarm_of(count, comm, user, group) });
        }
        [count, comm, "of", user, "alone", "in", group] => {
            swarm(s, SwarmSeen { alone: true, ..swarm_of(count, comm, user, group) });
        }
        [comm, "of", user, "takes", cores, "processors"] => {
            find(s, EntityId::host("h"), FindingKind::CpuContended, "", None);
            let consumers = &mut s.seen.local.table.get_or_insert_default().consumers;
            let consumer = ConsumerSeen {
                process: ProcessRef { pid: 7 + consumers.len() as u32, start_ticks: 5 },
                comm: (*comm).to_owned(),
                user: (*user).to_owned(),
                nice: 0,
                service: None,
                cores: cores.parse().unwrap(),
            };
            consumers.push(consumer);
        }
        ["a", "file", "of", a, "differs", "from", "its", "manifest"] => {
            change(s, a, sec("100"), Some("bb".to_owned()));
            let path = format!("/srv/{a}/releases/1/a");
            if let (Some(change), Some(finding)) = (s.file_changes.last_mut(), s.findings.last_mut()) {
                (change.origin, change.path) = (FileOrigin::Release, path.clone());
                finding.key.subject = path;
            }
        }
        _ => panic!("no such statement: {words:?}"),
    }
}

fn swarm_of(count: &str, comm: &str, user: &str, group: &str) -> SwarmSeen {
    SwarmSeen {
        uid: 1001,
        user: user.to_owned(),
        comm: comm.to_owned(),
        count: count.parse().unwrap(),
        first_ticks: 1,
        of_service: false,
        group: group.to_owned(),
        alone: false,
    }
}

fn swarm(s: &mut Situation, swarm: SwarmSeen) {
    s.seen.local.table.get_or_insert_default().swarms.push(swarm);
}
