//! Playbooks as they are written: plays, blocks, tasks, roles, with the place of each.
//!
//! What a task inherits (become, tags, conditions, variables) is not copied into it: each task, block, role use and
//! play has a [`Within`], and these form a chain. Dynamic includes are read when they are reached, by the same reader.

mod args;
mod keywords;
mod loader;
mod modules;
mod play;
mod problem;
mod roles;
mod tasks;

use std::rc::Rc;

use wellkept_inventory::{Place, Value};

pub use args::{parse_pairs, split_words};
pub(crate) use keywords::inherited;
pub use loader::{Dynamic, Loader};
pub use modules::{CONTROLLER, short_name};
pub use problem::{BookError, Problem};
pub(crate) use roles::sealed;
pub(crate) use tasks::{key_text, listed, within};

/// A list of named values in the order of the file.
pub type Named = Vec<(String, Value)>;

/// A whole playbook.
pub struct Playbook {
    /// Plays in order, imported ones included.
    pub plays: Vec<Play>,
    /// Modules that are not supported, each with the place of its first task; they fail only when they are reached.
    pub unsupported: Vec<(Place, String)>,
}

/// What a task, block, role use or play says for everything inside it.
pub struct Within {
    /// Where.
    pub place: Place,
    /// `name`, may be a template.
    pub name: Option<String>,
    /// Keywords that are inherited, by name.
    pub attrs: Vec<(&'static str, Value)>,
    /// `vars`, role parameters.
    pub vars: Named,
    /// `vars` are parameters of a role or an include: they win over what was registered.
    pub params: bool,
    /// `when`.
    pub when: Vec<Value>,
    /// `tags`.
    pub tags: Vec<Value>,
    /// The role whose variables are seen from here on.
    pub role: Option<Rc<Role>>,
    /// `notify` of a block, or of the task itself.
    pub notify: Vec<Value>,
    /// What it stands in.
    pub parent: Option<Rc<Within>>,
}

impl Within {
    /// This and everything around it, inside first.
    pub fn chain(&self) -> impl Iterator<Item = &Within> {
        std::iter::successors(Some(self), |within| within.parent.as_deref())
    }

    /// The nearest saying of a keyword.
    pub fn attr(&self, name: &str) -> Option<&Value> {
        self.chain().find_map(|within| within.own(name))
    }

    /// The keyword as it is said right here.
    pub fn own(&self, name: &str) -> Option<&Value> {
        self.attrs.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The role that a task belongs to.
    pub fn role(&self) -> Option<&Rc<Role>> {
        self.chain().find_map(|within| within.role.as_ref())
    }
}

/// A role's own files, read once.
pub struct Role {
    /// The name as it was asked for.
    pub name: String,
    /// The folder.
    pub path: String,
    /// `defaults/main.yml`.
    pub defaults: Named,
    /// `vars/main.yml`.
    pub vars: Named,
    /// Names of the roles it depends on.
    pub dependencies: Vec<String>,
    /// May run more than once with the same parameters.
    pub allow_duplicates: bool,
    /// `meta/argument_specs.yml`: the specification of each entry point.
    pub argument_specs: Named,
}

/// A task or a block.
#[derive(Clone)]
pub enum Item {
    /// A task.
    Task(Rc<Task>),
    /// Tasks that share keywords, with `rescue` and `always`.
    Block(Rc<Block>),
}

/// Tasks that share keywords.
pub struct Block {
    /// What is said for all of them.
    pub within: Rc<Within>,
    /// `block`.
    pub tasks: Vec<Item>,
    /// `rescue`.
    pub rescue: Vec<Item>,
    /// `always`.
    pub always: Vec<Item>,
}

/// One task or handler.
pub struct Task {
    /// Place, name and keywords.
    pub within: Rc<Within>,
    /// The module's short name: `ansible.builtin.copy` is `copy`.
    pub action: String,
    /// The module's name as it was written.
    pub written: String,
    /// Arguments; a text that is no pairs stands under `_raw_params`.
    pub args: Vec<(String, Value)>,
    /// `args: "{{ … }}"`: a template that gives arguments.
    pub args_template: Option<Value>,
    /// `loop` or `with_<lookup>`.
    pub looped: Option<Loop>,
    /// Keywords of the task alone: register, until, retries, `changed_when`, …
    pub own: Vec<(&'static str, Value)>,
    /// `listen` of a handler.
    pub listen: Vec<String>,
}

impl Task {
    /// A keyword of the task alone.
    pub fn own(&self, name: &str) -> Option<&Value> {
        self.own.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// An argument as it was written.
    pub fn arg(&self, name: &str) -> Option<&Value> {
        self.args.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The name that the output shows before templates in it are rendered.
    pub fn title(&self) -> String {
        let name = self.within.name.clone().unwrap_or_else(|| {
            match (self.action.as_str(), self.arg("name").or_else(|| self.arg("role"))) {
                ("include_role", Some(role)) => format!("{} : {}", self.written, key_text(role)),
                _ => self.written.clone(),
            }
        });
        match self.within.role().filter(|_| self.action != "include_role") {
            Some(role) => format!("{} : {name}", role.name),
            None => name,
        }
    }
}

/// What a task is repeated over.
pub struct Loop {
    /// The lookup: `items` for `with_items`; `None` for `loop`.
    pub lookup: Option<String>,
    /// A list, or a template that gives one.
    pub terms: Value,
    /// `loop_control`.
    pub control: Vec<(String, Value)>,
}

/// A question that is asked before a play.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// The variable.
    pub name: String,
    /// What is asked.
    pub prompt: String,
    /// The answer when nothing is typed.
    pub default: Option<Value>,
    /// What is typed is not shown.
    pub private: bool,
    /// Asked twice.
    pub confirm: bool,
    /// How the answer is hashed.
    pub encrypt: Option<String>,
}

/// One play.
pub struct Play {
    /// Place, name, inherited keywords and variables.
    pub within: Rc<Within>,
    /// `hosts`: a pattern or a list of patterns, may hold templates.
    pub hosts: Vec<String>,
    /// Keywords of the play alone: serial, strategy, `gather_facts`, …
    pub own: Vec<(&'static str, Value)>,
    /// `vars_files`: each a name, or a list of which the first that exists is taken.
    pub vars_files: Vec<Value>,
    /// `vars_prompt`.
    pub prompts: Vec<Prompt>,
    /// `pre_tasks`.
    pub pre_tasks: Vec<Item>,
    /// `roles`, with what they depend on before them.
    pub roles: Vec<Item>,
    /// `tasks`.
    pub tasks: Vec<Item>,
    /// `post_tasks`.
    pub post_tasks: Vec<Item>,
    /// `handlers`, those of roles first.
    pub handlers: Vec<Item>,
    /// Roles whose defaults and variables the whole play sees.
    pub used_roles: Vec<Rc<Role>>,
    /// The folder of the playbook.
    pub folder: String,
    /// Roles that were used, with parameters and conditions.
    pub(crate) seen: Vec<(String, Named, Vec<Value>)>,
}

impl Play {
    /// A keyword of the play alone.
    pub fn own(&self, name: &str) -> Option<&Value> {
        self.own.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The name that the output shows: `name`, else the hosts.
    pub fn title(&self) -> String {
        match &self.within.name {
            Some(name) if !name.trim().is_empty() => name.clone(),
            _ => self.hosts.join(","),
        }
    }
}
