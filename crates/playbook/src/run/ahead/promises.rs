//! Work that was told of before its turn, by host and in order.

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use super::super::work::{Work, WorkId};
use crate::book::Task;

/// One piece.
pub(crate) struct Promise {
    pub(crate) task: Rc<Task>,
    /// Which item of its loop.
    pub(crate) item: usize,
    pub(crate) work: Work,
}

/// All pieces that were not handed out yet.
#[derive(Default)]
pub(crate) struct Promises {
    hosts: HashMap<String, VecDeque<Promise>>,
    /// Those that may be at work right now, with their hosts.
    open: HashMap<WorkId, String>,
    /// How many of each host are open.
    counts: HashMap<String, usize>,
    void: Vec<WorkId>,
}

impl Promises {
    pub(crate) fn add(&mut self, promise: Promise) {
        let host = promise.work.host.clone();
        self.open.insert(promise.work.id, host.clone());
        *self.counts.entry(host.clone()).or_default() += 1;
        self.hosts.entry(host).or_default().push_back(promise);
    }

    pub(crate) fn has(&self, host: &str) -> bool {
        self.hosts.contains_key(host)
    }

    /// Hosts on which something that was promised may be at work.
    pub(crate) fn busy(&self) -> impl Iterator<Item = &str> {
        self.counts.keys().map(String::as_str)
    }

    /// The next promise of a host, when it is this one.
    pub(crate) fn take(&mut self, host: &str, task: &Rc<Task>, item: usize) -> Option<Work> {
        let all = self.hosts.get_mut(host)?;
        let fits = |next: &Promise| Rc::ptr_eq(&next.task, task) && next.item == item;
        if !all.front().is_some_and(fits) {
            return None;
        }
        let taken = all.pop_front()?;
        if all.is_empty() {
            self.hosts.remove(host);
        }
        self.settle(taken.work.id);
        Some(taken.work)
    }

    /// It is not at work any more, or is waited for by its task.
    pub(crate) fn settle(&mut self, id: WorkId) {
        let Some(host) = self.open.remove(&id) else { return };
        if let Some(count) = self.counts.get_mut(&host) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&host);
            }
        }
    }

    /// Nothing of what was promised to a host is handed out any more.
    pub(crate) fn void(&mut self, host: &str) {
        let ids: Vec<WorkId> = self.hosts.remove(host).into_iter().flatten().map(|p| p.work.id).collect();
        for id in ids {
            self.settle(id);
            self.void.push(id);
        }
    }

    pub(crate) fn void_all(&mut self) {
        let hosts: HashSet<String> = self.hosts.keys().cloned().collect();
        hosts.iter().for_each(|host| self.void(host));
    }

    pub(crate) fn take_void(&mut self) -> Vec<WorkId> {
        std::mem::take(&mut self.void)
    }
}
