//! Steps against faults inside databases, caches and queues: what the keep file names, and else a person.

use wellkept_model::{ActionKind, Cause, Means, PlannedAction, Text, Undo};

use super::watched::{by, database, no_means, postgres, reason};
use super::{Facts, change_of, command_ms, file_step, step};

/// Time for one short statement, milliseconds.
const SHORT_MS: u64 = 10_000;
/// Time for cleaning a table, milliseconds.
const VACUUM_MS: u64 = 600_000;

/// Why no action of ours can help: each kind has a text of its own.
pub(super) fn for_a_person(cause: &Cause) -> Text {
    Text::new(&format!("escalate.{}", cause.kind.word())).with("name", &cause.entity.name)
}

/// Ends who holds the lock, when its application is named for that.
pub(super) fn blockers(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let declared = database(cause, facts)?;
    let Ok(means @ Means::Blockers(_)) = cause.subject.parse::<Means>() else {
        return Err(for_a_person(cause));
    };
    let Means::Blockers(application) = &means else { return Err(for_a_person(cause)) };
    let seen = facts.around.seen.watched.databases.get(&cause.entity.name);
    let held = seen.into_iter().flat_map(|d| &d.care.holders).filter(|h| h.application == *application);
    let held_ms = held.map(|h| h.held_ms).max().unwrap_or(0);
    let limit = declared.care.end_blockers.get(application);
    if limit.is_none_or(|l| u128::from(held_ms) < l.as_millis()) {
        return Err(for_a_person(cause));
    }
    let why = reason("reason.blockers", cause).with("application", application);
    Ok(vec![by(ActionKind::TerminateSession, &means, SHORT_MS, cause, why)])
}

/// Cleans the table, when it is named for that and cleaning can help.
pub(super) fn vacuum(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let declared = postgres(cause, facts)?;
    match cause.subject.parse::<Means>() {
        Ok(means @ Means::Vacuum(_)) => {
            let table = cause.detail.arg("table").unwrap_or_default();
            if !declared.care.vacuum.iter().any(|t| t == table) {
                return Err(no_means(cause));
            }
            let why = reason("reason.vacuum", cause).with("table", table);
            Ok(vec![by(ActionKind::FreeSpace, &means, VACUUM_MS, cause, why)])
        }
        _ => Err(for_a_person(cause)),
    }
}

/// The limit that was declared comes back; a cache that has it and still drops entries has too much load for it.
pub(super) fn memory(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let name = &cause.entity.name;
    let wanted = facts.around.keep.watched.caches.get(name).and_then(|c| c.memory);
    let limit = facts.around.seen.watched.caches.get(name).map_or(0, |c| c.limit);
    let Some(wanted) = wanted.filter(|wanted| limit > 0 && *wanted > limit) else {
        return Err(for_a_person(cause));
    };
    let why = reason("reason.memory", cause).with("bytes", wanted);
    let means = Means::Memory(wanted.to_string());
    let mut set = by(ActionKind::Reconfigure, &means, SHORT_MS, cause, why);
    set.undo = Undo::Means { subject: Means::Memory(limit.to_string()).to_string() };
    Ok(vec![set])
}

/// The entry goes to the declared dead letter list, and a person hears of it.
pub(super) fn dead_letter(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let (name, key) = (&cause.entity.name, &cause.subject);
    let declared = facts.around.keep.watched.caches.get(name).and_then(|c| c.queues.get(key));
    let seen = facts.around.seen.watched.caches.get(name).and_then(|c| c.queues.get(key));
    let entry = seen.map(|q| q.head.as_str()).unwrap_or_default();
    // The one that diagnosis spoke of, and no other.
    if declared.is_none_or(|q| q.dead_letter.is_none())
        || entry.is_empty()
        || cause.detail.arg("entry") != Some(entry)
    {
        return Err(for_a_person(cause));
    }
    let which = format!("{key} {entry}");
    let why = reason("reason.dead_letter", cause).with("queue", key).with("entry", entry);
    let mut aside = by(ActionKind::Isolate, &Means::DeadLetter(which.clone()), SHORT_MS, cause, why);
    aside.undo = Undo::Means { subject: Means::Requeue(which).to_string() };
    Ok(vec![aside, super::local::hand_over(cause, "reason.hand_over_defect")])
}

/// Has the key made anew by its declared command.
pub(super) fn renew(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let Ok(means @ Means::Renew(_)) = cause.subject.parse::<Means>() else { return Err(no_means(cause)) };
    let Means::Renew(name) = &means else { return Err(no_means(cause)) };
    let key = facts.around.keep.watched.keys.get(name);
    let Some(command) = key.and_then(|k| k.renew.as_ref()) else { return Err(for_a_person(cause)) };
    let why = reason("reason.renew", cause).with("key", name);
    Ok(vec![by(ActionKind::Reconfigure, &means, command_ms(command), cause, why)])
}

/// The changed file goes back, and the service reads it again; without such a file a person is needed.
pub(super) fn settings_and_reload(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    if cause.subject.is_empty() {
        return Err(for_a_person(cause));
    }
    let file = file_step(ActionKind::Rollback, change_of(cause, facts)?, cause, "reason.rollback");
    Ok(vec![file, reload(cause, facts)?])
}

/// Has the service read its files again.
pub(super) fn reload(cause: &Cause, facts: &Facts<'_>) -> Result<PlannedAction, Text> {
    let command = facts.around.keep.services.get(&cause.entity.name).and_then(|s| s.reload.as_ref());
    let command = command.ok_or_else(|| no_means(cause))?;
    let (kind, undo, why) = (ActionKind::Reconfigure, Undo::Irreversible, reason("reason.reload", cause));
    Ok(step(kind, &cause.entity, "reload", command_ms(command), cause, undo, why))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wellkept_model::keep::{Command, Database, DatabaseCare, Keep};
    use wellkept_model::observe::{DatabaseCareSeen, DatabaseSeen, HolderOfLock, Observation};
    use wellkept_model::{CauseKind, FileVersionChange, FindingKind, TimestampMs};

    use crate::Ledger;
    use crate::guard::Surroundings;
    use crate::plan::{Decision, Facts, decide};
    use crate::testing::{cause, change, finding, incident, keep};
    use wellkept_model::{ActionKind, Cause, Text};

    struct Given {
        keep: Keep,
        seen: Observation,
        cause: Cause,
        changes: Vec<FileVersionChange>,
    }

    fn command() -> Command {
        Command { argv: vec!["psql".to_owned()], within: Duration::from_secs(9) }
    }

    /// A database of service `a` with all that is declared, and what it may.
    fn given(kind: CauseKind, subject: &str, may: &[ActionKind]) -> Given {
        let mut keep = keep(&["a"]);
        let care = DatabaseCare {
            end_blockers: [("report".to_owned(), Duration::from_secs(60))].into(),
            vacuum: vec!["orders".to_owned()],
            ..DatabaseCare::default()
        };
        let database = Database {
            service: "a".into(),
            sql: command(),
            full_at: 0.9,
            end_sessions: std::collections::BTreeMap::new(),
            indexes: vec![],
            undo_migration: Some(command()),
            standby: false,
            care,
            every: Duration::from_secs(1),
            may: may.to_vec(),
        };
        keep.watched.databases.insert("a".into(), database);
        let cause = Cause { subject: subject.to_owned(), ..cause("a", kind, 0.95) };
        Given { keep, seen: Observation::default(), cause, changes: vec![] }
    }

    /// What is decided, in words.
    fn decided(g: &Given) -> String {
        let mut incident = incident(vec![finding("a", FindingKind::HealthFailing)]);
        incident.causes = vec![g.cause.clone()];
        let ledger = Ledger::default();
        let around = Surroundings {
            now: TimestampMs(100_000),
            keep: &g.keep,
            frozen: false,
            active: &[],
            seen: &g.seen,
            ledger: &ledger,
        };
        let facts = Facts { around, file_changes: &g.changes, space: &[], failed: &[], generation: 1 };
        let steps = |p: &wellkept_model::Plan| {
            p.steps.iter().map(|s| format!("{} {}", s.kind.word(), s.subject)).collect::<Vec<_>>().join(", ")
        };
        match decide(&incident, &facts) {
            Decision::Run(p) => format!("run {}", steps(&p)),
            Decision::Propose(p) => format!("propose {}", steps(&p)),
            Decision::Escalate(why) => why.key,
            other => panic!("{other:?}"),
        }
    }

    fn holder(g: &mut Given, application: &str, held_ms: u64) {
        let holder = HolderOfLock { application: application.into(), held_ms, ..HolderOfLock::default() };
        let care = DatabaseCareSeen { holders: vec![holder], ..DatabaseCareSeen::default() };
        g.seen.watched.databases.insert("a".into(), DatabaseSeen { care, ..DatabaseSeen::default() });
    }

    #[test]
    fn a_holder_is_ended_only_when_it_is_named_old_enough_and_the_word_is_there() {
        let terminate = [ActionKind::TerminateSession];
        for (application, held_ms, may, expected) in [
            ("report", 61_000, &terminate[..], "run terminate_session blockers report"),
            ("report", 61_000, &[], "propose terminate_session blockers report"),
            ("report", 59_000, &terminate, "escalate.lock_contention"),
            ("app", 61_000, &terminate, "escalate.lock_contention"),
        ] {
            let mut g = given(CauseKind::LockContention, &format!("blockers {application}"), may);
            holder(&mut g, application, held_ms);
            assert_eq!(decided(&g), expected, "{application} {held_ms}");
        }
        let mut g = given(CauseKind::LockContention, "", &terminate);
        holder(&mut g, "report", 61_000);
        assert_eq!(decided(&g), "escalate.lock_contention", "nobody is named");
    }

    #[test]
    fn of_another_server_sessions_are_ended_and_the_rest_is_left_to_a_person() {
        for (kind, subject, detail) in [
            (CauseKind::LockContention, "blockers report", "run terminate_session blockers report"),
            (CauseKind::TableBloat, "vacuum orders", "escalate.table_bloat"),
            (CauseKind::ConnectionExhaustion, "report", "run terminate_session sessions report"),
        ] {
            let mut g = given(kind, subject, &ActionKind::ALL);
            g.cause.detail = Text::new("x").with("table", "orders");
            holder(&mut g, "report", 61_000);
            let database = g.keep.watched.databases.get_mut("a").unwrap();
            database.end_sessions = database.care.end_blockers.clone();
            assert!(decided(&g).starts_with("run "), "{kind:?}");
            g.keep.watched.databases.get_mut("a").unwrap().care.engine = wellkept_model::keep::Engine::Mysql;
            assert_eq!(decided(&g), detail);
        }
    }

    #[test]
    fn a_table_is_cleaned_only_when_it_is_named_and_cleaning_helps() {
        let free = [ActionKind::FreeSpace];
        for (table, subject, may, expected) in [
            ("orders", "vacuum orders", &free[..], "run free_space vacuum orders"),
            ("orders", "vacuum orders", &[], "propose free_space vacuum orders"),
            ("users", "vacuum users", &free, "escalate.no_means"),
            ("orders", "", &free, "escalate.table_bloat"),
        ] {
            let mut g = given(CauseKind::TableBloat, subject, may);
            g.cause.detail = Text::new("x").with("table", table);
            assert_eq!(decided(&g), expected, "{subject}");
        }
    }

    #[test]
    fn a_changed_setting_goes_back_and_is_read_again_when_a_reload_is_declared() {
        let mut g = given(CauseKind::CheckpointStorm, "/srv/a/conf", &[]);
        g.changes = vec![change("a", "/srv/a/conf")];
        assert_eq!(decided(&g), "escalate.no_means");
        g.keep.services.get_mut("a").unwrap().reload = Some(command());
        assert_eq!(decided(&g), "propose rollback /srv/a/conf, reconfigure reload");
        g.keep.services.get_mut("a").unwrap().may.push(ActionKind::Reconfigure);
        assert_eq!(decided(&g), "run rollback /srv/a/conf, reconfigure reload");
        g.cause.subject = String::new();
        assert_eq!(decided(&g), "escalate.checkpoint_storm");
    }

    fn cache(dead_letter: Option<&str>, memory: Option<u64>, limit: u64, may: &[ActionKind]) -> Given {
        use wellkept_model::keep::{Cache, Queue};
        use wellkept_model::observe::{CacheSeen, QueueSeen};
        let mut g = given(CauseKind::PoisonMessage, "jobs", &[]);
        let second = Duration::from_secs(1);
        let dead_letter = dead_letter.map(str::to_owned);
        let queue = Queue { limit: 1, takes_left: false, stuck: second, consumer: None, dead_letter };
        let cache = Cache {
            service: "a".into(),
            redis: "/s".into(),
            user: None,
            password_file: None,
            memory,
            standby: false,
            queues: [("jobs".to_owned(), queue)].into(),
            every: second,
            may: may.to_vec(),
        };
        g.keep.watched.caches.insert("a".into(), cache);
        let queue = QueueSeen { head: "0a".into(), ..QueueSeen::default() };
        let queues = [("jobs".to_owned(), queue)].into();
        g.seen.watched.caches.insert("a".into(), CacheSeen { limit, queues, ..CacheSeen::default() });
        g.cause.detail = Text::new("x").with("entry", "0a");
        g
    }

    #[test]
    fn an_entry_is_moved_aside_only_when_a_list_is_declared_and_it_is_the_one_that_was_blamed() {
        let isolate = [ActionKind::Isolate];
        let moved = "isolate dead-letter jobs 0a, escalate ";
        assert_eq!(decided(&cache(Some("dead"), None, 0, &isolate)), format!("run {moved}"));
        assert_eq!(decided(&cache(Some("dead"), None, 0, &[])), format!("propose {moved}"));
        assert_eq!(decided(&cache(None, None, 0, &isolate)), "escalate.poison_message");
        let mut g = cache(Some("dead"), None, 0, &isolate);
        g.cause.detail = Text::new("x").with("entry", "0b");
        assert_eq!(decided(&g), "escalate.poison_message", "it has gone");
    }

    #[test]
    fn a_limit_is_raised_to_the_declared_one_and_never_beyond() {
        let may = [ActionKind::Reconfigure];
        for (memory, limit, may, expected) in [
            (Some(200), 100, &may[..], "run reconfigure memory 200"),
            (Some(200), 100, &[], "propose reconfigure memory 200"),
            (Some(200), 200, &may, "escalate.cache_eviction"),
            (Some(200), 0, &may, "escalate.cache_eviction"),
            (None, 100, &may, "escalate.cache_eviction"),
        ] {
            let mut g = cache(None, memory, limit, may);
            g.cause.kind = CauseKind::CacheEviction;
            assert_eq!(decided(&g), expected, "{memory:?} {limit}");
        }
    }

    #[test]
    fn a_key_is_made_anew_only_by_its_command_and_with_the_word() {
        use wellkept_model::keep::EndingKey;
        for (renew, may, expected) in [
            (Some(command()), &[ActionKind::Reconfigure][..], "run reconfigure renew k"),
            (Some(command()), &[], "propose reconfigure renew k"),
            (None, &[ActionKind::Reconfigure], "escalate.key_expired"),
        ] {
            let mut g = given(CauseKind::KeyExpired, "renew k", &[]);
            let second = Duration::from_secs(1);
            let key = EndingKey {
                name: "k".into(),
                file: "/k".into(),
                before: second,
                used_by: vec!["a".into()],
                renew,
                every: second,
                may: may.to_vec(),
            };
            g.keep.watched.keys.insert("k".into(), key);
            assert_eq!(decided(&g), expected);
            g.keep.watched.keys.get_mut("k").unwrap().used_by = vec!["b".into()];
            assert!(!decided(&g).starts_with("run"), "not its key");
        }
    }

    #[test]
    fn a_drift_is_loaded_only_with_a_declared_command_and_the_word() {
        let mut g = given(CauseKind::ConfigDrift, "", &[]);
        assert_eq!(decided(&g), "escalate.no_means");
        g.keep.services.get_mut("a").unwrap().reload = Some(command());
        assert_eq!(decided(&g), "propose reconfigure reload");
        g.keep.services.get_mut("a").unwrap().may.push(ActionKind::Reconfigure);
        assert_eq!(decided(&g), "run reconfigure reload");
    }

    #[test]
    fn a_service_that_stands_in_its_own_way_is_started_again_and_told_as_a_defect() {
        for kind in [CauseKind::ThreadPoolExhaustion, CauseKind::GcPause] {
            let mut g = given(kind, "", &[]);
            assert_eq!(decided(&g), "run restart , escalate ");
            g.keep.services.get_mut("a").unwrap().may.clear();
            assert_eq!(decided(&g), "propose restart , escalate ");
        }
    }

    #[test]
    fn what_needs_judgement_goes_to_a_person() {
        let all = ActionKind::ALL;
        for kind in [
            CauseKind::Deadlock,
            CauseKind::TransactionWraparound,
            CauseKind::ReplicationBroken,
            CauseKind::SplitBrain,
            CauseKind::PersistenceFailed,
            CauseKind::QueueFull,
            CauseKind::VersionMismatch,
            CauseKind::CorruptedData,
            CauseKind::TrafficSurge,
            CauseKind::RetryStorm,
            CauseKind::Slow,
        ] {
            assert_eq!(decided(&given(kind, "", &all)), format!("escalate.{}", kind.word()));
        }
    }
}
