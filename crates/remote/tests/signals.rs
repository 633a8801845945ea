//! Kill, resume and its undo, with real processes.

mod world;

use std::os::unix::process::CommandExt;

use wellkept_model::{ActionKind, ActionStatus, EntityId, EntityKind, Undo};
use world::*;

fn kill() -> wellkept_model::PlannedAction {
    action(ActionKind::Kill, EntityId::new(EntityKind::Process, "report-gen"))
}

struct Sleeper(std::process::Child);

impl Sleeper {
    fn new() -> Self {
        Self(std::process::Command::new("sleep").arg("600").process_group(0).spawn().expect("spawn"))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn named_processes_are_ended_and_no_others() {
    let world = World::new();
    let (one, two, other) = (Sleeper::new(), Sleeper::new(), Sleeper::new());
    let outcome = world.hands().execute(id(1), &kill(), &[one.pid(), two.pid()], now()).await;
    assert_eq!((outcome.status, outcome.text.key.as_str()), (ActionStatus::Succeeded, "outcome.killed"));
    assert!(!lives(one.pid()) && !lives(two.pid()) && lives(other.pid()));
}

#[tokio::test]
async fn who_ignores_sigterm_gets_sigkill() {
    let world = World::new();
    let ready = world.path("ready");
    let script = format!("trap '' TERM; echo $$ > {}; while :; do sleep 0.1; done", ready.display());
    let mut child = std::process::Command::new("sh").args(["-c", &script]).spawn().expect("spawn");
    let _end = Reaper(child.id());
    until("it ignores SIGTERM", || read_pid(&ready) == child.id()).await;
    let mut short = kill();
    short.deadline_ms = 300;
    let outcome = world.hands().execute(id(1), &short, &[child.id()], now()).await;
    assert_eq!(
        (outcome.status, outcome.text.key.as_str()),
        (ActionStatus::Succeeded, "outcome.killed_by_force")
    );
    assert!(!lives(child.id()));
    child.wait().expect("reaped");
}

#[tokio::test]
async fn an_empty_list_is_never_everything() {
    let outcome = World::new().hands().execute(id(1), &kill(), &[], now()).await;
    assert_eq!((outcome.status, outcome.text.key.as_str()), (ActionStatus::Failed, "outcome.no_process"));
}

#[tokio::test]
async fn dangerous_targets_refuse_the_whole_list() {
    let kernel_thread = (2..4096).find(|pid| {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| {
            s.split_ascii_whitespace()
                .nth(8)
                .is_some_and(|f| f.parse::<u64>().is_ok_and(|f| f & 0x20_0000 != 0))
        })
    });
    let mut cases = vec![
        (0, "outcome.refuse_init"),
        (1, "outcome.refuse_init"),
        (std::process::id(), "outcome.refuse_own"),
    ];
    // In a container there may be no kernel thread to be seen.
    cases.extend(kernel_thread.map(|pid| (pid, "outcome.refuse_kernel")));
    for (pid, why) in cases {
        let sleeper = Sleeper::new();
        let outcome = World::new().hands().execute(id(1), &kill(), &[sleeper.pid(), pid], now()).await;
        assert_eq!((outcome.status, outcome.text.key.as_str()), (ActionStatus::Failed, why), "process {pid}");
        assert!(lives(sleeper.pid()), "nobody is ended when one of the list is refused");
    }
}

#[tokio::test]
async fn a_process_of_a_declared_service_is_never_killed() {
    let mut world = World::new();
    let sleeper = Sleeper::new();
    std::fs::write(world.path("app.pid"), sleeper.pid().to_string()).expect("write");
    world.service("app");
    let outcome = world.hands().execute(id(1), &kill(), &[sleeper.pid()], now()).await;
    assert_eq!(outcome.text.key, "outcome.refuse_service");
    assert_eq!(outcome.text.arg("service"), Some("app"));
    assert!(lives(sleeper.pid()));
}

#[tokio::test]
async fn a_number_that_was_given_to_another_process_since_is_refused() {
    let world = World::new();
    let sleeper = Sleeper::new();
    let long_ago = wellkept_model::TimestampMs(now().0 - 3_600_000);
    let outcome = world.hands().execute(id(1), &kill(), &[sleeper.pid()], long_ago).await;
    assert_eq!((outcome.status, outcome.text.key.as_str()), (ActionStatus::Failed, "outcome.pid_reused"));
    assert!(lives(sleeper.pid()));
}

#[tokio::test]
async fn too_many_targets_are_refused() {
    let sleeper = Sleeper::new();
    let outcome = World::new().hands().execute(id(1), &kill(), &[sleeper.pid(); 65], now()).await;
    assert_eq!(outcome.text.key, "outcome.too_many");
    assert!(lives(sleeper.pid()));
}

#[tokio::test]
async fn a_stopped_process_goes_on_and_undo_stops_it_again() {
    let mut world = World::new();
    world.service("app");
    let sleeper = Sleeper::new();
    let pid = sleeper.pid();
    let mut resume = action(ActionKind::Resume, EntityId::service("app"));
    let outcome = world.hands().execute(id(1), &resume, &[pid], now()).await;
    assert_eq!((outcome.status, outcome.text.key.as_str()), (ActionStatus::Failed, "outcome.not_stopped"));
    std::process::Command::new("kill").args(["-STOP", &pid.to_string()]).status().expect("kill");
    until("it is stopped", || state_of(pid) == Some('T')).await;
    let outcome = world.hands().execute(id(2), &resume, &[pid], now()).await;
    assert_eq!((outcome.status, outcome.undo.clone()), (ActionStatus::Succeeded, Some(Undo::Stop)));
    until("it goes on", || state_of(pid) == Some('S')).await;
    resume.undo = outcome.undo.expect("stop");
    let outcome = world.hands().undo(id(2), &resume, &[pid], now()).await;
    assert_eq!(outcome.status, ActionStatus::RolledBack, "{outcome:?}");
    until("it is stopped again", || state_of(pid) == Some('T')).await;
}

#[tokio::test]
async fn what_is_irreversible_says_so() {
    let outcome = World::new().hands().undo(id(1), &kill(), &[], now()).await;
    assert_eq!((outcome.status, outcome.text.key.as_str()), (ActionStatus::Failed, "outcome.irreversible"));
}

#[tokio::test]
async fn escalating_touches_nothing() {
    let world = World::new();
    let escalate = action(ActionKind::Escalate, EntityId::service("app"));
    let outcome = world.hands().execute(id(1), &escalate, &[], now()).await;
    assert_eq!(outcome.status, ActionStatus::Succeeded);
    assert!(!world.data().exists());
}
