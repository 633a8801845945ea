//! The hosts and groups, and how they hang together.
//!
//! Groups form a graph without circles. Depth (the longest way down from `all`) decides which group's variables
//! win; it is computed once after reading, not kept up to date while links are added.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use crate::bounds::{CHILD_LINKS_MAX, DEPTH_MAX, GROUPS_MAX, HOSTS_MAX, MEMBERS_MAX, VARIABLES_MAX};
use crate::names::{check_group_name, check_host_name};
use crate::problem::{InventoryError, Notice, Place, Problem, Result, short};
use crate::value::{Value, Var, Vars};

/// The number of a host in its inventory, in the order of first mention.
pub type HostId = usize;
/// The number of a group in its inventory, in the order of first mention.
pub type GroupId = usize;

/// A host.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// Its name, `inventory_hostname`.
    pub name: String,
    /// Variables said in inventory sources for this very host.
    pub vars: Vars,
    /// The groups that list it.
    pub groups: Vec<GroupId>,
    /// The source that named it first.
    pub file: Option<Arc<str>>,
}

/// A group.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Variables said in inventory sources for this very group.
    pub vars: Vars,
    /// The hosts it lists itself, in order.
    pub hosts: Vec<HostId>,
    /// Groups right below.
    pub children: Vec<GroupId>,
    /// Groups right above.
    pub parents: Vec<GroupId>,
    /// The longest way down from `all`.
    pub depth: usize,
    /// `ansible_group_priority`: of groups of one depth the higher one wins.
    pub priority: i128,
}

/// Hosts and groups of all sources.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    pub(crate) hosts: Vec<Host>,
    pub(crate) groups: Vec<Group>,
    host_ids: HashMap<String, HostId>,
    group_ids: HashMap<String, GroupId>,
    members: HashSet<(GroupId, HostId)>,
    links: HashMap<(GroupId, GroupId), Place>,
    n_variables: usize,
    /// The sources that were read, as given.
    pub(crate) sources: Vec<crate::load::SourceRead>,
    pub(crate) files: crate::vars_files::VarsFiles,
    pub(crate) options: crate::source::Options,
    /// What was odd.
    pub notices: Vec<Notice>,
}

/// The group that holds every host.
pub(crate) const ALL: GroupId = 0;
/// The group of hosts that no other group lists.
pub(crate) const UNGROUPED: GroupId = 1;

impl Inventory {
    pub(crate) fn empty(options: crate::source::Options) -> Result<Self> {
        let mut inventory = Self { options, ..Self::default() };
        let place = Place::file("");
        let all = inventory.add_group("all", &place)?;
        let ungrouped = inventory.add_group("ungrouped", &place)?;
        inventory.add_child(all, ungrouped, &place)?;
        Ok(inventory)
    }

    /// All hosts in the order of first mention.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// All groups in the order of first mention; the first two are `all` and `ungrouped`.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The number of a host.
    pub fn host_id(&self, name: &str) -> Option<HostId> {
        self.host_ids.get(name).copied()
    }

    /// The number of a group.
    pub fn group_id(&self, name: &str) -> Option<GroupId> {
        self.group_ids.get(name).copied()
    }

    /// The hosts of a group and of all groups below it, each once, in Ansible's order.
    pub fn hosts_of(&self, group: GroupId) -> Vec<HostId> {
        let mut seen = HashSet::new();
        let below = self.below(group);
        let listed = below.iter().filter_map(|id| self.groups.get(*id)).flat_map(|group| &group.hosts);
        listed.filter(|host| seen.insert(**host)).copied().collect()
    }

    /// The group and everything below it, level by level.
    pub(crate) fn below(&self, group: GroupId) -> Vec<GroupId> {
        self.walk(&[group], |group| &group.children)
    }

    /// All groups a host is in, directly or through others; `all` is among them.
    pub fn groups_of(&self, host: HostId) -> Vec<GroupId> {
        let direct = self.hosts.get(host).map_or(&[][..], |host| &host.groups);
        let mut found = self.walk(direct, |group| &group.parents);
        if !found.contains(&ALL) {
            found.push(ALL);
        }
        found
    }

    fn walk(&self, from: &[GroupId], next: fn(&Group) -> &Vec<GroupId>) -> Vec<GroupId> {
        let mut seen: HashSet<GroupId> = from.iter().copied().collect();
        let mut found = from.to_vec();
        let mut at = 0;
        while let Some(id) = found.get(at).copied() {
            at += 1;
            for id in self.groups.get(id).map_or(&[][..], |group| next(group)) {
                if seen.insert(*id) {
                    found.push(*id);
                }
            }
        }
        found
    }

    /// Groups in the order in which their variables are laid over each other: later ones win.
    pub(crate) fn sort_groups(&self, groups: &mut [GroupId]) {
        groups.sort_by_key(|id| self.groups.get(*id).map(|g| (g.depth, g.priority, g.name.as_str())));
    }

    /// Adds a group, or finds it. Characters that no variable name may hold stay, as by Ansible's default.
    pub(crate) fn add_group(&mut self, name: &str, place: &Place) -> Result<GroupId> {
        if let Some(id) = self.group_ids.get(name) {
            return Ok(*id);
        }
        check_group_name(name).map_err(|problem| place.problem(problem))?;
        if self.groups.len() >= GROUPS_MAX {
            return Err(place.problem(Problem::TooMany { what: "groups", max: GROUPS_MAX }));
        }
        let id = self.groups.len();
        self.groups.push(Group { name: name.to_owned(), priority: 1, ..Group::default() });
        self.group_ids.insert(name.to_owned(), id);
        Ok(id)
    }

    /// Adds a host to a group, and to the inventory when it is new; a port counts only then.
    pub(crate) fn add_host(
        &mut self,
        name: &str,
        group: GroupId,
        port: Option<u16>,
        place: &Place,
    ) -> Result<HostId> {
        let id = match self.host_ids.get(name) {
            Some(id) => *id,
            None => {
                check_host_name(name).map_err(|problem| place.problem(problem))?;
                if self.hosts.len() >= HOSTS_MAX {
                    return Err(place.problem(Problem::TooMany { what: "hosts", max: HOSTS_MAX }));
                }
                let id = self.hosts.len();
                let file = (!place.file.is_empty()).then(|| Arc::clone(&place.file));
                self.hosts.push(Host { name: name.to_owned(), file, ..Host::default() });
                self.host_ids.insert(name.to_owned(), id);
                if let Some(port) = port.filter(|port| *port != 0) {
                    let var = Var { value: Value::Int(port.into()), place: place.clone() };
                    self.set_host_var(id, "ansible_port", var)?;
                }
                id
            }
        };
        self.join(group, id, place)?;
        Ok(id)
    }

    fn join(&mut self, group: GroupId, host: HostId, place: &Place) -> Result<()> {
        if !self.members.insert((group, host)) {
            return Ok(());
        }
        if self.members.len() > MEMBERS_MAX {
            return Err(place.problem(Problem::TooMany { what: "memberships", max: MEMBERS_MAX }));
        }
        if let (Some(group), Some(host_entry)) = (self.groups.get_mut(group), self.hosts.get_mut(host)) {
            group.hosts.push(host);
            host_entry.groups.push(self.group_ids.get(&group.name).copied().unwrap_or(ALL));
        }
        Ok(())
    }

    /// Puts a group below another. Circles through several groups are found by [`Self::reconcile`].
    pub(crate) fn add_child(&mut self, parent: GroupId, child: GroupId, place: &Place) -> Result<()> {
        if self.links.contains_key(&(parent, child)) {
            return Ok(());
        }
        if parent == child {
            return Err(self.circle(parent, child, place));
        }
        if self.links.len() >= CHILD_LINKS_MAX {
            return Err(place.problem(Problem::TooMany { what: "children of groups", max: CHILD_LINKS_MAX }));
        }
        self.links.insert((parent, child), place.clone());
        if let Some(group) = self.groups.get_mut(parent) {
            group.children.push(child);
        }
        if let Some(group) = self.groups.get_mut(child) {
            group.parents.push(parent);
        }
        Ok(())
    }

    /// Sets a variable of a host; a group of the same name takes it instead, as in Ansible.
    pub(crate) fn set_host_var(&mut self, host: HostId, name: &str, var: Var) -> Result<()> {
        let same = self.hosts.get(host).and_then(|host| self.group_id(&host.name));
        if let Some(group) = same {
            return self.set_group_var(group, name, var);
        }
        self.count_variable(&var.place)?;
        if let Some(host) = self.hosts.get_mut(host) {
            host.vars.insert(name.to_owned(), var);
        }
        Ok(())
    }

    /// Sets a variable of a group; `ansible_group_priority` is its rank instead.
    pub(crate) fn set_group_var(&mut self, group: GroupId, name: &str, var: Var) -> Result<()> {
        self.count_variable(&var.place)?;
        let Some(group) = self.groups.get_mut(group) else { return Ok(()) };
        if name == "ansible_group_priority" {
            group.priority = priority(&var)?;
        } else {
            group.vars.insert(name.to_owned(), var);
        }
        Ok(())
    }

    fn count_variable(&mut self, place: &Place) -> Result<()> {
        self.n_variables += 1;
        if self.n_variables > VARIABLES_MAX {
            return Err(place.problem(Problem::TooMany { what: "variables", max: VARIABLES_MAX }));
        }
        Ok(())
    }

    pub(crate) fn notice(&mut self, place: Place, text: String) {
        // More would only hide the first ones.
        if self.notices.len() < 1000 {
            self.notices.push(Notice { place, text });
        }
    }

    /// After all sources: every group is below `all`, `ungrouped` holds just the hosts that nothing else lists.
    pub(crate) fn reconcile(&mut self) -> Result<()> {
        let place = Place::file("");
        for id in 1..self.groups.len() {
            if self.groups.get(id).is_some_and(|group| group.parents.is_empty()) {
                self.add_child(ALL, id, &place)?;
            }
        }
        for id in 0..self.hosts.len() {
            let Some(host) = self.hosts.get_mut(id) else { continue };
            let elsewhere = host.groups.iter().any(|group| *group > UNGROUPED);
            if elsewhere {
                host.groups.retain(|group| *group != UNGROUPED);
                self.members.remove(&(UNGROUPED, id));
            } else {
                self.join(UNGROUPED, id, &place)?;
            }
            let both = self
                .hosts
                .get(id)
                .map(|h| (&h.name, &h.file))
                .filter(|(n, _)| self.group_ids.contains_key(*n));
            if let Some((name, file)) = both {
                let text = format!("{name} is the name of a host and of a group");
                self.notice(Place::file(file.as_deref().unwrap_or_default()), text);
            }
        }
        let members = &self.members;
        if let Some(ungrouped) = self.groups.get_mut(UNGROUPED) {
            ungrouped.hosts.retain(|host| members.contains(&(UNGROUPED, *host)));
        }
        self.measure_depths()
    }

    /// Each group's depth, parents before children; groups that never come up lie on circles or below them.
    fn measure_depths(&mut self) -> Result<()> {
        let mut waiting: Vec<usize> = self.groups.iter().map(|group| group.parents.len()).collect();
        let mut ready: Vec<GroupId> =
            waiting.first().filter(|left| **left == 0).map(|_| ALL).into_iter().collect();
        while let Some(id) = ready.pop() {
            let Some((depth, children)) = self.groups.get(id).map(|g| (g.depth + 1, g.children.clone()))
            else {
                continue;
            };
            for child in children {
                if let Some(group) = self.groups.get_mut(child) {
                    group.depth = group.depth.max(depth);
                }
                if let Some(left) = waiting.get_mut(child) {
                    *left -= 1;
                    if *left == 0 {
                        ready.push(child);
                    }
                }
            }
        }
        if let Some(stuck) = waiting.iter().position(|left| *left > 0) {
            return Err(self.find_circle(stuck, &waiting));
        }
        let deepest = self.groups.iter().max_by_key(|group| group.depth);
        match deepest.filter(|group| group.depth > DEPTH_MAX) {
            Some(group) => {
                let parent = group.parents.first().copied().unwrap_or(ALL);
                let child = self.group_id(&group.name).unwrap_or(ALL);
                Err(self.link_place(parent, child).problem(Problem::TooDeep { max: DEPTH_MAX }))
            }
            None => Ok(()),
        }
    }

    /// Goes up from a stuck group among stuck groups until one comes again: that link closes a circle.
    fn find_circle(&self, stuck: GroupId, waiting: &[usize]) -> InventoryError {
        let mut seen = HashSet::new();
        let mut child = stuck;
        loop {
            seen.insert(child);
            let parents = self.groups.get(child).map_or(&[][..], |group| &group.parents);
            let parent = parents.iter().find(|id| waiting.get(**id).is_some_and(|left| *left > 0));
            match parent {
                Some(parent) if !seen.contains(parent) => child = *parent,
                other => {
                    let parent = other.copied().unwrap_or(ALL);
                    return self.circle(parent, child, &self.link_place(parent, child));
                }
            }
        }
    }

    pub(crate) fn circle(&self, parent: GroupId, child: GroupId, place: &Place) -> InventoryError {
        let name = |id: GroupId| self.groups.get(id).map_or(String::new(), |group| short(&group.name));
        place.problem(Problem::Circle { parent: name(parent), child: name(child) })
    }

    fn link_place(&self, parent: GroupId, child: GroupId) -> Place {
        self.links.get(&(parent, child)).cloned().unwrap_or_else(|| Place::file(""))
    }
}

fn priority(var: &Var) -> Result<i128> {
    let number = match &var.value {
        Value::Int(number) => Some(*number),
        Value::Bool(truth) => Some((*truth).into()),
        Value::Float(number) if number.is_finite() => Some(*number as i128),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| {
        let found = var.value.as_text().map_or_else(|| var.value.kind().to_owned(), short);
        var.place.problem(Problem::Priority { found })
    })
}
