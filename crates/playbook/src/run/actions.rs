//! What the controller does itself: facts, checks, messages, groups, meta.

use std::rc::Rc;
use std::sync::Arc;

use wellkept_inventory::{Place, Value, Var, Vars};

use super::results::{self, put};
use super::task::{Running, told};
use super::{Run, show};
use crate::book::{Named, key_text, listed, sealed};

/// What an action changes besides its result.
pub(crate) enum Effect {
    /// `set_fact`: names, and whether they outlive the play.
    Set(Named, bool),
    /// `include_vars`.
    Vars(Named),
    /// `include_tasks` and `include_role` come after all hosts.
    Include(super::includes::Request),
}

fn ok(entries: Vec<(&str, Value)>) -> Named {
    let changed = ("changed".to_owned(), Value::Bool(false));
    std::iter::once(changed).chain(entries.into_iter().map(|(k, v)| (k.to_owned(), v))).collect()
}

fn text_of(args: &Named, name: &str) -> Option<String> {
    results::get(args, name).map(key_text)
}

fn texts_of(args: &Named, names: &[&str]) -> Vec<String> {
    let found = names.iter().find_map(|name| results::get(args, name));
    let split = |value: &Value| key_text(value).split(',').map(|t| t.trim().to_owned()).collect::<Vec<_>>();
    found.map(|value| listed(value.clone()).iter().flat_map(split).collect()).unwrap_or_default()
}

impl Run {
    /// Actions whose arguments are expressions and must not be rendered before.
    pub(crate) fn raw_action(&mut self, running: &mut Running) -> Option<Named> {
        match running.task.action.as_str() {
            "debug" if running.task.arg("var").is_some() => Some(self.debug_var(running)),
            "assert" => Some(self.assert(running)),
            _ => None,
        }
    }

    fn debug_var(&self, running: &Running) -> Named {
        let Some(var) = running.task.arg("var") else { return Vec::new() };
        let session = self.session(running);
        let (name, value) = match var {
            Value::Text(text) if text.contains("{{") => match session.value(var) {
                // A template that gives a name: the name's value is shown.
                Ok(Some(Value::Unsafe(inner))) => {
                    let value = session.evaluate(&inner);
                    (inner, value)
                }
                other => (text.clone(), other),
            },
            Value::Text(text) | Value::Unsafe(text) => (text.clone(), session.evaluate(text)),
            other => (key_text(other), Ok(Some(other.clone()))),
        };
        let value = match value {
            Ok(value) => value.unwrap_or(Value::Null),
            Err(error) => Value::Unsafe(format!("<< error 1 - {} >>", told(&error))),
        };
        let mut result = ok(vec![("_ansible_verbose_always", Value::Bool(true))]);
        put(&mut result, &name, value);
        result
    }

    fn assert(&self, running: &Running) -> Named {
        let task = &running.task;
        let session = self.session(running);
        let quiet = task.arg("quiet").is_some_and(results::truth);
        let Some(that) = task.arg("that") else {
            return results::failed("conditional required in \"that\" string");
        };
        let message = |names: &[&str], default: &str| {
            let found = names.iter().find_map(|name| task.arg(name));
            let rendered = found.map(|value| session.value(value));
            match rendered {
                Some(Ok(Some(value))) => value,
                _ => Value::Unsafe(default.to_owned()),
            }
        };
        let that = match that {
            Value::Text(text) if text.contains("{{") => match session.value(that) {
                Ok(Some(value @ Value::List(_))) => value,
                _ => that.clone(),
            },
            other => other.clone(),
        };
        for condition in listed(that) {
            let judged = session.test(&condition);
            match judged {
                Ok(true) => {}
                Ok(false) => {
                    let mut result = results::failed("");
                    put(&mut result, "msg", message(&["fail_msg", "msg"], "Assertion failed"));
                    put(&mut result, "assertion", sealed(condition));
                    put(&mut result, "evaluated_to", Value::Bool(false));
                    if !quiet {
                        put(&mut result, "_ansible_verbose_always", Value::Bool(true));
                    }
                    return result;
                }
                Err(error) => {
                    let text = told(&error);
                    let text = if text.starts_with("Conditional") {
                        text
                    } else {
                        format!("Error while evaluating conditional: {text}")
                    };
                    return results::failed(format!("Task failed: {text}"));
                }
            }
        }
        let mut result = ok(vec![("msg", message(&["success_msg"], "All assertions passed"))]);
        if !quiet {
            put(&mut result, "_ansible_verbose_always", Value::Bool(true));
        }
        result
    }

    /// An action of the controller with its arguments rendered.
    pub(crate) fn action(&mut self, running: &mut Running, args: Named) -> Named {
        match running.task.action.as_str() {
            "debug"
                if results::get(&args, "verbosity")
                    .is_some_and(|level| !matches!(key_text(level).as_str(), "0")) =>
            {
                let mut result = results::skipped("", None);
                results::remove(&mut result, "skip_reason");
                put(&mut result, "skipped_reason", Value::Unsafe("Verbosity threshold not met.".to_owned()));
                result
            }
            "debug" => {
                let message = results::get(&args, "msg")
                    .cloned()
                    .unwrap_or_else(|| Value::Unsafe("Hello world!".to_owned()));
                ok(vec![("msg", message), ("_ansible_verbose_always", Value::Bool(true))])
            }
            "fail" => {
                let message = results::get(&args, "msg").cloned();
                let mut result = results::failed("");
                put(
                    &mut result,
                    "msg",
                    message.unwrap_or_else(|| Value::Unsafe("Failed as requested from task".to_owned())),
                );
                result
            }
            "set_fact" => self.set_fact(running, args),
            "set_stats" => self.set_stats(&args),
            "add_host" => self.add_host(running, &args),
            "group_by" => self.group_by(running, &args),
            "include_vars" => self.include_vars(running, &args),
            "include_tasks" | "include_role" => self.request_include(running, &args),
            "validate_argument_spec" => {
                let problems = super::spec::check(&*self, running, &args);
                if problems.is_empty() {
                    return ok(vec![("msg", Value::Unsafe("The arg spec validation passed".to_owned()))]);
                }
                let mut result = results::failed("");
                put(
                    &mut result,
                    "msg",
                    Value::Unsafe(format!("Validation of arguments failed:\n{}", problems.join("\n"))),
                );
                put(
                    &mut result,
                    "argument_errors",
                    Value::List(problems.into_iter().map(Value::Unsafe).collect()),
                );
                for (from, to) in [("argument_spec", "argument_spec_data")] {
                    if let Some(value) = results::get(&args, from) {
                        put(&mut result, to, value.clone());
                    }
                }
                let about = ["entry_point", "role"].map(|name| text_of(&args, name).unwrap_or_default());
                let [entry, role] = about;
                let path = running.task.within.role().map(|role| role.path.clone()).unwrap_or_default();
                let context = [
                    ("argument_spec_name", entry),
                    ("name", role),
                    ("path", path),
                    ("type", "role".to_owned()),
                ];
                let context = context.into_iter().map(|(k, v)| (show::key(k), Value::Unsafe(v))).collect();
                put(&mut result, "validate_args_context", Value::Map(context));
                result
            }
            other => results::failed(format!("{other} cannot be run here")),
        }
    }

    fn set_fact(&self, running: &mut Running, mut args: Named) -> Named {
        let cacheable = results::flag(&args, "cacheable");
        results::remove(&mut args, "cacheable");
        if args.is_empty() {
            return results::failed(
                "No key/value pairs provided, at least one is required for this action to succeed",
            );
        }
        let bad = args.iter().find(|(name, _)| {
            !name.chars().all(|c| c.is_alphanumeric() || c == '_')
                || name.starts_with(|c: char| c.is_ascii_digit())
        });
        if let Some((name, _)) = bad {
            return results::failed(format!(
                "The variable name '{name}' is not valid. Variables must start with a letter or underscore character, and contain only letters, numbers and underscores."
            ));
        }
        let facts = args.iter().map(|(name, value)| (show::key(name), value.clone())).collect();
        running.effects.push(Effect::Set(args, cacheable));
        ok(vec![("ansible_facts", Value::Map(facts)), ("_ansible_facts_cacheable", Value::Bool(cacheable))])
    }

    fn set_stats(&mut self, args: &Named) -> Named {
        let Some(Value::Map(data)) = results::get(args, "data") else {
            return results::failed("The 'data' option needs to be a dictionary/hash");
        };
        let add = results::get(args, "aggregate").is_none_or(results::truth);
        for (key, value) in data {
            let name = key_text(key);
            let old = results::get(&self.custom_stats, &name).cloned();
            let new = match (old, value) {
                (Some(Value::Int(a)), Value::Int(b)) if add => Value::Int(a.saturating_add(*b)),
                (Some(Value::List(a)), Value::List(b)) if add => Value::List([a, b.clone()].concat()),
                (_, value) => value.clone(),
            };
            put(&mut self.custom_stats, &name, new);
        }
        ok(Vec::new())
    }

    fn add_host(&mut self, running: &Running, args: &Named) -> Named {
        let name = ["name", "hostname", "host"].iter().find_map(|key| text_of(args, key));
        let Some(name) = name else { return results::failed("name, host or hostname needs to be provided") };
        let groups = texts_of(args, &["groups", "group", "groupname"]);
        let place = place_of(running);
        let mut vars = Vars::new();
        for (key, value) in args {
            if !matches!(key.as_str(), "name" | "hostname" | "host" | "groups" | "group" | "groupname") {
                vars.insert(key.clone(), Var { value: value.clone(), place: place.clone() });
            }
        }
        let names: Vec<&str> = groups.iter().map(String::as_str).collect();
        let added = {
            let mut inventory = self.world.inventory.borrow_mut();
            inventory.add_at_run(&*self.engine.files, &name, &names, &vars, &place)
        };
        match added {
            Ok((_, changed)) => {
                self.world.refresh_groups();
                let list =
                    |items: &[String]| Value::List(items.iter().map(|t| Value::Unsafe(t.clone())).collect());
                let vars = vars.into_iter().map(|(key, var)| (show::key(&key), var.value)).collect();
                let about = [
                    ("groups", list(&groups)),
                    ("host_name", Value::Unsafe(name)),
                    ("host_vars", Value::Map(vars)),
                ];
                let about = about.into_iter().map(|(k, v)| (show::key(k), v)).collect();
                let mut result = ok(vec![("add_host", Value::Map(about))]);
                put(&mut result, "changed", Value::Bool(changed));
                result
            }
            Err(error) => results::failed(error.problem.to_string()),
        }
    }

    fn group_by(&mut self, running: &Running, args: &Named) -> Named {
        let Some(key) = text_of(args, "key").or_else(|| text_of(args, "_raw_params")) else {
            return results::failed("the 'key' param is required when using group_by");
        };
        let group = key.replace(' ', "-");
        let parents: Vec<String> = texts_of(args, &["parents"]).iter().map(|p| p.replace(' ', "-")).collect();
        let place = place_of(running);
        let done = {
            let mut inventory = self.world.inventory.borrow_mut();
            let added =
                inventory.add_at_run(&*self.engine.files, &running.host, &[&group], &Vars::new(), &place);
            added.and_then(|(_, changed)| {
                parents
                    .iter()
                    .try_for_each(|parent| inventory.add_child_at_run(parent, &group, &place))
                    .map(|()| changed)
            })
        };
        self.world.refresh_groups();
        match done {
            Ok(changed) => {
                let parents = if parents.is_empty() { vec!["all".to_owned()] } else { parents };
                let parents = Value::List(parents.into_iter().map(Value::Unsafe).collect());
                let mut result = ok(vec![("add_group", Value::Unsafe(group)), ("parent_groups", parents)]);
                put(&mut result, "changed", Value::Bool(changed));
                result
            }
            Err(error) => results::failed(error.problem.to_string()),
        }
    }

    fn include_vars(&mut self, running: &mut Running, args: &Named) -> Named {
        let inside = text_of(args, "name");
        let mut vars: Named = Vec::new();
        let mut files = Vec::new();
        if let Some(dir) = text_of(args, "dir") {
            let Some(folder) =
                self.candidates(running, &dir, "vars").into_iter().find(|path| self.loader.is_folder(path))
            else {
                return results::failed(format!("{dir} directory does not exist"));
            };
            let mut names = self.engine.files.list(&folder).unwrap_or_default();
            names.sort_unstable();
            let ignored = texts_of(args, &["ignore_files"]);
            for name in
                names.iter().filter(|n| n.ends_with(".yml") || n.ends_with(".yaml") || n.ends_with(".json"))
            {
                if !ignored.contains(name) {
                    files.push(format!("{folder}/{name}"));
                }
            }
        } else {
            let name = text_of(args, "file").or_else(|| text_of(args, "_raw_params")).unwrap_or_default();
            match self.candidates(running, &name, "vars").into_iter().find(|path| self.loader.exists(path)) {
                Some(path) => files.push(path),
                None => return results::failed(format!("Could not find or access '{name}'")),
            }
        }
        for file in &files {
            match self.loader.vars_file(file) {
                Ok(more) => more.into_iter().for_each(|(name, value)| put(&mut vars, &name, value)),
                Err(error) => return results::failed(error.to_string()),
            }
        }
        let entries =
            |vars: &Named| Value::Map(vars.iter().map(|(k, v)| (show::key(k), v.clone())).collect());
        let said = match inside {
            Some(name) => vec![(name, entries(&vars))],
            None => vars,
        };
        let facts = sealed(entries(&said));
        let files = Value::List(files.into_iter().map(Value::Unsafe).collect());
        running.effects.push(Effect::Vars(said));
        ok(vec![
            ("ansible_facts", facts),
            ("ansible_included_var_files", files),
            ("_ansible_no_log", Value::Bool(false)),
        ])
    }

    /// Where a file that a task names may stand.
    pub(crate) fn candidates(&self, running: &Running, name: &str, folder: &str) -> Vec<String> {
        if name.starts_with('/') {
            return vec![name.to_owned()];
        }
        let paths = self.search_path(running);
        paths.iter().flat_map(|base| [format!("{base}/{folder}/{name}"), format!("{base}/{name}")]).collect()
    }

    /// Stores what an action set.
    pub(crate) fn apply_effects(
        &mut self,
        running: &mut Running,
        hosts: &[String],
    ) -> Vec<super::includes::Request> {
        let mut includes = Vec::new();
        for effect in std::mem::take(&mut running.effects) {
            match effect {
                Effect::Set(facts, cacheable) => {
                    for host in hosts {
                        self.world.with_host(host, |known| {
                            for (name, value) in &facts {
                                known.set.insert(name.clone(), Arc::new(sealed(value.clone())));
                                if cacheable {
                                    known.facts.insert(name.clone(), Arc::new(sealed(value.clone())));
                                }
                            }
                            known.forget_facts_map();
                        });
                    }
                }
                Effect::Vars(vars) => {
                    for host in hosts {
                        self.world.with_host(host, |known| {
                            known.included.extend(
                                vars.iter().map(|(name, value)| (name.clone(), Arc::new(value.clone()))),
                            );
                        });
                    }
                }
                Effect::Include(request) => includes.push(request),
            }
        }
        includes
    }

    /// Facts that a module told.
    pub(crate) fn store_facts(&mut self, running: &mut Running, result: &Named) {
        let delegated = self.switch(running, "delegate_facts", false).unwrap_or(false);
        let hosts = match &running.delegated {
            Some(target) if delegated => vec![target.clone()],
            _ => self.hosts_for(running),
        };
        let requests = self.apply_effects(running, &hosts);
        running.effects.extend(requests.into_iter().map(Effect::Include));
        let own = matches!(running.task.action.as_str(), "set_fact" | "include_vars");
        let Some(Value::Map(facts)) = results::get(result, "ansible_facts").filter(|_| !own) else { return };
        for host in &hosts {
            self.world.with_host(host, |known| {
                for (name, value) in facts {
                    let name = key_text(name);
                    let value = Arc::new(sealed(value.clone()));
                    match name.strip_prefix("ansible_") {
                        Some(fact) => {
                            known.facts.insert(fact.to_owned(), value);
                        }
                        None => {
                            known.facts.insert(name.clone(), Arc::clone(&value));
                            known.set.insert(name, value);
                        }
                    }
                }
                known.forget_facts_map();
            });
        }
    }

    /// The hosts that a result holds for.
    pub(crate) fn hosts_for(&self, running: &Running) -> Vec<String> {
        match &self.batch {
            Some(batch) if running.once => batch.left(),
            _ => vec![running.host.clone()],
        }
    }
}

fn place_of(running: &Running) -> Place {
    Rc::clone(&running.task).within.place.clone()
}
