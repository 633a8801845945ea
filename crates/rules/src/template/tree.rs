//! The tree that a template is parsed into.

use std::collections::BTreeMap;

pub(crate) type Block = Vec<Node>;

#[derive(Debug)]
pub(crate) enum Node {
    Text(String),
    Action(Pipe),
    If { pipe: Pipe, then: Block, otherwise: Block },
    With { pipe: Pipe, then: Block, otherwise: Block },
    Range { pipe: Pipe, each: Block, otherwise: Block },
    Template { name: String, pipe: Option<Pipe>, pos: usize },
    Break,
    Continue,
}

/// `$a, $b := command | command`.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) variables: Vec<String>,
    /// `=` in place of `:=`.
    pub(crate) assigns: bool,
    pub(crate) commands: Vec<Command>,
    pub(crate) pos: usize,
    /// Byte after it, so that an error can quote it.
    pub(crate) end: usize,
}

#[derive(Debug)]
pub(crate) struct Command {
    /// Never empty.
    pub(crate) words: Vec<Operand>,
    pub(crate) pos: usize,
    pub(crate) end: usize,
}

#[derive(Debug)]
pub(crate) struct Operand {
    pub(crate) kind: OperandKind,
    /// `.a.b` behind it.
    pub(crate) fields: Vec<String>,
    pub(crate) pos: usize,
    pub(crate) end: usize,
}

#[derive(Debug)]
pub(crate) enum OperandKind {
    Dot,
    Nil,
    Variable(String),
    Function(String),
    Pipe(Box<Pipe>),
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

/// A template with the templates that it defines.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) main: Block,
    pub(crate) defined: BTreeMap<String, Block>,
}

impl Operand {
    /// May stand behind `|`: it takes the value as its last argument.
    pub(crate) fn is_callable(&self) -> bool {
        use OperandKind::{Bool, Dot, Float, Int, Nil, Text};
        match self.kind {
            Bool(_) | Int(_) | Float(_) | Text(_) | Nil => false,
            Dot => !self.fields.is_empty(),
            _ => true,
        }
    }

    pub(crate) fn has_fields(&self) -> bool {
        use OperandKind::{Dot, Function, Pipe, Variable};
        matches!(self.kind, Dot | Variable(_) | Pipe(_) | Function(_))
    }
}

/// A number as Go writes it: whole unless it has a point or an exponent.
pub(crate) fn number(text: &str) -> Option<OperandKind> {
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let lower = digits.to_ascii_lowercase();
    let radix = |prefix: &str, radix| lower.strip_prefix(prefix).map(|d| i64::from_str_radix(d, radix).ok());
    let whole = radix("0x", 16).or_else(|| radix("0b", 2)).or_else(|| radix("0o", 8)).or_else(|| {
        (lower.len() > 1 && lower.bytes().all(|b| b.is_ascii_digit())).then(|| radix("0", 8)).flatten()
    });
    if let Some(whole) = whole {
        let whole = whole?;
        return Some(OperandKind::Int(if negative { -whole } else { whole }));
    }
    if lower.bytes().all(|b| b.is_ascii_digit()) {
        return plain.trim_start_matches('+').parse().ok().map(OperandKind::Int);
    }
    let looks = lower.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let value: f64 = looks.then(|| lower.parse().ok()).flatten()?;
    Some(OperandKind::Float(if negative { -value } else { value }))
}
