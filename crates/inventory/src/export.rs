//! Our inventory in the forms of `ansible-inventory`: `--list` as JSON or YAML, and `--graph`.

use std::collections::HashSet;

use crate::bounds::GRAPH_LINES_MAX;
use crate::inventory::{ALL, GroupId, HostId, Inventory};
use crate::json::{to_json, to_yaml};
use crate::problem::{Problem, short};
use crate::value::{Value, Vars};

/// Which variables an export holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Each variable where it was said, so that Ansible reads the same inventory again (`--export`).
    Export,
    /// Each host's variables, merged; none at groups.
    Merged,
}

impl Inventory {
    /// As `ansible-inventory --list` writes it.
    pub fn to_json(&self, detail: Detail) -> String {
        let mut groups = Vec::new();
        let mut seen = HashSet::new();
        self.json_group(ALL, detail, &mut seen, &mut groups);
        let hosts = self.hosts_of(ALL);
        let hostvars = hosts.iter().filter_map(|host| {
            let vars = map(&self.exported(*host, detail));
            (vars != Value::Map(Vec::new())).then(|| (self.host_name(*host), vars))
        });
        let meta = vec![
            (text("hostvars"), Value::Map(hostvars.collect())),
            (text("profile"), text("inventory_legacy")),
        ];
        groups.push((text("_meta"), Value::Map(meta)));
        to_json(&Value::Map(groups))
    }

    /// As `ansible-inventory --list --yaml` writes it: one inventory file.
    pub fn to_yaml(&self, detail: Detail) -> String {
        let mut seen = (HashSet::new(), HashSet::new());
        let all = self.yaml_group(ALL, detail, &mut seen);
        to_yaml(&Value::Map(all.into_iter().collect()))
    }

    /// As `ansible-inventory --graph` writes it, from the group of this name down.
    ///
    /// # Errors
    /// [`Problem::UndefinedGroup`]; [`Problem::TooMany`] when groups under many groups make it endless.
    pub fn to_graph(&self, group: &str) -> Result<String, Problem> {
        let id = self.group_id(group).ok_or_else(|| Problem::UndefinedGroup { group: short(group) })?;
        let mut graph = Graph { out: String::new(), n_lines: 0 };
        self.graph(id, 0, &mut graph)?;
        Ok(graph.out)
    }

    fn graph(&self, id: GroupId, depth: usize, graph: &mut Graph) -> Result<(), Problem> {
        let Some(group) = self.groups.get(id) else { return Ok(()) };
        graph.line(&format!("@{}:", group.name), depth)?;
        for child in &group.children {
            self.graph(*child, depth + 1, graph)?;
        }
        for host in group.hosts.iter().filter(|_| id != ALL) {
            if let Some(host) = self.hosts.get(*host) {
                graph.line(&host.name, depth + 1)?;
            }
        }
        Ok(())
    }

    fn exported(&self, host: HostId, detail: Detail) -> Vars {
        match detail {
            Detail::Export => self.own_host_vars(host),
            Detail::Merged => self.host_vars(host),
        }
    }

    fn host_name(&self, host: HostId) -> Value {
        text(self.hosts.get(host).map_or("", |host| &host.name))
    }

    fn group_name(&self, group: GroupId) -> Value {
        text(self.groups.get(group).map_or("", |group| &group.name))
    }

    fn group_vars(&self, id: GroupId) -> Value {
        let mut vars = map(&self.own_group_vars(id));
        let priority = self.groups.get(id).map_or(1, |group| group.priority);
        if let (Value::Map(entries), true) = (&mut vars, priority != 1) {
            entries.push((text("ansible_group_priority"), Value::Int(priority)));
        }
        vars
    }

    fn json_group(
        &self,
        id: GroupId,
        detail: Detail,
        seen: &mut HashSet<GroupId>,
        out: &mut Vec<(Value, Value)>,
    ) {
        let Some(group) = self.groups.get(id).filter(|_| seen.insert(id)) else { return };
        let mut entries = Vec::new();
        if id != ALL {
            let hosts = group.hosts.iter().map(|host| self.host_name(*host));
            entries.push((text("hosts"), Value::List(hosts.collect())));
        }
        let children = group.children.iter().map(|child| self.group_name(*child));
        entries.push((text("children"), Value::List(children.collect())));
        if detail == Detail::Export {
            entries.push((text("vars"), self.group_vars(id)));
        }
        entries.retain(|(_, value)| !is_empty(value));
        if !entries.is_empty() {
            out.push((text(&group.name), Value::Map(entries)));
        }
        for child in &group.children {
            self.json_group(*child, detail, seen, out);
        }
    }

    /// The group under its name; `None` when there is nothing to say of it.
    fn yaml_group(
        &self,
        id: GroupId,
        detail: Detail,
        seen: &mut (HashSet<GroupId>, HashSet<HostId>),
    ) -> Option<(Value, Value)> {
        let group = self.groups.get(id)?;
        let mut children = Vec::new();
        for child in &group.children {
            if seen.0.insert(*child) {
                children.extend(self.yaml_group(*child, detail, seen));
            } else {
                children.push((self.group_name(*child), Value::Map(Vec::new())));
            }
        }
        let mut hosts = Vec::new();
        for host in group.hosts.iter().filter(|_| id != ALL) {
            let vars = if seen.1.insert(*host) { self.exported(*host, detail) } else { Vars::new() };
            hosts.push((self.host_name(*host), map(&vars)));
        }
        let mut entries = vec![(text("children"), Value::Map(children)), (text("hosts"), Value::Map(hosts))];
        if detail == Detail::Export {
            entries.push((text("vars"), self.group_vars(id)));
        }
        entries.retain(|(_, value)| !is_empty(value));
        (!entries.is_empty()).then(|| (text(&group.name), Value::Map(entries)))
    }
}

struct Graph {
    out: String,
    n_lines: usize,
}

impl Graph {
    fn line(&mut self, name: &str, depth: usize) -> Result<(), Problem> {
        self.n_lines += 1;
        if self.n_lines > GRAPH_LINES_MAX {
            return Err(Problem::TooMany { what: "lines in a graph", max: GRAPH_LINES_MAX });
        }
        if depth > 0 {
            self.out.push_str(&"  |".repeat(depth));
            self.out.push_str("--");
        }
        self.out.push_str(name);
        self.out.push('\n');
        Ok(())
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn map(vars: &Vars) -> Value {
    Value::Map(vars.iter().map(|(name, var)| (text(name), var.value.clone())).collect())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::List(items) => items.is_empty(),
        Value::Map(entries) => entries.is_empty(),
        _ => false,
    }
}
