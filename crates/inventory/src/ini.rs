//! INI inventories: `[group]`, `[group:vars]`, `[group:children]`.
//!
//! Host lines are split as a shell would split them, so quotes are gone before a value gets its type: `a="1"` is
//! the number 1 there. In `:vars` sections the whole right side is the literal: `a="1"` is the text 1.

use std::collections::HashMap;

use crate::inventory::{GroupId, Inventory, UNGROUPED};
use crate::literal::from_ini;
use crate::names::expand;
use crate::problem::{Place, Problem, Result, short};
use crate::value::Var;
use crate::words;

/// What the lines of a section mean.
#[derive(Clone, Copy, PartialEq)]
enum Section {
    Hosts,
    Vars,
    Children,
}

/// A group that was mentioned before its own section was seen.
struct Pending {
    place: Place,
    /// The groups that list it; empty when only its `:vars` were seen.
    parents: Vec<GroupId>,
}

/// Reads an INI inventory into what is there already.
pub(crate) fn read(inventory: &mut Inventory, text: &str, file: &Place) -> Result<()> {
    let mut reader = Reader { inventory, group: UNGROUPED, section: Section::Hosts, pending: HashMap::new() };
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        let indent = line.chars().take_while(|c| c.is_whitespace()).count();
        let place = file.at(number as u32 + 1, indent as u32 + 1);
        if !trimmed.is_empty() && !trimmed.starts_with(['#', ';']) {
            reader.line(trimmed, &place)?;
        }
    }
    match reader.pending.iter().min_by_key(|(_, pending)| pending.place.line) {
        Some((name, pending)) => Err(pending.place.problem(Problem::UndefinedGroup { group: short(name) })),
        None => Ok(()),
    }
}

struct Reader<'i> {
    inventory: &'i mut Inventory,
    group: GroupId,
    section: Section,
    pending: HashMap<String, Pending>,
}

impl Reader<'_> {
    fn line(&mut self, line: &str, place: &Place) -> Result<()> {
        if let Some((name, kind)) = section(line) {
            return self.enter(name, kind, line, place);
        }
        if line.starts_with('[') && line.ends_with(']') {
            return Err(place.problem(Problem::Section { section: short(line.trim_matches(['[', ']'])) }));
        }
        match self.section {
            Section::Hosts => self.hosts(line, place),
            Section::Vars => self.variable(line, place),
            Section::Children => self.child(line, place),
        }
    }

    fn enter(&mut self, name: &str, kind: Option<&str>, line: &str, place: &Place) -> Result<()> {
        self.section = match kind {
            None | Some("hosts") => Section::Hosts,
            Some("vars") => Section::Vars,
            Some("children") => Section::Children,
            Some(_) => {
                let section = short(line.trim_matches(['[', ']']));
                return Err(place.problem(Problem::Section { section }));
            }
        };
        let known = self.inventory.group_id(name);
        let waits = self.pending.contains_key(name);
        if known.is_none() && self.section == Section::Vars && !waits {
            self.pending.insert(name.to_owned(), Pending { place: place.clone(), parents: Vec::new() });
        }
        self.group = self.inventory.add_group(name, place)?;
        if self.section != Section::Vars {
            self.resolve(name)?;
        }
        Ok(())
    }

    /// A group's own section was seen: links that waited for it are made.
    fn resolve(&mut self, name: &str) -> Result<()> {
        let Some(pending) = self.pending.remove(name) else { return Ok(()) };
        for parent in pending.parents {
            self.inventory.add_child(parent, self.group, &pending.place)?;
        }
        Ok(())
    }

    fn hosts(&mut self, line: &str, place: &Place) -> Result<()> {
        let words = words::split(line).ok_or_else(|| place.problem(Problem::Quote))?;
        let mut words = words.into_iter();
        let Some((_, pattern)) = words.next() else { return Ok(()) };
        let (names, port) = expand(&pattern).map_err(|problem| place.problem(problem))?;
        let mut vars = Vec::new();
        for (at, word) in words {
            let place = place.at(place.line, place.column + at as u32);
            let Some((key, value)) = word.split_once('=') else {
                let found = short(&word);
                return Err(
                    place.problem(Problem::Unexpected { expected: "variable=value after the host", found })
                );
            };
            vars.push((key.to_owned(), Var { value: from_ini(value), place }));
        }
        for name in names {
            let host = self.inventory.add_host(&name, self.group, port, place)?;
            for (key, var) in &vars {
                self.inventory.set_host_var(host, key, var.clone())?;
            }
        }
        Ok(())
    }

    fn variable(&mut self, line: &str, place: &Place) -> Result<()> {
        let Some((key, value)) = line.split_once('=') else {
            return Err(place.problem(Problem::Unexpected { expected: "variable=value", found: short(line) }));
        };
        let var = Var { value: from_ini(value.trim()), place: place.clone() };
        self.inventory.set_group_var(self.group, key.trim(), var)
    }

    fn child(&mut self, line: &str, place: &Place) -> Result<()> {
        let (name, after) =
            line.split_at(line.find(|c: char| c.is_whitespace() || ":]".contains(c)).unwrap_or(line.len()));
        let after = after.trim_start();
        if name.is_empty() || !(after.is_empty() || after.starts_with('#')) {
            return Err(
                place.problem(Problem::Unexpected { expected: "the name of a group", found: short(line) })
            );
        }
        if let Some(child) = self.inventory.group_id(name) {
            // A group of which only `:vars` were seen is known and still waits for its section.
            return self.inventory.add_child(self.group, child, place);
        }
        let pending = self.pending.entry(name.to_owned());
        pending
            .or_insert_with(|| Pending { place: place.clone(), parents: Vec::new() })
            .parents
            .push(self.group);
        Ok(())
    }
}

/// `[name]` or `[name:kind]`, with a comment after it.
fn section(line: &str) -> Option<(&str, Option<&str>)> {
    let (inner, after) = line.strip_prefix('[')?.split_once(']')?;
    let after = after.trim_start();
    if !(after.is_empty() || after.starts_with('#')) {
        return None;
    }
    let (name, kind) = match inner.split_once(':') {
        Some((name, kind)) => (name, Some(kind)),
        None => (inner, None),
    };
    let word = |kind: &str| !kind.is_empty() && kind.chars().all(|c| c.is_alphanumeric() || c == '_');
    let fits = !name.is_empty() && !name.contains(char::is_whitespace) && kind.is_none_or(word);
    fits.then_some((name, kind))
}
