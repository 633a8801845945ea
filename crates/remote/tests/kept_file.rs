//! Rollback and restore of kept files, and their undo.

mod world;

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use wellkept_model::{ActionKind, ActionStatus, EntityId, EntityKind, PlannedAction, Undo};
use wellkept_remote::FileCopy;
use world::*;

const GOOD: &str = "DB_HOST=db.shop.test\n";
const BAD: &str = "DB_HOST=\n";
/// Owner and group of the service in these scenarios; changing owners needs root, as the product has.
const SHOP: (u32, u32) = (1234, 2345);

/// A service `app` with a setting file that is bad now and whose good version is kept.
struct Shop {
    world: World,
    path: PathBuf,
}

impl Shop {
    fn new() -> Self {
        let mut world = World::new();
        let path = world.path("env");
        world.kept_file("app", &path);
        let (uid, gid) = SHOP;
        let good = FileCopy { content: GOOD.into(), uid, gid, mode: 0o640 };
        world.store.lock().expect("lock").insert(sha256(GOOD.as_bytes()), good);
        std::fs::write(&path, BAD).expect("write");
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("chmod");
        Self { world, path }
    }

    fn rollback(&self, seen: Option<&str>) -> PlannedAction {
        let mut rollback = action(ActionKind::Rollback, EntityId::service("app"));
        rollback.subject = self.path.to_string_lossy().into_owned();
        rollback.to_version = Some(sha256(GOOD.as_bytes()));
        rollback.undo =
            Undo::PutBack { path: rollback.subject.clone(), sha256: seen.map(|s| sha256(s.as_bytes())) };
        rollback
    }

    async fn run(&self, action: &PlannedAction) -> wellkept_remote::Outcome {
        self.world.hands().execute(id(1), action, &[], now()).await
    }
}

#[track_caller]
fn check(path: &Path, content: &str, (uid, gid): (u32, u32), mode: u32) {
    let meta = std::fs::symlink_metadata(path).expect("there");
    assert_eq!(std::fs::read_to_string(path).expect("text"), content);
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (uid, gid, mode));
}

fn us(shop: &Shop) -> (u32, u32) {
    let meta = std::fs::metadata(shop.world.temp.path()).expect("there");
    (meta.uid(), meta.gid())
}

#[tokio::test]
async fn a_rollback_brings_content_owner_and_mode_and_its_undo_all_three_back() {
    let shop = Shop::new();
    let mut rollback = shop.rollback(Some(BAD));
    let outcome = shop.run(&rollback).await;
    assert_eq!(
        (outcome.status, outcome.text.key.as_str()),
        (ActionStatus::Succeeded, "outcome.file_put"),
        "{outcome:?}"
    );
    check(&shop.path, GOOD, SHOP, 0o640);
    rollback.undo = outcome.undo.expect("can be put back");
    let undone = shop.world.hands().undo(id(1), &rollback, &[], now()).await;
    assert_eq!(undone.status, ActionStatus::RolledBack, "{undone:?}");
    check(&shop.path, BAD, us(&shop), 0o600);
    let evidence = shop.world.data().join("evidence");
    assert_eq!(std::fs::read_to_string(evidence.join("1-1/former.content")).expect("kept"), BAD);
    assert_eq!(std::fs::read_to_string(evidence.join("1-1-undo/former.content")).expect("kept"), GOOD);
    let names: Vec<_> = std::fs::read_dir(shop.world.temp.path()).expect("read").collect();
    assert_eq!(names.len(), 2, "nothing half-written is left: {names:?}");
}

#[tokio::test]
async fn a_missing_file_is_restored_and_its_undo_removes_it_again() {
    let shop = Shop::new();
    std::fs::remove_file(&shop.path).expect("remove");
    let mut restore = shop.rollback(None);
    restore.kind = ActionKind::Restore;
    let outcome = shop.run(&restore).await;
    assert_eq!(outcome.status, ActionStatus::Succeeded, "{outcome:?}");
    check(&shop.path, GOOD, SHOP, 0o640);
    assert_eq!(outcome.undo.as_ref(), Some(&restore.undo));
    restore.undo = outcome.undo.expect("can be put back");
    let undone = shop.world.hands().undo(id(1), &restore, &[], now()).await;
    assert_eq!(undone.status, ActionStatus::RolledBack, "{undone:?}");
    assert!(!shop.path.exists());
}

#[tokio::test]
async fn a_changed_owner_or_mode_alone_is_put_right() {
    let shop = Shop::new();
    std::fs::write(&shop.path, GOOD).expect("write");
    std::fs::set_permissions(&shop.path, Permissions::from_mode(0o666)).expect("chmod");
    let mut rollback = shop.rollback(Some(GOOD));
    let outcome = shop.run(&rollback).await;
    assert_eq!(outcome.status, ActionStatus::Succeeded, "{outcome:?}");
    check(&shop.path, GOOD, SHOP, 0o640);
    rollback.undo = outcome.undo.expect("can be put back");
    shop.world.hands().undo(id(1), &rollback, &[], now()).await;
    check(&shop.path, GOOD, us(&shop), 0o666);
}

#[tokio::test]
async fn what_somebody_changed_since_the_plan_is_left_to_them() {
    let shop = Shop::new();
    let mut rollback = shop.rollback(Some(BAD));
    std::fs::write(&shop.path, "DB_HOST=other\n").expect("a person repairs it");
    let outcome = shop.run(&rollback).await;
    assert_eq!(
        (outcome.status, outcome.text.key.as_str()),
        (ActionStatus::Failed, "outcome.file_changed_since")
    );
    assert_eq!(std::fs::read_to_string(&shop.path).expect("text"), "DB_HOST=other\n");
    // The same holds for the undo.
    std::fs::write(&shop.path, BAD).expect("write");
    rollback.undo = shop.run(&rollback).await.undo.expect("can be put back");
    std::fs::write(&shop.path, "DB_HOST=other\n").expect("a person repairs it");
    let undone = shop.world.hands().undo(id(1), &rollback, &[], now()).await;
    assert_eq!(
        (undone.status, undone.text.key.as_str()),
        (ActionStatus::Failed, "outcome.file_changed_since")
    );
}

#[tokio::test]
async fn a_file_that_is_right_already_is_not_written() {
    let shop = Shop::new();
    std::fs::write(&shop.path, GOOD).expect("write");
    chown(&shop.path, Some(SHOP.0), Some(SHOP.1)).expect("chown");
    std::fs::set_permissions(&shop.path, Permissions::from_mode(0o640)).expect("chmod");
    let inode = std::fs::metadata(&shop.path).expect("there").ino();
    let outcome = shop.run(&shop.rollback(Some(BAD))).await;
    assert_eq!((outcome.text.key.as_str(), outcome.undo), ("outcome.file_same", None));
    assert_eq!(std::fs::metadata(&shop.path).expect("there").ino(), inode);
}

#[tokio::test]
async fn a_path_that_is_not_declared_is_never_written() {
    let shop = Shop::new();
    let other = shop.world.path("other");
    std::fs::write(&other, "mine").expect("write");
    let mut rollback = shop.rollback(Some(BAD));
    rollback.subject = other.to_string_lossy().into_owned();
    assert_eq!(shop.run(&rollback).await.text.key, "outcome.file_undeclared");
    // Nor by an undo that names it, nor for a target that does not declare it.
    rollback.undo = Undo::PutBack { path: rollback.subject.clone(), sha256: None };
    let undone = shop.world.hands().undo(id(1), &rollback, &[], now()).await;
    assert_eq!((undone.status, undone.text.key.as_str()), (ActionStatus::Failed, "outcome.file_undeclared"));
    assert_eq!(std::fs::read_to_string(&other).expect("text"), "mine");
    let mut rollback = shop.rollback(Some(BAD));
    rollback.target = EntityId::service("web");
    assert_eq!(shop.run(&rollback).await.text.key, "outcome.file_undeclared");
    assert_eq!(std::fs::read_to_string(&shop.path).expect("text"), BAD);
}

#[tokio::test]
async fn the_file_itself_may_be_the_target() {
    let shop = Shop::new();
    let mut rollback = shop.rollback(Some(BAD));
    rollback.target = EntityId::new(EntityKind::File, shop.path.to_string_lossy());
    assert_eq!(shop.run(&rollback).await.status, ActionStatus::Succeeded);
}

#[tokio::test]
async fn a_version_that_is_not_kept_or_is_damaged_changes_nothing() {
    let shop = Shop::new();
    let mut rollback = shop.rollback(Some(BAD));
    rollback.to_version = Some(sha256(b"never kept"));
    assert_eq!(shop.run(&rollback).await.text.key, "outcome.file_no_copy");
    rollback.to_version = None;
    assert_eq!(shop.run(&rollback).await.text.key, "outcome.file_no_version");
    let good = sha256(GOOD.as_bytes());
    shop.world.store.lock().expect("lock").get_mut(&good).expect("kept").content.push(b'x');
    assert_eq!(shop.run(&shop.rollback(Some(BAD))).await.text.key, "outcome.file_copy_damaged");
    assert_eq!(std::fs::read_to_string(&shop.path).expect("text"), BAD);
}

#[tokio::test]
async fn a_link_of_ours_stays_and_its_target_is_written() {
    let shop = Shop::new();
    let real = shop.world.path("real-env");
    std::fs::rename(&shop.path, &real).expect("rename");
    symlink(&real, &shop.path).expect("link");
    let outcome = shop.run(&shop.rollback(Some(BAD))).await;
    assert_eq!(outcome.status, ActionStatus::Succeeded, "{outcome:?}");
    assert!(shop.path.symlink_metadata().expect("there").file_type().is_symlink());
    check(&real, GOOD, SHOP, 0o640);
}

#[tokio::test]
async fn a_link_that_a_service_laid_to_a_file_of_others_is_not_followed() {
    let shop = Shop::new();
    let passwd = shop.world.path("passwd");
    std::fs::write(&passwd, BAD).expect("write");
    std::fs::remove_file(&shop.path).expect("remove");
    symlink(&passwd, &shop.path).expect("link");
    std::os::unix::fs::lchown(&shop.path, Some(SHOP.0), Some(SHOP.1)).expect("chown");
    let outcome = shop.run(&shop.rollback(Some(BAD))).await;
    assert_eq!(
        (outcome.status, outcome.text.key.as_str()),
        (ActionStatus::Failed, "outcome.file_untrusted_link")
    );
    assert_eq!(std::fs::read_to_string(&passwd).expect("text"), BAD);
}

#[tokio::test]
async fn what_is_no_regular_file_or_has_no_directory_fails_in_words() {
    let shop = Shop::new();
    std::fs::remove_file(&shop.path).expect("remove");
    std::fs::create_dir(&shop.path).expect("dir");
    let outcome = shop.run(&shop.rollback(Some(BAD))).await;
    assert_eq!((outcome.status, outcome.text.key.as_str()), (ActionStatus::Failed, "outcome.file_failed"));
    let mut shop = Shop::new();
    shop.path = shop.world.path("no/such/dir/env");
    let path = shop.path.clone();
    shop.world.kept_file("app", &path);
    let outcome = shop.run(&shop.rollback(None)).await;
    assert_eq!((outcome.status, outcome.text.key.as_str()), (ActionStatus::Failed, "outcome.file_failed"));
}
