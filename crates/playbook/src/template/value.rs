//! Values while a template runs: Python's, because that is what templates were written for.
//!
//! Lists and maps can be changed in place (`list.append`), so they are shared cells. A text that is still a template
//! stands as [`Val::Lazy`] inside containers and is rendered when somebody looks at it, so that an undefined name in
//! one entry does not spoil the others. What has been rendered is a plain text and is never rendered again.

use std::cell::RefCell;
use std::rc::Rc;

use indexmap::IndexMap;

use super::ast::Macro;
use super::scope::ScopeRef;

/// A list that can be changed in place.
pub(crate) type ListRef = Rc<RefCell<Vec<Val>>>;
/// A map that can be changed in place.
pub(crate) type DictRef = Rc<RefCell<Dict>>;
/// A map in the order in which its keys came.
pub(crate) type Dict = IndexMap<Key, Val>;

/// One value.
#[derive(Clone)]
pub(crate) enum Val {
    /// A name that nobody set; using it is an error that tells the text.
    Undef(Rc<str>),
    /// `omit`: an argument that is not given at all.
    Omit,
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(Rc<str>),
    List(ListRef),
    Tuple(Rc<Vec<Val>>),
    Map(DictRef),
    /// A template that has not been looked at yet, with the names it sees.
    Lazy(Rc<str>, ScopeRef),
    /// An encrypted text that could not be opened (yet).
    Vault(Rc<str>),
    /// A moment without a zone.
    Time(jiff::civil::DateTime),
    /// Microseconds between two moments.
    Delta(i64),
    Func(Rc<Func>),
    /// `hostvars`.
    Hosts(ScopeRef),
    /// Variables of a host, looked up by name.
    Scope(ScopeRef),
    /// `{% import %}`, `namespace()`, `loop`.
    Object(DictRef, &'static str),
}

/// What can be called.
pub(crate) enum Func {
    /// A function that every template knows.
    Global(&'static str),
    /// A method of a value.
    Bound(Val, Rc<str>),
    Macro(Rc<Macro>, super::interp::Frames),
    /// The body of a `{% call %}` block, already bound to its frames.
    Caller(Rc<Macro>, super::interp::Frames),
    /// `loop(…)` in a recursive loop.
    Loop(Rc<super::ast::For>, super::interp::Frames, usize),
    Joiner(Rc<str>, RefCell<bool>),
}

/// What may be a key of a map. Truth values and whole numbers are one kind, as in Python.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Key {
    None,
    Bool(bool),
    Int(i128),
    /// The bits of a number that is no whole one.
    Float(u64),
    Str(Rc<str>),
    Tuple(Vec<Key>),
}

impl Key {
    /// The key for a value; `None` when Python could not hash it.
    pub(crate) fn of(value: &Val) -> Option<Self> {
        Some(match value {
            Val::None => Self::None,
            Val::Bool(truth) => Self::Bool(*truth),
            Val::Int(number) => Self::Int(*number),
            Val::Float(number) => Self::Float(number.to_bits()),
            Val::Str(text) | Val::Vault(text) => Self::Str(Rc::clone(text)),
            Val::Tuple(items) => Self::Tuple(items.iter().map(Self::of).collect::<Option<_>>()?),
            _ => return None,
        })
    }

    pub(crate) fn text(text: &str) -> Self {
        Self::Str(text.into())
    }

    pub(crate) fn value(&self) -> Val {
        match self {
            Self::None => Val::None,
            Self::Bool(truth) => Val::Bool(*truth),
            Self::Int(number) => Val::Int(*number),
            Self::Float(bits) => Val::Float(f64::from_bits(*bits)),
            Self::Str(text) => Val::Str(Rc::clone(text)),
            Self::Tuple(items) => Val::Tuple(Rc::new(items.iter().map(Self::value).collect())),
        }
    }
}

impl Val {
    pub(crate) fn str(text: impl AsRef<str>) -> Self {
        Self::Str(text.as_ref().into())
    }

    pub(crate) fn list(items: Vec<Self>) -> Self {
        Self::List(Rc::new(RefCell::new(items)))
    }

    pub(crate) fn tuple(items: Vec<Self>) -> Self {
        Self::Tuple(Rc::new(items))
    }

    pub(crate) fn map(entries: Dict) -> Self {
        Self::Map(Rc::new(RefCell::new(entries)))
    }

    pub(crate) fn undef(name: &str) -> Self {
        Self::Undef(format!("'{name}' is undefined").into())
    }

    pub(crate) fn is_undef(&self) -> bool {
        matches!(self, Self::Undef(_))
    }

    /// The items of a list or tuple.
    pub(crate) fn items(&self) -> Option<Vec<Self>> {
        match self {
            Self::List(items) => Some(items.borrow().clone()),
            Self::Tuple(items) => Some(items.to_vec()),
            _ => None,
        }
    }

    /// The name that Python gives the type, as `type_debug` shows it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Undef(_) => "AnsibleUndefined",
            Self::Omit => "Omit",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) | Self::Lazy(..) => "str",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Map(_) => "dict",
            Self::Vault(_) => "EncryptedString",
            Self::Time(_) => "datetime",
            Self::Delta(_) => "timedelta",
            Self::Func(_) => "function",
            Self::Hosts(_) => "HostVars",
            Self::Scope(_) => "HostVarsVars",
            Self::Object(_, name) => name,
        }
    }
}
