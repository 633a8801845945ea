//! Which arguments a module takes: the table that checks arguments before the first task and in the module itself.

use crate::base::{Done, Task};

/// Type of an argument, by Ansible's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `str`
    Text,
    /// `path`: a text in which `~` and `$NAME` are replaced.
    Path,
    /// `bool`
    Flag,
    /// `int`
    Int,
    /// `float`
    Float,
    /// `list`, or a text with commas.
    List,
    /// `dict`, or a text of `key=value`.
    Map,
    /// `raw`: anything.
    Raw,
    /// `jsonarg`: maps and lists become JSON text.
    Json,
}

impl Kind {
    /// Ansible's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "str",
            Self::Path => "path",
            Self::Flag => "bool",
            Self::Int => "int",
            Self::Float => "float",
            Self::List => "list",
            Self::Map => "dict",
            Self::Raw => "raw",
            Self::Json => "jsonarg",
        }
    }
}

/// What an argument is when the task does not give it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Preset {
    /// Nothing (`None`).
    Nothing,
    /// A truth value.
    Flag(bool),
    /// A number.
    Int(i64),
    /// A text.
    Text(&'static str),
    /// A list of texts.
    List(&'static [&'static str]),
}

/// One argument.
#[derive(Debug, Clone, Copy)]
pub struct Arg {
    /// Name in results and messages.
    pub name: &'static str,
    /// Other names that tasks may use.
    pub aliases: &'static [&'static str],
    /// Type.
    pub kind: Kind,
    /// Type of the entries when it is a list.
    pub elements: Kind,
    /// Whether a task must give it.
    pub required: bool,
    /// What it is otherwise.
    pub preset: Preset,
    /// Accepted values; empty is any.
    pub choices: &'static [&'static str],
    /// Whether its value must never be shown.
    pub secret: bool,
    /// Arguments within, when it is a map or a list of maps.
    pub inner: &'static [Arg],
}

impl Arg {
    /// An argument of this type that may be left out.
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            aliases: &[],
            kind,
            elements: Kind::Raw,
            required: false,
            preset: Preset::Nothing,
            choices: &[],
            secret: false,
            inner: &[],
        }
    }

    pub(crate) const fn aka(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(crate) const fn or(mut self, value: &'static str) -> Self {
        self.preset = Preset::Text(value);
        self
    }

    pub(crate) const fn or_int(mut self, value: i64) -> Self {
        self.preset = Preset::Int(value);
        self
    }

    pub(crate) const fn or_list(mut self, value: &'static [&'static str]) -> Self {
        self.preset = Preset::List(value);
        self
    }

    pub(crate) const fn one_of(mut self, choices: &'static [&'static str]) -> Self {
        self.choices = choices;
        self
    }

    pub(crate) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(crate) const fn of(mut self, elements: Kind) -> Self {
        self.elements = elements;
        self
    }

    pub(crate) const fn with(mut self, inner: &'static [Arg]) -> Self {
        self.inner = inner;
        self
    }
}

pub(crate) const fn text(name: &'static str) -> Arg {
    Arg::new(name, Kind::Text)
}

pub(crate) const fn path(name: &'static str) -> Arg {
    Arg::new(name, Kind::Path)
}

pub(crate) const fn flag(name: &'static str, preset: bool) -> Arg {
    let mut arg = Arg::new(name, Kind::Flag);
    arg.preset = Preset::Flag(preset);
    arg
}

pub(crate) const fn maybe(name: &'static str) -> Arg {
    Arg::new(name, Kind::Flag)
}

pub(crate) const fn int(name: &'static str) -> Arg {
    Arg::new(name, Kind::Int)
}

/// A list of texts.
pub(crate) const fn list(name: &'static str) -> Arg {
    Arg::new(name, Kind::List).of(Kind::Text)
}

pub(crate) const fn raw(name: &'static str) -> Arg {
    Arg::new(name, Kind::Raw)
}

pub(crate) const fn map(name: &'static str) -> Arg {
    Arg::new(name, Kind::Map)
}

/// What must hold between arguments.
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    /// At most one of these.
    Exclusive(&'static [&'static str]),
    /// All of these or none.
    Together(&'static [&'static str]),
    /// At least one of these.
    OneOf(&'static [&'static str]),
    /// When the first has the second's value, all of the others.
    IfAll(&'static str, &'static str, &'static [&'static str]),
    /// When the first has the second's value, one of the others.
    IfAny(&'static str, &'static str, &'static [&'static str]),
    /// When the first is given, all of the others.
    By(&'static str, &'static [&'static str]),
}

/// One module.
#[derive(Clone, Copy)]
pub struct ModuleSpec {
    /// Short name.
    pub name: &'static str,
    /// Other names for the same.
    pub also: &'static [&'static str],
    /// Arguments of its own; with [`ModuleSpec::file_args`] there are [`FILE_ARGS`] as well.
    pub args: &'static [Arg],
    /// Whether it takes `owner`, `group`, `mode` and the like.
    pub file_args: bool,
    /// What must hold between arguments.
    pub rules: &'static [Rule],
    /// Whether results tell owner and mode of the file they name in `path` or `dest`.
    pub(crate) tells_file: bool,
    /// Whether it can tell what it would change.
    pub(crate) checks: bool,
    pub(crate) run: fn(&mut Task<'_>) -> Done,
}

impl std::fmt::Debug for ModuleSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModuleSpec").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ModuleSpec {
    pub(crate) const fn new(
        name: &'static str,
        args: &'static [Arg],
        run: fn(&mut Task<'_>) -> Done,
    ) -> Self {
        Self { name, also: &[], args, file_args: false, rules: &[], tells_file: true, checks: true, run }
    }

    pub(crate) const fn also(mut self, names: &'static [&'static str]) -> Self {
        self.also = names;
        self
    }

    pub(crate) const fn with_file_args(mut self) -> Self {
        self.file_args = true;
        self
    }

    pub(crate) const fn rules(mut self, rules: &'static [Rule]) -> Self {
        self.rules = rules;
        self
    }

    pub(crate) const fn no_check(mut self) -> Self {
        self.checks = false;
        self
    }

    pub(crate) const fn plain(mut self) -> Self {
        self.tells_file = false;
        self
    }

    /// What is wrong with these names of arguments: unknown ones, beside those that are accepted.
    pub fn unknown(&self, names: &[&str]) -> Option<String> {
        crate::base::check::unknown(self, names)
    }

    /// All arguments, common ones included.
    pub fn all_args(&self) -> impl Iterator<Item = &'static Arg> + use<> {
        let common = if self.file_args { FILE_ARGS } else { &[] };
        self.args.iter().chain(common)
    }
}

/// What modules that make files take in common.
pub const FILE_ARGS: &[Arg] = &[
    raw("mode"),
    text("owner"),
    text("group"),
    text("seuser"),
    text("serole"),
    text("selevel"),
    text("setype"),
    text("attributes").aka(&["attr"]),
    flag("unsafe_writes", false),
];
