//! Judges results: `changed_when`, `failed_when`, `until`, and the items of loops.

use std::rc::Rc;
use std::sync::Arc;

use wellkept_inventory::Value;

use super::results::{self, flag, get, put};
use super::task::{Running, told};
use super::{Run, show};
use crate::book::{Named, key_text, listed, sealed};

/// Most retries.
const RETRIES_MAX: i128 = 1_000_000;

impl Run {
    /// Judges a result by `until`, `changed_when` and `failed_when`. An error is the time of the next try.
    pub(super) fn judge(&mut self, running: &mut Running, mut result: Named) -> Result<Named, i64> {
        if flag(&result, "skipped") && get(&result, "false_condition").is_some()
            || flag(&result, "unreachable")
        {
            return Ok(result);
        }
        let code = get(&result, "rc").cloned();
        if get(&result, "failed").is_none()
            && code.is_some_and(|code| !matches!(key_text(&code).as_str(), "0" | ""))
        {
            put(&mut result, "failed", Value::Bool(true));
        }
        if get(&result, "changed").is_none() {
            result.insert(0, ("changed".to_owned(), Value::Bool(false)));
        }
        let task = Rc::clone(&running.task);
        let before = running.local.clone();
        if task.own("until").is_some() || task.own("retries").is_some() {
            put(&mut result, "attempts", Value::Int(running.attempt));
        }
        if let Some(name) = task.own("register") {
            running.local.insert(key_text(name), Arc::new(results::to_value(&result)));
        }
        for fact in facts_of(&result) {
            running.local.insert(fact.0, fact.1);
        }
        self.apply_conditions(running, &mut result);
        if let Some(name) = task.own("register") {
            running.local.insert(key_text(name), Arc::new(results::to_value(&result)));
        }
        let again = self.again(running, &mut result);
        running.local = before;
        match again {
            Some(due) => Err(due),
            None => Ok(result),
        }
    }

    pub(super) fn apply_conditions(&self, running: &Running, result: &mut Named) {
        let session = self.session(running);
        if let Some(conditions) = running.task.own("changed_when") {
            let mut changed = true;
            for condition in listed(conditions.clone()) {
                match session.test(&condition) {
                    Ok(truth) => changed &= truth,
                    Err(error) => {
                        put(result, "failed", Value::Bool(true));
                        put(result, "changed_when_result", Value::Unsafe(told(&error)));
                        put(result, "msg", Value::Unsafe(format!("Task failed: {}", told(&error))));
                        return;
                    }
                }
            }
            put(result, "changed", Value::Bool(changed));
        }
        if let Some(conditions) = running.task.own("failed_when") {
            let mut failed = true;
            for condition in listed(conditions.clone()) {
                match session.test(&condition) {
                    Ok(truth) => failed &= truth,
                    Err(error) => {
                        put(result, "failed", Value::Bool(true));
                        put(result, "failed_when_result", Value::Unsafe(told(&error)));
                        put(result, "msg", Value::Unsafe(format!("Task failed: {}", told(&error))));
                        return;
                    }
                }
            }
            put(result, "failed_when_result", Value::Bool(failed));
            put(result, "failed", Value::Bool(failed));
        }
    }

    /// When the task is to be tried again, if it is.
    pub(super) fn again(&mut self, running: &Running, result: &mut Named) -> Option<i64> {
        let task = Rc::clone(&running.task);
        if task.own("until").is_none() && task.own("retries").is_none() {
            return None;
        }
        let number =
            |name: &str, default: f64| task.own(name).map_or(default, |value| self.seconds(running, value));
        let retries = (number("retries", 3.0) as i128).clamp(0, RETRIES_MAX);
        let delay = number("delay", 5.0).max(0.0);
        let done = match task.own("until") {
            None => !flag(result, "failed"),
            Some(conditions) => {
                let session = self.session(running);
                listed(conditions.clone()).iter().all(|condition| session.test(condition).unwrap_or(false))
            }
        };
        if done {
            return None;
        }
        if running.attempt <= retries {
            let left = retries - running.attempt + 1;
            let title = self.title(&running.task, &running.host);
            let host = running.host.clone();
            let mut line = format!("FAILED - RETRYING: [{host}]: {title} ({left} retries left).");
            if flag(result, "_ansible_verbose_always") {
                let mut told = result.clone();
                results::remove(&mut told, "failed");
                put(&mut told, "retries", Value::Int(retries + 1));
                line.push_str(&format!(
                    "Result was: {}",
                    show::result(&results::to_value(&told), true, false)
                ));
            }
            self.say(line);
            return Some(self.now_ms + (delay * 1000.0) as i64);
        }
        put(result, "attempts", Value::Int(retries.max(1)));
        put(result, "failed", Value::Bool(true));
        None
    }

    /// An item of a loop has its result.
    pub(super) fn item_done(&mut self, running: &mut Running, mut result: Named) {
        let name = running.loop_var();
        let item =
            running.items.as_ref().and_then(|items| items.get(running.at)).cloned().unwrap_or(Value::Null);
        put(&mut result, "ansible_loop_var", Value::Unsafe(name.clone()));
        put(&mut result, &name, sealed(item.clone()));
        if let Some(index) = running.control("index_var") {
            let index = key_text(index);
            put(&mut result, &index, Value::Int(running.at as i128));
            put(&mut result, "ansible_index_var", Value::Unsafe(index));
        }
        for extended in ["ansible_loop"] {
            if let Some(about) = running.local.get(extended) {
                put(&mut result, extended, (**about).clone());
            }
        }
        let label = match running.control("label") {
            Some(label) => self.session(running).value(label).ok().flatten().unwrap_or(Value::Null),
            None => item,
        };
        self.store_facts(running, &result);
        self.show_item(running, &result, &show::label(&label));
        running.done.push(result);
        running.at += 1;
    }
}

/// Facts that the conditions of the same task see already.
fn facts_of(result: &Named) -> Vec<(String, Arc<Value>)> {
    match get(result, "ansible_facts") {
        Some(Value::Map(entries)) => {
            entries.iter().map(|(key, value)| (key_text(key), Arc::new(value.clone()))).collect()
        }
        _ => Vec::new(),
    }
}
