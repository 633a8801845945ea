//! A checked query: types fit, functions are known, patterns are compiled, nesting is bounded.
//!
//! Parentheses and `+x` are gone. Only `lower` builds these, so that evaluation can rely on the types.

use wellkept_model::Matcher;

use crate::functions::Function;

/// What an expression gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Scalar,
    Text,
    Vector,
    Range,
}

impl Kind {
    /// Prometheus' word in error messages.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Text => "string",
            Self::Vector => "instant vector",
            Self::Range => "range vector",
        }
    }
}

#[derive(Debug)]
pub(crate) enum Expr {
    Number(f64),
    Text(String),
    Vector(Selector),
    Range(Box<RangeExpr>),
    Negate(Box<Expr>),
    Binary(Box<Binary>),
    Aggregate(Box<Aggregate>),
    Call(Box<Call>),
}

impl Expr {
    /// A loop along the left side: a chain of operators is deep there and nowhere else.
    pub(crate) fn kind(&self) -> Kind {
        let mut at = self;
        loop {
            match at {
                Self::Number(_) => return Kind::Scalar,
                Self::Text(_) => return Kind::Text,
                Self::Vector(_) | Self::Aggregate(_) => return Kind::Vector,
                Self::Range(_) => return Kind::Range,
                Self::Negate(inner) => at = inner,
                Self::Binary(binary) => return binary.kind,
                Self::Call(call) => return call.returns,
            }
        }
    }
}

/// When a selector looks, relative to the step.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shift {
    /// Milliseconds back; negative looks ahead.
    pub(crate) offset: i64,
    /// A fixed instant in place of the step.
    pub(crate) at: Option<At>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum At {
    /// First step of the whole query.
    Start,
    /// Last step of the whole query.
    End,
    /// Milliseconds since the epoch.
    Time(i64),
}

#[derive(Debug)]
pub(crate) struct Selector {
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) shift: Shift,
    /// As PromQL writes it, for errors.
    pub(crate) text: String,
}

#[derive(Debug)]
pub(crate) struct RangeExpr {
    pub(crate) of: RangeOf,
    /// Milliseconds.
    pub(crate) range: i64,
}

#[derive(Debug)]
pub(crate) enum RangeOf {
    Samples(Selector),
    Subquery {
        inner: Expr,
        /// Milliseconds between two evaluations.
        step: i64,
        shift: Shift,
    },
}

impl RangeExpr {
    pub(crate) fn shift(&self) -> Shift {
        match &self.of {
            RangeOf::Samples(selector) => selector.shift,
            RangeOf::Subquery { shift, .. } => *shift,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    And,
    Or,
    Unless,
}

impl Op {
    pub(crate) fn is_comparison(self) -> bool {
        use Op::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
        matches!(self, Equal | NotEqual | Greater | GreaterEqual | Less | LessEqual)
    }

    pub(crate) fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

#[derive(Debug)]
pub(crate) struct Binary {
    pub(crate) op: Op,
    pub(crate) lhs: Expr,
    pub(crate) rhs: Expr,
    pub(crate) matching: Matching,
    /// Give 0 or 1 in place of filtering.
    pub(crate) as_bool: bool,
    pub(crate) kind: Kind,
}

/// Which series of the two sides belong together.
#[derive(Debug, Default)]
pub(crate) struct Matching {
    /// `on(...)`: only these labels count. Else `ignoring(...)`: all others count, but never the name.
    pub(crate) on: bool,
    /// Sorted.
    pub(crate) labels: Vec<String>,
    pub(crate) card: Card,
    /// Labels that `group_left`/`group_right` takes from the other side; sorted.
    pub(crate) include: Vec<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Card {
    #[default]
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AggregateOp {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Group,
    Stddev,
    Stdvar,
    TopK,
    BottomK,
    Quantile,
    CountValues,
}

#[derive(Debug)]
pub(crate) struct Aggregate {
    pub(crate) op: AggregateOp,
    pub(crate) inner: Expr,
    pub(crate) param: Option<Expr>,
    /// `without(...)`: group by all other labels but the name. Else `by(...)`: by these.
    pub(crate) without: bool,
    /// Sorted.
    pub(crate) labels: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) function: Function,
    pub(crate) args: Vec<Expr>,
    pub(crate) returns: Kind,
}
