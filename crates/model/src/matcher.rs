//! Label matchers of selectors: `=`, `!=`, `=~`, `!~`.

use regex::{Regex, RegexBuilder};

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends
    Regex,
    /// `!~`, anchored at both ends
    NotRegex,
}

/// Size limit of a compiled pattern, bytes. Prometheus' own patterns need a few KiB; 1 MiB stops `a{1000}{1000}`.
const REGEX_SIZE_MAX: usize = 1 << 20;

/// One condition on one label.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    regex: Option<Regex>,
}

/// A matcher that cannot be built.
#[derive(Debug, thiserror::Error)]
#[error("label matcher {name}: the regular expression `{pattern}` is not accepted")]
pub struct MatcherError {
    name: String,
    pattern: String,
    #[source]
    source: Box<regex::Error>,
}

impl Matcher {
    /// A checked matcher; patterns are compiled here once.
    ///
    /// # Errors
    /// [`MatcherError`] when a pattern is invalid or compiles to more than 1 MiB.
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Self, MatcherError> {
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(
                RegexBuilder::new(&format!("^(?s:{value})$")).size_limit(REGEX_SIZE_MAX).build().map_err(
                    |e| MatcherError {
                        name: name.to_owned(),
                        pattern: value.to_owned(),
                        source: Box::new(e),
                    },
                )?,
            ),
        };
        Ok(Self { name: name.to_owned(), op, value: value.to_owned(), regex })
    }

    /// The label's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The comparison.
    #[must_use]
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The literal value or pattern.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a label value (empty: label absent) is accepted.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let found = self.regex.as_ref().map_or(self.value == value, |r| r.is_match(value));
        match self.op {
            MatchOp::Equal | MatchOp::Regex => found,
            MatchOp::NotEqual | MatchOp::NotRegex => !found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_the_whole_value() {
        let m = Matcher::new("job", MatchOp::Regex, "a|b").unwrap();
        assert!(m.matches("a") && m.matches("b"));
        assert!(!m.matches("ab") && !m.matches("a\n"));
    }

    #[test]
    fn a_pattern_that_would_explode_is_refused() {
        assert!(Matcher::new("job", MatchOp::Regex, "((a{1000}){1000}){1000}").is_err());
    }
}
