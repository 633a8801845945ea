//! Steps against faults of networks, names, databases, credentials, backups and outside services.
//!
//! How each is done stands in the keep file; the subject of a step names which declaration it is.

use std::time::Duration;

use wellkept_model::keep::{Backup, Credential, Database, Engine};
use wellkept_model::observe::TableState;
use wellkept_model::{ActionKind, Cause, FindingKind, Means, PlannedAction, Text, Undo};

use super::command_ms as ms;
use super::{FILE_DEADLINE_MS, Facts, change_of, file_step, restart, step};

/// Time for one call of the kernel or a short statement, milliseconds.
const SHORT_MS: u64 = 10_000;
/// Within this time so many downs of a link are flapping.
const FLAP_WINDOW: Duration = Duration::from_secs(600);
const FLAPS_MAX: usize = 2;

/// A step by declared means that cannot be taken back.
pub(super) fn by(kind: ActionKind, means: &Means, ms: u64, cause: &Cause, reason: Text) -> PlannedAction {
    step(kind, &cause.entity, &means.to_string(), ms, cause, Undo::Irreversible, reason)
}

pub(super) fn reason(key: &str, cause: &Cause) -> Text {
    Text::new(key).with("name", &cause.entity.name)
}

pub(super) fn no_means(cause: &Cause) -> Text {
    Text::new("escalate.no_means").with("name", &cause.entity.name)
}

/// The file goes back; a service that is down is started once the test passes.
pub(super) fn configuration(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let change = change_of(cause, facts)?;
    let mut steps = vec![file_step(ActionKind::Rollback, change, cause, "reason.rollback")];
    let seen = facts.around.seen.services.get(&cause.entity.name);
    if seen.is_none_or(|s| s.processes.is_empty()) {
        steps.push(restart(ActionKind::StartDependency, &cause.entity, cause, facts)?);
    }
    Ok(steps)
}

/// The changed file goes back, when one is known; then a restart.
pub(super) fn settings_and_restart(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let mut steps = Vec::new();
    if !cause.subject.is_empty() {
        steps.push(file_step(ActionKind::Rollback, change_of(cause, facts)?, cause, "reason.rollback"));
    }
    steps.push(restart(ActionKind::Restart, &cause.entity, cause, facts)?);
    Ok(steps)
}

pub(super) fn link(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let network = facts.around.seen.watched.networks.get(&cause.entity.name);
    let link = network.and_then(|n| n.links.get(&cause.subject)).ok_or_else(|| no_means(cause))?;
    let escalate = |key: &str| Err(Text::new(key).with("link", &cause.subject));
    if !link.exists || link.up {
        return escalate("escalate.link");
    }
    let now = facts.around.now;
    if link.downs.iter().filter(|at| now.since(**at) <= FLAP_WINDOW).count() > FLAPS_MAX {
        return escalate("escalate.link_flaps");
    }
    let why = reason("reason.link_up", cause).with("link", &cause.subject);
    Ok(vec![by(ActionKind::Reconfigure, &Means::Link(cause.subject.clone()), SHORT_MS, cause, why)])
}

/// One step for each table and each queue that is not as declared.
pub(super) fn network_as_declared(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let name = &cause.entity.name;
    let seen = facts.around.seen.watched.networks.get(name).ok_or_else(|| no_means(cause))?;
    let declared = facts.around.keep.watched.networks.get(name).ok_or_else(|| no_means(cause))?;
    let tables = seen.tables.iter().map(|(table, state)| {
        let key = match state {
            TableState::Undeclared => "reason.table_removed",
            TableState::Changed | TableState::Missing => "reason.table_restored",
        };
        (Means::Rules(table.clone()), reason(key, cause).with("table", table))
    });
    let queues = declared.links.iter().filter_map(|(link, queue)| {
        let (want, there) = (queue.as_ref()?, seen.links.get(link)?);
        let why = reason("reason.queue", cause).with("link", link).with("queue", want);
        (there.exists && there.queue != *want).then(|| (Means::Queue(link.clone()), why))
    });
    let steps: Vec<PlannedAction> = tables
        .chain(queues)
        .map(|(means, why)| by(ActionKind::Rollback, &means, SHORT_MS, cause, why))
        .collect();
    if steps.is_empty() { Err(no_means(cause)) } else { Ok(steps) }
}

/// Only when the copy is old and nothing says that the other side refuses the store's value as well.
pub(super) fn credential(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let seen = facts.around.seen.watched.credentials.get(&cause.subject);
    let differs = seen.is_some_and(|c| c.differs.is_some() && c.store_accepted != Some(false));
    if !differs {
        return Err(Text::new("escalate.credential").with("credential", &cause.subject));
    }
    Ok(vec![sync(declared_credential(&cause.subject, facts).ok_or_else(|| no_means(cause))?, cause)?])
}

fn declared_credential<'a>(name: &str, facts: &Facts<'a>) -> Option<&'a Credential> {
    facts.around.keep.watched.credentials.get(name)
}

fn sync(credential: &Credential, cause: &Cause) -> Result<PlannedAction, Text> {
    let command = credential.sync.as_ref().ok_or_else(|| no_means(cause))?;
    let why = reason("reason.credential", cause).with("credential", &credential.name);
    Ok(by(ActionKind::Reconfigure, &Means::Credential(credential.name.clone()), ms(command), cause, why))
}

pub(super) fn database<'a>(cause: &Cause, facts: &Facts<'a>) -> Result<&'a Database, Text> {
    facts.around.keep.watched.databases.get(&cause.entity.name).ok_or_else(|| no_means(cause))
}

/// What only PostgreSQL can be told; another server is looked at and left to a person.
pub(super) fn postgres<'a>(cause: &Cause, facts: &Facts<'a>) -> Result<&'a Database, Text> {
    let declared = database(cause, facts)?;
    let fits = declared.care.engine == Engine::Postgres;
    fits.then_some(declared).ok_or_else(|| super::inside::for_a_person(cause))
}

pub(super) fn sessions(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    if !facts.around.keep.watched.databases.contains_key(&cause.entity.name) {
        return Err(super::inside::for_a_person(cause));
    }
    if !database(cause, facts)?.end_sessions.contains_key(&cause.subject) {
        return Err(Text::new("escalate.connections").with("name", &cause.entity.name));
    }
    let why = reason("reason.sessions", cause).with("application", &cause.subject);
    let means = Means::Sessions(cause.subject.clone());
    Ok(vec![by(ActionKind::TerminateSession, &means, SHORT_MS, cause, why)])
}

pub(super) fn replay(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    postgres(cause, facts)?;
    Ok(vec![by(ActionKind::Reconfigure, &Means::Replay, SHORT_MS, cause, reason("reason.replay", cause))])
}

pub(super) fn migration(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let (undo, means) = (&database(cause, facts)?.undo_migration, cause.subject.parse::<Means>());
    let (Some(command), Ok(means @ Means::Migration(_))) = (undo, means) else { return Err(no_means(cause)) };
    let why =
        reason("reason.migration", cause).with("migration", cause.detail.arg("migration").unwrap_or("-"));
    Ok(vec![by(ActionKind::Rollback, &means, ms(command), cause, why)])
}

/// Old backups are kept from being removed first; then the credential of the job, then a new one that is proven.
pub(super) fn backup(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let name = &cause.entity.name;
    let declared: &Backup = facts.around.keep.watched.backups.get(name).ok_or_else(|| no_means(cause))?;
    let run = declared.run.as_ref().ok_or_else(|| no_means(cause))?;
    let mut steps = Vec::new();
    if let Some(command) = &declared.keep_old {
        let why = reason("reason.keep_old", cause);
        let means = Means::KeepOld(name.clone());
        steps.push(by(ActionKind::Reconfigure, &means, ms(command), cause, why));
    }
    let refused = facts.around.seen.watched.backups.get(name).is_some_and(|b| b.refused_login.is_some());
    if let Some(credential) = declared.credential.as_ref().filter(|_| refused) {
        let known = declared_credential(credential, facts).ok_or_else(|| no_means(cause))?;
        steps.push(sync(known, cause)?);
    }
    let test = declared.test.as_ref().map_or(0, ms);
    let deadline = ms(run).saturating_add(test.saturating_mul(2));
    let why = reason("reason.run_backup", cause);
    steps.push(step(ActionKind::RunBackup, &cause.entity, "", deadline, cause, Undo::Irreversible, why));
    Ok(steps)
}

/// Our services do without it, and a person tells its owner. That it is slow cannot be ended from here, so that is not
/// what the verification waits for.
pub(super) fn fallback_on(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let name = &cause.entity.name;
    let ours = facts.around.seen.watched.dependencies.get(name).is_some_and(|d| d.fallback_ours);
    let declared = facts.around.keep.watched.dependencies.get(name);
    let Some(command) = declared.and_then(|d| d.fallback_on.as_ref()).filter(|_| !ours) else {
        return Err(Text::new("escalate.dependency").with("name", name));
    };
    let why = reason("reason.fallback_on", cause);
    let mut on = by(ActionKind::Reconfigure, &Means::FallbackOn(name.clone()), ms(command), cause, why);
    on.undo = Undo::Means { subject: Means::FallbackOff(name.clone()).to_string() };
    on.verify
        .retain(|key| !matches!(key.kind, FindingKind::DependencySlow | FindingKind::DependencyRefusing));
    Ok(vec![on, super::local::hand_over(cause, "reason.hand_over_dependency")])
}

pub(super) fn fallback_off(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let name = &cause.entity.name;
    let declared = facts.around.keep.watched.dependencies.get(name);
    let command = declared.and_then(|d| d.fallback_off.as_ref()).ok_or_else(|| no_means(cause))?;
    let (means, why) = (Means::FallbackOff(name.clone()), reason("reason.fallback_off", cause));
    Ok(vec![by(ActionKind::Reconfigure, &means, ms(command).max(FILE_DEADLINE_MS), cause, why)])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Ledger;
    use crate::guard::Surroundings;
    use crate::plan::steps::for_cause;
    use crate::testing::{cause, change, finding, incident, keep, seen_running};
    use wellkept_model::keep::{Dependency, Keep};
    use wellkept_model::observe::{
        BackupSeen, CredentialSeen, DependencySeen, LinkSeen, NetworkSeen, Observation,
    };
    use wellkept_model::{CauseKind, EntityId, EntityKind, FileVersionChange, FindingKey, TimestampMs};

    struct Given {
        keep: Keep,
        seen: Observation,
        cause: Cause,
        changes: Vec<FileVersionChange>,
    }

    fn given(kind: CauseKind, entity: EntityKind, name: &str, subject: &str) -> Given {
        let mut cause = cause("a", kind, 0.95);
        (cause.entity, cause.subject) = (EntityId::new(entity, name), subject.to_owned());
        Given { keep: keep(&["a"]), seen: Observation::default(), cause, changes: Vec::new() }
    }

    /// The steps as `kind subject`, or the key of why there are none.
    fn steps(g: &Given) -> Result<Vec<String>, String> {
        let (incident, ledger) =
            (incident(vec![finding("a", FindingKind::HealthFailing)]), Ledger::default());
        let around = Surroundings {
            now: TimestampMs(1_000_000),
            keep: &g.keep,
            frozen: false,
            active: &incident.findings,
            seen: &g.seen,
            ledger: &ledger,
        };
        let facts = Facts { around, file_changes: &g.changes, space: &[], failed: &[], generation: 1 };
        let steps = for_cause(&g.cause, &incident, &facts).map_err(|why| why.key)?;
        Ok(steps.iter().map(|s| format!("{} {}", s.kind.word(), s.subject)).collect())
    }

    fn command() -> Option<wellkept_model::keep::Command> {
        Some(wellkept_model::keep::Command { argv: vec!["/x".to_owned()], within: Duration::from_secs(9) })
    }

    fn link_down(downs: &[i64], up: bool) -> Result<Vec<String>, String> {
        let mut g = given(CauseKind::LinkDown, EntityKind::Network, "n", "eth0");
        let downs = downs.iter().map(|s| TimestampMs(s * 1000)).collect();
        let link = LinkSeen { exists: true, up, downs, ..LinkSeen::default() };
        let links = [("eth0".to_owned(), link)].into();
        g.seen.watched.networks.insert("n".into(), NetworkSeen { links, ..NetworkSeen::default() });
        steps(&g)
    }

    #[test]
    fn a_link_that_is_off_is_brought_up_but_not_for_ever() {
        let up = Ok(vec!["reconfigure link eth0".to_owned()]);
        assert_eq!(link_down(&[999], false), up);
        assert_eq!(link_down(&[900, 999], false), up);
        assert_eq!(link_down(&[800, 900, 999], false), Err("escalate.link_flaps".to_owned()));
        assert_eq!(link_down(&[100, 200, 999], false), up, "that was long ago");
        assert_eq!(
            link_down(&[999], true),
            Err("escalate.link".to_owned()),
            "no carrier is not ours to give"
        );
    }

    fn mismatch(differs: bool, store_accepted: Option<bool>) -> Result<Vec<String>, String> {
        let mut g = given(CauseKind::CredentialMismatch, EntityKind::Service, "a", "c");
        let credential = Credential {
            name: "c".into(),
            store: "/s".into(),
            copies: vec![],
            used_by: vec!["a".into()],
            user: "u".into(),
            log: None,
            test: None,
            sync: command(),
            may: vec![],
        };
        g.keep.watched.credentials.insert("c".into(), credential);
        let differs = differs.then(|| "/x".to_owned());
        let seen = CredentialSeen { differs, store_accepted, ..CredentialSeen::default() };
        g.seen.watched.credentials.insert("c".into(), seen);
        steps(&g)
    }

    #[test]
    fn a_credential_is_handed_out_only_when_the_store_is_right_and_the_copy_is_not() {
        let sync = Ok(vec!["reconfigure credential c".to_owned()]);
        assert_eq!(mismatch(true, None), sync);
        assert_eq!(mismatch(true, Some(true)), sync);
        assert_eq!(mismatch(true, Some(false)), Err("escalate.credential".to_owned()));
        assert_eq!(mismatch(false, Some(true)), Err("escalate.credential".to_owned()));
    }

    fn slow(ours: bool) -> Given {
        let mut g = given(CauseKind::Slow, EntityKind::Dependency, "pay", "");
        let dependency = Dependency {
            name: "pay".into(),
            http: "http://x/".into(),
            slow: Duration::from_secs(1),
            used_by: vec![],
            fallback_on: command(),
            fallback_off: command(),
            every: Duration::from_secs(1),
            may: vec![],
        };
        g.keep.watched.dependencies.insert("pay".into(), dependency);
        let seen = DependencySeen { fallback_ours: ours, ..DependencySeen::default() };
        g.seen.watched.dependencies.insert("pay".into(), seen);
        g
    }

    #[test]
    fn a_fallback_is_switched_on_once_and_its_owner_is_told() {
        let both = vec!["reconfigure fallback-on pay".to_owned(), "escalate ".to_owned()];
        assert_eq!(steps(&slow(false)), Ok(both));
        assert_eq!(steps(&slow(true)), Err("escalate.dependency".to_owned()));
    }

    #[test]
    fn what_cannot_end_from_here_is_not_waited_for() {
        let mut g = slow(false);
        let key = |kind| FindingKey { entity: g.cause.entity.clone(), kind, subject: String::new() };
        let explains = vec![key(FindingKind::DependencySlow), key(FindingKind::HealthFailing)];
        g.cause.explains = explains;
        let (incident, ledger) = (incident(Vec::new()), Ledger::default());
        let around = Surroundings {
            now: TimestampMs(0),
            keep: &g.keep,
            frozen: false,
            active: &[],
            seen: &g.seen,
            ledger: &ledger,
        };
        let facts = Facts { around, file_changes: &[], space: &[], failed: &[], generation: 1 };
        let made = for_cause(&g.cause, &incident, &facts).expect("steps");
        let kinds: Vec<_> = made[0].verify.iter().map(|k| k.kind).collect();
        assert_eq!(kinds, [FindingKind::HealthFailing]);
        assert_eq!(made[0].undo, Undo::Means { subject: "fallback-off pay".to_owned() });
    }

    #[test]
    fn a_service_that_goes_on_with_its_old_configuration_is_not_restarted() {
        let mut g = given(CauseKind::ConfigSyntaxError, EntityKind::Service, "a", "/srv/a/env");
        g.changes = vec![change("a", "/srv/a/env")];
        let file = "rollback /srv/a/env".to_owned();
        assert_eq!(steps(&g), Ok(vec![file.clone(), "start_dependency ".to_owned()]));
        g.seen = seen_running(&["a"]);
        assert_eq!(steps(&g), Ok(vec![file]));
        g.cause.subject = String::new();
        assert_eq!(steps(&g), Err("escalate.no_good_version".to_owned()));
    }

    #[test]
    fn an_old_backup_is_safe_before_a_new_one_is_made() {
        let mut g = given(CauseKind::EmptyDump, EntityKind::Backup, "b", "");
        let backup = Backup {
            name: "b".into(),
            glob: "/b/*".into(),
            min_size: 1,
            max_age: None,
            log: None,
            run: command(),
            test: None,
            keep_old: command(),
            credential: None,
            every: Duration::from_secs(1),
            may: vec![],
        };
        g.keep.watched.backups.insert("b".into(), backup);
        g.seen.watched.backups.insert("b".into(), BackupSeen::default());
        assert_eq!(steps(&g), Ok(vec!["reconfigure keep-old b".to_owned(), "run_backup ".to_owned()]));
        g.keep.watched.backups.clear();
        assert_eq!(steps(&g), Err("escalate.no_means".to_owned()));
    }

    #[test]
    fn sessions_of_an_application_that_nobody_named_are_left_alone() {
        for subject in ["", "app"] {
            let mut g = given(CauseKind::ConnectionExhaustion, EntityKind::Service, "a", subject);
            let database = Database {
                service: "a".into(),
                sql: command().expect("one"),
                full_at: 0.9,
                end_sessions: [("report".to_owned(), Duration::from_secs(5))].into(),
                indexes: vec![],
                undo_migration: None,
                standby: false,
                care: wellkept_model::keep::DatabaseCare::default(),
                every: Duration::from_secs(1),
                may: vec![],
            };
            g.keep.watched.databases.insert("a".into(), database);
            assert_eq!(steps(&g), Err("escalate.connections".to_owned()), "{subject}");
        }
    }

    #[test]
    fn each_table_and_queue_that_is_not_as_declared_is_one_step() {
        let mut g = given(CauseKind::PacketLoss, EntityKind::Network, "n", "");
        let network = wellkept_model::keep::Network {
            name: "n".into(),
            namespace: None,
            links: [("eth0".to_owned(), Some("noqueue".to_owned())), ("eth1".to_owned(), None)].into(),
            rules: Some("/r".into()),
            carries: vec![],
            may: vec![],
            wanted: Default::default(),
        };
        g.keep.watched.networks.insert("n".into(), network);
        let link = LinkSeen { exists: true, up: true, queue: "tbf".to_owned(), ..LinkSeen::default() };
        let links = [("eth0".to_owned(), link.clone()), ("eth1".to_owned(), link)].into();
        let tables = [("inet f".to_owned(), TableState::Undeclared)].into();
        g.seen.watched.networks.insert("n".into(), NetworkSeen { links, tables, ..NetworkSeen::default() });
        let want = vec!["rollback rules inet f".to_owned(), "rollback queue eth0".to_owned()];
        assert_eq!(steps(&g), Ok(want));
        g.seen.watched.networks.insert("n".into(), NetworkSeen::default());
        assert_eq!(steps(&g), Err("escalate.no_means".to_owned()));
    }
}
