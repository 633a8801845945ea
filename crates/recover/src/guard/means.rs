//! What the sections of the keep file about networks, databases, credentials, backups and dependencies allow.
//!
//! A step by declared means is allowed by the section that declares them and by nothing else: what a service may do with
//! its own files says nothing about its sessions or its migrations.

use std::path::Path;

use wellkept_model::keep::Keep;
use wellkept_model::{ActionKind, EntityId, EntityKind, Means, PlannedAction};

/// Whether the step may be done without asking. `None`: it is no step by declared means.
pub(super) fn allowed(step: &PlannedAction, keep: &Keep) -> Option<bool> {
    let name = &step.target.name;
    let watched = &keep.watched;
    let by = step.subject.parse::<Means>().ok();
    let kind = step.kind;
    let may = |words: Option<&Vec<ActionKind>>| words.is_some_and(|w| w.contains(&kind));
    if let Some(declared) = by.as_ref().and_then(|by| keep.command_for(&step.target, by)) {
        return Some(declared.allows(kind));
    }
    match &by {
        Some(Means::Block(address)) => return Some(may_block(step, address, keep)),
        Some(Means::Quarantine(path)) => {
            let same = step.target == EntityId::new(EntityKind::File, path);
            return Some(same && kind == ActionKind::Isolate && keep.may_quarantine(Path::new(path)));
        }
        _ => {}
    }
    if let Some(Means::JobEntry(job)) = &by {
        let job = watched.jobs.get(job).filter(|j| j.place.is_some() && j.is_of(&step.target));
        return Some(kind == ActionKind::Restore && may(job.map(|j| &j.may)));
    }
    Some(match (step.target.kind, by) {
        (EntityKind::Network, by) => {
            let network = watched.networks.get(name);
            let declared = match (&by, kind) {
                (Some(Means::Link(l)), ActionKind::Reconfigure) => {
                    network.is_some_and(|n| n.links.contains_key(l))
                }
                (Some(Means::Queue(l)), ActionKind::Rollback) => {
                    network.is_some_and(|n| n.links.get(l).is_some_and(Option::is_some))
                }
                (Some(Means::Route(to)), ActionKind::Reconfigure) => {
                    network.is_some_and(|n| n.wanted.routes.iter().any(|r| r.to_string() == *to))
                }
                (Some(Means::Mtu(l)), ActionKind::Reconfigure) => {
                    network.is_some_and(|n| n.wanted.mtu.contains_key(l))
                }
                (Some(Means::Rules(_)), ActionKind::Rollback) => network.is_some_and(|n| n.rules.is_some()),
                _ => false,
            };
            declared && may(network.map(|n| &n.may))
        }
        (EntityKind::Dependency, Some(Means::FallbackOn(n) | Means::FallbackOff(n))) => {
            n == *name
                && kind == ActionKind::Reconfigure
                && may(watched.dependencies.get(name).map(|d| &d.may))
        }
        (EntityKind::Backup, by) => {
            let backup = watched.backups.get(name);
            let declared = match (&by, kind) {
                (None, ActionKind::RunBackup) => step.subject.is_empty(),
                (Some(Means::KeepOld(n)), ActionKind::Reconfigure) => n == name,
                (Some(Means::Credential(c)), ActionKind::Reconfigure) => {
                    backup.is_some_and(|b| b.credential.as_ref() == Some(c))
                        && may(watched.credentials.get(c).map(|c| &c.may))
                }
                _ => false,
            };
            declared && may(backup.map(|b| &b.may))
        }
        (EntityKind::Service, Some(by)) => service_step(name, &by, kind, keep),
        (EntityKind::Dependency, _) => false,
        _ => return None,
    })
}

/// Only a step about that address, or about an account that was entered from there.
fn may_block(step: &PlannedAction, address: &str, keep: &Keep) -> bool {
    let about = match step.target.kind {
        EntityKind::Address => step.target.name == address,
        EntityKind::Account => true,
        _ => false,
    };
    let parsed = address.parse().ok();
    let may = parsed.is_some_and(|a| keep.security.logins.as_ref().is_some_and(|l| l.may_block(a).is_some()));
    about && may && step.kind == ActionKind::Isolate
}

fn service_step(name: &str, by: &Means, kind: ActionKind, keep: &Keep) -> bool {
    let cache = keep.watched.caches.get(name).filter(|c| c.may.contains(&kind));
    let database = keep.watched.databases.get(name).filter(|d| d.may.contains(&kind));
    match (by, kind) {
        (Means::Credential(c), ActionKind::Reconfigure) => {
            let credential = keep.watched.credentials.get(c);
            credential.is_some_and(|c| c.may.contains(&kind) && c.used_by.iter().any(|s| s == name))
        }
        (Means::Sessions(app), ActionKind::TerminateSession) => {
            database.is_some_and(|d| d.end_sessions.contains_key(app))
        }
        (Means::Blockers(app), ActionKind::TerminateSession) => {
            database.is_some_and(|d| d.care.end_blockers.contains_key(app))
        }
        (Means::Vacuum(table), ActionKind::FreeSpace) => {
            database.is_some_and(|d| d.care.vacuum.iter().any(|t| t == table))
        }
        (Means::Renew(key), ActionKind::Reconfigure) => {
            let key = keep.watched.keys.get(key).filter(|k| k.may.contains(&kind) && k.renew.is_some());
            key.is_some_and(|k| k.used_by.iter().any(|s| s == name))
        }
        (Means::Memory(bytes), ActionKind::Reconfigure) => {
            cache.is_some_and(|c| c.memory.is_some_and(|m| m.to_string() == *bytes))
        }
        (Means::DeadLetter(entry), ActionKind::Isolate) => {
            let queue = entry.split_once(' ').and_then(|(key, _)| cache?.queues.get(key));
            queue.is_some_and(|q| q.dead_letter.is_some())
        }
        (Means::Replay, ActionKind::Reconfigure) => database.is_some_and(|d| d.standby),
        (Means::Migration(_), ActionKind::Rollback) => database.is_some_and(|d| d.undo_migration.is_some()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::{keep, restart};
    use wellkept_model::EntityId;
    use wellkept_model::keep::{
        Backup, Cache, Command, Credential, Database, DatabaseCare, Dependency, EndingKey, Network, Queue,
    };

    const ALL: [ActionKind; 6] = [
        ActionKind::Reconfigure,
        ActionKind::Rollback,
        ActionKind::RunBackup,
        ActionKind::TerminateSession,
        ActionKind::FreeSpace,
        ActionKind::Isolate,
    ];

    fn command() -> Option<Command> {
        Some(Command { argv: vec!["/bin/x".to_owned()], within: Duration::from_secs(1) })
    }

    fn route() -> wellkept_model::keep::Route {
        wellkept_model::keep::Route {
            to: wellkept_model::keep::AddressRange::parse("10.1.0.0/16").unwrap(),
            via: "10.0.0.1".parse().ok(),
            dev: None,
        }
    }

    /// Everything is declared; `may` is the same everywhere.
    fn everything(may: &[ActionKind]) -> Keep {
        let (mut keep, second, may) = (keep(&["db", "app"]), Duration::from_secs(1), may.to_vec());
        let w = &mut keep.watched;
        let backup = Backup {
            name: "b".into(),
            glob: "/b/*".into(),
            min_size: 1,
            max_age: None,
            log: None,
            run: command(),
            test: None,
            keep_old: command(),
            credential: Some("c".into()),
            every: second,
            may: may.clone(),
        };
        w.backups.insert("b".into(), backup);
        let credential = Credential {
            name: "c".into(),
            store: "/s".into(),
            copies: vec![],
            used_by: vec!["app".into()],
            user: "u".into(),
            log: None,
            test: None,
            sync: command(),
            may: may.clone(),
        };
        w.credentials.insert("c".into(), credential);
        let database = Database {
            service: "db".into(),
            sql: Command { argv: vec!["psql".into()], within: second },
            full_at: 0.9,
            end_sessions: [("report".to_owned(), second)].into(),
            indexes: vec![],
            undo_migration: command(),
            standby: true,
            care: DatabaseCare {
                end_blockers: [("report".to_owned(), second)].into(),
                vacuum: vec!["orders".to_owned()],
                ..DatabaseCare::default()
            },
            every: second,
            may: may.clone(),
        };
        w.databases.insert("db".into(), database);
        let queue = |dead_letter: Option<&str>| Queue {
            limit: 1,
            takes_left: false,
            stuck: second,
            consumer: None,
            dead_letter: dead_letter.map(str::to_owned),
        };
        let cache = Cache {
            service: "cache".into(),
            redis: "/s".into(),
            user: None,
            password_file: None,
            memory: Some(200),
            standby: false,
            queues: [("jobs".to_owned(), queue(Some("dead"))), ("mail".to_owned(), queue(None))].into(),
            every: second,
            may: may.clone(),
        };
        w.caches.insert("cache".into(), cache);
        let key = |name: &str, renew: Option<Command>| EndingKey {
            name: name.to_owned(),
            file: "/k".into(),
            before: second,
            used_by: vec!["app".to_owned()],
            renew,
            every: second,
            may: may.clone(),
        };
        w.keys = [("k".to_owned(), key("k", command())), ("l".to_owned(), key("l", None))].into();
        let dependency = Dependency {
            name: "pay".into(),
            http: "http://x/".into(),
            slow: second,
            used_by: vec![],
            fallback_on: command(),
            fallback_off: command(),
            every: second,
            may: may.clone(),
        };
        w.dependencies.insert("pay".into(), dependency);
        let network = Network {
            name: "n".into(),
            namespace: None,
            links: [("eth0".to_owned(), Some("noqueue".to_owned())), ("eth1".to_owned(), None)].into(),
            rules: Some("/r".into()),
            carries: vec![],
            may,
            wanted: wellkept_model::keep::NetworkWanted {
                routes: vec![route()],
                mtu: [("eth0".to_owned(), 1500)].into(),
                ..Default::default()
            },
        };
        w.networks.insert("n".into(), network);
        keep
    }

    fn step(kind: ActionKind, target: &str, subject: &str) -> PlannedAction {
        let target: EntityId = target.parse().unwrap();
        PlannedAction { kind, target, subject: subject.to_owned(), ..restart("a") }
    }

    /// All steps that are declared.
    fn declared() -> Vec<PlannedAction> {
        [
            (ActionKind::Reconfigure, "network:n", "link eth0"),
            (ActionKind::Rollback, "network:n", "queue eth0"),
            (ActionKind::Reconfigure, "network:n", "route 10.1.0.0/16 via 10.0.0.1"),
            (ActionKind::Reconfigure, "network:n", "mtu eth0"),
            (ActionKind::Rollback, "network:n", "rules inet f"),
            (ActionKind::Reconfigure, "dependency:pay", "fallback-on pay"),
            (ActionKind::Reconfigure, "dependency:pay", "fallback-off pay"),
            (ActionKind::RunBackup, "backup:b", ""),
            (ActionKind::Reconfigure, "backup:b", "keep-old b"),
            (ActionKind::Reconfigure, "backup:b", "credential c"),
            (ActionKind::Reconfigure, "service:app", "credential c"),
            (ActionKind::TerminateSession, "service:db", "sessions report"),
            (ActionKind::TerminateSession, "service:db", "blockers report"),
            (ActionKind::FreeSpace, "service:db", "vacuum orders"),
            (ActionKind::Reconfigure, "service:cache", "memory 200"),
            (ActionKind::Isolate, "service:cache", "dead-letter jobs 0a"),
            (ActionKind::Reconfigure, "service:app", "renew k"),
            (ActionKind::Reconfigure, "service:db", "replay"),
            (ActionKind::Rollback, "service:db", "migration c7"),
        ]
        .map(|(kind, target, subject)| step(kind, target, subject))
        .into()
    }

    #[test]
    fn what_is_declared_is_allowed_by_may_and_by_nothing_else() {
        for step in declared() {
            assert_eq!(allowed(&step, &everything(&ALL)), Some(true), "{step:?}");
            assert_eq!(allowed(&step, &everything(&[])), Some(false), "{step:?}");
            let others: Vec<_> = ALL.into_iter().filter(|k| *k != step.kind).collect();
            assert_eq!(allowed(&step, &everything(&others)), Some(false), "{step:?}");
            assert_eq!(allowed(&step, &keep(&["db", "app"])), Some(false), "not declared: {step:?}");
        }
    }

    #[test]
    fn the_entry_of_a_job_is_put_back_where_that_may_be_and_nothing_else_is_done_to_it() {
        use wellkept_model::keep::{Job, JobPlace};
        let at = |target: &str, placed: bool, kind, may: &[ActionKind]| {
            let mut keep = everything(&ALL);
            let place = JobPlace::Crontab { file: "/etc/crontab".into(), line: "0 3 * * * root /x".into() };
            let job = Job {
                name: "clean".into(),
                place: placed.then_some(place),
                trace: None,
                due: None,
                process: None,
                run: None,
                service: None,
                every: std::time::Duration::from_secs(60),
                may: may.to_vec(),
            };
            keep.watched.jobs.insert("clean".into(), job);
            allowed(&step(kind, target, &Means::JobEntry("clean".into()).to_string()), &keep)
        };
        let with = |kind, may: &[ActionKind]| at("host:h", true, kind, may);
        assert_eq!(with(ActionKind::Restore, &[ActionKind::Restore]), Some(true));
        assert_eq!(with(ActionKind::Restore, &[ActionKind::Restart]), Some(false));
        assert_eq!(with(ActionKind::Restart, &[ActionKind::Restart]), Some(false));
        let restore = [ActionKind::Restore];
        assert_eq!(
            at("host:h", false, ActionKind::Restore, &restore),
            Some(false),
            "nobody says where it stands"
        );
        assert_eq!(
            at("service:app", true, ActionKind::Restore, &restore),
            Some(false),
            "a step about another"
        );
    }

    #[test]
    fn a_backup_hands_out_its_own_credential_and_only_when_that_one_may_be() {
        let with = |change: &dyn Fn(&mut Keep)| {
            let mut keep = everything(&ALL);
            change(&mut keep);
            allowed(&step(ActionKind::Reconfigure, "backup:b", "credential c"), &keep)
        };
        assert_eq!(with(&|_| {}), Some(true));
        let of_c = |keep: &mut Keep| keep.watched.credentials.get_mut("c").unwrap().may.clear();
        assert_eq!(with(&of_c), Some(false), "the credential's own `may` is asked too");
        let other = |keep: &mut Keep| {
            keep.watched.backups.get_mut("b").unwrap().credential = Some("d".into());
        };
        assert_eq!(with(&other), Some(false), "another one's credential");
    }

    #[test]
    fn what_is_not_declared_is_not_allowed() {
        for (kind, target, subject) in [
            (ActionKind::Reconfigure, "network:n", "link eth9"),
            (ActionKind::Reconfigure, "network:n", "route 0.0.0.0/0 via 10.0.0.1"),
            (ActionKind::Reconfigure, "network:n", "mtu eth1"),
            (ActionKind::Rollback, "network:n", "mtu eth0"),
            (ActionKind::Rollback, "network:n", "queue eth1"),
            (ActionKind::Rollback, "network:n", "link eth0"),
            (ActionKind::Reconfigure, "network:n", "rules inet f"),
            (ActionKind::Reconfigure, "network:other", "link eth0"),
            (ActionKind::Reconfigure, "network:n", ""),
            (ActionKind::Reconfigure, "dependency:pay", "fallback-on other"),
            (ActionKind::Reconfigure, "dependency:pay", ""),
            (ActionKind::Reconfigure, "backup:b", "credential other"),
            (ActionKind::Reconfigure, "backup:b", "keep-old other"),
            (ActionKind::RunBackup, "backup:b", "replay"),
            (ActionKind::Reconfigure, "service:db", "credential c"),
            (ActionKind::TerminateSession, "service:db", "sessions app"),
            (ActionKind::TerminateSession, "service:app", "sessions report"),
            (ActionKind::Reconfigure, "service:cache", "memory 201"),
            (ActionKind::Reconfigure, "service:db", "memory 200"),
            (ActionKind::Isolate, "service:cache", "dead-letter mail 0a"),
            (ActionKind::Reconfigure, "service:app", "renew l"),
            (ActionKind::Reconfigure, "service:db", "renew k"),
            (ActionKind::Rollback, "service:app", "renew k"),
            (ActionKind::Isolate, "service:cache", "dead-letter other 0a"),
            (ActionKind::Isolate, "service:cache", "dead-letter jobs"),
            (ActionKind::Isolate, "service:cache", "requeue jobs 0a"),
            (ActionKind::TerminateSession, "service:db", "blockers app"),
            (ActionKind::Reconfigure, "service:db", "blockers report"),
            (ActionKind::FreeSpace, "service:db", "vacuum users"),
            (ActionKind::FreeSpace, "service:app", "vacuum orders"),
            (ActionKind::Reconfigure, "service:app", "replay"),
            (ActionKind::Rollback, "service:app", "migration c7"),
            (ActionKind::Reconfigure, "service:db", "link eth0"),
        ] {
            assert_eq!(
                allowed(&step(kind, target, subject), &everything(&ALL)),
                Some(false),
                "{target} {subject}"
            );
        }
    }

    #[test]
    fn a_file_or_a_restart_of_a_service_is_judged_elsewhere() {
        for (kind, subject) in [(ActionKind::Rollback, "/etc/x"), (ActionKind::Restart, "")] {
            assert_eq!(allowed(&step(kind, "service:db", subject), &everything(&ALL)), None);
        }
    }

    #[test]
    fn an_address_and_a_file_are_isolated_only_as_declared_and_only_by_a_step_about_them() {
        use wellkept_model::keep::{Logins, Scan};
        let mut keep = keep(&["a"]);
        let block = |target: &str| step(ActionKind::Isolate, target, "block 203.0.113.9");
        let aside = |target: &str| step(ActionKind::Isolate, target, "quarantine /up/x");
        assert_eq!(allowed(&block("address:203.0.113.9"), &keep), Some(false));
        assert_eq!(allowed(&aside("file:/up/x"), &keep), Some(false));
        let second = Duration::from_secs(1);
        keep.security.logins = Some(Logins {
            log: Some("/x".into()),
            failures: 3,
            within: second,
            block_for: Some(second),
            never_block: vec![],
        });
        let folders = vec!["/up".into()];
        keep.security.scan = Some(Scan { folders, quarantine: true, clamd: None, every: second });
        for (step, may) in [
            (block("address:203.0.113.9"), true),
            (block("account:ann"), true),
            (block("address:203.0.113.8"), false),
            (block("service:a"), false),
            (step(ActionKind::Isolate, "address:127.0.0.1", "block 127.0.0.1"), false),
            (step(ActionKind::Isolate, "address:x", "block x"), false),
            (step(ActionKind::Reconfigure, "address:203.0.113.9", "block 203.0.113.9"), false),
            (aside("file:/up/x"), true),
            (aside("file:/up/y"), false),
            (aside("service:a"), false),
            (step(ActionKind::Isolate, "file:/etc/x", "quarantine /etc/x"), false),
            (step(ActionKind::Restore, "file:/up/x", "quarantine /up/x"), false),
        ] {
            assert_eq!(allowed(&step, &keep), Some(may), "{step:?}");
        }
    }
}
