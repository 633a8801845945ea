//! `--step`: a person is asked before each task.

use std::rc::Rc;

use wellkept_inventory::Value;

use super::batch::Batch;
use super::{Run, show};
use crate::book::{Prompt, Task, key_text};

/// A task that waits for a person's word.
pub(crate) struct Stepping {
    hosts: Vec<String>,
    task: Rc<Task>,
    question: String,
}

impl Run {
    /// Starts a task on its hosts, or asks before. What keeps a play together is never asked about.
    pub(super) fn start_or_ask(&mut self, batch: &mut Batch, hosts: &[String], task: &Rc<Task>) {
        if !self.options.step || task.action == "meta" {
            self.start(batch, hosts, task);
            return;
        }
        let place = match hosts {
            [host] if batch.free => format!("on {host} "),
            _ => String::new(),
        };
        let question = format!("Perform task: TASK: {} {place}(N)o/(y)es/(c)ontinue", task.title());
        self.asked = Some(Prompt {
            name: String::new(),
            prompt: question.clone(),
            default: None,
            private: false,
            confirm: false,
            encrypt: None,
        });
        self.stepping = Some(Stepping { hosts: hosts.to_vec(), task: Rc::clone(task), question });
    }

    /// What the person said: yes, no (the task is passed over), or that everything else is to be done.
    pub(super) fn stepped(&mut self, step: &Stepping, answer: &Value) {
        let answer = key_text(answer).trim().to_lowercase();
        let go_on = matches!(answer.as_str(), "c" | "continue");
        self.say(show::banner(&format!("{}: ", step.question)));
        if go_on {
            self.options.step = false;
        }
        let Some(mut batch) = self.batch.take() else { return };
        if go_on || matches!(answer.as_str(), "y" | "yes") {
            self.start(&mut batch, &step.hosts, &step.task);
        } else {
            for host in &step.hosts {
                if let Some(state) = batch.states.get_mut(host) {
                    state.frames.take();
                }
            }
        }
        self.batch = Some(batch);
    }
}
