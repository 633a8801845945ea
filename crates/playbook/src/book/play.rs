//! Reads plays.

use std::rc::Rc;

use wellkept_inventory::{Place, Value, YamlNode};

use super::keywords::{COMMON, INHERITED, PLAY, PLAY_OWN, find};
use super::loader::{Loader, parent};
use super::problem::{Problem, Result};
use super::roles::From;
use super::tasks::{Spot, entries, fail, items, key_text, listed, take_common, within};
use super::{Item, Play, Prompt, Role, Within};

/// Playbooks that import playbooks.
const IMPORTS_MAX: usize = 20;

type Fields<'n> = Vec<(&'n str, &'n YamlNode, &'n YamlNode)>;

impl Loader {
    /// The plays of a file; `around`: what the import that names it says.
    pub(crate) fn read_plays(
        &mut self,
        path: &str,
        around: Option<&Rc<Within>>,
        depth: usize,
        out: &mut Vec<Play>,
    ) -> Result<()> {
        let file = Place::file(path);
        let Some(node) = self.yaml(path)? else {
            let empty =
                YamlNode { line: 0, column: 0, kind: wellkept_inventory::YamlKind::Scalar(Value::Null) };
            return fail(
                &empty,
                &file,
                Problem::Unexpected { expected: "a list of plays", found: "nothing".to_owned() },
            );
        };
        if depth > IMPORTS_MAX {
            return fail(&node, &file, Problem::TooDeep { what: "imported playbooks", max: IMPORTS_MAX });
        }
        for entry in items(&node, &file, "a list of plays")? {
            let fields = entries(entry, &file, "a play (a map)")?;
            let import = fields
                .iter()
                .find(|(key, ..)| matches!(*key, "import_playbook" | "ansible.builtin.import_playbook"));
            match import {
                Some((_, _, name)) => self.import(entry, &fields, name, path, depth, out)?,
                None => {
                    folder_of(path).clone_into(&mut self.folder);
                    let play = self.read_play(entry, &fields, &file, around)?;
                    out.push(play);
                }
            }
        }
        Ok(())
    }

    fn import(
        &mut self,
        node: &YamlNode,
        fields: &Fields<'_>,
        name: &YamlNode,
        path: &str,
        depth: usize,
        out: &mut Vec<Play>,
    ) -> Result<()> {
        let file = Place::file(path);
        let mut own = within(None, node.place(&file));
        for (key, at, value) in fields {
            let known = matches!(
                *key,
                "name" | "vars" | "when" | "tags" | "import_playbook" | "ansible.builtin.import_playbook"
            );
            if !known {
                let accepted = "name, tags, vars, when".to_owned();
                return fail(
                    at,
                    &file,
                    Problem::Keyword { keyword: (*key).to_owned(), of: "PlaybookInclude", accepted },
                );
            }
            take_common(&mut own, key, value);
        }
        let name = self.static_name(&name.clone().into_value(), &own)?;
        let target = if name.starts_with('/') { name } else { format!("{}/{name}", parent(path)) };
        if !self.exists(&target) {
            return fail(node, &file, Problem::Missing { name: target.clone(), looked: target });
        }
        self.read_plays(&target, Some(&Rc::new(own)), depth + 1, out)?;
        Ok(())
    }

    fn read_play(
        &mut self,
        node: &YamlNode,
        fields: &Fields<'_>,
        file: &Place,
        around: Option<&Rc<Within>>,
    ) -> Result<Play> {
        let mut about = within(around.cloned(), node.place(file));
        let mut own: Vec<(&'static str, Value)> = Vec::new();
        let (mut hosts, mut vars_files, mut prompts) = (None, Vec::new(), Vec::new());
        for (key, at, value) in fields {
            let plain = || (*value).clone().into_value();
            match *key {
                "when" => {
                    let accepted = [PLAY, COMMON, INHERITED].concat().join(", ");
                    return fail(
                        at,
                        file,
                        Problem::Keyword { keyword: "when".to_owned(), of: "Play", accepted },
                    );
                }
                key if take_common(&mut about, key, value) && key != "notify" => {}
                "hosts" => hosts = Some(patterns(value, file)?),
                "user" => about.attrs.push(("remote_user", plain())),
                "vars_files" => vars_files = listed(plain()),
                "vars_prompt" => prompts = read_prompts(value, file)?,
                "tasks" | "pre_tasks" | "post_tasks" | "handlers" | "roles" | "validate_argspec" => {}
                key => match find(PLAY_OWN, key) {
                    Some(known) => own.push((known, plain())),
                    None => {
                        let accepted = [PLAY, COMMON, INHERITED].concat().join(", ");
                        return fail(
                            at,
                            file,
                            Problem::Keyword { keyword: key.to_owned(), of: "Play", accepted },
                        );
                    }
                },
            }
        }
        let Some(hosts) = hosts else {
            return fail(
                node,
                file,
                Problem::Unexpected { expected: "the field 'hosts' of a play", found: "none".to_owned() },
            );
        };
        check_strategy(node, file, &own)?;
        about.vars.extend(around.iter().flat_map(|import| import.vars.iter().cloned()));
        self.play_vars.clone_from(&about.vars);
        self.play_handlers.clear();
        self.play_roles.clear();
        self.seen.clear();
        let about = Rc::new(about);
        let (role_items, mut handlers, mut used) = self.read_roles(fields, file, &about)?;
        let mut part = |name: &str, handlers: bool| match fields.iter().find(|(key, ..)| *key == name) {
            Some((_, _, list)) => {
                let spot = Spot { parent: Rc::clone(&about), file: file.clone(), handlers, depth: 0 };
                self.read_items(list, &spot)
            }
            None => Ok(Vec::new()),
        };
        let (pre_tasks, tasks) = (part("pre_tasks", false)?, part("tasks", false)?);
        let (post_tasks, own_handlers) = (part("post_tasks", false)?, part("handlers", true)?);
        handlers.append(&mut self.play_handlers);
        handlers.extend(own_handlers);
        used.append(&mut self.play_roles);
        Ok(Play {
            within: about,
            hosts,
            own,
            vars_files,
            prompts,
            pre_tasks,
            roles: role_items,
            tasks,
            post_tasks,
            handlers,
            used_roles: used,
            folder: self.folder.clone(),
            seen: self.seen.clone(),
        })
    }

    #[expect(clippy::type_complexity, reason = "three lists that are taken apart at the one call")]
    fn read_roles(
        &mut self,
        fields: &Fields<'_>,
        file: &Place,
        about: &Rc<Within>,
    ) -> Result<(Vec<Item>, Vec<Item>, Vec<Rc<Role>>)> {
        let (mut out, mut handlers, mut used) = (Vec::new(), Vec::new(), Vec::new());
        for (_, _, list) in fields.iter().filter(|(key, ..)| *key == "roles") {
            for entry in items(list, file, "a list of roles")? {
                let (name, own) = self.role_entry(entry, file, about)?;
                let again = self.seen_before(&name, &own);
                let items = self.use_role(&name, own, &From::default(), 0, &mut handlers, &mut used)?;
                if !again || used.last().is_some_and(|role| role.allow_duplicates) {
                    out.extend(items);
                }
            }
        }
        Ok((out, handlers, used))
    }
}

fn folder_of(path: &str) -> &str {
    parent(path)
}

fn check_strategy(node: &YamlNode, file: &Place, own: &[(&'static str, Value)]) -> Result<()> {
    let strategy = own.iter().find(|(key, _)| *key == "strategy").map(|(_, value)| key_text(value));
    match strategy.as_deref().map(super::short_name) {
        None | Some("linear" | "free" | "host_pinned") => Ok(()),
        Some(template) if template.contains("{{") => Ok(()),
        Some(other) => fail(node, file, Problem::Strategy(other.to_owned())),
    }
}

fn patterns(node: &YamlNode, file: &Place) -> Result<Vec<String>> {
    let all: Vec<String> = listed(node.clone().into_value()).iter().map(key_text).collect();
    if all.is_empty() || all.iter().any(|pattern| pattern.trim().is_empty()) {
        return fail(
            node,
            file,
            Problem::Unexpected {
                expected: "a host pattern; hosts list cannot be empty",
                found: node.words(),
            },
        );
    }
    Ok(all)
}

fn read_prompts(node: &YamlNode, file: &Place) -> Result<Vec<Prompt>> {
    let mut out = Vec::new();
    for entry in items(node, file, "a list of prompts")? {
        let mut prompt = Prompt {
            name: String::new(),
            prompt: String::new(),
            default: None,
            private: true,
            confirm: false,
            encrypt: None,
        };
        for (key, at, value) in entries(entry, file, "a prompt (a map)")? {
            let plain = value.clone().into_value();
            match key {
                "name" => prompt.name = key_text(&plain),
                "prompt" => prompt.prompt = key_text(&plain),
                "default" => prompt.default = Some(plain),
                "private" => prompt.private = plain != Value::Bool(false),
                "confirm" => prompt.confirm = plain == Value::Bool(true),
                "encrypt" => prompt.encrypt = Some(key_text(&plain)),
                "salt_size" | "salt" | "unsafe" => {}
                other => {
                    let accepted =
                        "name, prompt, default, private, confirm, encrypt, salt_size, salt, unsafe"
                            .to_owned();
                    return fail(
                        at,
                        file,
                        Problem::Keyword { keyword: other.to_owned(), of: "vars_prompt", accepted },
                    );
                }
            }
        }
        if prompt.name.is_empty() {
            return fail(
                entry,
                file,
                Problem::Unexpected { expected: "a prompt with a name", found: entry.words() },
            );
        }
        if prompt.prompt.is_empty() {
            prompt.prompt.clone_from(&prompt.name);
        }
        out.push(prompt);
    }
    Ok(out)
}
