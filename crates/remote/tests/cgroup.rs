//! Whole control groups, with real ones of both versions where this machine has them: they need root.

mod world;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use wellkept_model::{ActionKind, ActionStatus, EntityId, EntityKind, PlannedAction, ProcessSet};
use world::*;

/// A group that goes with this value.
struct Group {
    name: String,
    dir: PathBuf,
    children: Vec<Child>,
}

impl Group {
    /// In each hierarchy of this machine that can freeze, with this name in it.
    fn everywhere(name: &str) -> Vec<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").expect("proc");
        let mounts = mounts.lines().filter_map(|l| {
            let fields: Vec<&str> = l.split(' ').collect();
            let freezes = fields[2] == "cgroup2" || fields[2] == "cgroup" && fields[3].contains("freezer");
            freezes.then(|| (fields[2].to_owned(), PathBuf::from(fields[1])))
        });
        let made = mounts.filter_map(|(kind, mount)| {
            let name = format!("/wellkept-test-{}-{name}-{kind}", std::process::id());
            let dir = mount.join(name.trim_start_matches('/'));
            std::fs::create_dir(&dir).ok()?;
            Some(Self { name, dir, children: Vec::new() })
        });
        let made: Vec<Self> = made.collect();
        assert!(!made.is_empty(), "the test needs root and a mounted cgroup2 or freezer");
        made
    }

    /// Starts a shell script in it.
    fn run(&mut self, script: &str) -> u32 {
        let script = format!("echo $$ > {}/cgroup.procs && {script}", self.dir.display());
        self.children.push(Command::new("sh").args(["-c", &script]).spawn().expect("spawn"));
        self.children.last().map_or(0, Child::id)
    }

    fn members(&self) -> usize {
        let text = std::fs::read_to_string(self.dir.join("cgroup.procs")).expect("it is there");
        text.lines().filter(|l| l.parse().is_ok_and(lives)).count()
    }

    fn kill(&self) -> PlannedAction {
        let mut act = action(ActionKind::Kill, EntityId::new(EntityKind::Process, "storm"));
        act.subject = ProcessSet::Cgroup(self.name.clone()).to_string();
        act
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let left = std::fs::read_to_string(self.dir.join("cgroup.procs")).unwrap_or_default();
        for pid in left.lines() {
            let _ = Command::new("kill").args(["-9", pid]).status();
        }
        let gone = |dir: &Path| std::fs::remove_dir(dir).is_ok();
        (0..200).any(|_| {
            gone(&self.dir) || {
                std::thread::yield_now();
                false
            }
        });
    }
}

#[tokio::test]
async fn a_storm_of_new_sessions_is_frozen_and_ended_as_a_whole() {
    let world = World::new();
    for mut group in Group::everywhere("storm") {
        // Each child is a session of its own: no session holds them all. It ends by itself, in case the test fails.
        group.run("i=0; while [ $i -lt 3000 ]; do setsid sleep 20 & i=$((i+1)); done; wait");
        until("it forks", || group.members() > 50).await;
        let done = world.hands().execute(id(1), &group.kill(), &[], now()).await;
        let told = (done.status, done.text.key.as_str());
        assert_eq!(told, (ActionStatus::Succeeded, "outcome.cgroup_killed"), "{done:?}");
        assert_eq!(group.members(), 0, "{}", group.name);
        let state = |file| std::fs::read_to_string(group.dir.join(file)).unwrap_or_default();
        assert_ne!(state("cgroup.freeze").trim(), "1", "it is thawed");
        assert!(["", "THAWED"].contains(&state("freezer.state").trim()), "it is thawed");
    }
}

#[tokio::test]
async fn a_group_with_a_process_of_a_service_is_left_alone_unless_it_is_the_target() {
    let mut world = World::new();
    world.service("app");
    for mut group in Group::everywhere("service") {
        let pid = group.run("exec sleep 600");
        until("it runs", || group.members() == 1).await;
        std::fs::write(world.path("app.pid"), pid.to_string()).expect("write");
        let mut kill = group.kill();
        let refused = world.hands().execute(id(1), &kill, &[], now()).await;
        let told = (refused.status, refused.text.key.as_str());
        assert_eq!(told, (ActionStatus::Failed, "outcome.refuse_service"));
        assert_eq!(group.members(), 1);
        kill.target = EntityId::service("app");
        let done = world.hands().execute(id(2), &kill, &[], now()).await;
        assert_eq!((done.status, group.members()), (ActionStatus::Succeeded, 0), "{done:?}");
    }
}

#[tokio::test]
async fn a_group_that_is_not_there_or_empty_is_no_target() {
    let world = World::new();
    let groups = Group::everywhere("empty");
    let empty = world.hands().execute(id(1), &groups[0].kill(), &[], now()).await;
    assert_eq!((empty.status, empty.text.key.as_str()), (ActionStatus::Failed, "outcome.no_process"));
    let mut absent = groups[0].kill();
    absent.subject = "cgroup /wellkept-test-there-is-none".to_owned();
    let refused = world.hands().execute(id(2), &absent, &[], now()).await;
    assert_eq!((refused.status, refused.text.key.as_str()), (ActionStatus::Failed, "outcome.no_cgroup"));
}
