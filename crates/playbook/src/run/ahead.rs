//! What will follow on a host when the task that it is at succeeds: so that it can be sent before that is known.
//!
//! Only what cannot depend on results that are not known yet is promised. Whether it does is found by rendering it
//! under the eyes of [`Early`](crate::template): names that a task in front registers, other hosts, lookups on this
//! machine are borders. So are delegation, `run_once`, modules that tell facts, conditions on failure, handlers. A
//! promised piece of work is handed out by `poll` later under the same id and with the same content; it may be done only
//! when those it names in [`Ahead::needs`] have succeeded.
//!
//! Hosts that go in step are promised work each for itself: what is told, and when handlers run, stays in step; what is
//! done does not. Where a failure on one host stops the others, hosts in step are promised nothing.

mod borders;
mod promises;
mod walk;

use std::rc::Rc;

pub(crate) use promises::{Promise, Promises};

use super::Run;
use super::task::Running;
use super::work::{Work, WorkId};

/// A piece of work before its turn.
pub struct Ahead<T> {
    /// As it will be handed out.
    pub work: Work,
    /// What the caller made of it.
    pub made: T,
    /// It is begun when the one before it has ended, was begun at all, and these have succeeded: their results have no
    /// `failed` and an `rc` of 0, if any.
    pub needs: Vec<WorkId>,
}

impl Run {
    /// Work that follows on a host when what it is doing now succeeds, in order, at most `max`; empty when nothing can
    /// be promised. `make` makes of each what the caller needs, or refuses it: a border then. It must render what it
    /// renders of the work's scope.
    ///
    /// One that was not begun is begun when [`Run::poll`] hands it out.
    pub fn ahead<T>(
        &mut self,
        host: &str,
        max: usize,
        make: &mut dyn FnMut(&Work) -> Option<T>,
    ) -> Vec<Ahead<T>> {
        let Some(mut walk) = self.walk_from(host) else { return Vec::new() };
        let early = Rc::clone(&self.engine.early);
        early.begin(walk.several);
        let mut found = Vec::new();
        while found.len() < max
            && let Some(next) = self.next_ahead(&mut walk, make)
        {
            found.push(next);
        }
        early.end();
        found
    }

    /// A promised piece of work has ended, or will not be begun before its turn.
    pub fn settle(&mut self, id: WorkId) {
        self.promises.settle(id);
    }

    /// Promised work that is not handed out any more, since the last call.
    pub fn take_void(&mut self) -> Vec<WorkId> {
        self.promises.take_void()
    }

    /// The promised work of a task, which is handed out as it was promised. Anything else that was promised to the host
    /// is void then.
    pub(crate) fn take_promised(&mut self, running: &Running) -> Option<Work> {
        if let Some(work) = self.promises.take(&running.host, &running.task, running.at) {
            return Some(work);
        }
        // Those of the controller were looked past; all others would have been next.
        if !borders::is_looked_past(&running.task) {
            self.promises.void(&running.host);
        }
        None
    }
}
