//! Variables of hosts in Ansible's order of precedence, looked up layer by layer.
//!
//! Highest first: loop items, magic names, the command line, parameters of includes and roles, what was set or
//! registered, `include_vars`, the task's and blocks' `vars`, the roles' `vars`, `vars_files`, prompts, the play's
//! `vars`, facts, the inventory, the roles' defaults. What hosts said is stored as [`Value::Unsafe`].

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use wellkept_inventory::{Inventory, Value, Vars};

use crate::book::{Named, Role, Task, Within};
use crate::template::{Early, Scope, ScopeRef};

/// Named values that are shared.
pub(crate) type Layer = BTreeMap<String, Arc<Value>>;

/// What is known of one host besides the inventory.
#[derive(Default)]
pub(crate) struct HostVars {
    /// Facts by name without `ansible_`.
    pub(crate) facts: Layer,
    /// The variable `ansible_facts`, made when it is asked for.
    facts_map: RefCell<Option<Arc<Value>>>,
    /// `set_fact` and `register`.
    pub(crate) set: Layer,
    /// `include_vars`.
    pub(crate) included: Layer,
    /// `vars_files` of the current play.
    pub(crate) files: Layer,
    /// From the inventory, as seen last.
    pub(crate) inventory: Option<Rc<Vars>>,
    pub(crate) magic: Layer,
}

impl HostVars {
    pub(crate) fn forget_facts_map(&self) {
        self.facts_map.replace(None);
    }

    fn facts_map(&self) -> Arc<Value> {
        let mut cached = self.facts_map.borrow_mut();
        let made = cached.get_or_insert_with(|| {
            let facts =
                self.facts.iter().map(|(name, value)| (Value::Unsafe(name.clone()), (**value).clone()));
            Arc::new(Value::Map(facts.collect()))
        });
        Arc::clone(made)
    }
}

/// What all hosts of a play share.
#[derive(Default)]
pub(crate) struct PlayVars {
    pub(crate) vars: Named,
    pub(crate) prompts: Named,
    pub(crate) roles: Vec<Rc<Role>>,
    pub(crate) magic: Layer,
}

/// Everything that templates can see.
pub(crate) struct World {
    pub(crate) inventory: RefCell<Inventory>,
    pub(crate) hosts: RefCell<HashMap<String, HostVars>>,
    pub(crate) extra: Layer,
    pub(crate) play: RefCell<PlayVars>,
    /// Magic names that are the same everywhere, `groups` among them.
    pub(crate) magic: RefCell<Layer>,
    pub(crate) inject_facts: bool,
    /// Changed when hosts or groups were added.
    pub(crate) generation: Cell<u64>,
    /// Watches what is rendered before its turn.
    pub(crate) early: Rc<Early>,
}

/// A text as data.
pub(crate) fn text(value: &str) -> Arc<Value> {
    Arc::new(Value::Unsafe(value.to_owned()))
}

pub(crate) fn texts<'t>(values: impl IntoIterator<Item = &'t str>) -> Arc<Value> {
    Arc::new(Value::List(values.into_iter().map(|v| Value::Unsafe(v.to_owned())).collect()))
}

impl World {
    pub(crate) fn new(inventory: Inventory, extra: Named, inject_facts: bool, early: Rc<Early>) -> Self {
        let extra = extra.into_iter().map(|(name, value)| (name, Arc::new(value))).collect();
        let world = Self {
            inventory: RefCell::new(inventory),
            hosts: RefCell::default(),
            extra,
            play: RefCell::default(),
            magic: RefCell::default(),
            inject_facts,
            generation: Cell::new(0),
            early,
        };
        world.refresh_groups();
        world
    }

    /// Makes `groups` anew, and lets hosts look into the inventory again.
    pub(crate) fn refresh_groups(&self) {
        let groups = self.inventory.borrow().groups_map();
        let map = groups.iter().map(|(name, hosts)| {
            let hosts = hosts.iter().map(|host| Value::Unsafe(host.clone())).collect();
            (Value::Unsafe(name.clone()), Value::List(hosts))
        });
        self.magic.borrow_mut().insert("groups".to_owned(), Arc::new(Value::Map(map.collect())));
        for host in self.hosts.borrow_mut().values_mut() {
            host.inventory = None;
        }
        self.generation.set(self.generation.get() + 1);
    }

    /// Changes what is known of a host.
    pub(crate) fn with_host<T>(&self, name: &str, change: impl FnOnce(&mut HostVars) -> T) -> T {
        change(self.hosts.borrow_mut().entry(name.to_owned()).or_default())
    }

    /// Looks into the inventory for a host, once.
    fn load(&self, name: &str) {
        let mut hosts = self.hosts.borrow_mut();
        let host = hosts.entry(name.to_owned()).or_default();
        if host.inventory.is_some() {
            return;
        }
        let inventory = self.inventory.borrow();
        let mut magic = Layer::new();
        let id = inventory.host_id(name);
        let vars = match id {
            Some(id) => {
                let about = inventory.magic(id);
                magic.insert("inventory_hostname_short".to_owned(), text(&about.inventory_hostname_short));
                magic.insert("group_names".to_owned(), texts(about.group_names.iter().map(String::as_str)));
                magic.extend(about.inventory_file.map(|file| ("inventory_file".to_owned(), text(&file))));
                magic.extend(about.inventory_dir.map(|dir| ("inventory_dir".to_owned(), text(&dir))));
                inventory.host_vars(id)
            }
            None => {
                magic.insert("inventory_hostname_short".to_owned(), text(name));
                magic.insert("group_names".to_owned(), texts([]));
                inventory.implicit_localhost_vars(name)
            }
        };
        magic.insert("inventory_hostname".to_owned(), text(name));
        host.magic = magic;
        host.inventory = Some(Rc::new(vars));
    }

    /// The hosts that a pattern means; none when it is wrong.
    pub(crate) fn select(&self, pattern: &str) -> Vec<String> {
        let inventory = self.inventory.borrow();
        let Ok(chosen) = inventory.select(pattern, None) else { return Vec::new() };
        let name = |selected: &wellkept_inventory::Selected| match selected {
            wellkept_inventory::Selected::Host(id) => {
                inventory.hosts().get(*id).map(|host| host.name.clone())
            }
            wellkept_inventory::Selected::Localhost(name) => Some((*name).to_owned()),
        };
        chosen.hosts.iter().filter_map(name).collect()
    }

    fn known(&self, name: &str) -> bool {
        let inventory = self.inventory.borrow();
        inventory.host_id(name).is_some() || matches!(name, "localhost" | "127.0.0.1" | "::1")
    }
}

/// What one task sees on one host.
pub(crate) struct TaskScope {
    pub(crate) world: Rc<World>,
    pub(crate) host: String,
    pub(crate) task: Option<Rc<Within>>,
    /// Loop items and what else belongs to this very run.
    pub(crate) local: Layer,
    /// `hostvars[…]`: what the play and its roles say is not seen.
    pub(crate) bare: bool,
}

impl TaskScope {
    pub(crate) fn new(world: &Rc<World>, host: &str, task: Option<&Rc<Task>>, local: Layer) -> Rc<Self> {
        world.load(host);
        let task = task.map(|task| Rc::clone(&task.within));
        Rc::new(Self { world: Rc::clone(world), host: host.to_owned(), task, local, bare: false })
    }

    /// The nodes around the task, without the play itself.
    fn chain(&self) -> impl Iterator<Item = &Within> {
        self.task.iter().flat_map(|within| within.chain())
    }

    fn role_magic(&self, name: &str) -> Option<Arc<Value>> {
        let role = self.task.as_ref()?.role()?;
        match name {
            "role_name" | "ansible_role_name" => {
                Some(text(role.name.rsplit('.').next().unwrap_or(&role.name)))
            }
            "role_path" => Some(text(&role.path)),
            "ansible_dependent_role_names" => Some(texts(role.dependencies.iter().map(String::as_str))),
            "ansible_parent_role_names" => {
                let mut names: Vec<&str> = Vec::new();
                for outer in self.chain().filter_map(|within| within.role.as_ref()) {
                    if outer.name != role.name && !names.contains(&outer.name.as_str()) {
                        names.push(&outer.name);
                    }
                }
                Some(texts(names))
            }
            "ansible_search_path" => None,
            _ => None,
        }
    }

    fn find(&self, name: &str) -> Option<Arc<Value>> {
        if let Some(found) = self.local.get(name) {
            return Some(Arc::clone(found));
        }
        self.world.early.ask(name);
        let hosts = self.world.hosts.borrow();
        let host = hosts.get(&self.host)?;
        let layers = [&host.magic, &self.world.extra];
        if let Some(found) =
            self.world.magic.borrow().get(name).or_else(|| layers.iter().find_map(|l| l.get(name)))
        {
            return Some(Arc::clone(found));
        }
        let play = self.world.play.borrow();
        if let Some(found) = play.magic.get(name) {
            return Some(Arc::clone(found));
        }
        if let Some(found) = self.role_magic(name) {
            return Some(found);
        }
        if name == "ansible_facts" {
            return Some(host.facts_map());
        }
        let said = |named: &Named| {
            named.iter().rev().find(|(key, _)| key == name).map(|(_, value)| Arc::new(value.clone()))
        };
        let around = |params: bool| {
            // The play stands at the end of the chain and has its own place further down.
            self.chain().filter(move |w| w.params == params && w.parent.is_some()).find_map(|w| said(&w.vars))
        };
        if let Some(found) = around(true) {
            return Some(found);
        }
        if let Some(found) = host.set.get(name).or_else(|| host.included.get(name)) {
            return Some(Arc::clone(found));
        }
        if let Some(found) = around(false) {
            return Some(found);
        }
        if self.bare {
            return self.below(host, &play, name);
        }
        let mut own_roles = self.chain().filter_map(|within| within.role.as_ref());
        if let Some(found) = own_roles.find_map(|role| said(&role.vars)) {
            return Some(found);
        }
        if let Some(found) = play.roles.iter().rev().find_map(|role| said(&role.vars)) {
            return Some(found);
        }
        if let Some(found) = host.files.get(name) {
            return Some(Arc::clone(found));
        }
        said(&play.prompts).or_else(|| said(&play.vars)).or_else(|| self.below(host, &play, name))
    }

    /// Facts, the inventory, defaults of roles.
    fn below(&self, host: &HostVars, play: &PlayVars, name: &str) -> Option<Arc<Value>> {
        if self.world.inject_facts
            && let Some(fact) = name.strip_prefix("ansible_").and_then(|fact| host.facts.get(fact))
        {
            return Some(Arc::clone(fact));
        }
        if let Some(found) = host.inventory.as_ref().and_then(|vars| vars.get(name)) {
            return Some(Arc::new(found.value.clone()));
        }
        if self.bare {
            return None;
        }
        let said = |role: &Rc<Role>| {
            role.defaults.iter().rev().find(|(key, _)| key == name).map(|(_, value)| Arc::new(value.clone()))
        };
        let mut own_roles = self.chain().filter_map(|within| within.role.as_ref());
        own_roles.find_map(said).or_else(|| play.roles.iter().rev().find_map(said))
    }
}

impl Scope for TaskScope {
    fn get(&self, name: &str) -> Option<Arc<Value>> {
        self.find(name)
    }

    fn names(&self) -> Vec<String> {
        self.world.early.ask_all();
        let mut names: BTreeSet<String> = self.local.keys().chain(self.world.extra.keys()).cloned().collect();
        names.extend(self.world.magic.borrow().keys().cloned());
        let hosts = self.world.hosts.borrow();
        if let Some(host) = hosts.get(&self.host) {
            names.extend(
                [&host.magic, &host.set, &host.included, &host.files]
                    .into_iter()
                    .flat_map(|l| l.keys().cloned()),
            );
            names.extend(host.facts.keys().map(|fact| format!("ansible_{fact}")));
            names.extend(host.inventory.iter().flat_map(|vars| vars.keys().cloned()));
        }
        let play = self.world.play.borrow();
        if self.bare {
            return names.into_iter().collect();
        }
        names.extend(play.vars.iter().chain(&play.prompts).map(|(name, _)| name.clone()));
        names.extend(play.magic.keys().cloned());
        let roles = play.roles.iter().chain(self.chain().filter_map(|within| within.role.as_ref()));
        names.extend(
            roles.flat_map(|role| role.defaults.iter().chain(&role.vars)).map(|(name, _)| name.clone()),
        );
        names.extend(self.chain().flat_map(|within| &within.vars).map(|(name, _)| name.clone()));
        names.into_iter().collect()
    }

    fn search_path(&self) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        let mut add = |path: &str| {
            if !out.iter().any(|known| known == path) {
                out.push(path.to_owned());
            }
        };
        for role in self.chain().filter_map(|within| within.role.as_ref()) {
            add(&role.path);
        }
        if let Some(task) = &self.task {
            add(task.place.file.rsplit_once('/').map_or(".", |(folder, _)| folder));
        }
        if let Some(folder) = self.world.play.borrow().magic.get("playbook_dir") {
            add(folder.as_text().unwrap_or_default());
        }
        out
    }

    fn host(&self, name: &str) -> Option<ScopeRef> {
        if name != self.host {
            self.world.early.ask_other();
        }
        self.world.known(name).then(|| {
            self.world.load(name);
            let scope: ScopeRef = Rc::new(Self {
                world: Rc::clone(&self.world),
                host: name.to_owned(),
                task: None,
                local: Layer::new(),
                bare: true,
            });
            scope
        })
    }

    fn select(&self, pattern: &str) -> Vec<String> {
        self.world.select(pattern)
    }

    fn hosts(&self) -> Vec<String> {
        self.world.inventory.borrow().hosts().iter().map(|host| host.name.clone()).collect()
    }
}
