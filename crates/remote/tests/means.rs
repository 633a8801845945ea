//! Steps by what sections of the keep file declare: exactly that, and nothing that is not declared.

mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use wellkept_model::keep::{Backup, Command, Credential, Database, Dependency};
use wellkept_model::{ActionKind, ActionStatus, EntityId, EntityKind, Means, Undo};
use wellkept_remote::Outcome;
use world::*;

const SECOND: Duration = Duration::from_secs(1);

/// Every declared command appends a word to `log`; `psql` writes its arguments there.
fn world() -> World {
    let mut world = World::new();
    let log = world.path("log").to_string_lossy().into_owned();
    let say = |word: &str| sh(&format!("echo {word} >> {log}"));
    let all = vec![];
    let script = format!("for a; do echo \"$a\" >> {log}; done");
    let psql = ["sh", "-c", &script, "psql"].map(str::to_owned).to_vec();
    world.service("db");
    let w = &mut world.keep.watched;
    w.databases.insert(
        "db".into(),
        Database {
            service: "db".into(),
            sql: Command { argv: psql, within: 20 * SECOND },
            full_at: 0.9,
            end_sessions: [("it's".to_owned(), 5 * SECOND)].into(),
            indexes: vec![],
            undo_migration: Some(Command {
                argv: ["sh", "-c", &format!("echo undo \"$1\" >> {log}"), "sh", "{id}"]
                    .map(str::to_owned)
                    .to_vec(),
                within: 20 * SECOND,
            }),
            standby: true,
            care: wellkept_model::keep::DatabaseCare::default(),
            every: SECOND,
            may: all.clone(),
        },
    );
    w.dependencies.insert(
        "pay".into(),
        Dependency {
            name: "pay".into(),
            http: "http://x/".into(),
            slow: SECOND,
            used_by: vec![],
            fallback_on: say("on"),
            fallback_off: say("off"),
            every: SECOND,
            may: all.clone(),
        },
    );
    w.credentials.insert(
        "c".into(),
        Credential {
            name: "c".into(),
            store: "/s".into(),
            copies: vec![],
            used_by: vec!["db".into()],
            user: "u".into(),
            log: None,
            test: None,
            sync: say("sync"),
            may: all,
        },
    );
    w.networks = BTreeMap::new();
    world
}

fn said(world: &World) -> String {
    std::fs::read_to_string(world.path("log")).unwrap_or_default()
}

fn step(kind: ActionKind, target: EntityId, means: &Means) -> wellkept_model::PlannedAction {
    wellkept_model::PlannedAction { subject: means.to_string(), ..action(kind, target) }
}

async fn run(world: &World, kind: ActionKind, target: EntityId, means: &Means) -> Outcome {
    world.hands().execute(id(1), &step(kind, target, means), &[], now()).await
}

#[tokio::test]
async fn a_fallback_is_switched_on_and_its_undo_switches_it_off() {
    let world = world();
    let pay = EntityId::new(EntityKind::Dependency, "pay");
    let mut on = step(ActionKind::Reconfigure, pay, &Means::FallbackOn("pay".into()));
    on.undo = Undo::Means { subject: Means::FallbackOff("pay".into()).to_string() };
    let hands = world.hands();
    assert_eq!(hands.execute(id(1), &on, &[], now()).await.status, ActionStatus::Succeeded);
    assert_eq!(said(&world), "on\n");
    assert_eq!(hands.undo(id(1), &on, &[], now()).await.status, ActionStatus::RolledBack);
    assert_eq!(said(&world), "on\noff\n");
}

#[tokio::test]
async fn only_idle_sessions_of_the_declared_application_are_named_in_the_statement() {
    let world = world();
    let db = || EntityId::service("db");
    let done = run(&world, ActionKind::TerminateSession, db(), &Means::Sessions("it's".into())).await;
    assert_eq!(done.status, ActionStatus::Succeeded, "{done:?}");
    let text = said(&world);
    for part in ["ON_ERROR_STOP=1", "application_name = 'it''s'", "idle in transaction", "interval '5000 ms'"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let other = run(&world, ActionKind::TerminateSession, db(), &Means::Sessions("app".into())).await;
    assert_eq!((other.status, said(&world)), (ActionStatus::Failed, text));
}

#[tokio::test]
async fn the_id_of_a_change_is_one_plain_argument_or_nothing_is_done() {
    let world = world();
    for (change, status) in [
        ("c7", ActionStatus::Succeeded),
        ("-rf", ActionStatus::Failed),
        ("$(touch x)", ActionStatus::Failed),
        ("a b", ActionStatus::Failed),
    ] {
        let means = Means::Migration(change.to_owned());
        let done = run(&world, ActionKind::Rollback, EntityId::service("db"), &means).await;
        assert_eq!(done.status, status, "{change}");
    }
    assert_eq!(said(&world), "undo c7\n");
}

#[tokio::test]
async fn what_is_not_declared_is_not_done() {
    let world = world();
    let (service, network) = (EntityId::service("db"), EntityId::new(EntityKind::Network, "n"));
    for (target, means) in [
        (service.clone(), Means::Credential("other".into())),
        (service.clone(), Means::Link("eth0".into())),
        (EntityId::service("app"), Means::Replay),
        (EntityId::service("app"), Means::Renew("k".into())),
        (EntityId::service("db"), Means::Memory("1".into())),
        (network.clone(), Means::Link("eth0".into())),
        (network, Means::Rules("inet f".into())),
        (EntityId::new(EntityKind::Dependency, "other"), Means::FallbackOn("other".into())),
        (EntityId::new(EntityKind::Backup, "b"), Means::KeepOld("b".into())),
    ] {
        let done = run(&world, ActionKind::Reconfigure, target, &means).await;
        assert_eq!(
            (done.status, done.text.key.as_str()),
            (ActionStatus::Failed, "outcome.not_declared"),
            "{means}"
        );
    }
    assert_eq!(said(&world), "");
    let done = run(&world, ActionKind::Reconfigure, service, &Means::Credential("c".into())).await;
    assert_eq!((done.status, said(&world).as_str()), (ActionStatus::Succeeded, "sync\n"));
}

async fn back_up(min_size: u64, run: &str, test: &str) -> Outcome {
    let mut world = World::new();
    let folder = world.path("b");
    std::fs::create_dir_all(&folder).expect("dir");
    let test = format!("{test} # {{file}}");
    let backup = Backup {
        name: "b".into(),
        glob: format!("{}/*.gz", folder.display()),
        min_size,
        max_age: None,
        log: None,
        run: sh(&run.replace("DIR", &folder.to_string_lossy())),
        test: sh(&test),
        keep_old: None,
        credential: None,
        every: SECOND,
        may: vec![],
    };
    world.keep.watched.backups.insert("b".into(), backup);
    let mut step = action(ActionKind::RunBackup, EntityId::new(EntityKind::Backup, "b"));
    step.deadline_ms = 5_000;
    world.hands().execute(id(1), &step, &[], now()).await
}

#[tokio::test]
async fn only_what_was_made_is_big_enough_and_can_be_restored_is_a_backup() {
    for (min_size, run, test, key) in [
        (3, "echo 1234 > DIR/a.gz", "true", "outcome.backup_proven"),
        (3, "echo 1234 > DIR/a.gz", "false", "outcome.backup_not_restored"),
        (300, "echo 1234 > DIR/a.gz", "true", "outcome.backup_small"),
        (3, "true", "true", "outcome.backup_no_file"),
        (3, "exit 3", "true", "outcome.command_exit_silent"),
    ] {
        let done = back_up(min_size, run, test).await;
        assert_eq!(done.text.key, key);
        assert_eq!(done.status == ActionStatus::Succeeded, key == "outcome.backup_proven");
    }
}

#[tokio::test]
async fn a_rollback_whose_configuration_test_fails_is_taken_back() {
    for (test, status, content) in
        [("true", ActionStatus::Succeeded, "good"), ("false", ActionStatus::Failed, "bad")]
    {
        let mut world = World::new();
        let path = world.path("conf");
        std::fs::write(&path, "bad").expect("write");
        world.kept_file("app", &path);
        world.service("app").config_test = sh(test);
        let owner = wellkept_remote::FileCopy { content: b"good".to_vec(), uid: 0, gid: 0, mode: 0o644 };
        world.store.lock().expect("lock").insert(sha256(b"good"), owner);
        let mut step = action(ActionKind::Rollback, EntityId::service("app"));
        step.subject = path.to_string_lossy().into_owned();
        step.to_version = Some(sha256(b"good"));
        step.undo = Undo::PutBack { path: step.subject.clone(), sha256: Some(sha256(b"bad")) };
        let done = world.hands().execute(id(1), &step, &[], now()).await;
        assert_eq!(done.status, status, "{done:?}");
        assert_eq!(std::fs::read_to_string(&path).expect("text"), content);
    }
}

#[tokio::test]
async fn a_configuration_is_loaded_only_when_its_test_passes() {
    for (test, status, text) in
        [("true", ActionStatus::Succeeded, "loaded\n"), ("false", ActionStatus::Failed, "")]
    {
        let mut world = World::new();
        let log = world.path("log").to_string_lossy().into_owned();
        let service = world.service("web");
        (service.config_test, service.reload) = (sh(test), sh(&format!("echo loaded >> {log}")));
        let mut step = action(ActionKind::Reconfigure, EntityId::service("web"));
        step.subject = "reload".to_owned();
        let done = world.hands().execute(id(1), &step, &[], now()).await;
        assert_eq!((done.status, said(&world).as_str()), (status, text), "{done:?}");
        world.service("web").reload = None;
        let done = world.hands().execute(id(2), &step, &[], now()).await;
        assert_eq!(done.text.key, "outcome.no_reload");
    }
}
