//! Services as real processes: what is noticed, how fast, and what is known about it afterwards.
#![expect(clippy::disallowed_methods, reason = "a test has no caller that could give it the time")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc::Receiver;
use wellkept_collect::{Collector, ServiceEvent};
use wellkept_model::TimestampMs;
use wellkept_model::keep::{FileKind, Identity, Keep, KeptFile, Service};
use wellkept_model::observe::{Exit, FileState, ProcessEnd, ServiceSeen};

/// Long enough for a loaded machine; what is waited for usually takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    dir: tempfile::TempDir,
    collector: Collector,
    events: Receiver<ServiceEvent>,
}

fn now() -> TimestampMs {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    TimestampMs(i64::try_from(since.as_millis()).expect("before the year 292 million"))
}

fn service(identity: Identity, files: Vec<KeptFile>) -> Service {
    Service {
        name: "s".into(),
        identity,
        start: None,
        stop: None,
        restart: None,
        reload: None,
        reopen: None,
        health: vec![],
        user: None,
        listens: vec![],
        depends_on: vec![],
        uses: vec![],
        release: None,
        files,
        may: vec![],
        group: None,
        starts_itself_within: None,
        config_test: None,
        resolves: None,
        clock: None,
    }
}

impl World {
    /// A service found through `s.pid` in a temporary folder, which may hold a number already.
    fn with_pidfile(before: Option<u32>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("s.pid");
        if let Some(pid) = before {
            std::fs::write(&path, format!("{pid}\nsecond line\n")).expect("it can be written");
        }
        let setting = KeptFile { path: dir.path().join("env"), kind: FileKind::Setting };
        Self::new(dir, service(Identity::Pidfile(path), vec![setting]))
    }

    fn new(dir: tempfile::TempDir, service: Service) -> Self {
        let keep = Keep { services: BTreeMap::from([("s".to_owned(), service)]), ..Keep::default() };
        let mut collector = Collector::new(Arc::new(keep), "h");
        let events = collector.events().expect("the first call gets it");
        Self { dir, collector, events }
    }

    fn write_pid(&self, pid: u32) {
        std::fs::write(self.dir.path().join("s.pid"), format!("{pid}\n")).expect("it can be written");
    }

    async fn event(&mut self) -> ServiceEvent {
        let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
        event.expect("an event comes").expect("the collector lives")
    }

    async fn end(&mut self) -> ProcessEnd {
        match self.event().await {
            ServiceEvent::Ended { service, end } => {
                assert_eq!(service, "s");
                end
            }
            other => panic!("not an end: {other:?}"),
        }
    }

    /// Looks again and again until it is as wanted.
    async fn until(&mut self, wanted: impl Fn(&ServiceSeen) -> bool) -> ServiceSeen {
        let ends = Instant::now() + PATIENCE;
        loop {
            let seen = self.collector.observe_service("s", now()).map(|look| look.seen);
            if let Some(seen) = seen.clone().filter(|s| wanted(s)) {
                return seen;
            }
            assert!(Instant::now() < ends, "last seen: {seen:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn sleep() -> Child {
    Command::new("sleep").arg("1000").spawn().expect("sleep starts")
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id")).expect("a process id");
    kill_process(pid, signal).expect("our own child");
}

/// A process that is nobody's child here: its parent has ended. Returns its number.
fn orphan(dir: &Path) -> u32 {
    let file = dir.join("orphan");
    let line = format!("sleep 1000 & echo $! > {}", file.display());
    let status = Command::new("/bin/sh").args(["-c", &line]).status().expect("a shell starts");
    assert!(status.success());
    std::fs::read_to_string(file).expect("it was written").trim().parse().expect("a number")
}

#[tokio::test]
async fn a_killed_service_is_told_at_once_with_its_signal() {
    let mut child = sleep();
    let mut world = World::with_pidfile(Some(child.id()));
    let seen = world.until(|s| !s.processes.is_empty()).await;
    assert_eq!((seen.processes[0].pid, seen.ever_seen, seen.starts.len()), (child.id(), true, 0));
    let killed = Instant::now();
    signal(&child, Signal::KILL);
    let end = world.end().await;
    let took = killed.elapsed();
    assert_eq!((end.pid, end.exit), (child.id(), Exit::Signal(9)));
    // Each look reads the clock anew, in milliseconds.
    let apart = end.started_at.map(|at| (at.0 - seen.processes[0].started_at.0).abs());
    assert!(apart.is_some_and(|ms| ms <= 20), "{apart:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    let seen = world.until(|s| s.processes.is_empty()).await;
    assert_eq!((seen.down_since, seen.last_end), (Some(end.at), Some(end)));
    child.wait().expect("our own child");
}

#[tokio::test]
async fn the_exit_status_of_somebody_elses_child_is_known() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let pid = orphan(dir.path());
    let mut world = World::with_pidfile(Some(pid));
    world.until(|s| !s.processes.is_empty()).await;
    let raw = Pid::from_raw(i32::try_from(pid).expect("a process id")).expect("a process id");
    kill_process(raw, Signal::TERM).expect("it is ours");
    let end = world.end().await;
    // Known as a zombie to root and its own user, and after collection on Linux 6.15 and later.
    assert_eq!((end.pid, end.exit), (pid, Exit::Signal(15)));
}

#[tokio::test]
async fn a_stopped_process_is_seen_in_state_t_and_goes_on() {
    let mut child = sleep();
    let mut world = World::with_pidfile(Some(child.id()));
    world.until(|s| !s.processes.is_empty()).await;
    signal(&child, Signal::STOP);
    let stopped = world.until(|s| s.processes.first().is_some_and(|p| p.state == 'T')).await;
    assert!(now().since(stopped.processes[0].state_since) < PATIENCE);
    signal(&child, Signal::CONT);
    world.until(|s| s.processes.first().is_some_and(|p| p.state == 'S' || p.state == 'R')).await;
    child.kill().expect("our own child");
    child.wait().expect("our own child");
}

#[tokio::test]
async fn a_restart_is_one_end_and_one_start() {
    let mut first = sleep();
    let mut world = World::with_pidfile(Some(first.id()));
    world.until(|s| !s.processes.is_empty()).await;
    first.kill().expect("our own child");
    first.wait().expect("our own child");
    assert_eq!(world.end().await.pid, first.id());
    let mut second = sleep();
    world.write_pid(second.id());
    let event = world.event().await;
    assert!(matches!(event, ServiceEvent::Started { pid: Some(pid), .. } if pid == second.id()), "{event:?}");
    let seen = world.until(|s| !s.processes.is_empty()).await;
    assert_eq!((seen.starts.len(), seen.down_since), (1, None));
    assert_eq!(seen.last_end.map(|e| e.pid), Some(first.id()));
    second.kill().expect("our own child");
    second.wait().expect("our own child");
}

#[tokio::test]
async fn a_start_that_ends_at_once_is_counted() {
    let mut world = World::with_pidfile(None);
    let seen = world.until(|s| s.down_since.is_some()).await;
    assert!(!seen.ever_seen && seen.last_end.is_none());
    for n in 1..=3 {
        let mut child = Command::new("true").spawn().expect("true starts");
        child.wait().expect("our own child");
        // It is gone and collected before its number is written: nobody can know how it ended.
        world.write_pid(child.id());
        let event = world.event().await;
        assert!(matches!(event, ServiceEvent::Started { .. }), "{event:?}");
        assert_eq!(world.end().await.exit, Exit::Unknown);
        let seen = world.until(|s| s.starts.len() == n).await;
        assert!(seen.ever_seen && seen.processes.is_empty());
    }
}

#[tokio::test]
async fn a_zombie_has_ended_and_its_status_is_known() {
    let mut world = World::with_pidfile(None);
    world.until(|s| s.down_since.is_some()).await;
    let mut child = Command::new("/bin/sh").args(["-c", "exit 3"]).spawn().expect("a shell starts");
    world.write_pid(child.id());
    assert!(matches!(world.event().await, ServiceEvent::Started { .. }));
    let end = world.end().await;
    assert_eq!((end.pid, end.exit), (child.id(), Exit::Code(3)), "not collected by us yet");
    child.wait().expect("our own child");
    let seen = world.until(|s| s.processes.is_empty()).await;
    assert_eq!(seen.starts.len(), 1, "the zombie is not a second start");
}

#[tokio::test]
async fn a_leftover_number_at_the_beginning_is_no_start() {
    let mut gone = Command::new("true").spawn().expect("true starts");
    gone.wait().expect("our own child");
    let mut world = World::with_pidfile(Some(gone.id()));
    let seen = world.until(|s| s.down_since.is_some()).await;
    assert_eq!((seen.ever_seen, seen.starts.len(), seen.last_end), (false, 0, None));
}

#[tokio::test]
async fn a_program_is_found_by_its_executable_and_argument_with_all_its_processes() {
    let argument = format!("{}.5", 100_000 + std::process::id());
    let spawn = || Command::new("sleep").arg(&argument).spawn().expect("sleep starts");
    let (mut first, exe) = (spawn(), PathBuf::from("/usr/bin/sleep"));
    let identity = Identity::Program { exe, user: None, argument: Some(argument.clone()) };
    let mut world = World::new(tempfile::tempdir().expect("a temporary folder"), service(identity, vec![]));
    world.until(|s| s.processes.len() == 1).await;
    let mut second = spawn();
    world.until(|s| s.processes.len() == 2).await;
    first.kill().expect("our own child");
    first.wait().expect("our own child");
    assert_eq!(world.end().await.pid, first.id());
    let seen = world.until(|s| s.processes.len() == 1).await;
    assert_eq!((seen.processes[0].pid, seen.down_since), (second.id(), None), "the other one carries on");
    second.kill().expect("our own child");
    second.wait().expect("our own child");
    assert_eq!(world.end().await.pid, second.id());
}

#[tokio::test]
async fn the_series_of_a_service_follow_its_life() {
    let mut child = sleep();
    let mut world = World::with_pidfile(Some(child.id()));
    world.until(|s| !s.processes.is_empty()).await;
    let value = |world: &mut World, metric: &str| {
        let samples = world.collector.round(now()).batch.samples;
        samples.iter().find(|(l, _)| l.name() == metric && l.get("service") == "s").map(|(_, v)| *v)
    };
    assert_eq!(value(&mut world, "wellkept_service_up"), Some(1.0));
    assert!(value(&mut world, "wellkept_service_resident_memory_bytes") > Some(10_000.0));
    assert_eq!(value(&mut world, "wellkept_service_open_fds").map(|v| v >= 3.0), Some(true));
    assert_eq!(value(&mut world, "wellkept_service_threads"), Some(1.0));
    child.kill().expect("our own child");
    child.wait().expect("our own child");
    world.end().await;
    assert_eq!(value(&mut world, "wellkept_service_up"), Some(0.0));
    assert_eq!(value(&mut world, "wellkept_service_resident_memory_bytes"), None);
    assert!(value(&mut world, "wellkept_service_cpu_seconds_total").is_some());
}

#[tokio::test]
async fn a_look_out_of_turn_sees_a_changed_setting() {
    let mut world = World::with_pidfile(None);
    world.until(|s| s.down_since.is_some()).await;
    let state = |world: &mut World| {
        world.collector.observe_service("s", now()).expect("declared").files[0].clone().state
    };
    assert_eq!(state(&mut world), FileState::Missing);
    std::fs::write(world.dir.path().join("env"), "KEY=1\n").expect("it can be written");
    assert!(matches!(state(&mut world), FileState::Present { len: 6, .. }));
    assert!(world.collector.observe_service("other", now()).is_none());
}

#[tokio::test]
async fn a_reload_keeps_what_is_known_of_a_service_that_stays() {
    let mut child = sleep();
    let mut world = World::with_pidfile(Some(child.id()));
    world.until(|s| !s.processes.is_empty()).await;
    let identity = Identity::Pidfile(world.dir.path().join("s.pid"));
    let keep =
        Keep { services: BTreeMap::from([("s".to_owned(), service(identity, vec![]))]), ..Keep::default() };
    world.collector.set_keep(Arc::new(keep));
    let look = world.collector.observe_service("s", now()).expect("known without another look");
    assert_eq!(look.seen.processes[0].pid, child.id());
    world.collector.set_keep(Arc::new(Keep::default()));
    assert!(world.collector.observe_service("s", now()).is_none());
    child.kill().expect("our own child");
    child.wait().expect("our own child");
}
