//! Reads tasks and blocks.

use std::rc::Rc;

use wellkept_inventory::{Place, Value, YamlKind, YamlNode};

use super::args::{COMMAND_NAMES, parse_pairs};
use super::keywords::{BLOCK, COMMON, INHERITED, TASK, TASK_OWN, find, inherited};
use super::loader::Loader;
use super::modules::{CONTROLLER, FREE_FORM, short_name};
use super::problem::{BookError, Problem, Result};
use super::{Block, Item, Loop, Task, Within};

/// Blocks and static imports within each other.
pub(crate) const DEPTH_MAX: usize = 60;
/// Most tasks of a playbook, roles and imports included.
const TASKS_MAX: usize = 200_000;

/// Where a list of tasks stands.
#[derive(Clone)]
pub(crate) struct Spot {
    pub(crate) parent: Rc<Within>,
    /// The file, for places and relative names.
    pub(crate) file: Place,
    pub(crate) handlers: bool,
    pub(crate) depth: usize,
}

pub(crate) fn fail<T>(node: &YamlNode, file: &Place, problem: Problem) -> Result<T> {
    Err(BookError { place: node.place(file), problem })
}

/// The entries of a map with texts as keys.
pub(crate) fn entries<'n>(
    node: &'n YamlNode,
    file: &Place,
    expected: &'static str,
) -> Result<Vec<(&'n str, &'n YamlNode, &'n YamlNode)>> {
    let YamlKind::Map(entries) = &node.kind else {
        return fail(node, file, Problem::Unexpected { expected, found: node.words() });
    };
    entries
        .iter()
        .map(|(key, value)| match key.text() {
            Some(text) => Ok((text, key, value)),
            None => fail(key, file, Problem::Unexpected { expected: "a text as key", found: key.words() }),
        })
        .collect()
}

/// The items of a list; nothing is an empty list.
pub(crate) fn items<'n>(node: &'n YamlNode, file: &Place, expected: &'static str) -> Result<&'n [YamlNode]> {
    match &node.kind {
        YamlKind::List(items) => Ok(items),
        YamlKind::Scalar(Value::Null) => Ok(&[]),
        _ => fail(node, file, Problem::Unexpected { expected, found: node.words() }),
    }
}

/// A value, or the items of a list: `when`, `tags`, `notify`.
pub(crate) fn listed(value: Value) -> Vec<Value> {
    match value {
        Value::List(items) => items,
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

/// `vars`: a map, or a list of maps.
pub(crate) fn named(value: Value) -> Vec<(String, Value)> {
    match value {
        Value::Map(entries) => entries.into_iter().map(|(key, value)| (key_text(&key), value)).collect(),
        Value::List(maps) => maps.into_iter().flat_map(named).collect(),
        _ => Vec::new(),
    }
}

pub(crate) fn key_text(key: &Value) -> String {
    match key {
        Value::Text(text) | Value::Unsafe(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        Value::Bool(truth) => if *truth { "True" } else { "False" }.to_owned(),
        other => format!("{other:?}"),
    }
}

/// The node's own keywords, before its kind adds others.
pub(crate) fn within(parent: Option<Rc<Within>>, place: Place) -> Within {
    Within {
        place,
        name: None,
        attrs: Vec::new(),
        vars: Vec::new(),
        params: false,
        when: Vec::new(),
        tags: Vec::new(),
        role: None,
        notify: Vec::new(),
        parent,
    }
}

/// Takes a keyword that all kinds share. False when it is none.
pub(crate) fn take_common(within: &mut Within, key: &str, value: &YamlNode) -> bool {
    let plain = || value.clone().into_value();
    match key {
        "name" => {
            within.name = match plain() {
                Value::Null => None,
                Value::Text(text) | Value::Unsafe(text) => Some(text),
                other => Some(key_text(&other)),
            }
        }
        "vars" => within.vars = named(plain()),
        "when" => within.when = listed(plain()),
        "tags" => within.tags = split_tags(listed(plain())),
        "notify" => within.notify = listed(plain()),
        _ => match inherited(key) {
            Some(known) => within.attrs.push((known, plain())),
            None => return false,
        },
    }
    true
}

/// `tags: a,b` are two.
fn split_tags(tags: Vec<Value>) -> Vec<Value> {
    let split = |tag: Value| match tag {
        Value::Text(text) if text.contains(',') && !text.contains("{{") => {
            text.split(',').map(|part| Value::Text(part.trim().to_owned())).collect()
        }
        other => vec![other],
    };
    tags.into_iter().flat_map(split).collect()
}

impl Loader {
    /// A list of tasks and blocks.
    pub(crate) fn read_items(&mut self, node: &YamlNode, spot: &Spot) -> Result<Vec<Item>> {
        if spot.depth > DEPTH_MAX {
            return fail(node, &spot.file, Problem::TooDeep { what: "blocks and imports", max: DEPTH_MAX });
        }
        let mut out = Vec::new();
        for item in items(node, &spot.file, "a list of tasks")? {
            let fields = entries(item, &spot.file, "a task (a map)")?;
            if fields.iter().any(|(key, ..)| matches!(*key, "block" | "rescue" | "always")) {
                out.push(self.read_block(item, &fields, spot)?);
            } else {
                self.read_task(item, &fields, spot, &mut out)?;
            }
        }
        Ok(out)
    }

    fn read_block(
        &mut self,
        node: &YamlNode,
        fields: &[(&str, &YamlNode, &YamlNode)],
        spot: &Spot,
    ) -> Result<Item> {
        let mut own = within(Some(Rc::clone(&spot.parent)), node.place(&spot.file));
        for (key, at, value) in fields {
            if !matches!(*key, "block" | "rescue" | "always") && !take_common(&mut own, key, value) {
                let accepted = [BLOCK, COMMON, INHERITED].concat().join(", ");
                return fail(
                    at,
                    &spot.file,
                    Problem::Keyword { keyword: (*key).to_owned(), of: "Block", accepted },
                );
            }
        }
        let own = Rc::new(own);
        let inside = Spot { parent: Rc::clone(&own), depth: spot.depth + 1, ..spot.clone() };
        let mut part = |name: &str| match fields.iter().find(|(key, ..)| *key == name) {
            Some((_, _, list)) => self.read_items(list, &inside),
            None => Ok(Vec::new()),
        };
        let (tasks, rescue, always) = (part("block")?, part("rescue")?, part("always")?);
        Ok(Item::Block(Rc::new(Block { within: own, tasks, rescue, always })))
    }

    fn read_task(
        &mut self,
        node: &YamlNode,
        fields: &[(&str, &YamlNode, &YamlNode)],
        spot: &Spot,
        out: &mut Vec<Item>,
    ) -> Result<()> {
        self.tasks += 1;
        if self.tasks > TASKS_MAX {
            return fail(node, &spot.file, Problem::TooMany { max: TASKS_MAX });
        }
        let mut own = within(Some(Rc::clone(&spot.parent)), node.place(&spot.file));
        let mut task = Task {
            within: Rc::clone(&spot.parent),
            action: String::new(),
            written: String::new(),
            args: Vec::new(),
            args_template: None,
            looped: None,
            own: Vec::new(),
            listen: Vec::new(),
        };
        let mut modules: Vec<(&str, &YamlNode, &YamlNode)> = Vec::new();
        let mut control = Vec::new();
        for (key, at, value) in fields {
            let plain = || (*value).clone().into_value();
            match *key {
                key if take_common(&mut own, key, value) => {}
                key if key.starts_with("with_") => {
                    let lookup = key.strip_prefix("with_").map(str::to_owned);
                    let name = lookup.as_deref().unwrap_or_default();
                    if !crate::template::knows_lookup(name) && !self.lookups.iter().any(|known| known == name)
                    {
                        let accepted = "with_ and the name of a lookup".to_owned();
                        return fail(
                            at,
                            &spot.file,
                            Problem::Keyword { keyword: key.to_owned(), of: "Task", accepted },
                        );
                    }
                    task.looped = Some(Loop { lookup, terms: plain(), control: Vec::new() });
                }
                "loop" => task.looped = Some(Loop { lookup: None, terms: plain(), control: Vec::new() }),
                "loop_control" => control = named(plain()),
                "listen" if spot.handlers => task.listen = listed(plain()).iter().map(key_text).collect(),
                "args" => self.read_args(value, &mut task, spot)?,
                "action" | "local_action" => {
                    if *key == "local_action" {
                        own.attrs.push(("delegate_to", Value::Text("localhost".to_owned())));
                    }
                    self.read_action(value, &mut task, spot)?;
                }
                key => match find(TASK_OWN, key) {
                    Some(known) => task.own.push((known, plain())),
                    None => modules.push((key, at, value)),
                },
            }
        }
        if let Some(looped) = &mut task.looped {
            looped.control = control;
        }
        self.read_module(node, &modules, &mut task, spot)?;
        task.within = Rc::new(own);
        self.note_support(&task);
        self.place_task(task, spot, out)
    }

    fn read_module(
        &mut self,
        node: &YamlNode,
        modules: &[(&str, &YamlNode, &YamlNode)],
        task: &mut Task,
        spot: &Spot,
    ) -> Result<()> {
        let known: Vec<_> =
            modules.iter().filter(|(name, ..)| self.knows(name) || name.contains('.')).collect();
        let chosen = match (modules, known.as_slice()) {
            ([], _) if !task.action.is_empty() => return Ok(()),
            ([], _) => return fail(node, &spot.file, Problem::NoAction),
            ([one], _) if task.action.is_empty() => one,
            (_, [one]) => {
                // The module is clear, so the others are mistyped keywords.
                if let Some((other, at, _)) = modules.iter().find(|(name, ..)| name != &one.0) {
                    let of = if spot.handlers { "Handler" } else { "Task" };
                    let accepted = [TASK, COMMON, INHERITED].concat().join(", ");
                    return fail(
                        at,
                        &spot.file,
                        Problem::Keyword { keyword: (*other).to_owned(), of, accepted },
                    );
                }
                one
            }
            _ => {
                let names: Vec<&str> = modules.iter().map(|(name, ..)| *name).collect();
                return fail(node, &spot.file, Problem::TwoActions(names.join(", ")));
            }
        };
        let (name, _, value) = chosen;
        task.written = (*name).to_owned();
        task.action = short_name(name).to_owned();
        let more = self.arguments(value, &task.action, spot)?;
        // What stands in `args` gives way to the module's own.
        task.args.retain(|(key, _)| !more.iter().any(|(other, _)| other == key));
        task.args.extend(more);
        Ok(())
    }

    fn arguments(&mut self, node: &YamlNode, action: &str, spot: &Spot) -> Result<Vec<(String, Value)>> {
        match node.clone().into_value() {
            Value::Map(entries) => {
                Ok(entries.into_iter().map(|(key, value)| (key_text(&key), value)).collect())
            }
            Value::Null => Ok(Vec::new()),
            Value::Text(text) => {
                let free = FREE_FORM.contains(&action);
                let command =
                    matches!(action, "command" | "shell" | "script" | "raw" | "win_command" | "win_shell");
                if !free && text.trim().starts_with("{{") && text.trim().ends_with("}}") {
                    return Ok(vec![("_variable_params".to_owned(), Value::Text(text))]);
                }
                let known =
                    command.then_some(if action == "raw" { &["executable"][..] } else { COMMAND_NAMES });
                parse_pairs(&text, free || !self.knows(action), known)
                    .or_else(|why| fail(node, &spot.file, Problem::Arguments(why)))
            }
            Value::List(items) if FREE_FORM.contains(&action) => {
                Ok(vec![("argv".to_owned(), Value::List(items))])
            }
            other @ (Value::Int(_) | Value::Bool(_) | Value::Float(_)) => {
                Ok(vec![("_raw_params".to_owned(), Value::Text(key_text(&other)))])
            }
            _ => fail(
                node,
                &spot.file,
                Problem::Unexpected { expected: "arguments (a map or a text)", found: node.words() },
            ),
        }
    }

    fn read_args(&mut self, node: &YamlNode, task: &mut Task, spot: &Spot) -> Result<()> {
        match node.clone().into_value() {
            Value::Map(entries) => {
                let more = entries.into_iter().map(|(key, value)| (key_text(&key), value));
                task.args.splice(0..0, more);
                Ok(())
            }
            Value::Null => Ok(()),
            template @ Value::Text(_) => {
                task.args_template = Some(template);
                Ok(())
            }
            _ => fail(
                node,
                &spot.file,
                Problem::Unexpected { expected: "arguments (a map)", found: node.words() },
            ),
        }
    }

    fn read_action(&mut self, node: &YamlNode, task: &mut Task, spot: &Spot) -> Result<()> {
        match node.clone().into_value() {
            Value::Text(text) => {
                let (name, rest) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
                task.written = name.to_owned();
                task.action = short_name(name).to_owned();
                let rest = YamlNode {
                    line: node.line,
                    column: node.column,
                    kind: YamlKind::Scalar(Value::Text(rest.to_owned())),
                };
                let action = task.action.clone();
                task.args.extend(self.arguments(&rest, &action, spot)?);
                Ok(())
            }
            Value::Map(entries) => {
                for (key, value) in entries {
                    match key_text(&key).as_str() {
                        "module" => {
                            task.written = key_text(&value);
                            task.action = short_name(&task.written).to_owned();
                        }
                        "args" => task.args.extend(named(value)),
                        other => task.args.push((other.to_owned(), value)),
                    }
                }
                if task.action.is_empty() { fail(node, &spot.file, Problem::NoAction) } else { Ok(()) }
            }
            _ => fail(node, &spot.file, Problem::NoAction),
        }
    }

    /// Whether a module may be used: ours, or one that the caller knows.
    pub(crate) fn knows(&self, name: &str) -> bool {
        let short = short_name(name);
        CONTROLLER.contains(&short) || (self.supported)(short)
    }

    fn note_support(&mut self, task: &Task) {
        let seen = self.unsupported.iter().any(|(_, name)| *name == task.written);
        if !self.knows(&task.action) && !task.action.contains("{{") && !seen {
            self.unsupported.push((task.within.place.clone(), task.written.clone()));
        }
    }

    /// Static imports are replaced by what they import.
    fn place_task(&mut self, task: Task, spot: &Spot, out: &mut Vec<Item>) -> Result<()> {
        match task.action.as_str() {
            "import_tasks" => out.push(self.import_tasks(&task, spot)?),
            "import_role" => out.push(self.import_role(&task, spot)?),
            _ => out.push(Item::Task(Rc::new(task))),
        }
        Ok(())
    }
}
