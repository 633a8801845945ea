//! What `free_space` removes, and above all what it never does.

mod world;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wellkept_model::{ActionKind, ActionStatus, EntityId};
use wellkept_remote::Outcome;
use world::*;

async fn free(world: &World) -> Outcome {
    let target = EntityId::filesystem(world.path("fs").to_string_lossy());
    world.hands().execute(id(1), &action(ActionKind::FreeSpace, target), &[], now()).await
}

fn file(world: &World, name: &str) -> PathBuf {
    let path = world.path("fs").join(name);
    std::fs::create_dir_all(path.parent().expect("parent")).expect("dir");
    std::fs::write(&path, format!("content of {name}")).expect("write");
    path
}

fn set_age(path: &Path, seconds: i64) {
    let at = std::time::UNIX_EPOCH
        + Duration::from_secs(u64::try_from(now().0 / 1000 - seconds).expect("positive"));
    std::fs::File::options().append(true).open(path).and_then(|f| f.set_modified(at)).expect("set the time");
}

#[tokio::test]
async fn what_matches_goes_and_is_in_the_list_that_was_kept_before() {
    let mut world = World::new();
    world.filesystem(&["tmp/export-*.bin"]);
    let gone = [file(&world, "tmp/export-1.bin"), file(&world, "tmp/export-2.bin")];
    let outcome = free(&world).await;
    assert_eq!(
        (outcome.status, outcome.text.key.as_str()),
        (ActionStatus::Succeeded, "outcome.freed"),
        "{outcome:?}"
    );
    assert_eq!(outcome.text.arg("files"), Some("2"));
    let kept = std::fs::read_to_string(world.data().join("evidence/1-1/removed.json")).expect("kept");
    let list: Vec<serde_json::Value> = serde_json::from_str(&kept).expect("JSON");
    for path in gone {
        assert!(!path.exists());
        assert!(list.iter().any(|f| f["path"] == *path.to_string_lossy()), "{kept}");
    }
}

#[tokio::test]
async fn other_names_links_directories_and_hard_links_stay() {
    let mut world = World::new();
    world.filesystem(&["tmp/export-*.bin", "link/*"]);
    let outside = world.path("outside");
    std::fs::create_dir(&outside).expect("dir");
    std::fs::write(outside.join("export-9.bin"), "precious").expect("write");
    let stay = [
        file(&world, "tmp/export-1.bin.old"),
        file(&world, "tmp/import-1.bin"),
        file(&world, "tmp/.export-1.bin"),
        file(&world, "tmp/deeper/export-1.bin"),
        file(&world, "tmp/export-dir.bin/inside"),
        file(&world, "uploads/photo"),
        outside.join("export-9.bin"),
    ];
    std::fs::hard_link(world.path("fs/uploads/photo"), world.path("fs/tmp/export-hard.bin")).expect("link");
    symlink(outside.join("export-9.bin"), world.path("fs/tmp/export-link.bin")).expect("link");
    symlink(&outside, world.path("fs/link")).expect("link");
    let gone = file(&world, "tmp/export-1.bin");
    // A rule that leads over a link stops everything: the place is not what was declared.
    let outcome = free(&world).await;
    assert_eq!((outcome.status, outcome.text.key.as_str()), (ActionStatus::Failed, "outcome.free_bad_rule"));
    assert!(gone.exists());
    world.keep.filesystems.clear();
    world.filesystem(&["tmp/export-*.bin"]);
    let outcome = free(&world).await;
    assert_eq!(outcome.text.arg("files"), Some("1"), "{outcome:?}");
    assert!(!gone.exists());
    for path in stay {
        assert!(path.exists(), "{}", path.display());
    }
    assert!(world.path("fs/tmp/export-hard.bin").exists());
    assert!(world.path("fs/tmp/export-link.bin").symlink_metadata().is_ok());
}

#[tokio::test]
async fn an_open_file_stays_whoever_has_it_open() {
    let mut world = World::new();
    world.filesystem(&["tmp/*"]);
    let read = file(&world, "tmp/read");
    let written = file(&world, "tmp/written");
    let closed = file(&world, "tmp/closed");
    let ours = std::fs::File::open(&read).expect("open");
    let mut child = std::process::Command::new("sleep")
        .arg("600")
        .stdin(std::fs::File::options().append(true).open(&written).expect("open"))
        .spawn()
        .expect("spawn");
    let outcome = free(&world).await;
    assert_eq!((outcome.text.arg("files"), outcome.text.arg("open")), (Some("1"), Some("2")), "{outcome:?}");
    assert!(read.exists() && written.exists() && !closed.exists());
    child.kill().expect("kill");
    child.wait().expect("reaped");
    drop(ours);
    let outcome = free(&world).await;
    assert_eq!(outcome.text.arg("files"), Some("2"), "{outcome:?}");
}

#[tokio::test]
async fn what_must_never_be_touched_stays_by_whatever_name() {
    let mut world = World::new();
    let precious = [file(&world, "uploads/a"), file(&world, "uploads/deep/b"), file(&world, "tmp/pinned")];
    symlink("uploads", world.path("fs/by-link")).expect("link");
    let (uploads, link, pinned) =
        (world.path("fs/uploads"), world.path("fs/by-link"), world.path("fs/tmp/pinned"));
    for never in [vec![uploads, pinned.clone()], vec![link, pinned]] {
        world.keep.filesystems.clear();
        world.filesystem(&["uploads/*", "uploads/deep/*", "tmp/*"]).never_touch = never;
        let loose = file(&world, "tmp/loose");
        let outcome = free(&world).await;
        assert_eq!(outcome.text.arg("files"), Some("1"), "{outcome:?}");
        assert!(!loose.exists() && precious.iter().all(|p| p.exists()));
    }
}

#[tokio::test]
async fn young_files_stay_and_the_oldest_go_first_until_it_is_enough() {
    let mut world = World::new();
    let filesystem = world.filesystem(&["tmp/*"]);
    filesystem.free_space[0].older_than = Some(Duration::from_secs(3600));
    let (young, old) = (file(&world, "tmp/young"), file(&world, "tmp/old"));
    set_age(&old, 7200);
    set_age(&young, 60);
    let outcome = free(&world).await;
    assert_eq!(outcome.text.arg("files"), Some("1"), "{outcome:?}");
    assert!(young.exists() && !old.exists());
    // Already far below "full": nothing has to go.
    let filesystem = world.keep.filesystems.values_mut().next().expect("one");
    filesystem.full_at = 1.2;
    filesystem.free_space[0].older_than = None;
    let outcome = free(&world).await;
    assert_eq!(outcome.text.key, "outcome.free_enough", "{outcome:?}");
    assert!(young.exists());
}

#[tokio::test]
async fn no_rule_and_no_match_are_failures() {
    let mut world = World::new();
    world.filesystem(&[]);
    assert_eq!(free(&world).await.text.key, "outcome.free_no_rule");
    world.keep.filesystems.clear();
    world.filesystem(&["tmp/*", "not-there/*"]);
    file(&world, "other/x");
    std::fs::create_dir_all(world.path("fs/tmp")).expect("dir");
    assert_eq!(free(&world).await.text.key, "outcome.free_nothing");
    world.keep.filesystems.clear();
    assert_eq!(free(&world).await.text.key, "outcome.not_declared");
}

#[tokio::test]
async fn a_rule_that_leaves_the_file_system_removes_nothing() {
    let mut world = World::new();
    file(&world, "tmp/x");
    std::fs::write(world.path("precious"), "x").expect("write");
    for rule in ["../*", "tmp/../../*", "*/x"] {
        world.keep.filesystems.clear();
        world.filesystem(&[rule, "tmp/*"]);
        let outcome = free(&world).await;
        assert_eq!(outcome.text.key, "outcome.free_bad_rule", "{rule}: {outcome:?}");
        assert!(world.path("fs/tmp/x").exists() && world.path("precious").exists());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_takes_the_place_of_a_listed_one_is_never_removed() {
    let mut world = World::new();
    world.filesystem(&["tmp/scratch"]);
    let (victim, stop) = (file(&world, "tmp/scratch"), AtomicBool::new(false));
    let nursery = world.path("fs/nursery");
    std::fs::create_dir(&nursery).expect("dir");
    let world = &world;
    // An attacker moves fresh, precious files over the listed name as fast as it can. Each has content that says
    // which one it is; one that vanished without having been replaced by the attacker itself was removed by us.
    let (lost, swaps) = std::thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            let (mut lost, mut swaps) = (0, 0u64);
            let mut inode = None;
            while !stop.load(Ordering::Relaxed) {
                use std::os::unix::fs::MetadataExt;
                let fresh = nursery.join("fresh");
                std::fs::write(&fresh, swaps.to_string()).expect("write");
                // Held open: the file is in use from its first moment to its last.
                let held = std::fs::File::open(&fresh).expect("open");
                std::fs::rename(&fresh, &victim).expect("swap");
                swaps += 1;
                if held.metadata().expect("metadata").nlink() == 0 {
                    lost += 1;
                }
                let at_once = std::time::Duration::from_micros(swaps % 300);
                std::thread::sleep(at_once);
                if held.metadata().expect("metadata").nlink() == 0 {
                    lost += 1;
                }
                inode = Some(held.metadata().expect("metadata").ino());
            }
            assert!(inode.is_some());
            (lost, swaps)
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        std::thread::scope(|inner| {
            inner.spawn(|| {
                let runtime = runtime.expect("runtime");
                for _ in 0..40 {
                    runtime.block_on(free(world));
                }
            });
        });
        stop.store(true, Ordering::Relaxed);
        attacker.join().expect("attacker")
    });
    assert!(swaps > 100, "the attacker was there: {swaps}");
    assert_eq!(lost, 0, "of {swaps} files that were in use");
}
