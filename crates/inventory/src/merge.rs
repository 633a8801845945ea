//! A host's variables from everywhere, in Ansible's order, each with the place that said it last.
//!
//! Later layers win: `all` in the inventory, the other groups in the inventory, `group_vars/all` beside the
//! inventory, beside the playbook, `group_vars/<group>` beside the inventory, beside the playbook, the host in the
//! inventory, `host_vars/<host>` beside the inventory, beside the playbook. Groups are laid over each other by
//! depth, then `ansible_group_priority`, then name. A map replaces a map; nothing is merged inside values.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::inventory::{ALL, GroupId, HostId, Inventory};
use crate::names::short_name;
use crate::problem::Place;
use crate::source::parent;
use crate::value::{Value, Var, Vars};
use crate::vars_files::{FolderVars, Sealed};

/// The names that mean the machine itself when no inventory lists them.
pub(crate) const LOCALHOST: [&str; 3] = ["127.0.0.1", "localhost", "::1"];

/// What Ansible tells a host about itself, besides its variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Magic {
    /// `inventory_hostname`.
    pub inventory_hostname: String,
    /// `inventory_hostname_short`: up to the first dot.
    pub inventory_hostname_short: String,
    /// `group_names`: its groups by name, without `all`.
    pub group_names: Vec<String>,
    /// `inventory_file`: the source that named it first.
    pub inventory_file: Option<Arc<str>>,
    /// `inventory_dir`: the folder of that source.
    pub inventory_dir: Option<String>,
}

impl Inventory {
    /// A host's variables without the magic ones.
    pub fn host_vars(&self, host: HostId) -> Vars {
        let name = self.hosts.get(host).map_or("", |host| host.name.as_str());
        let mut groups = self.groups_of(host);
        groups.retain(|group| *group != ALL);
        let mut vars = self.group_layers(&mut groups);
        if let Some(host) = self.hosts.get(host) {
            lay(&mut vars, &host.vars);
        }
        self.lay_host_files(&mut vars, name);
        vars
    }

    /// The variables of a machine that no inventory lists; for the names `localhost`, `127.0.0.1` and `::1`.
    pub fn implicit_localhost_vars(&self, name: &str) -> Vars {
        let mut vars = self.group_layers(&mut Vec::new());
        let place = Place::file("(implicit localhost)");
        let mut set = |key: &str, text: &str| {
            let value = Value::Text(text.to_owned());
            vars.insert(key.to_owned(), Var { value, place: place.clone() });
        };
        set("ansible_connection", "local");
        set("ansible_python_interpreter", &self.options.python);
        self.lay_host_files(&mut vars, name);
        vars
    }

    /// What is true of the host by its place in the inventory.
    pub fn magic(&self, host: HostId) -> Magic {
        let mut group_names: Vec<String> = self
            .groups_of(host)
            .into_iter()
            .filter(|group| *group != ALL)
            .filter_map(|group| self.groups.get(group).map(|group| group.name.clone()))
            .collect();
        group_names.sort_unstable();
        let name = self.hosts.get(host).map_or("", |host| host.name.as_str());
        let file = self.hosts.get(host).and_then(|host| host.file.clone());
        Magic {
            inventory_hostname: name.to_owned(),
            inventory_hostname_short: short_name(name).to_owned(),
            group_names,
            inventory_dir: file.as_deref().map(|file| parent(file).to_owned()),
            inventory_file: file,
        }
    }

    /// The variable `groups`: the hosts of every group by name.
    pub fn groups_map(&self) -> BTreeMap<String, Vec<String>> {
        let hosts = |id: GroupId| {
            let ids = self.hosts_of(id);
            ids.into_iter().filter_map(|host| self.hosts.get(host).map(|host| host.name.clone())).collect()
        };
        self.groups.iter().enumerate().map(|(id, group)| (group.name.clone(), hosts(id))).collect()
    }

    /// Variable files that are encrypted as a whole and stayed closed.
    pub fn sealed(&self) -> &[Sealed] {
        &self.files.sealed
    }

    /// What is said of this very host: in the inventory and in `host_vars`.
    pub fn own_host_vars(&self, host: HostId) -> Vars {
        let Some(host) = self.hosts.get(host) else { return Vars::new() };
        let mut vars = host.vars.clone();
        self.lay_host_files(&mut vars, &host.name);
        vars
    }

    /// What is said of this very group: in the inventory and in `group_vars`.
    pub fn own_group_vars(&self, group: GroupId) -> Vars {
        let Some(group) = self.groups.get(group) else { return Vars::new() };
        let mut vars = group.vars.clone();
        for folder in self.folders() {
            lay_some(&mut vars, folder.groups.get(&group.name));
        }
        vars
    }

    fn folders(&self) -> impl Iterator<Item = &FolderVars> {
        self.files.inventory.iter().chain([&self.files.playbook])
    }

    /// `groups`: those of the host without `all`.
    fn group_layers(&self, groups: &mut [GroupId]) -> Vars {
        self.sort_groups(groups);
        let named = |id: &GroupId| self.groups.get(*id);
        let mut vars = named(&ALL).map(|all| all.vars.clone()).unwrap_or_default();
        for group in groups.iter().filter_map(named) {
            lay(&mut vars, &group.vars);
        }
        for folder in self.folders() {
            lay_some(&mut vars, folder.groups.get("all"));
        }
        for folder in self.folders() {
            for group in groups.iter().filter_map(named) {
                lay_some(&mut vars, folder.groups.get(&group.name));
            }
        }
        vars
    }

    fn lay_host_files(&self, vars: &mut Vars, name: &str) {
        for folder in self.folders() {
            lay_some(vars, folder.hosts.get(name));
        }
    }
}

fn lay(under: &mut Vars, over: &Vars) {
    for (name, var) in over {
        under.insert(name.clone(), var.clone());
    }
}

fn lay_some(under: &mut Vars, over: Option<&Vars>) {
    if let Some(over) = over {
        lay(under, over);
    }
}
