//! What will follow on a host when the task that it is at succeeds: so that it can be sent before that is known.
//!
//! Only what cannot depend on the result is promised: a run of plain tasks whose names, conditions and arguments see the
//! same variables then as now. Everything else is a border: registering, facts, loops, delegation, conditions on
//! failure, actions of the controller, handlers. A promised piece of work is handed out by `poll` later under the same
//! id and with the same content; it may be done only when the one before it has succeeded.

use std::rc::Rc;

use super::Run;
use super::task::Running;
use super::work::{Work, WorkId};
use crate::book::Task;

/// Modules whose results change variables, files of the controller, or the connection.
const BORDERS: &[&str] = &[
    "async_status",
    "fetch",
    "gather_facts",
    "getent",
    "mount_facts",
    "package_facts",
    "pause",
    "reboot",
    "service_facts",
    "set_fact",
    "setup",
    "wait_for_connection",
];
/// Keywords after which the next task may see something else, or come although this one failed.
const OWN: &[&str] = &["register", "until", "retries", "failed_when", "async", "poll"];
const INHERITED: &[&str] =
    &["async", "delegate_to", "ignore_errors", "ignore_unreachable", "run_once", "throttle", "connection"];

/// Whether a task leaves everything as it is that later ones are rendered from.
fn is_plain(task: &Task) -> bool {
    let action = task.action.as_str();
    task.looped.is_none()
        && task.args_template.is_none()
        && !BORDERS.contains(&action)
        && !crate::book::CONTROLLER.contains(&action)
        && OWN.iter().all(|keyword| task.own(keyword).is_none())
        && INHERITED.iter().all(|keyword| task.within.attr(keyword).is_none())
}

impl Run {
    /// Work that follows on a host when what it is doing now succeeds, in order, at most `max`; empty when nothing can
    /// be promised. A step of several hosts in step with each other promises nothing.
    ///
    /// The caller begins a promised piece only when the one before it has succeeded: its result has no `failed` and an
    /// `rc` of 0, if any. One that was not begun is begun when [`Run::poll`] hands it out.
    pub fn ahead(&mut self, host: &str, max: usize) -> Vec<Work> {
        let Some(mut frames) = self.frames_of(host) else { return Vec::new() };
        let mut works = Vec::new();
        while works.len() < max {
            let (task, failed) = frames.peek(&mut |task, _| self.is_chosen(task, host));
            let Some(task) = task.filter(|task| !failed && is_plain(task)) else { break };
            if frames.in_handlers() {
                break;
            }
            frames.take();
            let mut running = Running::new(host, &task, false);
            match self.condition(&running) {
                Ok(None) => {}
                Ok(Some(_)) => continue,
                Err(_) => break,
            }
            if self.delegate(&mut running).is_err() || running.delegated.is_some() {
                break;
            }
            let Ok(args) = self.arguments(&running) else { break };
            let Ok(work) = self.work(&running, args) else { break };
            self.promised.push((Rc::clone(&task), work.clone()));
            works.push(work);
        }
        works
    }

    /// Where a host goes on after its task, when something can be promised.
    fn frames_of(&self, host: &str) -> Option<super::frames::Frames> {
        let batch = self.batch.as_ref()?;
        let alone = batch.hosts.iter().filter(|h| batch.states.get(*h).is_some_and(|s| !s.out)).count() == 1;
        let promised = self.promised.iter().any(|(_, work)| work.host == host);
        if !(batch.free || alone) || promised || !self.started {
            return None;
        }
        let mut own = batch.running.iter().filter(|running| running.host == host);
        let running = own.next().filter(|running| running.waiting.is_some() && is_plain(&running.task))?;
        if own.next().is_some() || running.delegated.is_some() {
            return None;
        }
        batch.states.get(host).map(|state| state.frames.clone())
    }

    /// The promised work of a task, which is handed out as it was promised. Anything else that was promised to the host
    /// is void then.
    pub(crate) fn take_promised(&mut self, host: &str, task: &Rc<Task>) -> Option<Work> {
        let first = self.promised.iter().position(|(_, work)| work.host == host)?;
        let fits = self.promised.get(first).is_some_and(|(promised, _)| Rc::ptr_eq(promised, task));
        if fits {
            return Some(self.promised.remove(first).1);
        }
        self.promised.retain(|(_, work)| work.host != host);
        None
    }

    /// Whether a piece of work was promised and has not been handed out yet.
    pub fn is_promised(&self, id: WorkId) -> bool {
        self.promised.iter().any(|(_, work)| work.id == id)
    }
}
