//! Dynamic includes: requests of hosts are gathered, those for the same file with the same variables run together.

use std::rc::Rc;

use wellkept_inventory::Value;

use super::results::{self, put};
use super::task::Running;
use super::{Run, show};
use crate::book::{Block, Item, Named, Task, Within, key_text, listed};

/// One host's wish.
#[derive(Clone)]
pub(crate) struct Request {
    name: String,
    role: bool,
    /// `tasks_from` and its like.
    files: Vec<(String, String)>,
    apply: Named,
    public: bool,
    /// The item and the parameters of this host.
    vars: Named,
    label: Option<String>,
}

impl Request {
    pub(crate) fn copy(&self) -> Self {
        self.clone()
    }
}

/// A wish with its host.
pub(crate) struct Wanted {
    pub(crate) host: String,
    pub(crate) task: Rc<Task>,
    pub(crate) request: Request,
}

impl Run {
    pub(crate) fn request_include(&mut self, running: &mut Running, args: &Named) -> Named {
        let role = running.task.action == "include_role";
        let text = |name: &str| results::get(args, name).map(key_text);
        let name = if role {
            text("name").or_else(|| text("role"))
        } else {
            text("file").or_else(|| text("_raw_params"))
        };
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return results::failed(if role {
                "'name' is a required field for include_role."
            } else {
                "No file specified for include_tasks"
            });
        };
        let files = ["tasks_from", "handlers_from", "vars_from", "defaults_from"];
        let files = files.iter().filter_map(|key| Some(((*key).to_owned(), text(key)?))).collect();
        let apply = match results::get(args, "apply") {
            Some(Value::Map(entries)) => entries.iter().map(|(k, v)| (key_text(k), v.clone())).collect(),
            _ => Vec::new(),
        };
        let mut vars: Named =
            running.local.iter().map(|(name, value)| (name.clone(), (**value).clone())).collect();
        // Parameters are kept as they are written; they are rendered where they are used.
        vars.extend(running.task.within.vars.iter().cloned());
        let item = running.items.as_ref().and_then(|items| items.get(running.at));
        let label = item.map(|item| match running.control("label") {
            Some(label) => {
                show::label(&self.session(running).value(label).ok().flatten().unwrap_or(Value::Null))
            }
            None => show::label(item),
        });
        running.effects.push(super::actions::Effect::Include(Request {
            public: results::flag(args, "public"),
            name: name.clone(),
            role,
            files,
            apply,
            vars,
            label,
        }));
        let mut result: Named = vec![("changed".to_owned(), Value::Bool(false))];
        put(&mut result, if role { "include_role" } else { "include" }, Value::Unsafe(name));
        result
    }

    /// Reads what hosts asked for and puts it next in their way.
    pub(crate) fn run_includes(&mut self) {
        let Some(batch) = &mut self.batch else { return };
        let wanted = std::mem::take(&mut batch.includes);
        let mut groups: Vec<(Wanted, Vec<String>)> = Vec::new();
        for want in wanted {
            let same = |(first, _): &&mut (Wanted, Vec<String>)| {
                Rc::ptr_eq(&first.task, &want.task)
                    && first.request.name == want.request.name
                    && first.request.files == want.request.files
                    && first.request.vars == want.request.vars
            };
            match groups.iter_mut().find(same) {
                Some((_, hosts)) if !hosts.contains(&want.host) => hosts.push(want.host),
                _ => {
                    let host = want.host.clone();
                    groups.push((want, vec![host]));
                }
            }
        }
        let mut blocks: Vec<(Rc<Block>, Vec<String>, bool)> = Vec::new();
        for (want, hosts) in groups {
            match self.read_include(&want, &hosts) {
                Ok((block, handlers)) => blocks.push((block, hosts, handlers)),
                Err(why) => {
                    for host in hosts {
                        self.include_failed(&want, &host, &why);
                    }
                }
            }
        }
        let Some(batch) = &mut self.batch else { return };
        // The last one is pushed first, so that the first one runs first.
        for (block, hosts, handlers) in blocks.into_iter().rev() {
            batch.insert(&[Item::Block(Rc::clone(&block))]);
            for host in hosts {
                if let Some(state) = batch.states.get_mut(&host) {
                    state.frames.push(Rc::clone(&block), handlers);
                }
            }
        }
    }

    fn include_failed(&mut self, want: &Wanted, host: &str, why: &str) {
        let running = Running::new(host, &want.task, false);
        let result = vec![
            ("changed".to_owned(), Value::Bool(false)),
            ("failed".to_owned(), Value::Bool(true)),
            ("include".to_owned(), Value::Unsafe(want.request.name.clone())),
            ("reason".to_owned(), Value::Unsafe(why.to_owned())),
        ];
        self.show_result(&running, &result, true);
        self.host_failed(&running, &result);
    }

    fn read_include(&mut self, want: &Wanted, hosts: &[String]) -> Result<(Rc<Block>, bool), String> {
        let request = &want.request;
        let task = &want.task;
        let mut own = Within {
            place: task.within.place.clone(),
            name: None,
            attrs: Vec::new(),
            vars: request.vars.clone(),
            params: true,
            when: Vec::new(),
            tags: Vec::new(),
            role: None,
            notify: Vec::new(),
            parent: task.within.parent.clone(),
        };
        for (key, value) in &request.apply {
            match key.as_str() {
                "when" => own.when = listed(value.clone()),
                "tags" => own.tags = listed(value.clone()),
                "vars" => own.vars.extend(match value {
                    Value::Map(entries) => {
                        entries.iter().map(|(k, v)| (key_text(k), v.clone())).collect::<Named>()
                    }
                    _ => Vec::new(),
                }),
                other => match crate::book::inherited(other) {
                    Some(known) => own.attrs.push((known, value.clone())),
                    None => return Err(format!("'{other}' is not a valid attribute for apply")),
                },
            }
        }
        let handlers = self.batch.as_ref().is_some_and(|batch| {
            hosts
                .first()
                .and_then(|host| batch.states.get(host))
                .is_some_and(|state| state.frames.in_handlers())
        });
        let found = if request.role {
            self.loader.included_role(&request.name, &request.files, own)
        } else {
            self.loader.included_tasks(&request.name, task, Rc::new(own))
        };
        let found = found.map_err(|error| error.to_string())?;
        if !request.role {
            let path = self.loader.find_tasks(&request.name, task).map_err(|error| error.to_string())?;
            let label = request.label.as_ref().map(|label| format!(" => (item={label})")).unwrap_or_default();
            self.say(format!("included: {path} for {}{label}", hosts.join(", ")));
        } else {
            let label = request.label.as_ref().map(|label| format!(" => (item={label})")).unwrap_or_default();
            self.say(format!("included: {} for {}{label}", request.name, hosts.join(", ")));
        }
        for host in hosts {
            self.count(host, |stats| stats.ok += 1);
        }
        if request.public {
            self.world.play.borrow_mut().roles.extend(found.roles);
        }
        if let Some(batch) = self.batch.as_mut().filter(|_| !found.handlers.is_empty()) {
            let mut all = batch.handlers.tasks.clone();
            // A role that is included again brings the same handlers.
            let known: Vec<_> = all.iter().map(|item| place_of(item).clone()).collect();
            all.extend(found.handlers.into_iter().filter(|item| !known.contains(place_of(item))));
            let within = Rc::clone(&batch.handlers.within);
            batch.handlers = Rc::new(Block { within, tasks: all, rescue: Vec::new(), always: Vec::new() });
        }
        let within = Rc::new(crate::book::within(task.within.parent.clone(), task.within.place.clone()));
        Ok((
            Rc::new(Block { within, tasks: found.items, rescue: Vec::new(), always: Vec::new() }),
            handlers && !request.role,
        ))
    }
}

fn place_of(item: &Item) -> &wellkept_inventory::Place {
    match item {
        Item::Task(task) => &task.within.place,
        Item::Block(block) => &block.within.place,
    }
}
