//! The query language: what people who know Loki would type.
//!
//! `{service="app", host=~"web.*"} |= "timeout" | json | status >= 500` finds lines; a number comes from
//! `sum by (level) (rate({service="app"}[5m]))`. Length, nesting and patterns are bounded before anything is built,
//! and whatever is refused names its place and what would be accepted.

mod lexer;
mod parser;
mod condition;
mod required;

pub use condition::{Comparison, Condition, Operand};
pub use parser::{parse, parse_lines};

pub(crate) use condition::matches as condition_matches;

use regex::bytes::Regex;
use wellkept_model::Matcher;

/// Longest query, bytes.
pub const QUERY_MAX: usize = 16 << 10;

/// Most stages of a pipeline, and most matchers of a selector.
pub const STAGES_MAX: usize = 64;

/// Deepest nesting.
pub const DEPTH_MAX: usize = 32;

/// Size of a compiled pattern, bytes.
pub const REGEX_SIZE_MAX: usize = 1 << 20;

/// A query that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at}: found {found}; expected {expected}")]
pub struct QueryError {
    /// Where, bytes from the start.
    pub at: usize,
    /// What stands there.
    pub found: String,
    /// What would be accepted.
    pub expected: String,
}

/// A query.
#[derive(Debug, Clone)]
pub enum LogQuery {
    /// Gives lines.
    Lines(LineQuery),
    /// Gives numbers over time.
    Metric(MetricQuery),
}

/// Which lines.
#[derive(Debug, Clone, Default)]
pub struct LineQuery {
    /// All must fit the labels of the stream; `level` and `template` may be asked for like labels.
    pub selector: Vec<Matcher>,
    /// In order.
    pub stages: Vec<Stage>,
}

/// One step of a pipeline.
#[derive(Debug, Clone)]
pub enum Stage {
    /// `|= "a" or "b"`: the line holds one of the texts; `!=`: none of them.
    Contains {
        /// At least one.
        texts: Vec<Vec<u8>>,
        /// `!=`
        negated: bool,
    },
    /// `|~ "pattern"`: the pattern is found in the line; `!~`: it is not.
    Pattern {
        /// Compiled, over bytes.
        regex: Regex,
        /// What matches holds one of these; none when nothing is known.
        required: Vec<Vec<u8>>,
        /// `!~`
        negated: bool,
    },
    /// `| json`: fields of an object become labels, nested ones joined by `_`.
    Json,
    /// `| logfmt`: pairs `name=value` become labels.
    Logfmt,
    /// `| level="error" and status >= 500`
    Labels(Condition),
}

/// Numbers over time.
#[derive(Debug, Clone)]
pub enum MetricQuery {
    /// A function over the lines of the last while.
    Range {
        /// Which.
        function: RangeFunction,
        /// Of these lines.
        lines: LineQuery,
        /// How far back, nanoseconds.
        range_ns: i64,
    },
    /// `sum by (level) (…)`
    Aggregate {
        /// Which.
        function: AggregateFunction,
        /// Which labels remain.
        grouping: Grouping,
        /// Of these series.
        inner: Box<MetricQuery>,
    },
    /// `… > 10`: series are kept where the comparison holds.
    Filter {
        /// Of these series.
        inner: Box<MetricQuery>,
        /// The comparison.
        comparison: Comparison,
        /// With this number.
        number: f64,
    },
}

/// A function over lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeFunction {
    /// `count_over_time`: lines.
    Count,
    /// `rate`: lines per second.
    Rate,
    /// `bytes_over_time`: bytes of their texts.
    Bytes,
    /// `bytes_rate`: bytes per second.
    BytesRate,
}

/// A function over series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregateFunction {
    /// `sum`
    Sum,
    /// `min`
    Min,
    /// `max`
    Max,
    /// `avg`
    Average,
    /// `count`: how many series.
    Count,
    /// `topk`: the largest at each step, with their labels.
    Top(usize),
    /// `bottomk`
    Bottom(usize),
}

/// Which labels remain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grouping {
    /// These only.
    By(Vec<String>),
    /// All but these.
    Without(Vec<String>),
}

impl Default for Grouping {
    fn default() -> Self {
        Self::By(Vec::new())
    }
}

impl MetricQuery {
    /// The lines that the numbers are made of.
    #[must_use]
    pub fn lines(&self) -> &LineQuery {
        match self {
            Self::Range { lines, .. } => lines,
            Self::Aggregate { inner, .. } | Self::Filter { inner, .. } => inner.lines(),
        }
    }
}
