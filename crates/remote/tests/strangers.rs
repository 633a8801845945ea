//! Processes that belong to no service, with real ones: sessions that fork, priorities, numbers given out again.

mod world;

use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command};

use wellkept_model::{
    ActionKind, ActionStatus, EntityId, EntityKind, PlannedAction, ProcessRef, ProcessSet, Undo,
};
use world::*;

/// A session of its own, as batch jobs have.
struct Session(Child);

impl Session {
    fn new(script: &str) -> Self {
        let mut command = Command::new("setsid");
        // `--wait` keeps our child alive as long as the session's leader.
        command.args(["--wait", "sh", "-c", script]);
        Self(command.spawn().expect("spawn"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn reference(pid: u32) -> ProcessRef {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let rest = text.rsplit_once(')').expect("a name").1;
    let start_ticks = rest.split_ascii_whitespace().nth(19).and_then(|f| f.parse().ok()).expect("a start");
    ProcessRef { pid, start_ticks }
}

fn act(kind: ActionKind, entity: EntityKind, subject: &str) -> PlannedAction {
    let mut act = action(kind, EntityId::new(entity, "report-gen [1]"));
    act.subject = subject.to_owned();
    act
}

fn our_uid() -> u32 {
    std::fs::metadata("/proc/self").expect("we live").uid()
}

fn in_session(id: u32) -> usize {
    let pids = std::fs::read_dir("/proc").expect("proc").flatten();
    let stat = |pid: String| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let texts = pids.filter_map(|e| stat(e.file_name().into_string().ok()?));
    let member = |text: &String| {
        let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?;
        (state != "Z" && fields.nth(2)?.parse::<u32>().ok()? == id).then_some(())
    };
    texts.filter(|t| member(t).is_some()).count()
}

#[tokio::test]
async fn a_named_process_is_ended_and_one_that_took_its_number_is_not() {
    let world = World::new();
    let mut child = Command::new("sleep").arg("600").spawn().expect("spawn");
    let process = reference(child.id());
    let later = ProcessRef { start_ticks: process.start_ticks + 1, ..process };
    let kill = |p| act(ActionKind::Kill, EntityKind::Process, &ProcessSet::Some(vec![p]).to_string());
    let refused = world.hands().execute(id(1), &kill(later), &[], now()).await;
    assert_eq!((refused.status, refused.text.key.as_str()), (ActionStatus::Failed, "outcome.pid_reused"));
    assert!(lives(child.id()));
    let done = world.hands().execute(id(2), &kill(process), &[], now()).await;
    assert_eq!(done.status, ActionStatus::Succeeded, "{done:?}");
    child.wait().expect("reaped");
}

#[tokio::test]
async fn a_session_that_forks_without_end_ends_as_a_whole() {
    // Root's sessions are never ended, so the session must belong to somebody else.
    let world = World::new();
    let path = world.path("leader");
    std::fs::write(&path, "").expect("write");
    std::os::unix::fs::chown(&path, Some(65_534), None).expect("the tests run as root");
    std::os::unix::fs::chown(world.path(""), Some(65_534), None).expect("ours");
    // It forks on, and each child lives: at most some hundred, in case the test fails.
    let script = format!(
        "echo $$ > {}; i=0; while [ $i -lt 300 ]; do sleep 600 & i=$((i+1)); done; wait",
        path.display()
    );
    let mut command = Command::new("setsid");
    command.args(["--wait", "setpriv", "--reuid=65534", "--clear-groups", "sh", "-c", &script]);
    let session = Session(command.spawn().expect("spawn"));
    until("it forks", || read_pid(&path) > 0 && in_session(read_pid(&path)) > 50).await;
    let leader = read_pid(&path);
    let set = ProcessSet::Session { id: leader, uid: 65_534 };
    let kill = act(ActionKind::Kill, EntityKind::Process, &set.to_string());
    let done = world.hands().execute(id(1), &kill, &[], now()).await;
    assert_eq!(
        (done.status, done.text.key.as_str()),
        (ActionStatus::Succeeded, "outcome.session_killed"),
        "{done:?}"
    );
    assert_eq!(in_session(leader), 0);
    drop(session);
}

#[tokio::test]
async fn sessions_of_root_and_of_services_are_never_ended() {
    let mut world = World::new();
    let path = world.path("app.pid");
    world.service("app");
    let session = Session::new(&format!("echo $$ > {}; exec sleep 600", path.display()));
    until("it runs", || read_pid(&path) > 0).await;
    let leader = read_pid(&path);
    let _end = Reaper(leader);
    for (uid, expected) in [(our_uid(), "outcome.refuse_session"), (65_534, "outcome.refuse_service")] {
        let set = ProcessSet::Session { id: leader, uid };
        let kill = act(ActionKind::Kill, EntityKind::Process, &set.to_string());
        let refused = world.hands().execute(id(uid), &kill, &[], now()).await;
        assert_eq!(refused.text.key, expected);
    }
    assert!(lives(leader));
    drop(session);
}

#[tokio::test]
async fn a_process_is_made_nice_and_gets_its_priority_back() {
    let world = World::new();
    let mut child = Command::new("sleep").arg("600").spawn().expect("spawn");
    let nice = |pid: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
        let fields = text.rsplit_once(')').expect("a name").1.split_ascii_whitespace().nth(16);
        fields.and_then(|f| f.parse::<i32>().ok()).expect("a nice value")
    };
    let before = nice(child.id());
    let set = ProcessSet::Some(vec![reference(child.id())]);
    let mut slow = act(ActionKind::Reconfigure, EntityKind::Host, &set.to_string());
    let done = world.hands().execute(id(1), &slow, &[], now()).await;
    assert_eq!(done.status, ActionStatus::Succeeded, "{done:?}");
    assert_eq!(nice(child.id()), 19);
    slow.undo = done.undo.expect("it can be taken back");
    assert!(matches!(&slow.undo, Undo::Renice { before } if before.len() == 1));
    let undone = world.hands().undo(id(1), &slow, &[], now()).await;
    assert_eq!((undone.status, nice(child.id())), (ActionStatus::RolledBack, before));
    child.kill().and_then(|()| child.wait()).expect("ours");
}

/// A storm of another user, each child in a session of its own; ends when it is dropped.
struct Storm {
    child: Child,
    began: u64,
}

impl Storm {
    const UID: u32 = 65_533;

    async fn new() -> Self {
        // It forks on, and each child lives: at most some hundred, in case the test fails.
        let script = "i=0; while [ $i -lt 200 ]; do setsid sleep 600 & i=$((i+1)); done; wait";
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65533", "--clear-groups", "sh", "-c", script]);
        let child = command.spawn().expect("spawn");
        let began = reference(child.id()).start_ticks;
        until("it forks", || Self::count() > 50).await;
        Self { child, began }
    }

    fn count() -> usize {
        let pids = std::fs::read_dir("/proc").expect("proc").flatten();
        let of_user = pids.filter(|e| e.metadata().is_ok_and(|m| m.uid() == Self::UID));
        let lives = |name: String| {
            let text = std::fs::read_to_string(format!("/proc/{name}/stat")).ok()?;
            (!text.rsplit_once(')')?.1.starts_with(" Z")).then_some(())
        };
        of_user.filter(|e| e.file_name().into_string().ok().and_then(lives).is_some()).count()
    }

    fn kill(&self, since: u64) -> PlannedAction {
        let set = ProcessSet::Since { uid: Self::UID, ticks: since, group: "/".to_owned() };
        act(ActionKind::Kill, EntityKind::Process, &set.to_string())
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        let _ = Command::new("pkill").args(["-KILL", "-U", &Self::UID.to_string()]).status();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_storm_in_many_sessions_ends_as_a_whole_unless_a_service_is_in_it() {
    let mut world = World::new();
    let storm = Storm::new().await;
    // A service's process is among them: nothing is done.
    world.service("app");
    std::fs::write(world.path("app.pid"), storm.child.id().to_string()).expect("write");
    let refused = world.hands().execute(id(1), &storm.kill(storm.began), &[], now()).await;
    assert_eq!(refused.text.key, "outcome.refuse_service", "{refused:?}");
    std::fs::remove_file(world.path("app.pid")).expect("it is there");
    // Those that began later are others.
    let none = world.hands().execute(id(2), &storm.kill(u64::MAX), &[], now()).await;
    assert_eq!(none.text.key, "outcome.no_process");
    assert!(Storm::count() > 50);
    let done = world.hands().execute(id(3), &storm.kill(storm.began), &[], now()).await;
    assert_eq!(
        (done.status, done.text.key.as_str()),
        (ActionStatus::Succeeded, "outcome.storm_killed"),
        "{done:?}"
    );
    assert_eq!(Storm::count(), 0);
}
