//! One task on one host: loops, conditions, arguments, retries.

use std::rc::Rc;
use std::sync::Arc;

use wellkept_inventory::Value;

use super::results::{self, flag, put};
use super::vars::{self, Layer, TaskScope};
use super::work::{Outcome, Work, WorkId};
use super::{Run, show};
use crate::book::{Named, Task, key_text, listed};
use crate::template::{Session, TemplateError};

/// Most items of a loop.
const ITEMS_MAX: usize = 100_000;

/// A task that has begun on a host.
pub(crate) struct Running {
    pub(crate) host: String,
    pub(crate) task: Rc<Task>,
    /// Items of a loop; `None` without one.
    pub(crate) items: Option<Vec<Value>>,
    pub(crate) at: usize,
    pub(crate) done: Vec<Named>,
    pub(crate) attempt: i128,
    pub(crate) local: Layer,
    pub(crate) waiting: Option<WorkId>,
    pub(crate) due: Option<i64>,
    pub(crate) arrived: Option<Outcome>,
    pub(crate) begun: bool,
    /// The result holds for all hosts of the batch.
    pub(crate) once: bool,
    pub(crate) delegated: Option<String>,
    /// What the last item asked of the engine besides a result.
    pub(crate) effects: Vec<super::actions::Effect>,
}

/// What a task came to.
pub(crate) enum Step {
    Work(Box<Work>),
    Due(i64),
    Finished(Named),
}

enum Tried {
    Asked(Box<Work>),
    Result(Named),
}

impl Running {
    pub(crate) fn new(host: &str, task: &Rc<Task>, once: bool) -> Self {
        Self {
            host: host.to_owned(),
            task: Rc::clone(task),
            items: None,
            at: 0,
            done: Vec::new(),
            attempt: 0,
            local: Layer::new(),
            waiting: None,
            due: None,
            arrived: None,
            begun: false,
            once,
            delegated: None,
            effects: Vec::new(),
        }
    }

    pub(crate) fn control(&self, name: &str) -> Option<&Value> {
        let looped = self.task.looped.as_ref()?;
        looped.control.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    pub(crate) fn loop_var(&self) -> String {
        self.control("loop_var").map_or_else(|| "item".to_owned(), key_text)
    }
}

/// The text of a template's error as the output has it.
pub(crate) fn told(error: &TemplateError) -> String {
    error.to_string()
}

impl Run {
    /// Goes on with a task until it needs the host, a pause, or is done.
    pub(crate) fn advance(&mut self, running: &mut Running) -> Step {
        if !running.begun {
            running.begun = true;
            if let Err(result) = self.begin(running) {
                return Step::Finished(result);
            }
        }
        loop {
            if let Some(items) = &running.items
                && running.at >= items.len()
            {
                if items.is_empty() {
                    let mut result = results::skipped("No items in the list", None);
                    put(&mut result, "results", Value::List(Vec::new()));
                    results::remove(&mut result, "skip_reason");
                    put(&mut result, "skipped_reason", Value::Unsafe("No items in the list".to_owned()));
                    return Step::Finished(result);
                }
                return Step::Finished(results::of_loop(std::mem::take(&mut running.done)));
            }
            let tried = match running.arrived.take() {
                Some(outcome) => {
                    let result = arrived(outcome);
                    self.say_job(running, &result);
                    Tried::Result(result)
                }
                None => self.attempt(running),
            };
            let result = match tried {
                Tried::Asked(work) => return Step::Work(work),
                Tried::Result(result) => result,
            };
            let result = match self.judge(running, result) {
                Ok(result) => result,
                Err(due) => return Step::Due(due),
            };
            running.attempt = 0;
            if running.items.is_none() {
                return Step::Finished(result);
            }
            let unreachable = flag(&result, "unreachable");
            self.item_done(running, result);
            if unreachable {
                let mut whole = results::of_loop(std::mem::take(&mut running.done));
                put(&mut whole, "unreachable", Value::Bool(true));
                return Step::Finished(whole);
            }
            let more = running.items.as_ref().is_some_and(|items| running.at < items.len());
            if more && let Some(pause) = running.control("pause").cloned() {
                let seconds = self.seconds(running, &pause);
                if seconds > 0.0 {
                    return Step::Due(self.now_ms + (seconds * 1000.0) as i64);
                }
            }
        }
    }

    pub(super) fn seconds(&self, running: &Running, value: &Value) -> f64 {
        match self.session(running).value(value) {
            Ok(Some(Value::Int(number))) => number as f64,
            Ok(Some(Value::Float(number))) => number,
            Ok(Some(other)) => key_text(&other).trim().parse().unwrap_or(0.0),
            _ => 0.0,
        }
    }

    pub(crate) fn session(&self, running: &Running) -> Session<'_> {
        self.engine.session(self.scope(running))
    }

    pub(crate) fn scope(&self, running: &Running) -> Rc<TaskScope> {
        TaskScope::new(&self.world, &running.host, Some(&running.task), running.local.clone())
    }

    /// Finds the items of a loop.
    pub(super) fn begin(&mut self, running: &mut Running) -> Result<(), Named> {
        let task = Rc::clone(&running.task);
        let Some(looped) = &task.looped else { return Ok(()) };
        let session = self.session(running);
        let found = match &looped.lookup {
            None => session.value(&looped.terms).map(|value| match value {
                Some(Value::List(items)) => Ok(items),
                other => Err(other.unwrap_or(Value::Null)),
            }),
            Some(name) if name == "inventory_hostnames" => session.value(&looped.terms).map(|value| {
                let patterns: Vec<String> =
                    listed(value.unwrap_or(Value::Null)).iter().map(key_text).collect();
                let hosts = self.world.select(&patterns.join(","));
                Ok(hosts.into_iter().map(Value::Unsafe).collect())
            }),
            Some(name) => session.lookup(name, &looped.terms).map(Ok),
        };
        match found {
            Ok(Ok(items)) if items.len() > ITEMS_MAX => Err(results::failed(format!(
                "the loop has {} items; accepted: at most {ITEMS_MAX}",
                items.len()
            ))),
            Ok(Ok(items)) => {
                running.items = Some(items);
                Ok(())
            }
            Ok(Err(other)) => {
                let kind = crate::template::type_name(&other);
                Err(results::failed(format!("The `loop` value must resolve to a 'list', not '{kind}'.")))
            }
            Err(error) => {
                // A condition that does not need the items may say that the task is not wanted.
                if let Ok(Some(condition)) = self.condition(running) {
                    return Err(results::skipped("Conditional result was False", Some(&condition)));
                }
                Err(results::failed(format!("Task failed: {}", told(&error))))
            }
        }
    }

    /// The end of a job that was waited for is told by its id, before the result.
    fn say_job(&mut self, running: &Running, result: &Named) {
        if running.task.own("async").is_none() {
            return;
        }
        let gave_up = results::get(result, "async_result");
        let id = match gave_up {
            Some(late) => late.get("ansible_job_id"),
            None => results::get(result, "ansible_job_id").filter(|_| results::flag(result, "finished")),
        };
        let Some(id) = id.map(key_text) else { return };
        let how = if gave_up.is_some() || results::flag(result, "failed") { "FAILED" } else { "OK" };
        self.say(format!("ASYNC {how} on {}: jid={id}", running.host));
    }

    /// The condition that says no; an error when one cannot be judged.
    pub(crate) fn condition(&self, running: &Running) -> Result<Option<Value>, TemplateError> {
        let chain: Vec<_> = running.task.within.chain().collect();
        let session = self.session(running);
        for condition in chain.iter().rev().flat_map(|within| &within.when) {
            if !session.test(condition)? {
                return Ok(Some(condition.clone()));
            }
        }
        Ok(None)
    }

    /// Gives the names of the item, and what `loop_control` adds.
    pub(super) fn bind(&self, running: &mut Running) {
        running.local.clear();
        let Some(items) = &running.items else { return };
        let Some(item) = items.get(running.at) else { return };
        let name = running.loop_var();
        let at = running.at;
        let mut local = Layer::new();
        local.insert(name.clone(), Arc::new(item.clone()));
        local.insert("ansible_loop_var".to_owned(), vars::text(&name));
        if let Some(index) = running.control("index_var") {
            local.insert(key_text(index), Arc::new(Value::Int(at as i128)));
            local.insert("ansible_index_var".to_owned(), vars::text(&key_text(index)));
        }
        if running.control("extended").is_some_and(results::truth) {
            let length = items.len();
            let number = |n: usize| Value::Int(n as i128);
            let mut about = vec![
                (show::key("index"), number(at + 1)),
                (show::key("index0"), number(at)),
                (show::key("first"), Value::Bool(at == 0)),
                (show::key("last"), Value::Bool(at + 1 == length)),
                (show::key("length"), number(length)),
                (show::key("revindex"), number(length - at)),
                (show::key("revindex0"), number(length - at - 1)),
                (show::key("allitems"), Value::List(items.clone())),
            ];
            let near = |at: Option<usize>| at.and_then(|at| items.get(at)).cloned();
            about.extend(near(at.checked_sub(1)).map(|item| (show::key("previtem"), item)));
            about.extend(near(Some(at + 1)).map(|item| (show::key("nextitem"), item)));
            local.insert("ansible_loop".to_owned(), Arc::new(Value::Map(about)));
        }
        running.local = local;
    }

    /// Tries the current item once.
    fn attempt(&mut self, running: &mut Running) -> Tried {
        if running.attempt == 0 {
            self.bind(running);
            match self.condition(running) {
                Ok(None) => {}
                Ok(Some(condition)) => {
                    return Tried::Result(results::skipped("Conditional result was False", Some(&condition)));
                }
                Err(error) => {
                    let text = told(&error);
                    let text = if text.starts_with("Conditional")
                        || text.starts_with("Empty conditional")
                        || text.starts_with("Syntax")
                    {
                        text
                    } else {
                        format!("Error while evaluating conditional: {text}")
                    };
                    return Tried::Result(results::failed(format!("Task failed: {text}")));
                }
            }
            if let Err(error) = self.delegate(running) {
                return Tried::Result(results::failed(format!("Task failed: {}", told(&error))));
            }
        }
        running.attempt += 1;
        if let Some(work) = self.take_promised(running) {
            running.waiting = Some(work.id);
            return Tried::Asked(Box::new(work));
        }
        if let Some(result) = self.raw_action(running) {
            return Tried::Result(result);
        }
        let args = match self.arguments(running) {
            Ok(args) => args,
            Err(why) => return Tried::Result(results::failed(why)),
        };
        if crate::book::CONTROLLER.contains(&running.task.action.as_str()) && running.task.action != "pause" {
            return Tried::Result(self.action(running, args));
        }
        match self.work(running, args) {
            Ok(work) => {
                running.waiting = Some(work.id);
                Tried::Asked(Box::new(work))
            }
            Err(error) => Tried::Result(results::failed(format!("Task failed: {}", told(&error)))),
        }
    }
}

fn arrived(outcome: Outcome) -> Named {
    match outcome {
        Outcome::Done(result) => results::from_value(result),
        Outcome::Unreachable(why) => vec![
            ("changed".to_owned(), Value::Bool(false)),
            ("msg".to_owned(), Value::Unsafe(why)),
            ("unreachable".to_owned(), Value::Bool(true)),
        ],
        Outcome::Unknown(why) => vec![
            ("changed".to_owned(), Value::Bool(false)),
            ("msg".to_owned(), Value::Unsafe(why)),
            ("unknown".to_owned(), Value::Bool(true)),
            ("unreachable".to_owned(), Value::Bool(true)),
        ],
    }
}
