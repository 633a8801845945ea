//! The tree of a checked query. Only the parser builds these, so that evaluation can rely on the types.

use wellkept_model::Matcher;

use crate::syntax::duration::Time;
use crate::syntax::functions::Signature;
use crate::syntax::token::Span;

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

    /// Prometheus' word in JSON.
    pub(crate) fn short(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Text => "string",
            Self::Vector => "vector",
            Self::Range => "matrix",
        }
    }
}

#[derive(Debug)]
pub(crate) enum Expr {
    Number(Number),
    Text {
        value: String,
        span: Span,
    },
    Vector(Box<Selector>),
    Range(Box<RangeExpr>),
    /// `-x`, or `+x` where `minus` is false.
    Sign {
        minus: bool,
        inner: Box<Self>,
        span: Span,
    },
    Binary(Box<Binary>),
    Aggregate(Box<Aggregate>),
    Call(Box<Call>),
    Paren {
        inner: Box<Self>,
        span: Span,
    },
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Number {
    pub(crate) value: f64,
    /// Written as a duration: seconds.
    pub(crate) duration: bool,
    pub(crate) span: Span,
}

impl Expr {
    /// A loop along the left side: a chain of operators is deep there and nowhere else.
    pub(crate) fn kind(&self) -> Kind {
        let mut at = self;
        loop {
            match at {
                Self::Number(_) => return Kind::Scalar,
                Self::Text { .. } => return Kind::Text,
                Self::Vector(_) | Self::Aggregate(_) => return Kind::Vector,
                Self::Range(_) => return Kind::Range,
                Self::Sign { inner, .. } | Self::Paren { inner, .. } => at = inner,
                Self::Binary(binary) => return binary.kind,
                Self::Call(call) => return call.signature.returns,
            }
        }
    }

    pub(crate) fn span(&self) -> Span {
        match self {
            Self::Number(number) => number.span,
            Self::Text { span, .. } | Self::Sign { span, .. } | Self::Paren { span, .. } => *span,
            Self::Vector(selector) => selector.span,
            Self::Range(range) => range.span,
            Self::Binary(binary) => binary.span,
            Self::Aggregate(aggregate) => aggregate.span,
            Self::Call(call) => call.span,
        }
    }

    /// All selectors, in order. A loop with a list of its own: chains are deep.
    pub(crate) fn selectors(&self) -> Vec<&Selector> {
        let (mut found, mut todo) = (Vec::new(), vec![self]);
        while let Some(expr) = todo.pop() {
            match expr {
                Self::Number(_) | Self::Text { .. } => {}
                Self::Vector(selector) => found.push(selector.as_ref()),
                Self::Range(range) => match &range.of {
                    RangeOf::Samples(selector) => found.push(selector),
                    RangeOf::Subquery { inner, .. } => todo.push(inner),
                },
                Self::Sign { inner, .. } | Self::Paren { inner, .. } => todo.push(inner),
                Self::Binary(binary) => todo.extend([&binary.rhs, &binary.lhs]),
                Self::Aggregate(aggregate) => {
                    todo.push(&aggregate.inner);
                    todo.extend(&aggregate.param);
                }
                Self::Call(call) => todo.extend(call.args.iter().rev()),
            }
        }
        found
    }

    /// The expression inside any parentheses.
    pub(crate) fn bare(&self) -> &Self {
        let mut at = self;
        while let Self::Paren { inner, .. } = at {
            at = inner;
        }
        at
    }
}

/// When a selector looks, relative to the step.
#[derive(Debug, Default)]
pub(crate) struct Shift {
    /// Back by this much; negative looks ahead.
    pub(crate) offset: Option<Time>,
    /// A fixed instant in place of the step.
    pub(crate) at: Option<At>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// The name before the braces; it is among the matchers, too.
    pub(crate) name: String,
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) shift: Shift,
    pub(crate) edges: Edges,
    pub(crate) span: Span,
}

impl Selector {
    /// Whether it says nothing about when it looks.
    pub(crate) fn is_plain(&self) -> bool {
        self.shift.offset.is_none() && self.shift.at.is_none() && self.edges == Edges::Plain
    }
}

/// What a selector says about the ends of what it looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Edges {
    /// Only samples inside.
    #[default]
    Plain,
    /// `anchored`: the last sample before the range stands at its left end.
    Anchored,
    /// `smoothed`: values at both ends lie on the line between their neighbours.
    Smoothed,
}

#[derive(Debug)]
pub(crate) struct RangeExpr {
    pub(crate) of: RangeOf,
    pub(crate) range: Time,
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) enum RangeOf {
    Samples(Selector),
    Subquery {
        inner: Expr,
        /// Between two evaluations; the default where there is none.
        step: Option<Time>,
        shift: Shift,
    },
}

impl RangeExpr {
    pub(crate) fn shift(&self) -> &Shift {
        match &self.of {
            RangeOf::Samples(selector) => &selector.shift,
            RangeOf::Subquery { shift, .. } => shift,
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
    /// `</`: keeps what a histogram observed below.
    TrimUpper,
    /// `>/`: keeps what a histogram observed above.
    TrimLower,
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

    /// How tightly it binds; more binds tighter.
    pub(crate) fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Add | Self::Sub => 4,
            Self::Mul | Self::Div | Self::Mod | Self::Atan2 => 5,
            Self::Pow => 6,
            _ => 3,
        }
    }

    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
        }
    }

    /// The operator with this symbol; words in any case.
    pub(crate) fn find(symbol: &str) -> Option<Self> {
        let symbol = symbol.to_ascii_lowercase();
        Self::ALL.into_iter().find(|op| op.symbol() == symbol)
    }

    const ALL: [Self; 18] = [
        Self::Add,
        Self::Sub,
        Self::Mul,
        Self::Div,
        Self::Mod,
        Self::Pow,
        Self::Atan2,
        Self::Equal,
        Self::NotEqual,
        Self::Greater,
        Self::GreaterEqual,
        Self::Less,
        Self::LessEqual,
        Self::TrimUpper,
        Self::TrimLower,
        Self::And,
        Self::Or,
        Self::Unless,
    ];
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
    pub(crate) span: Span,
}

/// Which series of the two sides belong together.
#[derive(Debug, Default)]
pub(crate) struct Matching {
    /// `on(...)`: only these labels count. Else `ignoring(...)`: all others count, but never the name.
    pub(crate) on: bool,
    /// As written; sorted in `sorted_labels`.
    pub(crate) labels: Vec<String>,
    pub(crate) sorted: Vec<String>,
    pub(crate) card: Card,
    /// Labels that `group_left`/`group_right` takes from the other side, as written.
    pub(crate) include: Vec<String>,
    /// What stands for a series that has no partner on the left.
    pub(crate) fill_left: Option<f64>,
    /// What stands for a series that has no partner on the right.
    pub(crate) fill_right: Option<f64>,
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
    LimitK,
    LimitRatio,
    Quantile,
    CountValues,
}

impl AggregateOp {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::Count => "count",
            Self::Group => "group",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::TopK => "topk",
            Self::BottomK => "bottomk",
            Self::LimitK => "limitk",
            Self::LimitRatio => "limit_ratio",
            Self::Quantile => "quantile",
            Self::CountValues => "count_values",
        }
    }

    /// The aggregation with this name, in any case.
    pub(crate) fn find(name: &str) -> Option<Self> {
        use AggregateOp::{
            Avg, BottomK, Count, CountValues, Group, LimitK, LimitRatio, Max, Min, Quantile, Stddev, Stdvar,
            Sum, TopK,
        };
        let all = [
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
            LimitK,
            LimitRatio,
            Quantile,
            CountValues,
        ];
        let name = name.to_ascii_lowercase();
        all.into_iter().find(|op| op.name() == name)
    }

    /// What it takes before the vector.
    pub(crate) fn param(self) -> Option<Kind> {
        match self {
            Self::TopK | Self::BottomK | Self::LimitK | Self::LimitRatio | Self::Quantile => {
                Some(Kind::Scalar)
            }
            Self::CountValues => Some(Kind::Text),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Aggregate {
    pub(crate) op: AggregateOp,
    pub(crate) inner: Expr,
    pub(crate) param: Option<Expr>,
    /// `without(...)`: group by all other labels but the name. Else `by(...)`: by these.
    pub(crate) without: bool,
    /// As written.
    pub(crate) labels: Vec<String>,
    pub(crate) sorted: Vec<String>,
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) signature: &'static Signature,
    pub(crate) args: Vec<Expr>,
    pub(crate) span: Span,
}
