//! A template as a tree.

use std::rc::Rc;

/// An expression.
pub(crate) enum Expr {
    Text(Rc<str>),
    Int(i128),
    Float(f64),
    Bool(bool),
    None,
    Name(Rc<str>),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Attr(Box<Expr>, Rc<str>),
    Item(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, [Option<Box<Expr>>; 3]),
    Call(Box<Expr>, Args),
    /// Without an expression inside `{% filter %}`.
    Filter(Option<Box<Expr>>, Rc<str>, Args),
    Test(Box<Expr>, Rc<str>, Args),
    Not(Box<Expr>),
    Neg(Box<Expr>),
    Pos(Box<Expr>),
    Bin(Op, Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Concat(Vec<Expr>),
    Compare(Box<Expr>, Vec<(Cmp, Expr)>),
    /// `value if test else other`.
    Cond(Box<Expr>, Box<Expr>, Option<Box<Expr>>),
}

/// Arithmetic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Rem,
    Pow,
}

/// Comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cmp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
}

/// Arguments of a call.
#[derive(Default)]
pub(crate) struct Args {
    pub(crate) positional: Vec<Expr>,
    pub(crate) named: Vec<(Rc<str>, Expr)>,
    /// `*list`.
    pub(crate) rest: Option<Box<Expr>>,
    /// `**map`.
    pub(crate) rest_named: Option<Box<Expr>>,
}

/// What `set` and `for` give values to.
pub(crate) enum Target {
    Name(Rc<str>),
    /// `ns.name`.
    Attr(Rc<str>, Rc<str>),
    Tuple(Vec<Target>),
}

/// A statement.
pub(crate) enum Stmt {
    Text(Rc<str>),
    Emit(Expr),
    If(Vec<(Expr, Vec<Node>)>, Vec<Node>),
    For(Rc<For>),
    Set(Target, Expr),
    SetBlock(Target, Option<Expr>, Vec<Node>),
    Macro(Rc<Macro>),
    /// The call, and the block as a macro.
    Call(Expr, Rc<Macro>),
    Filter(Expr, Vec<Node>),
    With(Vec<(Target, Expr)>, Vec<Node>),
    /// The template's name, and whether it may be missing.
    Include(Expr, bool),
    Import(Expr, Rc<str>),
    FromImport(Expr, Vec<(Rc<str>, Rc<str>)>),
    Extends(Expr),
    Block(Rc<str>, Rc<Vec<Node>>),
    Do(Expr),
    Scope(Vec<Node>),
    Break,
    Continue,
}

/// A statement and its line.
pub(crate) struct Node {
    pub(crate) line: u32,
    pub(crate) stmt: Stmt,
}

/// A loop.
pub(crate) struct For {
    pub(crate) target: Target,
    pub(crate) over: Expr,
    pub(crate) filter: Option<Expr>,
    pub(crate) recursive: bool,
    /// The body asks for `loop`, or includes a file that may.
    pub(crate) uses_loop: bool,
    pub(crate) body: Vec<Node>,
    pub(crate) otherwise: Vec<Node>,
}

/// A macro.
pub(crate) struct Macro {
    pub(crate) name: Rc<str>,
    pub(crate) params: Vec<(Rc<str>, Option<Expr>)>,
    pub(crate) body: Vec<Node>,
    /// The body mentions `varargs` or `kwargs`, so that it takes what it did not name.
    pub(crate) takes_more: bool,
}
