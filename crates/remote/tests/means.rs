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
async fn a_file_system_is_mounted_only_where_nothing_would_be_hidden() {
    let mut world = world();
    let log = world.path("log").to_string_lossy().into_owned();
    let place = world.path("mnt");
    std::fs::create_dir(&place).expect("made");
    let name = place.to_string_lossy().into_owned();
    let target = || EntityId::filesystem(&name);
    let mount = || async { run(&world, ActionKind::Reconfigure, target(), &Means::Mount).await };
    assert_eq!(mount().await.text.key, "outcome.not_declared");
    let mount = sh(&format!("echo mounted >> {log}"));
    let fs = wellkept_model::keep::Filesystem { mountpoint: name.clone(), mount, ..Default::default() };
    world.keep.filesystems.insert(name.clone(), fs);
    let mount = || async { run(&world, ActionKind::Reconfigure, target(), &Means::Mount).await };
    std::fs::write(place.join("x"), "x").expect("written");
    assert_eq!(mount().await.text.key, "outcome.mount_covers");
    std::fs::remove_file(place.join("x")).expect("removed");
    assert_eq!((mount().await.status, said(&world).as_str()), (ActionStatus::Succeeded, "mounted\n"));
}

#[tokio::test]
async fn the_declared_line_goes_back_into_the_crontab_once_and_all_else_stays() {
    let mut world = world();
    let file = world.path("crontab");
    std::fs::write(&file, "MAILTO=x\n0 3 * * * root other").expect("written");
    let place = wellkept_model::keep::JobPlace::Crontab { file: file.clone(), line: "@daily root x".into() };
    let job = wellkept_model::keep::Job {
        name: "j".into(),
        place: Some(place),
        trace: None,
        due: None,
        process: None,
        run: sh("exit 0"),
        service: Some("db".into()),
        every: SECOND,
        may: vec![],
    };
    world.keep.watched.jobs.insert("j".into(), job);
    let entry = Means::JobEntry("j".into());
    for key in ["outcome.job_entry_put", "outcome.job_entry_there"] {
        let done = run(&world, ActionKind::Restore, EntityId::service("db"), &entry).await;
        assert_eq!(done.text.key, key);
        let text = std::fs::read_to_string(&file).expect("there");
        assert_eq!(text, "MAILTO=x\n0 3 * * * root other\n@daily root x\n");
        std::fs::remove_dir_all(world.data()).expect("evidence of its own for each");
    }
    let other = run(&world, ActionKind::Restore, EntityId::service("app"), &entry).await;
    assert_eq!(other.text.key, "outcome.not_declared", "it is another service's job");
}

#[tokio::test]
async fn a_file_is_moved_aside_as_it_was_found_and_comes_back_with_its_mode() {
    use std::os::unix::fs::PermissionsExt;
    let mut world = world();
    let folder = world.path("up");
    std::fs::create_dir(&folder).expect("made");
    let path = folder.join("a b");
    std::fs::write(&path, "evil").expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("set");
    let name = path.to_string_lossy().into_owned();
    let target = || EntityId::new(EntityKind::File, &name);
    let mut aside = step(ActionKind::Isolate, target(), &Means::Quarantine(name.clone()));
    aside.undo = Undo::Means { subject: Means::PutBack(name.clone()).to_string() };
    aside.to_version = Some(sha256(b"evil"));
    let refused = world.hands().execute(id(1), &aside, &[], now()).await;
    assert_eq!(refused.text.key, "outcome.refuse_quarantine", "nothing is declared");
    let folders = vec![folder];
    world.keep.security.scan =
        Some(wellkept_model::keep::Scan { folders, quarantine: true, clamd: None, every: SECOND });
    let hands = world.hands();
    let other = wellkept_model::PlannedAction { to_version: Some(sha256(b"good")), ..aside.clone() };
    let changed = hands.execute(id(2), &other, &[], now()).await;
    assert_eq!((changed.text.key.as_str(), path.exists()), ("outcome.quarantine_changed", true));
    let done = hands.execute(id(3), &aside, &[], now()).await;
    assert_eq!((done.status, path.exists()), (ActionStatus::Succeeded, false), "{done:?}");
    assert_eq!(hands.undo(id(3), &aside, &[], now()).await.status, ActionStatus::RolledBack);
    let mode = std::fs::metadata(&path).expect("back").permissions().mode() & 0o7777;
    assert_eq!((std::fs::read(&path).expect("read"), mode), (b"evil".to_vec(), 0o640));
}

#[tokio::test]
async fn a_declared_route_and_size_are_set_in_the_namespace_of_their_network() {
    use wellkept_model::keep::{AddressRange, Network, NetworkWanted, Route};
    let mut world = world();
    let space = format!("wk-means-{}", std::process::id());
    let shell = |line: &str| {
        let done = std::process::Command::new("sh").args(["-c", line]).output().expect("sh is there");
        assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    shell(&format!(
        "ip netns add {space} && ip -n {space} link add name a type veth peer name b && \
         ip -n {space} addr add 10.9.0.2/24 dev a && ip -n {space} link set dev b up && ip -n {space} link set dev a up mtu 1400"
    ));
    let to = AddressRange::parse("10.77.0.0/16").expect("a range");
    let route = Route { to, via: "10.9.0.1".parse().ok(), dev: Some("a".into()) };
    let wanted = NetworkWanted {
        routes: vec![route.clone()],
        mtu: [("a".to_owned(), 1500)].into(),
        ..NetworkWanted::default()
    };
    let network = Network {
        name: "n".into(),
        namespace: Some(space.clone()),
        links: BTreeMap::new(),
        rules: None,
        carries: vec![],
        may: vec![],
        wanted,
    };
    world.keep.watched.networks.insert("n".into(), network);
    let target = || EntityId::new(EntityKind::Network, "n");
    let mut done = Vec::new();
    for means in [
        Means::Route(route.to_string()),
        Means::Mtu("a".into()),
        Means::Route("0.0.0.0/0 via 10.9.0.1".into()),
        Means::Mtu("b".into()),
    ] {
        done.push(run(&world, ActionKind::Reconfigure, target(), &means).await.status);
    }
    let state = shell(&format!("ip -n {space} route; ip -n {space} link show dev a"));
    shell(&format!("ip netns del {space}"));
    use ActionStatus::{Failed, Succeeded};
    assert_eq!(done, [Succeeded, Succeeded, Failed, Failed]);
    assert!(state.contains("10.77.0.0/16 via 10.9.0.1") && state.contains("mtu 1500"), "{state}");
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
