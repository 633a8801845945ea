//! What is asked of a host: arguments, rights, environment, where it is delegated to.

use wellkept_inventory::Value;

use super::Run;
use super::results::{self, put};
use super::task::{Running, told};
use super::work::{Become, Work, WorkId};
use crate::book::{Named, key_text, listed};
use crate::template::{Scope, TemplateError};

impl Run {
    pub(super) fn delegate(&self, running: &mut Running) -> Result<(), TemplateError> {
        running.delegated = None;
        if let Some(target) = running.task.within.attr("delegate_to") {
            let target = self.session(running).value(target)?;
            let target = target.map(|target| key_text(&target)).filter(|target| !target.is_empty());
            running.delegated = target;
        }
        Ok(())
    }

    /// The task's arguments with the defaults of `module_defaults` under them.
    pub(super) fn arguments(&self, running: &Running) -> Result<Named, String> {
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

    pub(super) fn keyword(&self, running: &Running, name: &str) -> Result<Option<String>, TemplateError> {
        let own = running.task.own(name).or_else(|| running.task.within.attr(name));
        let Some(value) = own else { return Ok(None) };
        Ok(self
            .session(running)
            .value(value)?
            .filter(|value| *value != Value::Null)
            .map(|value| key_text(&value)))
    }

    pub(super) fn work(&mut self, running: &Running, args: Named) -> Result<Work, TemplateError> {
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
        self.scope(running).search_path()
    }
}

/// `debug` → `ansible.builtin.debug`.
fn full_name(written: &str) -> String {
    if written.contains('.') { written.to_owned() } else { format!("ansible.builtin.{written}") }
}
