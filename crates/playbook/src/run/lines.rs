//! The lines of results.

use wellkept_inventory::Value;

use super::results::{self, flag, get};
use super::task::Running;
use super::{Run, show};
use crate::book::{Named, key_text};

impl Run {
    pub(super) fn who(&self, running: &Running) -> String {
        match &running.delegated {
            Some(target) if *target != running.host => format!("{} -> {target}", running.host),
            _ => running.host.clone(),
        }
    }

    pub(super) fn hidden(&self, running: &Running) -> bool {
        self.switch(running, "no_log", false).unwrap_or(true)
    }

    /// How texts changed, when that is asked for.
    pub(super) fn show_diff(&mut self, running: &Running, result: &Named) {
        let wanted = self.switch(running, "diff", self.options.diff).unwrap_or(false);
        if !wanted || self.hidden(running) {
            return;
        }
        let mut text = String::new();
        let mut add = |changed: bool, diff: Option<&Value>| {
            if let Some(diff) = diff.filter(|_| changed) {
                text.push_str(&super::diff::shown(diff));
            }
        };
        add(flag(result, "changed"), get(result, "diff"));
        if let Some(Value::List(items)) = get(result, "results").filter(|_| running.items.is_some()) {
            for item in items {
                add(item.get("changed").is_some_and(results::truth), item.get("diff"));
            }
        }
        if !text.is_empty() {
            self.say(text);
        }
    }

    /// The line of one item.
    pub(crate) fn show_item(&mut self, running: &Running, result: &Named, label: &str) {
        let who = self.who(running);
        let no_log = self.hidden(running);
        let value = shown(running, result);
        let label = if no_log { "(censored due to no_log)" } else { label };
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
            let more = self.more(result, &value, no_log);
            format!("{word}: [{who}] => (item={label}){more}")
        };
        self.say(line);
    }

    /// The result behind a line, where it is shown.
    fn more(&self, result: &Named, value: &Value, no_log: bool) -> String {
        let always = verbose(result) && !no_log;
        if !always && self.options.verbosity == 0 {
            return String::new();
        }
        format!(" => {}", show::result(value, always, no_log))
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
            let more = self.more(result, &value, no_log);
            format!("{word}: [{who}]{more}")
        };
        self.say(line);
    }
}

/// Whether the line shows the whole result.
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
