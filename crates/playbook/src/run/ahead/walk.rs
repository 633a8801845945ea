//! The walk along a host's way, one piece of work at a time, up to the first border.

use std::rc::Rc;

use wellkept_inventory::Value;

use super::super::Run;
use super::super::frames::Frames;
use super::super::results::{self, flag};
use super::super::task::Running;
use super::super::work::{Work, WorkId};
use super::borders::{can_come, can_open, is_crossing, meta};
use super::{Ahead, Promise};
use crate::book::{Task, key_text};

/// Where the walk is.
pub(super) struct Walk {
    host: String,
    frames: Frames,
    /// Other hosts go the same way.
    pub(super) several: bool,
    /// The task whose items are walked, with the next one.
    task: Option<Running>,
    /// A failure of that task stops nothing.
    tolerant: bool,
    /// Its works so far.
    works: Vec<WorkId>,
    /// What must have succeeded for the next task.
    needs: Vec<WorkId>,
    /// A task on the way may notify a handler.
    notifies: bool,
}

/// What stands next on the way.
enum Stand {
    /// It was looked past, or is begun now.
    Passed,
    Border,
}

impl Run {
    /// Where a host goes on after the work that it waits for, when something can be promised.
    pub(super) fn walk_from(&self, host: &str) -> Option<Walk> {
        let batch = self.batch.as_ref()?;
        let several = batch.states.values().filter(|state| !state.out).count() > 1;
        let stops = self.play.as_ref().is_some_and(|play| play.own("max_fail_percentage").is_some());
        let asks = self.options.step;
        if self.promises.has(host) || !self.started || asks || several && (stops || self.options.lock_step) {
            return None;
        }
        let mut own = batch.running.iter().filter(|running| running.host == host);
        let running = own.next().filter(|running| running.waiting.is_some())?;
        let task = &running.task;
        if own.next().is_some()
            || running.delegated.is_some()
            || is_crossing(task, several)
            || !can_open(task)
        {
            return None;
        }
        let mut walk = Walk {
            host: host.to_owned(),
            frames: batch.states.get(host)?.frames.clone(),
            several,
            task: None,
            tolerant: self.is_tolerant(running)?,
            works: running.waiting.into_iter().collect(),
            needs: Vec::new(),
            notifies: batch.notified.iter().any(|(_, hosts)| !hosts.is_empty()),
        };
        let mut copy = Running::new(host, task, false);
        if let Some(items) = &running.items {
            // An item that failed has failed the loop.
            if !walk.tolerant && running.done.iter().any(|done| flag(done, "failed")) {
                return None;
            }
            copy.items = Some(items.clone());
        }
        copy.at = running.at + 1;
        walk.task = Some(copy);
        Some(walk)
    }

    /// Whether a failure of the task stops nothing; `None` when that cannot be said.
    fn is_tolerant(&self, running: &Running) -> Option<bool> {
        let never = matches!(running.task.own("failed_when"), Some(Value::Bool(false)));
        Some(never || self.switch(running, "ignore_errors", false).ok()?)
    }

    /// The next piece of work on the way.
    pub(super) fn next_ahead<T>(
        &mut self,
        walk: &mut Walk,
        make: &mut dyn FnMut(&Work) -> Option<T>,
    ) -> Option<Ahead<T>> {
        loop {
            if let Some(mut running) = walk.task.take() {
                if running.at < running.items.as_ref().map_or(1, Vec::len) {
                    let tried = self.try_item(walk, &mut running, make);
                    running.at += 1;
                    walk.task = Some(running);
                    match tried {
                        Ok(Some(found)) => return Some(found),
                        Ok(None) => continue,
                        Err(()) => return None,
                    }
                }
                if !self.leave(walk, &running) {
                    return None;
                }
            }
            match self.step_on(walk)? {
                Stand::Passed => {}
                Stand::Border => return None,
            }
        }
    }

    /// The task is behind: what it leaves open counts from here on. False when nothing may come after it.
    fn leave(&self, walk: &mut Walk, running: &Running) -> bool {
        let task = &running.task;
        let works = std::mem::take(&mut walk.works);
        if !works.is_empty() {
            walk.needs = if walk.tolerant { Vec::new() } else { works };
            walk.notifies |= task.within.chain().any(|within| !within.notify.is_empty());
        }
        if let Some(name) = task.own("register") {
            self.engine.early.open(&key_text(name));
        }
        can_open(task)
    }

    /// Begins the next task, or looks past it.
    fn step_on(&mut self, walk: &mut Walk) -> Option<Stand> {
        let host = walk.host.clone();
        let (task, failed) = walk.frames.peek(&mut |task, _| self.is_chosen(task, &host));
        let task = task.filter(|_| !failed)?;
        if walk.frames.in_handlers() || is_crossing(&task, walk.several) {
            return Some(Stand::Border);
        }
        walk.frames.take();
        let mut running = Running::new(&host, &task, false);
        if can_come(&task) {
            if self.begin(&mut running).is_err() || self.early_met() {
                return Some(Stand::Border);
            }
            walk.tolerant = self.is_tolerant(&running)?;
            walk.task = Some(running);
            return Some(Stand::Passed);
        }
        Some(if self.can_look_past(walk, &mut running, &task) { Stand::Passed } else { Stand::Border })
    }

    /// Something of the controller that changes nothing for what follows, or only names that are watched.
    fn can_look_past(&mut self, walk: &Walk, running: &mut Running, task: &Rc<Task>) -> bool {
        let quiet = task.action == "meta" && matches!(meta(task).as_str(), "flush_handlers" | "noop");
        if quiet && task.within.chain().all(|within| within.when.is_empty()) {
            return meta(task) == "noop" || !walk.notifies;
        }
        if task.looped.is_some() {
            return false;
        }
        self.bind(running);
        let skipped = match self.condition(running) {
            Ok(condition) => condition.is_some(),
            Err(_) => return false,
        };
        if self.early_met() || skipped {
            if let Some(name) = task.own("register").filter(|_| skipped) {
                self.engine.early.open(&key_text(name));
            }
            return skipped && !self.early_met();
        }
        let fine = match task.action.as_str() {
            "debug" if task.arg("var").is_some() => true,
            "assert" => self.raw_action(running).is_some_and(|result| !flag(&result, "failed")),
            "debug" | "set_fact" => match self.arguments(running) {
                Ok(args) if task.action == "set_fact" && !results::flag(&args, "cacheable") => {
                    args.iter().for_each(|(name, _)| self.engine.early.open(name));
                    true
                }
                Ok(_) => task.action == "debug",
                Err(_) => false,
            },
            _ => false,
        };
        let judged = ["failed_when", "until", "retries"].iter().any(|keyword| task.own(keyword).is_some());
        if let Some(name) = task.own("register") {
            self.engine.early.open(&key_text(name));
        }
        fine && !judged && !walk.notifies_by(task) && !self.early_met()
    }

    fn early_met(&self) -> bool {
        self.engine.early.met()
    }

    /// The work of one item, unless its condition says no. An error is a border.
    fn try_item<T>(
        &mut self,
        walk: &mut Walk,
        running: &mut Running,
        make: &mut dyn FnMut(&Work) -> Option<T>,
    ) -> Result<Option<Ahead<T>>, ()> {
        self.bind(running);
        let condition = self.condition(running).map_err(drop)?;
        if self.early_met() {
            return Err(());
        }
        if condition.is_some() {
            return Ok(None);
        }
        let args = self.arguments(running).map_err(drop)?;
        let work = self.work(running, args).map_err(drop)?;
        let made = make(&work);
        let Some(made) = made.filter(|_| !self.early_met()) else { return Err(()) };
        let needs = if walk.works.is_empty() { walk.needs.clone() } else { Vec::new() };
        walk.works.push(work.id);
        let promise = Promise { task: Rc::clone(&running.task), item: running.at, work: work.clone() };
        self.promises.add(promise);
        Ok(Some(Ahead { work, made, needs }))
    }
}

impl Walk {
    /// A task of the controller that may notify: whether it changes is not known yet.
    fn notifies_by(&self, task: &Task) -> bool {
        task.within.chain().any(|within| !within.notify.is_empty()) && task.action != "debug"
    }
}
