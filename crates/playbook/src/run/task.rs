//! One task on one host: loops, conditions, arguments, retries.

use std::rc::Rc;
use std::sync::Arc;

use wellkept_inventory::Value;

use super::results::{self, flag, get, put};
use super::vars::{self, Layer, TaskScope};
use super::work::{Become, Outcome, Work, WorkId};
use super::{Run, show};
use crate::book::{Named, Task, key_text, listed, sealed};
use crate::template::{Session, TemplateError};

/// Most items of a loop.
const ITEMS_MAX: usize = 100_000;
/// Most retries.
const RETRIES_MAX: i128 = 1_000_000;

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

    fn control(&self, name: &str) -> Option<&Value> {
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
                Some(outcome) => Tried::Result(arrived(outcome)),
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

    fn seconds(&self, running: &Running, value: &Value) -> f64 {
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
    fn begin(&mut self, running: &mut Running) -> Result<(), Named> {
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
                Ok(self.hostnames(&patterns))
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

    fn hostnames(&self, patterns: &[String]) -> Vec<Value> {
        let inventory = self.world.inventory.borrow();
        let Ok(chosen) = inventory.select(&patterns.join(","), None) else { return Vec::new() };
        let name = |selected: &wellkept_inventory::Selected| match selected {
            wellkept_inventory::Selected::Host(id) => {
                inventory.hosts().get(*id).map(|host| host.name.clone())
            }
            wellkept_inventory::Selected::Localhost(name) => Some((*name).to_owned()),
        };
        chosen.hosts.iter().filter_map(name).map(Value::Unsafe).collect()
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
    fn bind(&self, running: &mut Running) {
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

    fn delegate(&self, running: &mut Running) -> Result<(), TemplateError> {
        running.delegated = None;
        if let Some(target) = running.task.within.attr("delegate_to") {
            let target = self.session(running).value(target)?;
            let target = target.map(|target| key_text(&target)).filter(|target| !target.is_empty());
            running.delegated = target;
        }
        Ok(())
    }

    /// The task's arguments with the defaults of `module_defaults` under them.
    fn arguments(&self, running: &Running) -> Result<Named, String> {
        let task = &running.task;
        let session = self.session(running);
        let mut args: Named = Vec::new();
        let chain: Vec<_> = task.within.chain().collect();
        for defaults in chain.iter().rev().filter_map(|within| within.own("module_defaults")) {
            for map in listed(defaults.clone()) {
                let Value::Map(entries) = map else { continue };
                for (name, given) in entries {
                    if crate::book::short_name(&key_text(&name)) != task.action {
                        continue;
                    }
                    if let Ok(Some(Value::Map(given))) = session.value(&given) {
                        for (key, value) in given {
                            put(&mut args, &key_text(&key), value);
                        }
                    }
                }
            }
        }
        let full = full_name(&task.written);
        let wrong = |name: &str, error: &TemplateError| match error {
            TemplateError::Syntax { .. } => {
                format!("Task failed: Finalization of task args for '{full}' failed: {}", told(error))
            }
            _ => format!(
                "Task failed: Finalization of task args for '{full}' failed: Error while resolving value for '{name}': {}",
                told(error)
            ),
        };
        if let Some(template) = &task.args_template {
            match session.value(template) {
                Ok(Some(Value::Map(given))) => {
                    args.extend(given.into_iter().map(|(key, value)| (key_text(&key), value)))
                }
                Ok(_) => {
                    return Err(format!(
                        "Task failed: Finalization of task args for '{full}' failed: args must be a dictionary"
                    ));
                }
                Err(error) => return Err(wrong("args", &error)),
            }
        }
        for (name, value) in &task.args {
            let rendered = session.value(value).map_err(|error| wrong(name, &error))?;
            let name = match session.render(name) {
                Ok(Some(name)) => key_text(&name),
                _ => name.clone(),
            };
            match rendered {
                Some(Value::Map(given)) if name == "_variable_params" => {
                    for (key, value) in given {
                        put(&mut args, &key_text(&key), value);
                    }
                }
                Some(value) => put(&mut args, &name, value),
                None => results::remove(&mut args, &name),
            }
        }
        Ok(args)
    }

    /// A truth keyword that is inherited.
    pub(crate) fn switch(&self, running: &Running, name: &str, default: bool) -> Result<bool, TemplateError> {
        match running.task.within.attr(name) {
            None => Ok(default),
            Some(value) => {
                Ok(self.session(running).value(value)?.is_some_and(|value| results::truth(&value)))
            }
        }
    }

    fn keyword(&self, running: &Running, name: &str) -> Result<Option<String>, TemplateError> {
        let own = running.task.own(name).or_else(|| running.task.within.attr(name));
        let Some(value) = own else { return Ok(None) };
        Ok(self
            .session(running)
            .value(value)?
            .filter(|value| *value != Value::Null)
            .map(|value| key_text(&value)))
    }

    fn work(&mut self, running: &Running, args: Named) -> Result<Work, TemplateError> {
        let options = &self.options;
        let number = |name: &str| -> Result<Option<u64>, TemplateError> {
            Ok(self.keyword(running, name)?.and_then(|text| text.trim().parse().ok()))
        };
        let becomes = if self.switch(running, "become", options.becomes)? {
            let user = self.keyword(running, "become_user")?.or_else(|| options.become_user.clone());
            Some(Become {
                method: self
                    .keyword(running, "become_method")?
                    .or_else(|| options.become_method.clone())
                    .unwrap_or_else(|| "sudo".to_owned()),
                user: user.unwrap_or_else(|| "root".to_owned()),
                flags: self.keyword(running, "become_flags")?,
                exe: self.keyword(running, "become_exe")?,
            })
        } else {
            None
        };
        let mut environment: Vec<(String, String)> = Vec::new();
        let chain: Vec<_> = running.task.within.chain().collect();
        let session = self.session(running);
        for value in chain.iter().rev().filter_map(|within| within.own("environment")) {
            for map in listed(value.clone()) {
                if let Some(Value::Map(entries)) = session.value(&map)? {
                    for (key, value) in entries {
                        environment.retain(|(name, _)| *name != key_text(&key));
                        environment.push((key_text(&key), key_text(&value)));
                    }
                }
            }
        }
        let module =
            if running.task.action == "gather_facts" { "setup" } else { running.task.action.as_str() };
        let work = Work {
            id: WorkId(0),
            host: running.host.clone(),
            target: running.delegated.clone().unwrap_or_else(|| running.host.clone()),
            module: module.to_owned(),
            written: running.task.written.clone(),
            args,
            check: self.switch(running, "check_mode", options.check)?,
            diff: self.switch(running, "diff", options.diff)?,
            no_log: self.switch(running, "no_log", false)?,
            async_seconds: number("async")?.unwrap_or(0),
            poll: number("poll")?.unwrap_or(15),
            becomes,
            environment,
            timeout: number("timeout")?.filter(|seconds| *seconds > 0),
            connection: self.keyword(running, "connection")?.or_else(|| options.connection.clone()),
            remote_user: self.keyword(running, "remote_user")?.or_else(|| options.remote_user.clone()),
            port: self.keyword(running, "port")?.and_then(|text| text.trim().parse().ok()),
            search_path: self.search_path(running),
            scope: self.scope(running),
        };
        Ok(Work { id: self.new_id(), ..work })
    }

    pub(crate) fn search_path(&self, running: &Running) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        let mut add = |path: &str| {
            if !out.iter().any(|known| known == path) {
                out.push(path.to_owned());
            }
        };
        for role in running.task.within.chain().filter_map(|within| within.role.as_ref()) {
            add(&role.path);
        }
        add(running.task.within.place.file.rsplit_once('/').map_or(".", |(folder, _)| folder));
        if let Some(play) = &self.play {
            add(&play.folder);
        }
        out
    }

    /// Judges a result by `until`, `changed_when` and `failed_when`. An error is the time of the next try.
    fn judge(&mut self, running: &mut Running, mut result: Named) -> Result<Named, i64> {
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

    fn apply_conditions(&self, running: &Running, result: &mut Named) {
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
    fn again(&mut self, running: &Running, result: &mut Named) -> Option<i64> {
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
    fn item_done(&mut self, running: &mut Running, mut result: Named) {
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

/// `debug` → `ansible.builtin.debug`.
fn full_name(written: &str) -> String {
    if written.contains('.') { written.to_owned() } else { format!("ansible.builtin.{written}") }
}
