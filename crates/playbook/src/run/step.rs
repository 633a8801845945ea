//! Steps of a batch: which hosts run which task next, and what follows from a result.

use std::collections::BTreeSet;
use std::rc::Rc;

use wellkept_inventory::Value;

use super::batch::{Batch, flatten};
use super::task::{Running, Step};
use super::vars::{Layer, TaskScope};
use super::work::{Outcome, Work, WorkId};
use super::{Run, show, tags};
use crate::book::{Task, key_text, listed};

impl Run {
    /// Takes what became of a piece of work. An unknown or repeated answer is ignored.
    pub fn handle(&mut self, now_ms: i64, id: WorkId, outcome: Outcome) {
        self.now_ms = now_ms;
        let Some(batch) = &mut self.batch else { return };
        if let Some(running) = batch.running.iter_mut().find(|running| running.waiting == Some(id)) {
            running.waiting = None;
            running.arrived = Some(outcome);
        }
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| !batch.running.is_empty())
    }

    /// Goes on with everything that can go on; new work, and the next time when something is due.
    pub(crate) fn progress(&mut self) -> (Vec<Work>, Option<i64>) {
        let mut out = Vec::new();
        let mut at = 0;
        let mut next_due: Option<i64> = None;
        loop {
            let now = self.now_ms;
            let Some(batch) = &mut self.batch else { return (out, None) };
            if at >= batch.running.len() {
                break;
            }
            let held = self.is_held(at);
            let Some(batch) = &mut self.batch else { return (out, None) };
            let Some(running) = batch.running.get_mut(at) else { break };
            if let Some(due) = running.due.filter(|due| *due > now) {
                next_due = Some(next_due.map_or(due, |d| d.min(due)));
                at += 1;
                continue;
            }
            if running.waiting.is_some() || held {
                at += 1;
                continue;
            }
            running.due = None;
            let mut running = batch.running.remove(at);
            match self.advance(&mut running) {
                Step::Work(work) => {
                    out.push(*work);
                    self.put_back(at, running);
                    at += 1;
                }
                Step::Due(due) => {
                    running.due = Some(due);
                    // Due at once is looked at again in this very round.
                    self.put_back(at, running);
                }
                Step::Finished(result) => {
                    self.finished(running, result);
                    let free = self.batch.as_ref().is_some_and(|batch| batch.free);
                    if free {
                        self.run_includes();
                    }
                }
            }
        }
        if self.batch.as_ref().is_some_and(|batch| batch.running.is_empty()) {
            self.after_step();
        }
        (out, next_due)
    }

    pub(super) fn put_back(&mut self, at: usize, running: Running) {
        if let Some(batch) = &mut self.batch {
            batch.running.insert(at.min(batch.running.len()), running);
        }
    }

    /// As many as `--forks` and `throttle` allow are at work already.
    pub(super) fn is_held(&self, at: usize) -> bool {
        let Some(batch) = &self.batch else { return false };
        let Some(running) = batch.running.get(at).filter(|running| !running.begun) else { return false };
        // What was promised is at work already, and counts as such until it has ended.
        if !self.promises.has(&running.host) {
            let begun = batch.running.iter().filter(|other| other.begun);
            let mut busy: BTreeSet<&str> = begun.map(|other| other.host.as_str()).collect();
            busy.extend(self.promises.busy());
            if busy.len() >= self.options.forks.max(1) {
                return true;
            }
        }
        let Some(limit) = running.task.within.attr("throttle") else { return false };
        let Ok(Some(limit)) = self.session(running).value(limit) else { return false };
        let limit: usize = key_text(&limit).trim().parse().unwrap_or(0);
        let busy = batch
            .running
            .iter()
            .filter(|other| other.begun && Rc::ptr_eq(&other.task, &running.task))
            .count();
        limit > 0 && busy >= limit
    }

    /// All hosts of a step are through.
    pub(super) fn after_step(&mut self) {
        self.run_includes();
        let Some(batch) = &self.batch else { return };
        let gone = |set: &BTreeSet<String>| batch.hosts.iter().filter(|h| set.contains(*h)).count();
        let failures = gone(&self.failed) + gone(&self.unreachable);
        let added = failures > batch.failures;
        let total = batch.hosts.len().max(1);
        let percentage = self.play.as_ref().and_then(|play| play.own("max_fail_percentage").cloned());
        let over = percentage.is_some_and(|limit| {
            let limit: f64 = key_text(&limit).trim().trim_end_matches('%').parse().unwrap_or(100.0);
            added && failures as f64 / total as f64 * 100.0 > limit
        });
        let Some(batch) = &mut self.batch else { return };
        batch.failures = failures;
        if over {
            // Once for the play and once for the run, as Ansible says it.
            self.out.extend([show::banner("NO MORE HOSTS LEFT"), show::banner("NO MORE HOSTS LEFT")]);
        }
        if over || batch.fatal {
            batch.fatal = true;
            for state in batch.states.values_mut() {
                state.frames.clear();
                state.out = true;
            }
        }
        self.refresh_hosts();
    }

    /// Starts the next step. False when the batch is over.
    pub(crate) fn schedule(&mut self) -> bool {
        let Some(mut batch) = self.batch.take() else { return false };
        if batch.free {
            let started = self.schedule_free(&mut batch);
            self.batch = Some(batch);
            return started;
        }
        let mut waiting: Vec<(String, Rc<Task>)> = Vec::new();
        for host in batch.hosts.clone() {
            if let Some(task) = self.peek(&mut batch, &host) {
                waiting.push((host, task));
            }
        }
        if waiting.is_empty() {
            self.batch = Some(batch);
            return false;
        }
        let is_waiting = |task: &Rc<Task>| waiting.iter().any(|(_, other)| Rc::ptr_eq(other, task));
        let from = batch.cursor;
        let ahead = batch.order.iter().enumerate().skip(from).find(|(_, task)| is_waiting(task));
        let found = ahead.or_else(|| batch.order.iter().enumerate().find(|(_, task)| is_waiting(task)));
        let task = match found.map(|(at, task)| (at, Rc::clone(task))) {
            Some((at, task)) => {
                batch.cursor = at + 1;
                task
            }
            // Not in the order (handlers): the first host leads.
            None => match waiting.first() {
                Some((_, task)) => Rc::clone(task),
                None => return false,
            },
        };
        let hosts: Vec<String> =
            waiting.into_iter().filter(|(_, other)| Rc::ptr_eq(other, &task)).map(|(host, _)| host).collect();
        self.start_or_ask(&mut batch, &hosts, &task);
        self.batch = Some(batch);
        true
    }

    /// Gives the next host in turn that is idle its next task. False when none has one.
    pub(crate) fn schedule_free(&mut self, batch: &mut Batch) -> bool {
        let count = batch.hosts.len();
        for step in 0..count {
            let at = (batch.turn + step) % count;
            let Some(host) = batch.hosts.get(at).cloned() else { continue };
            if batch.running.iter().any(|running| running.host == host) {
                continue;
            }
            if let Some(task) = self.peek(batch, &host) {
                batch.turn = (at + 1) % count;
                self.start_or_ask(batch, &[host], &task);
                return true;
            }
        }
        false
    }

    /// With the strategy free: starts as many hosts as there is room for.
    pub(crate) fn fill_free(&mut self) {
        let Some(mut batch) = self.batch.take() else { return };
        if batch.free {
            while batch.running.len() < self.options.forks.max(1)
                && self.asked.is_none()
                && self.schedule_free(&mut batch)
            {}
        }
        self.batch = Some(batch);
    }

    /// The next task of a host; handlers only when they were notified, others only when tags choose them.
    pub(super) fn peek(&mut self, batch: &mut Batch, host: &str) -> Option<Rc<Task>> {
        let mut state = batch.states.remove(host)?;
        let mut found = None;
        if !state.out {
            let (task, failed) = state.frames.peek(&mut |task, handler| {
                // An include inside handlers brings tasks that nobody notifies.
                if handler && Self::is_handler(batch, task) && !batch.is_notified(task, host) {
                    return false;
                }
                self.is_chosen(task, host)
            });
            found = task;
            if failed {
                self.give_up(batch, &mut state, host);
                if !state.out {
                    batch.states.insert(host.to_owned(), state);
                    return self.peek(batch, host);
                }
            } else if found.is_none() {
                state.out = self.failed.contains(host);
            }
        }
        batch.states.insert(host.to_owned(), state);
        found
    }

    pub(super) fn is_handler(batch: &Batch, task: &Rc<Task>) -> bool {
        let mut all = Vec::new();
        flatten(&batch.handlers.tasks, &mut all);
        all.iter().any(|handler| Rc::ptr_eq(handler, task))
    }

    /// A host has failed for good; with `force_handlers` its handlers still run.
    pub(super) fn give_up(&mut self, batch: &mut Batch, state: &mut super::batch::HostState, host: &str) {
        let again = self.failed.contains(host);
        self.failed.insert(host.to_owned());
        if batch.force_handlers
            && !again
            && batch.notified.iter().any(|(_, hosts)| hosts.iter().any(|h| h == host))
        {
            state.frames.clear();
            state.frames.push(Rc::clone(&batch.handlers), true);
        } else {
            state.out = true;
        }
    }

    /// Tags and `--start-at-task`.
    pub(super) fn is_chosen(&mut self, task: &Rc<Task>, host: &str) -> bool {
        let chain: Vec<_> = task.within.chain().collect();
        let said: Vec<Value> = chain.iter().flat_map(|within| within.tags.iter().cloned()).collect();
        let mut names = Vec::new();
        for tag in said {
            match &tag {
                Value::Text(text) if text.contains("{{") => {
                    let scope = TaskScope::new(&self.world, host, Some(task), Layer::new());
                    if let Ok(Some(value)) = self.engine.session(scope).value(&tag) {
                        names.extend(listed(value).iter().flat_map(|v| {
                            key_text(v).split(',').map(|t| t.trim().to_owned()).collect::<Vec<_>>()
                        }));
                    }
                }
                other => names.push(key_text(other)),
            }
        }
        let implicit = task.action == "meta" && task.within.name.as_deref() == Some("flush_handlers");
        if !implicit && !tags::chosen(&names, &self.options.tags, &self.options.skip_tags) {
            return false;
        }
        if !self.started && !implicit && task.action != "gather_facts" {
            let wanted = self.options.start_at_task.clone().unwrap_or_default();
            let title = self.title(task, host);
            let bare = task.within.name.clone().unwrap_or_default();
            self.started = crate::template::fits(&wanted, &title) || crate::template::fits(&wanted, &bare);
            return self.started;
        }
        true
    }

    /// The task's name with templates in it rendered as far as that goes.
    pub(crate) fn title(&self, task: &Rc<Task>, host: &str) -> String {
        let title = task.title();
        if !title.contains("{{") && !title.contains("{%") {
            return title;
        }
        let scope = TaskScope::new(&self.world, host, Some(task), Layer::new());
        match self.engine.session(scope).render(&title) {
            Ok(Some(value)) => key_text(&value),
            _ => title,
        }
    }

    pub(super) fn start(&mut self, batch: &mut Batch, hosts: &[String], task: &Rc<Task>) {
        for host in hosts {
            if let Some(state) = batch.states.get_mut(host) {
                state.frames.take();
            }
            batch.clear_notified(task, host);
        }
        let Some(first) = hosts.first() else { return };
        if task.action == "meta" {
            self.meta(batch, hosts, task);
            return;
        }
        let shown = batch.shown.as_ref().is_some_and(|shown| Rc::ptr_eq(shown, task)) && batch.free;
        if !shown {
            let title = self.title(task, first);
            let inside = batch.states.get(first).is_some_and(|state| state.frames.in_handlers());
            let kind = if inside || Self::is_handler(batch, task) { "RUNNING HANDLER" } else { "TASK" };
            self.say(show::banner(&format!("{kind} [{title}]")));
            batch.shown = Some(Rc::clone(task));
        }
        let probe = Running::new(first, task, false);
        let once = !batch.free
            && (self.switch(&probe, "run_once", false).unwrap_or(false) || task.action == "add_host");
        let once_but_shown = once && task.action != "add_host";
        if once {
            batch.running.push(Running::new(first, task, once_but_shown || task.action == "add_host"));
        } else {
            batch.running.extend(hosts.iter().map(|host| Running::new(host, task, false)));
        }
    }
}
