//! Going back to the release before, by link and by command, and forward again; files of releases.

mod world;

use std::os::unix::fs::symlink;
use std::path::Path;

use wellkept_model::keep::Release;
use wellkept_model::{ActionKind, ActionStatus, EntityId, PlannedAction, Undo};
use wellkept_remote::FileCopy;
use world::*;

fn shop() -> World {
    let mut world = World::new();
    for release in ["1", "2"] {
        std::fs::create_dir_all(world.path("releases").join(release)).expect("dir");
    }
    symlink("releases/2", world.path("current")).expect("link");
    let (current, from) = (world.path("current"), world.path("releases"));
    let marks = world.path("restarted");
    let service = world.service("app");
    service.start = sh(&format!("echo x >> {}", marks.display()));
    service.release =
        Some(Release { current, from, manifest: Some("M".into()), artefact: None, rollback: None });
    world
}

fn rollback(to: &str, seen: &str) -> PlannedAction {
    let mut rollback = action(ActionKind::Rollback, EntityId::service("app"));
    rollback.subject = "release".to_owned();
    rollback.to_version = Some(to.to_owned());
    rollback.undo = Undo::Release { to: seen.to_owned() };
    rollback
}

fn current(world: &World) -> String {
    std::fs::read_link(world.path("current")).expect("a link").to_string_lossy().into_owned()
}

#[tokio::test]
async fn the_link_goes_back_the_service_restarts_and_the_undo_goes_forward_again() {
    let world = shop();
    let mut back = rollback("releases/1", "releases/2");
    let done = world.hands().execute(id(1), &back, &[], now()).await;
    assert_eq!(done.status, ActionStatus::Succeeded, "{done:?}");
    assert_eq!(current(&world), "releases/1");
    assert!(world.path("restarted").exists());
    back.undo = done.undo.expect("it can be taken back");
    let undone = world.hands().undo(id(1), &back, &[], now()).await;
    assert_eq!((undone.status, current(&world)), (ActionStatus::RolledBack, "releases/2".to_owned()));
}

#[tokio::test]
async fn a_rollback_whose_restart_fails_says_how_the_link_goes_back() {
    let mut world = shop();
    world.service("app").start = sh("exit 3");
    let mut back = rollback("releases/1", "releases/2");
    let failed = world.hands().execute(id(1), &back, &[], now()).await;
    assert_eq!((failed.status, current(&world).as_str()), (ActionStatus::Failed, "releases/1"), "{failed:?}");
    back.undo = failed.undo.expect("the link was moved");
    world.service("app").start = sh("true");
    let undone = world.hands().undo(id(1), &back, &[], now()).await;
    assert_eq!((undone.status, current(&world).as_str()), (ActionStatus::RolledBack, "releases/2"));
    let deployed_since = world.hands().undo(id(2), &back, &[], now()).await;
    assert_eq!(deployed_since.text.key, "outcome.release_changed_since", "it is not what the step put there");
}

#[tokio::test]
async fn a_command_that_fails_after_it_has_moved_the_link_says_so_and_one_that_has_not_does_not() {
    for (script, moved) in [("ln -sfn releases/1 current; exit 1", true), ("exit 1", false)] {
        let mut world = shop();
        let command = sh(&format!("cd {} && {script}", world.path("").display()));
        world.service("app").release.as_mut().expect("declared").rollback = command;
        let failed = world.hands().execute(id(1), &rollback("releases/1", "releases/2"), &[], now()).await;
        assert_eq!(failed.status, ActionStatus::Failed, "{failed:?}");
        let back = Undo::Release { to: "releases/2".to_owned() };
        assert_eq!(failed.undo, moved.then_some(back), "{script}");
    }
}

#[tokio::test]
async fn a_declared_command_is_given_the_name_of_the_release() {
    let mut world = shop();
    let script = format!("cd {} && ln -sfn releases/$0 current", world.path("").display());
    let mut command = sh(&script).expect("a command");
    command.argv.push("{release}".to_owned());
    world.service("app").release.as_mut().expect("declared").rollback = Some(command);
    let done = world.hands().execute(id(1), &rollback("releases/1", "releases/2"), &[], now()).await;
    assert_eq!(
        (done.status, current(&world)),
        (ActionStatus::Succeeded, "releases/1".to_owned()),
        "{done:?}"
    );
    assert!(!world.path("restarted").exists(), "the command restarts what is needed");
}

#[tokio::test]
async fn a_release_that_is_not_there_and_one_deployed_since_are_left_alone() {
    let world = shop();
    for (to, seen, key) in [
        ("releases/3", "releases/2", "outcome.release_failed"),
        ("..", "releases/2", "outcome.release_failed"),
        ("/etc", "releases/2", "outcome.release_failed"),
        ("releases/1", "releases/9", "outcome.release_changed_since"),
    ] {
        let refused = world.hands().execute(id(1), &rollback(to, seen), &[], now()).await;
        assert_eq!((refused.status, refused.text.key.as_str()), (ActionStatus::Failed, key), "{to}");
    }
    assert_eq!(current(&world), "releases/2");
}

#[tokio::test]
async fn an_altered_file_of_a_release_is_restored_and_the_operator_gets_a_copy() {
    let mut world = shop();
    let (path, folder) = (world.path("releases/2/page"), world.path("kept"));
    std::fs::create_dir(&folder).expect("dir");
    world.keep.evidence = Some(folder.clone());
    std::fs::write(&path, "free prizes").expect("write");
    let good = FileCopy { content: b"page".to_vec(), uid: 0, gid: 0, mode: 0o644 };
    world.store.lock().expect("lock").insert(sha256(b"page"), good);
    let restore = |path: &Path| {
        let mut restore = action(ActionKind::Restore, EntityId::service("app"));
        restore.subject = path.to_string_lossy().into_owned();
        restore.to_version = Some(sha256(b"page"));
        restore
    };
    let done = world.hands().execute(id(1), &restore(&path), &[], now()).await;
    assert_eq!(done.status, ActionStatus::Succeeded, "{done:?}");
    assert_eq!(std::fs::read_to_string(&path).expect("there"), "page");
    assert_eq!(std::fs::read_to_string(folder.join("1-1-page")).expect("kept"), "free prizes");
    let elsewhere = world.path("releases/page");
    let refused = world.hands().execute(id(2), &restore(&elsewhere), &[], now()).await;
    assert_eq!(refused.text.key, "outcome.file_undeclared");
}
