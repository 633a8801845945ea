//! Steps of a batch: which hosts run which task next, and what follows from a result.

use std::rc::Rc;
use std::sync::Arc;

use wellkept_inventory::Value;

use super::batch::{Batch, flatten};
use super::frames::AfterFailure;
use super::includes::Wanted;
use super::results::{self, flag, get};
use super::task::{Running, Step};
use super::vars::{Layer, TaskScope};
use super::work::{Outcome, Work, WorkId};
use super::{Run, show, tags};
use crate::book::{Named, Task, key_text, listed};

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

    fn put_back(&mut self, at: usize, running: Running) {
        if let Some(batch) = &mut self.batch {
            batch.running.insert(at.min(batch.running.len()), running);
        }
    }

    /// As many as `--forks` and `throttle` allow are at work already.
    fn is_held(&self, at: usize) -> bool {
        let Some(batch) = &self.batch else { return false };
        let Some(running) = batch.running.get(at).filter(|running| !running.begun) else { return false };
        if batch.running.iter().filter(|other| other.begun).count() >= self.options.forks.max(1) {
            return true;
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
    fn after_step(&mut self) {
        self.run_includes();
        let Some(batch) = &self.batch else { return };
        let gone = |set: &std::collections::BTreeSet<String>| {
            batch.hosts.iter().filter(|h| set.contains(*h)).count()
        };
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
        if batch.free {
            for (host, task) in waiting {
                self.start(&mut batch, &[host], &task);
            }
            self.batch = Some(batch);
            return true;
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
        self.start(&mut batch, &hosts, &task);
        self.batch = Some(batch);
        true
    }

    /// The next task of a host; handlers only when they were notified, others only when tags choose them.
    fn peek(&mut self, batch: &mut Batch, host: &str) -> Option<Rc<Task>> {
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

    fn is_handler(batch: &Batch, task: &Rc<Task>) -> bool {
        let mut all = Vec::new();
        flatten(&batch.handlers.tasks, &mut all);
        all.iter().any(|handler| Rc::ptr_eq(handler, task))
    }

    /// A host has failed for good; with `force_handlers` its handlers still run.
    fn give_up(&mut self, batch: &mut Batch, state: &mut super::batch::HostState, host: &str) {
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
    fn is_chosen(&mut self, task: &Rc<Task>, host: &str) -> bool {
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

    fn start(&mut self, batch: &mut Batch, hosts: &[String], task: &Rc<Task>) {
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
            let kind = if Self::is_handler(batch, task) { "RUNNING HANDLER" } else { "TASK" };
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

    fn meta(&mut self, batch: &mut Batch, hosts: &[String], task: &Rc<Task>) {
        let what = task.arg("_raw_params").map(key_text).unwrap_or_default();
        let implicit = task.within.name.as_deref() == Some("flush_handlers") && what == "flush_handlers";
        // The others are for the whole play: the first host decides.
        let each =
            matches!(what.as_str(), "noop" | "reset_connection" | "end_host" | "end_role" | "flush_handlers");
        let mut chosen = Vec::new();
        for host in hosts.iter().take(if each { usize::MAX } else { 1 }) {
            let running = Running::new(host, task, false);
            if !implicit {
                self.say(show::banner(&format!("TASK [{}]", self.title(task, host))));
            }
            match self.condition(&running) {
                Ok(None) => chosen.push(host.clone()),
                Ok(Some(_)) => self.say(format!("skipping: [{host}]")),
                Err(error) => {
                    let result = results::failed(format!("Task failed: {error}"));
                    self.show_result(&running, &result, true);
                }
            }
        }
        let whole_batch: Vec<String> = batch.hosts.clone();
        match what.as_str() {
            "flush_handlers" => {
                for host in &chosen {
                    let notified = batch.notified.iter().any(|(_, hosts)| hosts.contains(host));
                    if let Some(state) = batch.states.get_mut(host).filter(|_| notified) {
                        state.frames.push(Rc::clone(&batch.handlers), true);
                    }
                }
                let handlers = batch.handlers.tasks.clone();
                batch.insert(&handlers);
            }
            "clear_facts" => {
                for host in &chosen {
                    self.world.with_host(host, |known| {
                        known.facts.clear();
                        known.forget_facts_map();
                    });
                }
            }
            "clear_host_errors" if !chosen.is_empty() => {
                for host in &whole_batch {
                    self.failed.remove(host);
                    self.unreachable.remove(host);
                }
            }
            "end_host" => self.end_hosts(batch, &chosen),
            "end_batch" if !chosen.is_empty() => self.end_hosts(batch, &whole_batch),
            "end_play" if !chosen.is_empty() => {
                self.end_hosts(batch, &whole_batch);
                self.skip_batches();
            }
            "end_role" => {
                for host in &chosen {
                    if let Some(state) = batch.states.get_mut(host) {
                        state.frames.end_role();
                    }
                }
            }
            _ => {}
        }
    }

    fn end_hosts(&self, batch: &mut Batch, hosts: &[String]) {
        for host in hosts {
            if let Some(state) = batch.states.get_mut(host) {
                state.frames.clear();
                state.out = true;
            }
        }
    }

    /// A task is through on a host (or on one for all).
    fn finished(&mut self, mut running: Running, result: Named) {
        if running.items.is_none() {
            self.store_facts(&mut running, &result);
        }
        let hosts = self.hosts_for(&running);
        let requests = self.apply_effects(&mut running, &hosts);
        if let Some(name) = running.task.own("register").map(key_text) {
            let mut kept = result.clone();
            kept.retain(|(key, _)| !key.starts_with("_ansible_"));
            if get(&kept, "failed").is_none() {
                results::put(&mut kept, "failed", Value::Bool(false));
            }
            if get(&kept, "changed").is_none() {
                results::put(&mut kept, "changed", Value::Bool(false));
            }
            let value = Arc::new(results::to_value(&kept));
            for host in &hosts {
                self.world.with_host(host, |known| known.set.insert(name.clone(), Arc::clone(&value)));
            }
        }
        let asked = !requests.is_empty();
        if let Some(batch) = &mut self.batch {
            for request in requests {
                for host in &hosts {
                    batch.includes.push(Wanted {
                        host: host.clone(),
                        task: Rc::clone(&running.task),
                        request: request.copy(),
                    });
                }
            }
        }
        if flag(&result, "unreachable") {
            self.lost(&running, &result);
        } else if flag(&result, "failed") {
            self.host_failed_shown(&running, &result);
        } else {
            let skipped = flag(&result, "skipped");
            let changed = flag(&result, "changed");
            if asked && !skipped {
                // The line of an include comes when it has been read.
            } else {
                self.show_result(&running, &result, false);
            }
            let host = running.host.clone();
            // An include is counted for each file, when it has been read.
            self.count(&host, |stats| {
                if asked && !skipped {
                } else if skipped {
                    stats.skipped += 1;
                } else {
                    stats.ok += 1;
                    stats.changed += u32::from(changed);
                }
            });
            if changed {
                self.notify(&running, &hosts);
            }
        }
    }

    fn host_failed_shown(&mut self, running: &Running, result: &Named) {
        let ignored = self.switch(running, "ignore_errors", false).unwrap_or(false);
        self.show_result(running, result, !ignored);
        if ignored {
            self.say("...ignoring".to_owned());
            let changed = flag(result, "changed");
            let host = running.host.clone();
            self.count(&host, |stats| {
                stats.ok += 1;
                stats.changed += u32::from(changed);
                stats.ignored += 1;
            });
            if changed {
                let hosts = self.hosts_for(running);
                self.notify(running, &hosts);
            }
            return;
        }
        self.host_failed(running, result);
    }

    /// A host's task failed and nobody ignores it.
    pub(crate) fn host_failed(&mut self, running: &Running, result: &Named) {
        let fatal = self.switch(running, "any_errors_fatal", false).unwrap_or(false);
        let Some(mut batch) = self.batch.take() else { return };
        let others = if running.once || fatal { batch.left() } else { vec![running.host.clone()] };
        for host in others {
            let own = host == running.host;
            let Some(mut state) = batch.states.remove(&host) else { continue };
            if own {
                let rescued = state.frames.would_rescue();
                self.count(&host, |stats| if rescued { stats.rescued += 1 } else { stats.failed += 1 });
                let mut about: Named =
                    vec![("name".to_owned(), Value::Unsafe(self.title_of_failed(running)))];
                about.push(("action".to_owned(), Value::Unsafe(running.task.written.clone())));
                self.world.with_host(&host, |known| {
                    known.set.insert("ansible_failed_task".to_owned(), Arc::new(results::to_value(&about)));
                    known.set.insert("ansible_failed_result".to_owned(), Arc::new(results::to_value(result)));
                });
            }
            if state.frames.fail() == AfterFailure::Out {
                if own || running.once {
                    self.give_up(&mut batch, &mut state, &host);
                } else {
                    state.out = true;
                }
                if fatal {
                    batch.fatal = true;
                }
            }
            batch.states.insert(host, state);
        }
        self.batch = Some(batch);
    }

    fn title_of_failed(&self, running: &Running) -> String {
        running.task.within.name.clone().unwrap_or_default()
    }

    /// The host is out of reach.
    fn lost(&mut self, running: &Running, result: &Named) {
        let shown = results::to_value(result);
        let line =
            format!("fatal: [{}]: UNREACHABLE! => {}", self.who(running), show::result(&shown, false, false));
        self.say(line);
        let host = running.host.clone();
        if self.switch(running, "ignore_unreachable", false).unwrap_or(false) {
            self.say("...ignoring".to_owned());
            self.count(&host, |stats| {
                stats.skipped += 1;
                stats.ignored += 1;
            });
            return;
        }
        self.count(&host, |stats| stats.unreachable += 1);
        self.unreachable.insert(host.clone());
        if let Some(state) = self.batch.as_mut().and_then(|batch| batch.states.get_mut(&host)) {
            state.frames.clear();
            state.out = true;
        }
    }

    /// Notifies handlers by name and by topic.
    fn notify(&mut self, running: &Running, hosts: &[String]) {
        let chain: Vec<_> =
            running.task.within.chain().flat_map(|within| within.notify.iter().cloned()).collect();
        if chain.is_empty() {
            return;
        }
        let session = self.session(running);
        let mut names = Vec::new();
        for name in chain {
            if let Ok(Some(value)) = session.value(&name) {
                names.extend(listed(value).iter().map(key_text));
            }
        }
        drop(session);
        for name in names {
            let found = self.find_handlers(&name, &running.host);
            if found.is_empty() {
                let text = format!(
                    "The requested handler '{name}' was not found in either the main handlers list nor in the listening handlers list"
                );
                self.stop(&text);
                return;
            }
            if let Some(batch) = &mut self.batch {
                for handler in &found {
                    for host in hosts {
                        batch.notify(handler, host);
                    }
                }
            }
        }
    }

    /// The last handler of that name, and all that listen.
    fn find_handlers(&self, name: &str, host: &str) -> Vec<Rc<Task>> {
        let Some(batch) = &self.batch else { return Vec::new() };
        let mut all = Vec::new();
        flatten(&batch.handlers.tasks, &mut all);
        let named = all.iter().rev().find(|handler| {
            let own = handler.within.name.clone().unwrap_or_default();
            own == name
                || handler.title() == name
                || self.title(handler, host) == name
                || handler.within.role().is_some_and(|role| format!("{} : {own}", role.name) == name)
        });
        let listening = all.iter().filter(|handler| handler.listen.iter().any(|topic| topic == name));
        let mut found: Vec<Rc<Task>> = named.into_iter().cloned().collect();
        for handler in listening {
            if !found.iter().any(|known| Rc::ptr_eq(known, handler)) {
                found.push(Rc::clone(handler));
            }
        }
        found
    }

    fn who(&self, running: &Running) -> String {
        match &running.delegated {
            Some(target) if *target != running.host => format!("{} -> {target}", running.host),
            _ => running.host.clone(),
        }
    }

    fn hidden(&self, running: &Running) -> bool {
        self.switch(running, "no_log", false).unwrap_or(true)
    }

    /// The line of one item.
    pub(crate) fn show_item(&mut self, running: &Running, result: &Named, label: &str) {
        let who = self.who(running);
        let no_log = self.hidden(running);
        let value = shown(running, result);
        let label = if no_log { "None" } else { label };
        if matches!(running.task.action.as_str(), "include_tasks" | "include_role")
            && !flag(result, "failed")
            && !flag(result, "skipped")
        {
            return;
        }
        let line = if flag(result, "unreachable") {
            return;
        } else if flag(result, "failed") {
            format!("failed: [{who}] (item={label}) => {}", show::result(&value, verbose(result), no_log))
        } else if flag(result, "skipped") {
            format!("skipping: [{who}] => (item={label}) ")
        } else {
            let word = if flag(result, "changed") { "changed" } else { "ok" };
            let more = if verbose(result) {
                format!(" => {}", show::result(&value, true, no_log))
            } else {
                String::new()
            };
            format!("{word}: [{who}] => (item={label}){more}")
        };
        self.say(line);
    }

    /// The line of a whole task.
    pub(crate) fn show_result(&mut self, running: &Running, result: &Named, _fatal: bool) {
        let who = self.who(running);
        let no_log = self.hidden(running);
        let looped = running.items.as_ref().is_some_and(|items| !items.is_empty());
        let value = shown(running, result);
        if flag(result, "skipped") {
            self.say(format!("skipping: [{who}]"));
            return;
        }
        if looped {
            return;
        }
        let line = if flag(result, "failed") || get(result, "reason").is_some() {
            format!("fatal: [{who}]: FAILED! => {}", show::result(&value, verbose(result), no_log))
        } else {
            let word = if flag(result, "changed") { "changed" } else { "ok" };
            let more = if verbose(result) {
                format!(" => {}", show::result(&value, true, no_log))
            } else {
                String::new()
            };
            format!("{word}: [{who}]{more}")
        };
        self.say(line);
    }
}

fn verbose(result: &Named) -> bool {
    flag(result, "_ansible_verbose_always")
}

/// What people see of a result: `debug` tells only its message.
fn shown(running: &Running, result: &Named) -> Value {
    let mut result = result.clone();
    if running.task.action == "debug" {
        let var = running.task.arg("var").map(key_text);
        let about = [
            "changed",
            "failed",
            "skipped",
            "attempts",
            "ansible_facts",
            "failed_when_result",
            "item",
            "ansible_loop_var",
            "ansible_loop",
            "ansible_index_var",
        ];
        let index = get(&result, "ansible_index_var").map(key_text);
        let loop_var = get(&result, "ansible_loop_var").map(key_text);
        result.retain(|(key, _)| {
            var.as_ref() == Some(key)
                || !(about.contains(&key.as_str())
                    || loop_var.as_ref() == Some(key)
                    || index.as_ref() == Some(key))
        });
    }
    results::remove(&mut result, "failed");
    results::to_value(&result)
}
