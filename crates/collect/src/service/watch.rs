//! The task that watches one service.

use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify;
use tokio::sync::mpsc::Sender;
use wellkept_kernel::Readable;
use wellkept_model::TimestampMs;
use wellkept_model::keep::{Identity, Service};
use wellkept_model::observe::{Exit, ProcessEnd};

use super::end::Hold;
use super::find::{Finder, Look};
use super::process::{Identified, Process, at_ticks};
use super::{ServiceEvent, Shared};
use crate::{beat, clock};

/// Time between two looks for a service that is down.
const DOWN_LOOK: Duration = Duration::from_millis(100);

/// The same for a unit: each look starts a program.
const DOWN_LOOK_UNIT: Duration = Duration::from_secs(1);

/// Time between two looks at who belongs to a running service.
const MEMBERS_LOOK: Duration = Duration::from_secs(1);

/// The same for a program: each look reads the list of all processes.
const MEMBERS_LOOK_PROGRAM: Duration = Duration::from_secs(5);

/// Most missed starts that are told one by one.
const MISSED_MAX: u32 = wellkept_model::observe::STARTS_MAX as u32;

/// Watches one service until it is aborted.
pub(super) async fn run(service: Service, shared: Shared, events: Sender<ServiceEvent>) {
    let pause = Pause::new(&service.identity);
    let mut watch = Watch { name: service.name.clone(), finder: Finder::new(service), shared, events };
    loop {
        match watch.finder.look().await {
            Look::Runs { main, missed } => {
                watch.missed(missed, None).await;
                watch.hold(main, pause.members).await;
            }
            Look::Absent { missed, pid } => {
                watch.missed(missed, pid).await;
                watch.absent(None);
                pause.wait().await;
            }
            Look::Unclear(message) => {
                watch.shared.lock().set_problem(Some(message));
                tokio::time::sleep(DOWN_LOOK_UNIT).await;
            }
        }
    }
}

struct Watch {
    name: String,
    finder: Finder,
    shared: Shared,
    events: Sender<ServiceEvent>,
}

impl Watch {
    /// Stays with a running main process until it ends or another one takes its place.
    async fn hold(&mut self, main: Identified, every: Duration) {
        let hold = Hold::of(main);
        let now = clock::wall();
        let process = Process::new(main.pid, now).filter(|p| p.start_ticks == main.start_ticks);
        let started_at = at_ticks(main.start_ticks, now);
        let ended_already = process.is_none();
        let is_start = {
            let mut tracked = self.shared.lock();
            tracked.set_problem(None);
            tracked.began(started_at, process)
        };
        if is_start {
            self.tell(ServiceEvent::Started {
                service: self.name.clone(),
                pid: Some(main.pid),
                at: started_at,
            })
            .await;
        }
        if ended_already {
            self.ended(main, Some(started_at), hold.how().await).await;
            return;
        }
        loop {
            let members = self.finder.members(main.pid);
            self.shared.lock().set_members(&members, clock::wall());
            tokio::select! {
                biased;
                () = hold.ended() => break,
                () = beat::wait(every) => {}
            }
            if self.finder.is_replaced(main) {
                return;
            }
        }
        self.shared.lock().note_last_numbers();
        self.ended(main, Some(started_at), hold.how().await).await;
    }

    async fn ended(&mut self, main: Identified, started_at: Option<TimestampMs>, exit: Exit) {
        let end = ProcessEnd { pid: main.pid, started_at, at: clock::wall(), exit };
        self.finder.ended(main);
        let carry_on = self.finder.others_carry_on();
        self.shared.lock().ended(end.clone(), !carry_on);
        self.tell(ServiceEvent::Ended { service: self.name.clone(), end }).await;
    }

    async fn missed(&mut self, count: u32, pid: Option<u32>) {
        for _ in 0..count.min(MISSED_MAX) {
            let at = clock::wall();
            let end = ProcessEnd { pid: pid.unwrap_or(0), started_at: None, at, exit: Exit::Unknown };
            self.shared.lock().missed(end.clone());
            self.tell(ServiceEvent::Started { service: self.name.clone(), pid, at }).await;
            self.tell(ServiceEvent::Ended { service: self.name.clone(), end }).await;
        }
    }

    fn absent(&self, problem: Option<String>) {
        let mut tracked = self.shared.lock();
        tracked.set_problem(problem);
        tracked.absent(clock::wall());
    }

    async fn tell(&self, event: ServiceEvent) {
        // Nobody listens any more only when the collector is being dropped, and this task with it.
        let _ = self.events.send(event).await;
    }
}

/// How long to wait between two looks, and what ends the wait early.
struct Pause {
    down: Duration,
    members: Duration,
    folder: Option<Folder>,
}

impl Pause {
    fn new(identity: &Identity) -> Self {
        let (down, members) = match identity {
            Identity::Unit(_) => (DOWN_LOOK_UNIT, MEMBERS_LOOK),
            Identity::Program { .. } => (DOWN_LOOK, MEMBERS_LOOK_PROGRAM),
            Identity::Pidfile(_) | Identity::Cgroup(_) => (DOWN_LOOK, MEMBERS_LOOK),
        };
        let folder = match identity {
            Identity::Pidfile(path) => path.parent().and_then(Folder::watch),
            _ => None,
        };
        Self { down, members, folder }
    }

    /// Waits for the next look; a file written in the pidfile's folder is looked at when it is written. A busy
    /// folder cannot make us look more often than every [`SETTLE`].
    async fn wait(&self) {
        let changed = async {
            match &self.folder {
                Some(folder) => folder.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed => tokio::time::sleep(SETTLE).await,
            () = tokio::time::sleep(self.down) => {}
        }
    }
}

/// Least time between two looks, however often a folder changes.
const SETTLE: Duration = Duration::from_millis(2);

/// A folder whose finished writes wake us. Without inotify (none left, a folder that does not exist) the regular
/// looks are all there is.
struct Folder(Readable);

impl Folder {
    fn watch(dir: &Path) -> Option<Self> {
        use inotify::{CreateFlags, WatchFlags};
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
        inotify::add_watch(&fd, dir, WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR)
            .ok()?;
        Readable::new(fd).ok().map(Self)
    }

    /// Returns when something was written since the last call; what it was is looked up anyway.
    async fn changed(&self) {
        if self.0.drain().await.is_err() {
            std::future::pending().await
        }
    }
}
