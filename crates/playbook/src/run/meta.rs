//! `meta`: handlers now, the end of a host, a batch, a play.

use std::rc::Rc;

use super::batch::Batch;
use super::task::Running;
use super::{Run, results, show};
use crate::book::{Task, key_text};

impl Run {
    pub(super) fn meta(&mut self, batch: &mut Batch, hosts: &[String], task: &Rc<Task>) {
        let what = task.arg("_raw_params").map(key_text).unwrap_or_default();
        let implicit = task.within.name.as_deref() == Some("flush_handlers") && what == "flush_handlers";
        // The others are for the whole play: the first host decides.
        let each =
            matches!(what.as_str(), "noop" | "reset_connection" | "end_host" | "end_role" | "flush_handlers");
        let mut chosen = Vec::new();
        for host in hosts.iter().take(if each { usize::MAX } else { 1 }) {
            let running = Running::new(host, task, false);
            if implicit {
                chosen.push(host.clone());
                continue;
            }
            self.say(show::banner(&format!("TASK [{}]", self.title(task, host))));
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

    pub(super) fn end_hosts(&self, batch: &mut Batch, hosts: &[String]) {
        for host in hosts {
            if let Some(state) = batch.states.get_mut(host) {
                state.frames.clear();
                state.out = true;
            }
        }
    }
}
