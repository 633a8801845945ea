//! Hosts and groups that a play adds while it runs (`add_host`, `group_by`).

use crate::inventory::{ALL, HostId, Inventory};
use crate::names::check_host_name;
use crate::problem::{Place, Result};
use crate::source::Files;
use crate::value::Vars;
use crate::vars_files::VarsFiles;

impl Inventory {
    /// Adds a host, or finds it, puts it into these groups (new ones too) and sets these variables.
    ///
    /// Returns the host and whether anything changed. Variable files of new names are read through `files`.
    ///
    /// # Errors
    /// A refused name, a bound, or a mistake in a variable file.
    pub fn add_at_run(
        &mut self,
        files: &dyn Files,
        name: &str,
        groups: &[&str],
        vars: &Vars,
        place: &Place,
    ) -> Result<(HostId, bool)> {
        check_host_name(name).map_err(|problem| place.problem(problem))?;
        let before = (self.hosts.len(), self.groups.len());
        let mut changed = self.host_id(name).is_none();
        let host = self.add_host(name, ALL, None, place)?;
        if let Some(new) = self.hosts.get_mut(host).filter(|_| changed) {
            // No inventory source named it.
            new.file = None;
        }
        for group in groups {
            let group = self.add_group(group, place)?;
            changed |= self.hosts.get(host).is_some_and(|host| !host.groups.contains(&group));
            self.add_host(name, group, None, place)?;
        }
        for (key, var) in vars {
            let old = self.hosts.get(host).and_then(|host| host.vars.get(key));
            changed |= old.is_none_or(|old| old.value != var.value);
            self.set_host_var(host, key, var.clone())?;
        }
        self.reconcile()?;
        if before != (self.hosts.len(), self.groups.len()) {
            self.files = VarsFiles::read(files, self)?;
        }
        Ok((host, changed))
    }

    /// Puts a group below another; both are made when they are not there (`group_by` with `parents`).
    ///
    /// # Errors
    /// A refused name, a bound, or a circle of groups.
    pub fn add_child_at_run(&mut self, parent: &str, child: &str, place: &Place) -> Result<()> {
        let (parent, child) = (self.add_group(parent, place)?, self.add_group(child, place)?);
        // Checked before, so that a refused link leaves the groups as they were.
        if self.below(child).contains(&parent) {
            return Err(self.circle(parent, child, place));
        }
        self.add_child(parent, child, place)?;
        self.reconcile()
    }
}
