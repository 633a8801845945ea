//! The declared services: which processes they have, when one begins and how it ends.
//!
//! Each service has one task ([`watch`]) that holds a pidfd of the main process, so its end is noticed when it
//! happens and not at the next round. While the main process is gone, the task looks for a new one ten times a
//! second, and for a pidfile also at every write in its folder; so a start that fails at once is seen too.
//! A round only reads the numbers of the processes that the task knows.
//!
//! What an end *means* (crash, stop, crash loop) is left to the detectors.

mod cgroup;
mod end;
mod find;
mod metrics;
mod process;
mod program;
mod systemd;
mod tracked;
mod watch;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use wellkept_model::TimestampMs;
use wellkept_model::keep::{Keep, Service};
use wellkept_model::observe::{CollectProblem, ProcessEnd, ServiceSeen};

use crate::series::Series;
use tracked::Tracked;

/// Events that wait for the reader. A full queue makes the watchers wait; nothing is dropped.
pub const EVENT_QUEUE_MAX: usize = 256;

/// What happened to the main process of a declared service, told at once.
#[derive(Debug, Clone, PartialEq)]
pub enum ServiceEvent {
    /// A main process began after we had begun to watch.
    Started {
        /// The service.
        service: String,
        /// Its main process; `None` when it ended before we could look and left no number.
        pid: Option<u32>,
        /// When it began (when we noticed it, for one that was gone already).
        at: TimestampMs,
    },
    /// The main process ended.
    Ended {
        /// The service.
        service: String,
        /// How.
        end: ProcessEnd,
    },
}

/// Watches all declared services.
#[derive(Debug)]
pub struct ServiceWatcher {
    watched: BTreeMap<String, Watched>,
    events: mpsc::Sender<ServiceEvent>,
}

#[derive(Debug)]
struct Watched {
    service: Service,
    tracked: Shared,
    task: AbortHandle,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// State of one service, written by its task and read by rounds; held for microseconds only.
#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<Tracked>>);

impl Shared {
    /// A panic elsewhere leaves plain numbers behind, which the next look corrects.
    fn lock(&self) -> MutexGuard<'_, Tracked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServiceWatcher {
    /// Begins to watch the services of `keep`; must be called inside a tokio runtime. Events go to `events`.
    pub fn new(keep: &Keep, events: mpsc::Sender<ServiceEvent>) -> Self {
        let mut watcher = Self { watched: BTreeMap::new(), events };
        watcher.set_keep(keep);
        watcher
    }

    /// Watches other services from now on. What is known about a service stays as long as its processes are found
    /// in the same way.
    pub fn set_keep(&mut self, keep: &Keep) {
        self.watched.retain(|name, w| {
            keep.services
                .get(name)
                .is_some_and(|s| s.identity == w.service.identity && s.user == w.service.user)
        });
        for (name, service) in &keep.services {
            if let Some(known) = self.watched.get_mut(name) {
                known.service = service.clone();
                continue;
            }
            let tracked = Shared::default();
            let task = tokio::spawn(watch::run(service.clone(), tracked.clone(), self.events.clone()));
            let watched = Watched { service: service.clone(), tracked, task: task.abort_handle() };
            self.watched.insert(name.clone(), watched);
        }
    }

    /// Reads the processes of all services, emits their series and adds what is not known to `problems`.
    pub(crate) fn read(
        &self,
        now: TimestampMs,
        out: &mut Series,
        problems: &mut Vec<CollectProblem>,
    ) -> BTreeMap<String, ServiceSeen> {
        let mut seen = BTreeMap::new();
        for (name, watched) in &self.watched {
            let mut tracked = watched.tracked.lock();
            tracked.refresh(now);
            metrics::emit(name, &mut tracked, out);
            if let Some(message) = tracked.problem() {
                problems.push(CollectProblem {
                    collector: format!("service {name}"),
                    message: message.to_owned(),
                });
            }
            // Before the first look nothing is known, and nothing is said.
            if tracked.looked() {
                seen.insert(name.clone(), tracked.seen());
            }
        }
        seen
    }

    /// Reads the processes of one service; `None` when it is not declared or was not yet looked for.
    pub(crate) fn look(&self, name: &str, now: TimestampMs) -> Option<ServiceSeen> {
        let mut tracked = self.watched.get(name)?.tracked.lock();
        tracked.refresh(now);
        tracked.looked().then(|| tracked.seen())
    }
}
