//! Finds and reads files of a playbook: imports, includes, variables; opens sealed ones.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use wellkept_inventory::{FILE_BYTES_MAX, Place, Value, YamlNode, read_yaml};

use super::problem::{BookError, Problem, Result};
use super::tasks::{Spot, key_text};
use super::{Block, Item, Named, Play, Playbook, Role, Task, Within};
use crate::template::{Engine, Scope};

/// What a dynamic include asks for.
pub struct Dynamic {
    /// Tasks, run in a block of their own.
    pub items: Vec<Item>,
    /// Handlers that a role brings.
    pub handlers: Vec<Item>,
    /// Roles whose variables are seen when `public` is set.
    pub roles: Vec<Rc<Role>>,
}

/// Reads playbooks and what they name.
pub struct Loader {
    pub(crate) engine: Rc<Engine>,
    /// Folders in which roles are searched, after the playbook's own.
    pub roles_path: Vec<String>,
    /// Folders that hold `ansible_collections`.
    pub collections_path: Vec<String>,
    /// Lookups that the caller answers besides those of ansible-core.
    pub lookups: Vec<String>,
    /// Variables from the command line, for names of static imports.
    pub extra: Named,
    pub(crate) supported: Box<dyn Fn(&str) -> bool>,
    pub(crate) folder: String,
    pub(crate) tasks: usize,
    pub(crate) unsupported: Vec<(Place, String)>,
    pub(crate) roles: HashMap<String, Rc<Role>>,
    /// Variables of the play that is being read.
    pub(crate) play_vars: Named,
    /// Roles that the play has used: name, parameters, conditions.
    pub(crate) seen: Vec<(String, Named, Vec<Value>)>,
    pub(crate) play_handlers: Vec<Item>,
    pub(crate) play_roles: Vec<Rc<Role>>,
}

struct Static(HashMap<String, Arc<Value>>);

impl Scope for Static {
    fn get(&self, name: &str) -> Option<Arc<Value>> {
        self.0.get(name).cloned()
    }
    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or(".", |(folder, _)| if folder.is_empty() { "/" } else { folder })
}

impl Loader {
    /// A loader that reads through the engine's files; `supported` says which modules can run, by short name.
    pub fn new(engine: Rc<Engine>, supported: impl Fn(&str) -> bool + 'static) -> Self {
        Self {
            engine,
            roles_path: Vec::new(),
            collections_path: Vec::new(),
            lookups: Vec::new(),
            extra: Vec::new(),
            supported: Box::new(supported),
            folder: ".".to_owned(),
            tasks: 0,
            unsupported: Vec::new(),
            roles: HashMap::new(),
            play_vars: Vec::new(),
            seen: Vec::new(),
            play_handlers: Vec::new(),
            play_roles: Vec::new(),
        }
    }

    /// Reads a playbook and everything that it names statically.
    ///
    /// # Errors
    /// The first mistake with its place.
    pub fn playbook(&mut self, path: &str) -> std::result::Result<Playbook, BookError> {
        let mut plays = Vec::new();
        self.read_plays(path, None, 0, &mut plays)?;
        Ok(Playbook { plays, unsupported: std::mem::take(&mut self.unsupported) })
    }

    /// The tasks of a file for `include_tasks`. `parent`: what they inherit; `from`: the including task.
    ///
    /// # Errors
    /// The first mistake with its place.
    pub fn included_tasks(
        &mut self,
        name: &str,
        from: &Task,
        parent: Rc<Within>,
    ) -> std::result::Result<Dynamic, BookError> {
        let path = self.find_tasks(name, from)?;
        let items = self.tasks_file(&path, &parent, false, 0)?;
        Ok(Dynamic { items, handlers: Vec::new(), roles: Vec::new() })
    }

    /// Variables of a file: a map, or nothing.
    ///
    /// # Errors
    /// The file cannot be read, is sealed, or holds no map.
    pub fn vars_file(&self, path: &str) -> std::result::Result<Named, BookError> {
        let Some(node) = self.yaml(path)? else { return Ok(Vec::new()) };
        match node.clone().into_value() {
            Value::Map(entries) => {
                Ok(entries.into_iter().map(|(key, value)| (key_text(&key), value)).collect())
            }
            Value::Null => Ok(Vec::new()),
            _ => Err(BookError {
                place: node.place(&Place::file(path)),
                problem: Problem::Unexpected { expected: "a map of variables", found: node.words() },
            }),
        }
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        matches!(self.engine.files.stat(path), Ok(Some(meta)) if !meta.folder)
    }

    pub(crate) fn is_folder(&self, path: &str) -> bool {
        matches!(self.engine.files.stat(path), Ok(Some(meta)) if meta.folder)
    }

    /// A YAML file; sealed ones are opened.
    pub(crate) fn yaml(&self, path: &str) -> Result<Option<YamlNode>> {
        let place = Place::file(path);
        let wrong = |problem: Problem| BookError { place: place.clone(), problem };
        let bytes =
            self.engine.files.read(path, FILE_BYTES_MAX).map_err(|why| wrong(Problem::Unreadable(why)))?.1;
        let mut text = String::from_utf8(bytes)
            .map_err(|_| wrong(Problem::Unreadable("it is not UTF-8 text".to_owned())))?;
        if crate::vault::is_sealed(&text) {
            let open = self.engine.outside.open_vault(&text);
            text = open.map_err(|why| wrong(Problem::Vault(path.to_owned(), why)))?;
        }
        Ok(read_yaml(&text, &place)?)
    }

    /// The first of `main.yml`, `main.yaml`, `main.json`, `main` in a folder.
    pub(crate) fn main_file(&self, folder: &str, name: &str) -> Option<String> {
        if name.ends_with(".yml") || name.ends_with(".yaml") || name.ends_with(".json") {
            let path = format!("{folder}/{name}");
            return self.exists(&path).then_some(path);
        }
        ["yml", "yaml", "json"]
            .iter()
            .map(|extension| format!("{folder}/{name}.{extension}"))
            .chain([format!("{folder}/{name}")])
            .find(|path| self.exists(path))
    }

    /// A name in a static import, with templates in it rendered from the command line's and the play's variables.
    pub(crate) fn static_name(&self, value: &Value, within: &Within) -> Result<String> {
        let mut known: HashMap<String, Arc<Value>> = HashMap::new();
        let play = self.play_vars.iter();
        for (name, value) in play {
            known.insert(name.clone(), Arc::new(value.clone()));
        }
        let chain: Vec<&Within> = within.chain().collect();
        for (name, value) in chain.iter().rev().flat_map(|within| &within.vars).chain(&self.extra) {
            known.insert(name.clone(), Arc::new(value.clone()));
        }
        known.insert("playbook_dir".to_owned(), Arc::new(Value::Unsafe(self.folder.clone())));
        if let Some(role) = within.role() {
            known.insert("role_path".to_owned(), Arc::new(Value::Unsafe(role.path.clone())));
        }
        let rendered = self.engine.session(Rc::new(Static(known))).value(value);
        match rendered {
            Ok(Some(value)) => Ok(key_text(&value)),
            Ok(None) => Ok(String::new()),
            Err(error) => {
                Err(BookError { place: within.place.clone(), problem: Problem::Template(error.to_string()) })
            }
        }
    }

    /// The file that `include_tasks` or `import_tasks` names.
    pub(crate) fn find_tasks(&self, name: &str, from: &Task) -> Result<String> {
        let here = parent(&from.within.place.file).to_owned();
        let mut looked = Vec::new();
        if name.starts_with('/') {
            looked.push(name.to_owned());
        } else {
            looked.push(format!("{here}/{name}"));
            if let Some(role) = from.within.role() {
                looked.push(format!("{}/tasks/{name}", role.path));
                looked.push(format!("{}/handlers/{name}", role.path));
                looked.push(format!("{}/{name}", role.path));
            }
            looked.push(format!("{}/tasks/{name}", self.folder));
            looked.push(format!("{}/{name}", self.folder));
        }
        match looked.iter().find(|path| self.exists(path)) {
            Some(path) => Ok(path.clone()),
            None => Err(BookError {
                place: from.within.place.clone(),
                problem: Problem::Missing { name: name.to_owned(), looked: looked.join(", ") },
            }),
        }
    }

    pub(crate) fn tasks_file(
        &mut self,
        path: &str,
        parent: &Rc<Within>,
        handlers: bool,
        depth: usize,
    ) -> Result<Vec<Item>> {
        let Some(node) = self.yaml(path)? else { return Ok(Vec::new()) };
        let spot = Spot { parent: Rc::clone(parent), file: Place::file(path), handlers, depth };
        self.read_items(&node, &spot)
    }

    /// The file that an import or include names: `file`, or the free text.
    pub(crate) fn file_arg(task: &Task) -> Option<&Value> {
        task.arg("file").or_else(|| task.arg("_raw_params"))
    }

    pub(crate) fn import_tasks(&mut self, task: &Task, spot: &Spot) -> Result<Item> {
        let missing = || BookError {
            place: task.within.place.clone(),
            problem: Problem::Unexpected {
                expected: "a file name after import_tasks",
                found: "none".to_owned(),
            },
        };
        let name = self.static_name(Self::file_arg(task).ok_or_else(missing)?, &task.within)?;
        let path = self.find_tasks(&name, task)?;
        let items = self.tasks_file(&path, &task.within, spot.handlers, spot.depth + 1)?;
        Ok(Item::Block(Rc::new(Block {
            within: Rc::clone(&task.within),
            tasks: items,
            rescue: Vec::new(),
            always: Vec::new(),
        })))
    }

    /// Variables of the play that tasks are read for; names of static imports may use them.
    pub fn enter_play(&mut self, play: &Play) {
        self.play_vars.clone_from(&play.within.vars);
        self.folder.clone_from(&play.folder);
        self.seen.clone_from(&play.seen);
    }
}
