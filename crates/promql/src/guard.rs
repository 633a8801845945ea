//! Bounds on a query's text, checked before any parser sees it.
//!
//! The parser behind us builds a tree whose clone, type check and drop recurse, compiles every pattern with a
//! generous size, and panics on a duration beyond `u64`. This scan needs one pass and no recursion; it counts what
//! could become depth, compiles patterns with our own bound, and leaves everything else to the parser.

use std::iter::Peekable;
use std::str::CharIndices;

use promql_parser::util::unquote_string;
use wellkept_model::{MatchOp, Matcher};

use crate::{Limits, QueryError};

/// Longest duration in seconds: about 300 years, so that milliseconds stay far from the end of `i64`.
pub(crate) const DURATION_SECONDS_MAX: f64 = 1e10;

/// Refuses a text that is too long, too deep, or asks for too many operators or patterns.
pub(crate) fn check(text: &str, limits: &Limits) -> Result<(), QueryError> {
    if text.len() > limits.query_bytes {
        return Err(QueryError::bad(format!(
            "the query has {} bytes, at most {} are accepted",
            text.len(),
            limits.query_bytes
        )));
    }
    Scan { text, chars: text.char_indices().peekable(), limits, depth: 0, operators: 0, patterns: 0 }.run()
}

/// What the last token means for the next one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    /// `offset`, perhaps with a sign: a duration follows.
    Offset,
    /// `=~` or `!~`: a pattern follows.
    Pattern,
}

struct Scan<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
    limits: &'a Limits,
    depth: usize,
    operators: usize,
    patterns: usize,
}

impl<'a> Scan<'a> {
    fn run(mut self) -> Result<(), QueryError> {
        let mut before = Before::Nothing;
        let mut in_range = false;
        while let Some((at, c)) = self.chars.next() {
            before = match c {
                c if c.is_ascii_whitespace() => continue,
                '#' => {
                    self.skip_while(|c| c != '\n' && c != '\r');
                    continue;
                }
                '"' | '\'' | '`' => {
                    let literal = self.string(at, c)?;
                    if before == Before::Pattern {
                        self.pattern(literal)?;
                    }
                    Before::Nothing
                }
                '(' | '[' | '{' => {
                    in_range = c == '[';
                    self.open()?;
                    Before::Nothing
                }
                ')' | ']' | '}' => {
                    in_range = false;
                    self.depth = self.depth.saturating_sub(1);
                    Before::Nothing
                }
                '+' | '-' if before == Before::Offset => Before::Offset,
                '=' | '!' if self.chars.next_if(|(_, c)| *c == '~').is_some() => Before::Pattern,
                '+' | '-' | '*' | '/' | '%' | '^' | '=' | '!' | '<' | '>' => {
                    self.operator()?;
                    Before::Nothing
                }
                c if c.is_ascii_alphanumeric() || c == '_' || c == '.' || c == ':' && !in_range => {
                    self.word(at, c, in_range || before == Before::Offset)?
                }
                _ => Before::Nothing,
            };
        }
        Ok(())
    }

    fn skip_while(&mut self, accept: impl Fn(char) -> bool) {
        while self.chars.next_if(|(_, c)| accept(*c)).is_some() {}
    }

    fn position(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    /// A string literal with its quotes. Where the closing one is absent, all that is left.
    fn string(&mut self, start: usize, quote: char) -> Result<&'a str, QueryError> {
        while let Some((_, c)) = self.chars.next() {
            if c == quote {
                break;
            }
            // The parser cuts the text after the byte that follows a backslash; a wider character would end it.
            if c == '\\' && quote != '`' && self.chars.next().is_some_and(|(_, c)| !c.is_ascii()) {
                return Err(QueryError::bad("parse error: unknown escape sequence in a string"));
            }
        }
        let end = self.position();
        Ok(self.text.get(start..end).unwrap_or_default())
    }

    fn open(&mut self) -> Result<(), QueryError> {
        self.depth += 1;
        if self.depth > self.limits.depth {
            return Err(too_deep(self.limits));
        }
        Ok(())
    }

    fn operator(&mut self) -> Result<(), QueryError> {
        self.operators += 1;
        if self.operators > self.limits.operators {
            return Err(QueryError::bad(format!(
                "the query has more than {} operators; that is the most that is accepted",
                self.limits.operators
            )));
        }
        Ok(())
    }

    /// A number, name or keyword.
    fn word(&mut self, start: usize, first: char, is_duration: bool) -> Result<Before, QueryError> {
        let number = first.is_ascii_digit() || first == '.';
        self.skip_while(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.' || c == ':' && !number);
        let mut end = self.position();
        let bare = self.text.get(start..end).unwrap_or_default();
        if number && bare.ends_with(['e', 'E']) && !bare.starts_with("0x") {
            self.chars.next_if(|(_, c)| *c == '+' || *c == '-');
            self.skip_while(|c| c.is_ascii_digit());
            end = self.position();
        }
        let word = self.text.get(start..end).unwrap_or_default();
        if is_duration
            && word.parse::<f64>().is_ok_and(|seconds| !(0.0..=DURATION_SECONDS_MAX).contains(&seconds))
        {
            return Err(QueryError::bad(format!(
                "parse error: duration {word} is out of range; at most {DURATION_SECONDS_MAX} seconds are accepted"
            )));
        }
        match word.to_ascii_lowercase().as_str() {
            "and" | "or" | "unless" | "atan2" => self.operator()?,
            "offset" => return Ok(Before::Offset),
            _ => {}
        }
        Ok(Before::Nothing)
    }

    /// Compiles a pattern under our bound, before the parser compiles it under its larger one.
    fn pattern(&mut self, literal: &str) -> Result<(), QueryError> {
        self.patterns += 1;
        if self.patterns > self.limits.patterns {
            return Err(QueryError::bad(format!(
                "the query has more than {} regular expressions; that is the most that is accepted",
                self.limits.patterns
            )));
        }
        let value = unquote_string(literal)
            .map_err(|e| QueryError::bad(format!("parse error: {e} in the string {literal}")))?;
        matcher("pattern", MatchOp::Regex, &value).map(drop)
    }
}

/// A matcher, or an error that says what is wrong with its pattern.
pub(crate) fn matcher(name: &str, op: MatchOp, value: &str) -> Result<Matcher, QueryError> {
    Matcher::new(name, op, value).map_err(|e| {
        let why = std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default();
        // The last line of the library's message says why; the lines before it draw the pattern.
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        QueryError::bad(format!("parse error: the regular expression {value:?} is not accepted: {why}"))
    })
}

/// The error for nesting beyond the limit.
pub(crate) fn too_deep(limits: &Limits) -> QueryError {
    QueryError::bad(format!(
        "the query is nested more than {} deep; that is the most that is accepted",
        limits.depth
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        check(text, &Limits::default()).unwrap_err().to_string()
    }

    fn accepted(text: &str) {
        check(text, &Limits::default()).unwrap_or_else(|e| panic!("{text}: {e}"));
    }

    #[test]
    fn a_text_beyond_the_length_is_refused_unread() {
        assert!(refused(&"a".repeat(1 << 20)).contains("1048576 bytes, at most 65536"));
    }

    #[test]
    fn a_flat_chain_of_operators_is_refused() {
        assert!(refused(&format!("1{}", "+1".repeat(10_000))).contains("more than 500 operators"));
        assert!(refused(&format!("a{}", " or a".repeat(10_000))).contains("more than 500 operators"));
        assert!(refused(&"-".repeat(10_000)).contains("more than 500 operators"));
        accepted(&format!("1{}", "+1".repeat(500)));
    }

    #[test]
    fn nesting_is_refused_for_every_bracket() {
        for bracket in ["(", "[", "{", "abs("] {
            assert!(refused(&bracket.repeat(10_000)).contains("nested more than 64 deep"));
        }
        accepted(&format!("{}1{}", "(".repeat(64), ")".repeat(64)));
        accepted(&"(1)+".repeat(400));
    }

    #[test]
    fn what_stands_in_strings_and_comments_is_not_counted() {
        let noise = "+(".repeat(1000);
        accepted(&format!("\"{noise}\""));
        accepted(&format!("'{noise}\\'{noise}'"));
        accepted(&format!("`{noise}\\`"));
        accepted(&format!("1 # {noise}\n + 1"));
    }

    #[test]
    fn durations_that_no_clock_can_hold_are_refused() {
        for text in [
            "a[1e300]",
            "a offset 1e300",
            "a offset - inf",
            "a OFFSET nan",
            "a[5m:1e+99]",
            "a offset 99999999999",
        ] {
            assert!(refused(text).contains("out of range"), "{text}");
        }
        accepted("a[5m] offset -1h + 1e300");
    }

    #[test]
    fn patterns_are_bounded_in_size_and_number() {
        assert!(refused(r#"a{b=~"((x{1000}){1000}){1000}"}"#).contains("size limit"));
        assert!(refused(r#"a{b!~'('}"#).contains("unclosed group"));
        assert!(
            refused(&format!("a{{{}}}", r#"b=~"x","#.repeat(51)))
                .contains("more than 50 regular expressions")
        );
        accepted(r#"a{b=~"x|y", c!~`\d+`}"#);
    }

    #[test]
    fn an_escape_of_a_wide_character_is_refused() {
        assert!(refused("\"\\é\"").contains("unknown escape"));
        accepted("\"é\"");
    }
}
