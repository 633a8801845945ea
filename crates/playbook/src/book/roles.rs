//! Roles: finding them, their files, what they depend on, what they say of their arguments.

use std::rc::Rc;

use wellkept_inventory::{Place, Value, YamlKind, YamlNode};

use super::keywords::inherited;
use super::loader::{Dynamic, Loader};
use super::problem::{BookError, Problem, Result};
use super::tasks::{DEPTH_MAX, Spot, key_text, take_common, within};
use super::{Block, Item, Named, Role, Task, Within};

/// Which files of a role are taken.
pub(crate) struct From<'f> {
    pub(crate) tasks: &'f str,
    pub(crate) handlers: &'f str,
    pub(crate) vars: &'f str,
    pub(crate) defaults: &'f str,
}

impl Default for From<'_> {
    fn default() -> Self {
        Self { tasks: "main", handlers: "main", vars: "main", defaults: "main" }
    }
}

impl Loader {
    fn role_folder(&self, name: &str, place: &Place, beside: Option<&str>) -> Result<String> {
        let mut looked = Vec::new();
        if name.starts_with('/') || name.starts_with('.') {
            looked.push(if name.starts_with('/') {
                name.to_owned()
            } else {
                format!("{}/{name}", self.folder)
            });
        }
        let parts: Vec<&str> = name.split('.').collect();
        if let [namespace, collection, role] = parts.as_slice() {
            let path = format!("ansible_collections/{namespace}/{collection}/roles/{role}");
            looked.extend(self.collections_path.iter().map(|base| format!("{base}/{path}")));
            looked.push(format!("{}/collections/{path}", self.folder));
        }
        looked.push(format!("{}/roles/{name}", self.folder));
        looked.extend(self.roles_path.iter().map(|base| format!("{base}/{name}")));
        looked.extend(beside.map(|role| format!("{}/{name}", super::loader::parent(role))));
        looked.push(format!("{}/{name}", self.folder));
        match looked.iter().find(|path| self.is_folder(path)) {
            Some(path) => Ok(path.clone()),
            None => Err(BookError {
                place: place.clone(),
                problem: Problem::NoRole { name: name.to_owned(), looked: looked.join(":") },
            }),
        }
    }

    /// Variables of `defaults/` or `vars/`: a file, or all files of the folder `main`.
    fn role_vars(&self, folder: &str, name: &str) -> Result<Named> {
        if let Some(path) = self.main_file(folder, name) {
            return self.vars_file(&path);
        }
        let below = format!("{folder}/{name}");
        let mut out = Vec::new();
        if self.is_folder(&below) {
            let mut names = self.engine.files.list(&below).unwrap_or_default();
            names.sort_unstable();
            for file in names.iter().filter(|n| !n.starts_with('.') && !n.ends_with('~')) {
                out.extend(self.vars_file(&format!("{below}/{file}"))?);
            }
        }
        Ok(out)
    }

    fn role(
        &mut self,
        name: &str,
        from: &From<'_>,
        place: &Place,
        beside: Option<&str>,
    ) -> Result<(Rc<Role>, Option<YamlNode>)> {
        let path = self.role_folder(name, place, beside)?;
        let meta = match self.main_file(&format!("{path}/meta"), "main") {
            Some(file) => self.yaml(&file)?,
            None => None,
        };
        let key = format!("{path}\0{}\0{}", from.vars, from.defaults);
        if let Some(found) = self.roles.get(&key) {
            return Ok((Rc::clone(found), meta));
        }
        let value = meta.clone().map(YamlNode::into_value).unwrap_or(Value::Null);
        let mut argument_specs = match value.get("argument_specs") {
            Some(specs) => super::tasks::named(specs.clone()),
            None => Vec::new(),
        };
        if let Some(file) = self.main_file(&format!("{path}/meta"), "argument_specs") {
            let said = self.vars_file(&file)?;
            let specs = said.into_iter().find(|(name, _)| name == "argument_specs");
            argument_specs = specs.map(|(_, specs)| super::tasks::named(specs)).unwrap_or_default();
        }
        let role = Rc::new(Role {
            name: name.to_owned(),
            defaults: self.role_vars(&format!("{path}/defaults"), from.defaults)?,
            vars: self.role_vars(&format!("{path}/vars"), from.vars)?,
            dependencies: dependency_names(&value),
            allow_duplicates: value.get("allow_duplicates") == Some(&Value::Bool(true)),
            argument_specs,
            path,
        });
        self.roles.insert(key, Rc::clone(&role));
        Ok((role, meta))
    }

    /// A use of a role: what it depends on first, then its own tasks, all inside blocks.
    pub(crate) fn use_role(
        &mut self,
        name: &str,
        mut own: Within,
        from: &From<'_>,
        depth: usize,
        handlers: &mut Vec<Item>,
        used: &mut Vec<Rc<Role>>,
    ) -> Result<Vec<Item>> {
        if depth > DEPTH_MAX {
            return Err(BookError {
                place: own.place,
                problem: Problem::TooDeep { what: "roles", max: DEPTH_MAX },
            });
        }
        let beside = own.parent.as_ref().and_then(|p| p.role().map(|role| role.path.clone()));
        let (role, meta) = self.role(name, from, &own.place, beside.as_deref())?;
        own.role = Some(Rc::clone(&role));
        own.params = true;
        let own = Rc::new(own);
        let mut out = Vec::new();
        if let Some(node) = meta {
            let file = self.main_file(&format!("{}/meta", role.path), "main").unwrap_or_default();
            out.extend(self.dependencies(&node, &Place::file(&file), &own, depth, handlers, used)?);
        }
        used.push(Rc::clone(&role));
        if let Some(path) = self.main_file(&format!("{}/handlers", role.path), from.handlers) {
            handlers.extend(self.tasks_file(&path, &own, true, depth + 1)?);
        }
        let mut tasks = Vec::new();
        tasks.extend(self.validation(&role, &own, from));
        match self.main_file(&format!("{}/tasks", role.path), from.tasks) {
            Some(path) => tasks.extend(self.tasks_file(&path, &own, false, depth + 1)?),
            None if from.tasks != "main" => {
                let looked = format!("{}/tasks", role.path);
                return Err(BookError {
                    place: own.place.clone(),
                    problem: Problem::Missing { name: from.tasks.to_owned(), looked },
                });
            }
            None => {}
        }
        out.push(Item::Block(Rc::new(Block { within: own, tasks, rescue: Vec::new(), always: Vec::new() })));
        Ok(out)
    }

    /// The task that checks a role's arguments, when the role says what they are.
    fn validation(&self, role: &Rc<Role>, own: &Rc<Within>, from: &From<'_>) -> Option<Item> {
        let entry = from.tasks.rsplit_once('.').map_or(from.tasks, |(stem, _)| stem);
        let (_, spec) = role.argument_specs.iter().find(|(name, _)| name == entry)?;
        let short = spec.get("short_description").and_then(Value::as_text);
        let title = match short {
            Some(short) => format!("Validating arguments against arg spec '{entry}' - {short}"),
            None => format!("Validating arguments against arg spec '{entry}'"),
        };
        let mut about = within(Some(Rc::clone(own)), own.place.clone());
        about.name = Some(title);
        about.tags = vec![Value::Text("always".to_owned())];
        let options = spec.get("options").cloned().unwrap_or(Value::Map(Vec::new()));
        let task = Task {
            within: Rc::new(about),
            action: "validate_argument_spec".to_owned(),
            written: "ansible.builtin.validate_argument_spec".to_owned(),
            args: vec![
                // The specification is data: defaults in it are no templates here.
                ("argument_spec".to_owned(), sealed(options)),
                ("entry_point".to_owned(), Value::Unsafe(entry.to_owned())),
                ("role".to_owned(), Value::Unsafe(role.name.clone())),
            ],
            args_template: None,
            looped: None,
            own: Vec::new(),
            listen: Vec::new(),
        };
        Some(Item::Task(Rc::new(task)))
    }

    fn dependencies(
        &mut self,
        meta: &YamlNode,
        file: &Place,
        own: &Rc<Within>,
        depth: usize,
        handlers: &mut Vec<Item>,
        used: &mut Vec<Rc<Role>>,
    ) -> Result<Vec<Item>> {
        let YamlKind::Map(entries) = &meta.kind else { return Ok(Vec::new()) };
        let mut out = Vec::new();
        for (_, list) in entries.iter().filter(|(key, _)| key.text() == Some("dependencies")) {
            for entry in super::tasks::items(list, file, "a list of roles")? {
                let (name, within) = self.role_entry(entry, file, own)?;
                let again = self.seen_before(&name, &within);
                let first = used.len();
                let items = self.use_role(&name, within, &From::default(), depth + 1, handlers, used)?;
                // What ran before with the same words is not run again.
                let duplicates =
                    used.get(first..).and_then(<[_]>::last).is_some_and(|role| role.allow_duplicates);
                if !again || duplicates {
                    out.extend(items);
                }
            }
        }
        Ok(out)
    }

    /// Whether the play has used a role with the same parameters and conditions already; notes it.
    pub(crate) fn seen_before(&mut self, name: &str, within: &Within) -> bool {
        let words = (name.to_owned(), within.vars.clone(), within.when.clone());
        let seen = self.seen.contains(&words);
        if !seen {
            self.seen.push(words);
        }
        seen
    }

    /// `name`, `{role: name, …}`: the name and what is said for the use.
    pub(crate) fn role_entry(
        &self,
        node: &YamlNode,
        file: &Place,
        parent: &Rc<Within>,
    ) -> Result<(String, Within)> {
        let mut own = within(Some(Rc::clone(parent)), node.place(file));
        if let Some(name) = node.text() {
            return Ok((self.static_name(&Value::Text(name.to_owned()), &own)?, own));
        }
        let mut name = None;
        for (key, _, value) in super::tasks::entries(node, file, "a role (a name or a map)")? {
            let plain = value.clone().into_value();
            match key {
                "role" | "name" => name = name.or(Some(plain)),
                "src" | "scm" | "version" => {}
                key if inherited(key).is_some() || matches!(key, "tags" | "when") => {
                    take_common(&mut own, key, value);
                }
                "vars" => own.vars.extend(super::tasks::named(plain)),
                other => own.vars.push((other.to_owned(), plain)),
            }
        }
        match name {
            Some(name) => {
                let name = self.static_name(&name, &own)?;
                Ok((name, own))
            }
            None => Err(BookError {
                place: own.place,
                problem: Problem::Unexpected {
                    expected: "role definitions must contain a role name",
                    found: "none".to_owned(),
                },
            }),
        }
    }

    pub(crate) fn import_role(&mut self, task: &Task, spot: &Spot) -> Result<Item> {
        let text = |name: &str, default: &str| match task.arg(name) {
            Some(value) => self.static_name(value, &task.within),
            None => Ok(default.to_owned()),
        };
        let name =
            text("name", "").and_then(|name| if name.is_empty() { text("role", "") } else { Ok(name) })?;
        let (tasks, vars) = (text("tasks_from", "main")?, text("vars_from", "main")?);
        let (defaults, handlers_from) = (text("defaults_from", "main")?, text("handlers_from", "main")?);
        let from = From { tasks: &tasks, handlers: &handlers_from, vars: &vars, defaults: &defaults };
        let own = Within {
            name: None,
            attrs: task.within.attrs.clone(),
            vars: task.within.vars.clone(),
            params: true,
            when: task.within.when.clone(),
            tags: task.within.tags.clone(),
            notify: Vec::new(),
            role: None,
            place: task.within.place.clone(),
            parent: task.within.parent.clone(),
        };
        let (mut handlers, mut used) = (Vec::new(), Vec::new());
        let items = self.use_role(&name, own, &from, spot.depth + 1, &mut handlers, &mut used)?;
        self.play_handlers.append(&mut handlers);
        self.play_roles.append(&mut used);
        let around = within(task.within.parent.clone(), task.within.place.clone());
        Ok(Item::Block(Rc::new(Block {
            within: Rc::new(around),
            tasks: items,
            rescue: Vec::new(),
            always: Vec::new(),
        })))
    }

    /// A role for `include_role`, with its names already rendered.
    ///
    /// # Errors
    /// The first mistake with its place.
    pub fn included_role(
        &mut self,
        name: &str,
        files: &[(String, String)],
        parent: Within,
    ) -> std::result::Result<Dynamic, BookError> {
        let file = |wanted: &str| {
            files.iter().find(|(key, _)| key == wanted).map_or("main", |(_, value)| value.as_str())
        };
        let from = From {
            tasks: file("tasks_from"),
            handlers: file("handlers_from"),
            vars: file("vars_from"),
            defaults: file("defaults_from"),
        };
        self.seen_before(name, &parent);
        let (mut handlers, mut used) = (Vec::new(), Vec::new());
        let items = self.use_role(name, parent, &from, 0, &mut handlers, &mut used)?;
        Ok(Dynamic { items, handlers, roles: used })
    }
}

fn dependency_names(meta: &Value) -> Vec<String> {
    let Some(Value::List(entries)) = meta.get("dependencies") else { return Vec::new() };
    let name = |entry: &Value| match entry {
        Value::Map(_) => entry.get("role").or_else(|| entry.get("name")).map(key_text),
        other => Some(key_text(other)),
    };
    entries.iter().filter_map(name).collect()
}

/// The value with no text in it a template.
pub(crate) fn sealed(value: Value) -> Value {
    match value {
        Value::Text(text) => Value::Unsafe(text),
        Value::List(items) => Value::List(items.into_iter().map(sealed).collect()),
        Value::Map(entries) => Value::Map(entries.into_iter().map(|(k, v)| (sealed(k), sealed(v))).collect()),
        other => other,
    }
}
