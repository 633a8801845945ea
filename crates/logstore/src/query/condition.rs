//! Conditions on labels: `level="error" and status >= 500 or duration > 1s`.

use wellkept_model::Matcher;

/// How numbers compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `<`
    Less,
    /// `<=`
    AtMost,
}

impl Comparison {
    /// Whether it holds; never for what is not a number.
    #[must_use]
    #[expect(clippy::float_cmp, reason = "that is what is asked for")]
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Greater => left > right,
            Self::AtLeast => left >= right,
            Self::Less => left < right,
            Self::AtMost => left <= right,
        }
    }
}

/// What a label is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operand {
    /// A number.
    Number(f64),
    /// Seconds.
    Duration(f64),
    /// Bytes.
    Size(f64),
}

/// A condition on labels.
#[derive(Debug, Clone)]
pub enum Condition {
    /// `name="text"` and its relatives.
    Text(Matcher),
    /// `name > 5`: false when the label is missing or not such a number.
    Number {
        /// The label.
        name: String,
        /// The comparison.
        comparison: Comparison,
        /// With what.
        operand: Operand,
    },
    /// Both.
    And(Box<Condition>, Box<Condition>),
    /// At least one.
    Or(Box<Condition>, Box<Condition>),
}

impl Condition {
    /// Whether it holds; `get` gives the value of a label, empty when it is not there.
    pub(crate) fn holds<'a>(&self, get: &mut dyn FnMut(&str) -> std::borrow::Cow<'a, str>) -> bool {
        match self {
            Self::Text(matcher) => matches(matcher, &get(matcher.name())),
            Self::Number { name, comparison, operand } => {
                let value = get(name);
                let (number, wanted) = match *operand {
                    Operand::Number(n) => (value.trim().parse().ok(), n),
                    Operand::Duration(n) => (duration_s(value.trim()), n),
                    Operand::Size(n) => (size(value.trim()), n),
                };
                number.is_some_and(|n: f64| comparison.holds(n, wanted))
            }
            Self::And(a, b) => a.holds(get) && b.holds(get),
            Self::Or(a, b) => a.holds(get) || b.holds(get),
        }
    }

    /// Calls `take` for each label that is asked for.
    pub(crate) fn names<'a>(&'a self, take: &mut dyn FnMut(&'a str)) {
        match self {
            Self::Text(matcher) => take(matcher.name()),
            Self::Number { name, .. } => take(name),
            Self::And(a, b) | Self::Or(a, b) => {
                a.names(take);
                b.names(take);
            }
        }
    }
}

/// As the matcher says; words for levels that mean the same are the same.
pub(crate) fn matches(matcher: &Matcher, value: &str) -> bool {
    use wellkept_model::MatchOp::{Equal, NotEqual};
    match (matcher.name(), matcher.op()) {
        ("level", Equal) => level_word(value) == level_word(matcher.value()),
        ("level", NotEqual) => level_word(value) != level_word(matcher.value()),
        _ => matcher.matches(value),
    }
}

/// The usual word for a level.
fn level_word(word: &str) -> &str {
    match word {
        "warn" | "WARN" | "WARNING" => "warning",
        "err" | "ERROR" | "ERR" => "error",
        "crit" | "fatal" | "panic" | "emerg" | "alert" | "CRITICAL" | "FATAL" => "critical",
        "INFO" => "info",
        "DEBUG" => "debug",
        "TRACE" => "trace",
        "NOTICE" => "notice",
        other => other,
    }
}

/// Units of time, seconds.
const TIMES: [(&str, f64); 9] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
    ("d", 86_400.0),
    ("w", 604_800.0),
];

/// Units of data, bytes.
const SIZES: [(&str, f64); 9] = [
    ("B", 1.0),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
];

/// A duration in seconds: `1h30m`, `250ms`.
pub(crate) fn duration_s(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut sum = None;
    while !rest.is_empty() {
        let (number, after) = number(rest)?;
        let len = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(len)?;
        let unit = TIMES.iter().find(|(u, _)| *u == unit.trim())?.1;
        sum = Some(sum.unwrap_or(0.0) + number * unit);
        rest = after;
    }
    sum
}

/// Bytes: `4KiB`, `1.5 MB`.
pub(crate) fn size(text: &str) -> Option<f64> {
    let (number, unit) = number(text)?;
    let unit = SIZES.iter().find(|(u, _)| u.eq_ignore_ascii_case(unit.trim()))?.1;
    Some(number * unit)
}

/// The number at the begin and what follows.
fn number(text: &str) -> Option<(f64, &str)> {
    let len = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(len)?;
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_with_their_units() {
        assert_eq!(duration_s("1h30m"), Some(5400.0));
        assert_eq!(duration_s("250ms"), Some(0.25));
        assert_eq!(duration_s("5"), None);
        assert_eq!(duration_s(""), None);
        assert_eq!(size("4KiB"), Some(4096.0));
        assert_eq!(size("1.5 MB"), Some(1_500_000.0));
        assert_eq!(size("5 apples"), None);
    }
}
