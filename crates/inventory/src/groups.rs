//! YAML inventories: groups with `hosts`, `vars` and `children`.

use crate::bounds::DEPTH_MAX;
use crate::inventory::{GroupId, Inventory};
use crate::names::expand;
use crate::problem::{Place, Problem, Result, short};
use crate::value::Var;
use crate::yaml::{Kind, Node};

/// Reads the groups of a parsed YAML file into what is there already.
pub(crate) fn read(inventory: &mut Inventory, root: Option<Node>, file: &Place) -> Result<()> {
    let expected = "groups with hosts, vars and children";
    let Some(root) = root.filter(|root| !root.is_null()) else {
        return Err(file.problem(Problem::Unexpected { expected, found: "an empty file".to_owned() }));
    };
    let place = root.place(file);
    let Kind::Map(entries) = root.kind else {
        return Err(place.problem(Problem::Unexpected { expected, found: root.words() }));
    };
    if entries.is_empty() {
        return Err(place.problem(Problem::Unexpected { expected, found: "an empty map".to_owned() }));
    }
    let plugin = entries.iter().find(|(key, _)| key.text() == Some("plugin"));
    if let Some((key, value)) = plugin {
        let plugin = short(value.text().unwrap_or_default());
        return Err(key.place(file).problem(Problem::Plugin { plugin }));
    }
    let mut reader = Reader { inventory, file };
    for (key, value) in entries {
        reader.group(key, value, 0)?;
    }
    Ok(())
}

struct Reader<'i> {
    inventory: &'i mut Inventory,
    file: &'i Place,
}

impl Reader<'_> {
    /// `None` when the entry was passed over because it is no group.
    fn group(&mut self, key: Node, value: Node, depth: usize) -> Result<Option<GroupId>> {
        let place = key.place(self.file);
        if depth > DEPTH_MAX {
            return Err(place.problem(Problem::TooDeep { max: DEPTH_MAX }));
        }
        let Some(name) = key.text() else {
            let problem = Problem::Unexpected {
                expected: "the name of a group as text, in quotes",
                found: key.words(),
            };
            return Err(place.problem(problem));
        };
        let sections = match value.kind {
            Kind::Map(sections) => sections,
            Kind::Scalar(crate::value::Value::Null) => Vec::new(),
            _ => {
                let text =
                    format!("{} is passed over: a group is a map, this is {}", short(name), value.words());
                self.inventory.notice(place, text);
                // As a child it still must be a known group, or the link fails.
                return Ok(self.inventory.group_id(name));
            }
        };
        let group = self.inventory.add_group(name, &place)?;
        for (section, value) in sections {
            self.section(group, section, value, depth)?;
        }
        Ok(Some(group))
    }

    fn section(&mut self, group: GroupId, section: Node, value: Node, depth: usize) -> Result<()> {
        let place = section.place(self.file);
        let name = section.text().unwrap_or_default();
        let known = matches!(name, "hosts" | "vars" | "children");
        let value_place = value.place(self.file);
        let entries = match value.kind {
            Kind::Map(entries) => entries,
            Kind::Scalar(crate::value::Value::Null) => return Ok(()),
            // `hosts: web1` is short for `hosts: {web1: }`.
            Kind::Scalar(crate::value::Value::Text(ref text)) if known && !text.is_empty() => {
                let null = Kind::Scalar(crate::value::Value::Null);
                let empty = Node { line: value.line, column: value.column, kind: null };
                vec![(value, empty)]
            }
            _ if known => {
                let expected = "a map: each name with a colon on its own line";
                return Err(value_place.problem(Problem::Unexpected { expected, found: value.words() }));
            }
            _ => Vec::new(),
        };
        if !known {
            let found = section.words();
            self.inventory.notice(place, format!("{found} is passed over; accepted: hosts, vars, children"));
            return Ok(());
        }
        for (key, value) in entries {
            match name {
                "hosts" => self.hosts(group, key, value)?,
                "vars" => {
                    let (name, var) = self.variable(key, value)?;
                    self.inventory.set_group_var(group, &name, var)?;
                }
                _ => {
                    let place = key.place(self.file);
                    let missing = Problem::UndefinedGroup { group: short(key.text().unwrap_or_default()) };
                    let child = self.group(key, value, depth + 1)?.ok_or_else(|| place.problem(missing))?;
                    self.inventory.add_child(group, child, &place)?;
                }
            }
        }
        Ok(())
    }

    fn hosts(&mut self, group: GroupId, key: Node, value: Node) -> Result<()> {
        let place = key.place(self.file);
        let Some(pattern) = key.text() else {
            let problem =
                Problem::Unexpected { expected: "the name of a host as text, in quotes", found: key.words() };
            return Err(place.problem(problem));
        };
        let (names, port) = expand(pattern).map_err(|problem| place.problem(problem))?;
        let value_place = value.place(self.file);
        let entries = match value.kind {
            Kind::Map(entries) => entries,
            Kind::Scalar(crate::value::Value::Null) => Vec::new(),
            _ => {
                let expected = "a map of the host's variables";
                return Err(value_place.problem(Problem::Unexpected { expected, found: value.words() }));
            }
        };
        let mut vars = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            vars.push(self.variable(key, value)?);
        }
        for name in names {
            let host = self.inventory.add_host(&name, group, port, &place)?;
            for (name, var) in &vars {
                self.inventory.set_host_var(host, name, var.clone())?;
            }
        }
        Ok(())
    }

    fn variable(&self, key: Node, value: Node) -> Result<(String, Var)> {
        variable(key, value, self.file)
    }
}

/// One variable of a map in a YAML file.
pub(crate) fn variable(key: Node, value: Node, file: &Place) -> Result<(String, Var)> {
    let place = key.place(file);
    match key.kind {
        Kind::Scalar(name) => Ok((name.key_text(), Var { value: value.into_value(), place })),
        _ => {
            Err(place.problem(Problem::Unexpected { expected: "the name of a variable", found: key.words() }))
        }
    }
}
