//! What follows from a result: registered values, failures and who takes over, lost hosts, notified handlers.

use std::rc::Rc;
use std::sync::Arc;

use wellkept_inventory::Value;

use super::Run;
use super::batch::flatten;
use super::frames::AfterFailure;
use super::includes::Wanted;
use super::results::{self, flag, get};
use super::show;
use super::task::Running;
use crate::book::{Named, Task, key_text, listed};

impl Run {
    /// A task is through on a host (or on one for all).
    pub(super) fn finished(&mut self, mut running: Running, result: Named) {
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
        self.show_diff(&running, &result);
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

    pub(super) fn host_failed_shown(&mut self, running: &Running, result: &Named) {
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

    pub(super) fn title_of_failed(&self, running: &Running) -> String {
        running.task.within.name.clone().unwrap_or_default()
    }

    /// The host is out of reach.
    pub(super) fn lost(&mut self, running: &Running, result: &Named) {
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
    pub(super) fn notify(&mut self, running: &Running, hosts: &[String]) {
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
    pub(super) fn find_handlers(&self, name: &str, host: &str) -> Vec<Rc<Task>> {
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
}
