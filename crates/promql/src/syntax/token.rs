//! From characters to tokens, with the bounds that keep everything behind small: length, nesting, operators, patterns.

use crate::syntax::number;
use crate::{Limits, QueryError};

/// Bytes of the text: `start` is the first, `end` the one behind the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    /// From the start of one to the end of the other.
    pub(crate) fn to(self, end: Self) -> Self {
        Self { start: self.start, end: end.end }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name or a keyword; the parser knows which.
    Word,
    Number,
    Duration,
    /// With its quotes.
    Text,
    /// One of `( ) { } [ ] , : = @`.
    Punct(char),
    /// An operator other than a word.
    Operator(&'static str),
    /// `=~` or `!~`
    Matching(&'static str),
    End,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
}

/// Operators of symbols, longest first.
const OPERATORS: [&str; 15] =
    ["==", "!=", "<=", ">=", "</", ">/", "+", "-", "*", "/", "%", "^", "<", ">", "!"];

/// An error at a place, as Prometheus writes it: `line:column: parse error: …`.
pub(crate) fn error(text: &str, at: usize, message: impl AsRef<str>) -> QueryError {
    QueryError::bad(format!("{}: parse error: {}", place(text, at), message.as_ref()))
}

/// Line and column of a byte, both from 1.
pub(crate) fn place(text: &str, at: usize) -> String {
    let before = text.get(..at.min(text.len())).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    format!("{line}:{column}")
}

/// The error for nesting beyond the limit.
pub(crate) fn too_deep(limits: &Limits) -> QueryError {
    QueryError::bad(format!(
        "the query is nested deeper than {} levels; that is the most that is accepted",
        limits.depth
    ))
}

/// All tokens of a text; the last one is [`Kind::End`].
pub(crate) fn tokens(text: &str, limits: &Limits) -> Result<Vec<Token>, QueryError> {
    if text.len() > limits.query_bytes {
        return Err(QueryError::bad(format!(
            "the query has {} bytes, at most {} are accepted",
            text.len(),
            limits.query_bytes
        )));
    }
    Lexer { text, at: 0, limits, open: Vec::new(), operators: 0, patterns: 0 }.run()
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    limits: &'a Limits,
    /// Open brackets with their places.
    open: Vec<(char, usize)>,
    operators: usize,
    patterns: usize,
}

impl Lexer<'_> {
    fn run(mut self) -> Result<Vec<Token>, QueryError> {
        let mut out = Vec::new();
        loop {
            self.skip_blank();
            let start = self.at;
            let Some(c) = self.rest().chars().next() else { break };
            let kind = self.token(c)?;
            out.push(Token { kind, span: Span { start, end: self.at } });
        }
        let end = Span { start: self.text.len(), end: self.text.len() };
        if let Some((c, at)) = self.open.last() {
            let name = match c {
                '(' => "unclosed left parenthesis",
                '[' => "unclosed left bracket",
                _ => "unexpected end of input inside braces",
            };
            return Err(error(self.text, *at, name));
        }
        out.push(Token { kind: Kind::End, span: end });
        Ok(out)
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
            let comment =
                if rest.starts_with('#') { rest.find(['\n', '\r']).unwrap_or(rest.len()) } else { 0 };
            if blank + comment == 0 {
                return;
            }
            self.at += blank.max(comment);
        }
    }

    fn inside(&self, c: char) -> bool {
        self.open.last().is_some_and(|(open, _)| *open == c)
    }

    fn token(&mut self, c: char) -> Result<Kind, QueryError> {
        let rest = self.rest();
        if c.is_ascii_digit()
            || c == '.' && rest.get(1..).is_some_and(|r| r.starts_with(|d: char| d.is_ascii_digit()))
        {
            return self.number();
        }
        if c.is_ascii_alphabetic() || c == '_' || c == ':' && self.open.iter().all(|(o, _)| *o != '[') {
            return self.word();
        }
        match c {
            '"' | '\'' | '`' => self.string(c),
            '(' | '[' | '{' => self.opened(c),
            ')' | ']' | '}' => self.closed(c),
            ',' | ':' | '@' => {
                self.at += 1;
                Ok(Kind::Punct(c))
            }
            _ => self.operator(c),
        }
    }

    fn operator(&mut self, c: char) -> Result<Kind, QueryError> {
        for matching in ["=~", "!~"] {
            if self.rest().starts_with(matching) {
                if !self.inside('{') {
                    let message = format!("unexpected character after {:?}: '~'", c);
                    return Err(error(self.text, self.at, message));
                }
                self.at += 2;
                self.patterns += 1;
                if self.patterns > self.limits.patterns {
                    return Err(too_many("regular expressions", self.limits.patterns));
                }
                return Ok(Kind::Matching(matching));
            }
        }
        if let Some(operator) = OPERATORS.iter().find(|o| self.rest().starts_with(**o)) {
            if *operator == "!" {
                return Err(error(self.text, self.at, "unexpected character after '!'"));
            }
            self.at += operator.len();
            self.count_operator()?;
            return Ok(Kind::Operator(operator));
        }
        if c == '=' {
            self.at += 1;
            return Ok(Kind::Punct('='));
        }
        Err(error(self.text, self.at, format!("unexpected character: {c:?}")))
    }

    fn count_operator(&mut self) -> Result<(), QueryError> {
        self.operators += 1;
        if self.operators > self.limits.operators {
            return Err(too_many("operators", self.limits.operators));
        }
        Ok(())
    }

    fn opened(&mut self, c: char) -> Result<Kind, QueryError> {
        self.open.push((c, self.at));
        if self.open.len() > self.limits.depth {
            return Err(too_deep(self.limits));
        }
        self.at += 1;
        Ok(Kind::Punct(c))
    }

    fn closed(&mut self, c: char) -> Result<Kind, QueryError> {
        let wanted = match c {
            ')' => '(',
            ']' => '[',
            _ => '{',
        };
        let name = match c {
            ')' => "right parenthesis",
            ']' => "right bracket",
            _ => "right brace",
        };
        if self.open.pop().is_none_or(|(open, _)| open != wanted) {
            return Err(error(self.text, self.at, format!("unexpected {name} {c:?}")));
        }
        self.at += 1;
        Ok(Kind::Punct(c))
    }

    fn string(&mut self, quote: char) -> Result<Kind, QueryError> {
        let start = self.at;
        let mut escaped = false;
        for (i, c) in self.rest().char_indices().skip(1) {
            if escaped {
                escaped = false;
            } else if c == '\\' && quote != '`' {
                escaped = true;
            } else if c == quote {
                self.at += i + 1;
                return Ok(Kind::Text);
            } else if c == '\n' && quote != '`' {
                break;
            }
        }
        Err(error(self.text, start, "unterminated quoted string"))
    }

    fn word(&mut self) -> Result<Kind, QueryError> {
        let colon = self.open.iter().all(|(o, _)| *o != '[');
        let end = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':' && colon);
        let rest = self.rest();
        let length = rest.find(end).unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default().to_ascii_lowercase();
        self.at += length;
        if matches!(word.as_str(), "and" | "or" | "unless" | "atan2") {
            self.count_operator()?;
        }
        if matches!(word.as_str(), "inf" | "nan") && !self.inside('{') {
            return Ok(Kind::Number);
        }
        Ok(Kind::Word)
    }

    /// A number or a duration: everything up to what can be part of neither.
    fn number(&mut self) -> Result<Kind, QueryError> {
        let rest = self.rest();
        let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let mut length = rest.find(|c| !part(c)).unwrap_or(rest.len());
        let bare = rest.get(..length).unwrap_or_default();
        let hex = bare.starts_with("0x") || bare.starts_with("0X");
        let tail = rest.get(length..).unwrap_or_default();
        if bare.ends_with(['e', 'E']) && !hex && tail.starts_with(['+', '-']) {
            let digits = tail.get(1..).unwrap_or_default();
            length += 1 + digits.find(|c| !part(c)).unwrap_or(digits.len());
        }
        let word = rest.get(..length).unwrap_or_default();
        let kind = if number::number(word).is_some() {
            Kind::Number
        } else {
            match number::duration(word) {
                Ok(_) => Kind::Duration,
                Err(why) if why.contains("out of range") => return Err(error(self.text, self.at, why)),
                Err(_) => {
                    let message = format!("bad number or duration syntax: {word:?}");
                    return Err(error(self.text, self.at, message));
                }
            }
        };
        self.at += length;
        Ok(kind)
    }
}

fn too_many(what: &str, limit: usize) -> QueryError {
    QueryError::bad(format!("the query has more than {limit} {what}; that is the most that is accepted"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        tokens(text, &Limits::default()).unwrap().into_iter().map(|t| t.kind).collect()
    }

    #[test]
    fn a_query_falls_into_its_tokens() {
        use Kind::{Duration, End, Number, Operator, Punct, Text, Word};
        assert_eq!(
            kinds("a:b{c=\"d\"}[5m:1] >= 1e-3 # end"),
            [
                Word,
                Punct('{'),
                Word,
                Punct('='),
                Text,
                Punct('}'),
                Punct('['),
                Duration,
                Punct(':'),
                Number,
                Punct(']'),
                Operator(">="),
                Number,
                End
            ]
        );
        assert_eq!(kinds("inf </ NaN"), [Number, Operator("</"), Number, End]);
    }

    #[test]
    fn brackets_must_close_as_they_opened() {
        for text in ["(", ")", "(]", "{", "a[5m", "a{b=\"c)"] {
            assert!(tokens(text, &Limits::default()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_place_is_told_by_line_and_column() {
        assert_eq!(place("a\nbé c", 5), "2:3");
    }
}
