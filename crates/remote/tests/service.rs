//! Restart and start of services, with real processes.

mod world;

use std::time::Duration;

use wellkept_model::{ActionKind, ActionStatus, EntityId};
use world::*;

fn restart() -> wellkept_model::PlannedAction {
    action(ActionKind::Restart, EntityId::service("app"))
}

#[tokio::test]
async fn a_service_that_runs_in_the_foreground_is_left_running_and_keeps_its_output() {
    let mut world = World::new();
    let pidfile = world.path("app.pid");
    let script = format!("echo $$ > {}; while :; do echo tick; sleep 0.05; done", pidfile.display());
    world.service("app").start = sh(&script);
    let outcome = world.hands().execute(id(1), &restart(), &[], now()).await;
    assert_eq!(outcome.status, ActionStatus::Succeeded, "{outcome:?}");
    assert_eq!(outcome.text.key, "outcome.start_is_service");
    let pid = read_pid(&pidfile);
    let _end = Reaper(pid);
    let log = world.data().join("logs/app.out");
    let before = std::fs::metadata(&log).expect("log").len();
    until("it goes on writing", || std::fs::metadata(&log).is_ok_and(|m| m.len() > before)).await;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("lives");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("stat").1.split_ascii_whitespace().collect();
    assert_eq!(fields[3], pid.to_string(), "it leads a session of its own");
    for fd in 0..3 {
        let link = std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).expect("open");
        assert!(!link.to_string_lossy().contains("pipe"), "{fd} is {}", link.display());
    }
    // It is our child: when it ends, its exit status is taken and no zombie stays.
    drop(_end);
    until("it is reaped", || state_of(pid).is_none()).await;
}

#[tokio::test]
async fn a_service_that_is_its_own_start_command_runs_as_its_user_and_an_unknown_one_starts_nothing() {
    if our_uid() != 0 {
        return;
    }
    let mut world = World::new();
    let exe = std::fs::canonicalize("/bin/sleep").expect("there is one");
    // An argument that nobody else has tells our process from others.
    let seconds = format!("{}.5", 70_000 + std::process::id());
    let argument = Some(seconds.clone());
    let service = world.service("app");
    service.identity = wellkept_model::keep::Identity::Program { exe, user: None, argument };
    let argv = vec!["/bin/sleep".to_owned(), seconds.clone()];
    service.start = Some(wellkept_model::keep::Command { argv, within: Duration::from_secs(20) });
    service.user = Some("nobody-of-this-name".to_owned());
    let refused = world.hands().execute(id(1), &restart(), &[], now()).await;
    assert_eq!(refused.status, ActionStatus::Failed, "{refused:?}");
    assert_eq!((refused.text.key.as_str(), ours(&seconds)), ("outcome.user_unknown", None));
    world.service("app").user = Some("65534".to_owned());
    let started = world.hands().execute(id(2), &restart(), &[], now()).await;
    let pid = ours(&seconds).expect("it runs");
    let _end = Reaper(pid);
    assert_eq!(started.text.key, "outcome.start_is_service", "{started:?}");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("lives");
    for line in ["Uid:\t65534\t65534\t65534\t65534", "Gid:\t65534\t65534\t65534\t65534"] {
        assert!(status.contains(line), "{status}");
    }
}

fn our_uid() -> u32 {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").expect("we live"))
}

/// The process with this argument.
fn ours(argument: &str) -> Option<u32> {
    let all = std::fs::read_dir("/proc").expect("there").flatten();
    let mut pids = all.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with(b"/bin/sleep\0") && line.split(|b| *b == 0).any(|w| w == argument.as_bytes())
    })
}

#[tokio::test]
async fn a_start_command_that_fails_tells_its_status_and_last_words() {
    let mut world = World::new();
    world.service("app").start = sh("echo DB_PASSWORD=hunter2; echo no such setting: DB_HOST >&2; exit 3");
    let outcome = world.hands().execute(id(1), &restart(), &[], now()).await;
    assert_eq!(outcome.status, ActionStatus::Failed);
    assert_eq!(outcome.text.key, "outcome.command_exit");
    assert_eq!(outcome.text.arg("status"), Some("3"));
    assert_eq!(outcome.text.arg("output"), Some("DB_PASSWORD=*** | no such setting: DB_HOST"));
    assert!(!format!("{outcome:?}").contains("hunter2"), "neither in the output nor in the command");
}

#[tokio::test]
async fn a_start_command_that_never_becomes_the_service_is_unknown_and_left_running() {
    let mut world = World::new();
    let other = world.path("other.pid");
    let script = format!("echo $$ > {}; exec sleep 600", other.display());
    world.service("app").start = within(&script, Duration::from_millis(400));
    let outcome = world.hands().execute(id(1), &restart(), &[], now()).await;
    let pid = read_pid(&other);
    let _end = Reaper(pid);
    assert_eq!(outcome.status, ActionStatus::Unknown, "{outcome:?}");
    assert_eq!(outcome.text.key, "outcome.start_goes_on");
    assert!(lives(pid));
}

#[tokio::test]
async fn without_a_restart_command_it_is_stopped_and_started() {
    let mut world = World::new();
    let pidfile = world.path("app.pid");
    world.service("app").start = sh(&format!("setsid sleep 600 & echo $! > {}", pidfile.display()));
    let first = world.hands().execute(id(1), &restart(), &[], now()).await;
    assert_eq!(first.text.key, "outcome.started", "{first:?}");
    let old = read_pid(&pidfile);
    let _end_old = Reaper(old);
    assert!(lives(old));
    let second = world.hands().execute(id(2), &restart(), &[old], now()).await;
    assert_eq!(second.status, ActionStatus::Succeeded, "{second:?}");
    let new = read_pid(&pidfile);
    let _end_new = Reaper(new);
    assert!(!lives(old) && lives(new) && old != new);
}

#[tokio::test]
async fn a_stopped_process_that_ignores_sigterm_is_ended_too() {
    let mut world = World::new();
    let pidfile = world.path("app.pid");
    world.service("app").start = sh("exit 0");
    let mut child = tokio::process::Command::new("sh")
        .args(["-c", &format!("trap '' TERM; echo $$ > {}; while :; do sleep 0.1; done", pidfile.display())])
        .spawn()
        .expect("spawn");
    let pid = child.id().expect("pid");
    let _end = Reaper(pid);
    until("it ignores SIGTERM", || read_pid(&pidfile) == pid).await;
    let mut slow = restart();
    slow.deadline_ms = 500;
    let outcome = world.hands().execute(id(1), &slow, &[pid], now()).await;
    assert!(!lives(pid), "{outcome:?}");
    child.wait().await.expect("reaped");
}

#[tokio::test]
async fn what_cannot_be_started_is_never_stopped() {
    let mut world = World::new();
    world.service("app").stop = sh("exit 0");
    let mut child =
        tokio::process::Command::new("sleep").arg("600").kill_on_drop(true).spawn().expect("spawn");
    let pid = child.id().expect("pid");
    let outcome = world.hands().execute(id(1), &restart(), &[pid], now()).await;
    assert_eq!((outcome.status, outcome.text.key.as_str()), (ActionStatus::Failed, "outcome.no_start"));
    assert!(lives(pid));
    child.kill().await.expect("kill");
}

#[tokio::test]
async fn a_stop_that_does_not_stop_starts_nothing() {
    let mut world = World::new();
    let mark = world.path("started");
    world.service("app").stop = sh("echo I cannot; exit 1");
    world.service("app").start = sh(&format!("touch {}", mark.display()));
    let mut child =
        tokio::process::Command::new("sleep").arg("600").kill_on_drop(true).spawn().expect("spawn");
    let outcome = world.hands().execute(id(1), &restart(), &[child.id().expect("pid")], now()).await;
    assert_eq!(outcome.status, ActionStatus::Failed, "{outcome:?}");
    assert_eq!(outcome.text.arg("output"), Some("I cannot"));
    assert!(!mark.exists());
    child.kill().await.expect("kill");
}

#[tokio::test]
async fn a_restart_command_is_used_when_the_service_runs_and_is_unknown_at_its_deadline() {
    let mut world = World::new();
    world.service("app").restart = sh("exit 0");
    let mut child =
        tokio::process::Command::new("sleep").arg("600").kill_on_drop(true).spawn().expect("spawn");
    let pid = child.id().expect("pid");
    let outcome = world.hands().execute(id(1), &restart(), &[pid], now()).await;
    assert_eq!((outcome.status, outcome.text.key.as_str()), (ActionStatus::Succeeded, "outcome.restarted"));
    world.service("app").restart = within("sleep 600", Duration::from_millis(200));
    let outcome = world.hands().execute(id(2), &restart(), &[pid], now()).await;
    assert_eq!(
        (outcome.status, outcome.text.key.as_str()),
        (ActionStatus::Unknown, "outcome.command_deadline")
    );
    assert!(lives(pid), "only what we started is ended");
    child.kill().await.expect("kill");
}

#[tokio::test]
async fn a_dependency_that_runs_again_is_left_alone() {
    let mut world = World::new();
    let mark = world.path("started");
    world.service("db").start = sh(&format!("touch {}", mark.display()));
    let start = action(ActionKind::StartDependency, EntityId::service("db"));
    let outcome = world.hands().execute(id(1), &start, &[std::process::id()], now()).await;
    assert_eq!(
        (outcome.status, outcome.text.key.as_str()),
        (ActionStatus::Succeeded, "outcome.already_runs")
    );
    assert!(!mark.exists());
    let outcome = world.hands().execute(id(2), &start, &[], now()).await;
    assert_eq!(outcome.text.key, "outcome.started", "{outcome:?}");
    assert!(mark.exists());
}

#[tokio::test]
async fn evidence_is_kept_first_and_without_it_nothing_is_done() {
    let mut world = World::new();
    let mark = world.path("started");
    world.service("app").start = sh(&format!("touch {}", mark.display()));
    std::fs::create_dir_all(world.data()).expect("dir");
    std::fs::write(world.data().join("evidence"), "in the way").expect("write");
    let outcome = world.hands().execute(id(1), &restart(), &[], now()).await;
    assert_eq!(
        (outcome.status, outcome.text.key.as_str()),
        (ActionStatus::Failed, "outcome.evidence_failed")
    );
    assert!(!mark.exists());
    std::fs::remove_file(world.data().join("evidence")).expect("remove");
    let mut child =
        tokio::process::Command::new("sleep").arg("600").kill_on_drop(true).spawn().expect("spawn");
    let pid = child.id().expect("pid");
    world.hands().execute(id(2), &restart(), &[pid], now()).await;
    let text = std::fs::read_to_string(world.data().join("evidence/1-2/processes.txt")).expect("kept");
    assert!(text.contains(&format!("== {pid} status")) && text.contains("sleep"), "{text}");
    child.wait().await.expect("reaped");
}

#[tokio::test]
async fn a_service_that_the_keep_file_does_not_declare_is_refused() {
    let world = World::new();
    let outcome = world.hands().execute(id(1), &restart(), &[], now()).await;
    assert_eq!((outcome.status, outcome.text.key.as_str()), (ActionStatus::Failed, "outcome.not_declared"));
}
