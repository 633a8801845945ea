//! The parser's core: operators by precedence, signs and parentheses.

use wellkept_model::{Labels, MatchOp};

use crate::syntax::duration;
use crate::syntax::number;
use crate::syntax::quote;
use crate::syntax::token::{self, Kind as Tok, Span, Token};
use crate::syntax::tree::{Binary, Card, Expr, Kind, Matching, Number, Op};
use crate::{Limits, QueryError};

/// Reads a whole query.
///
/// # Errors
/// [`QueryError::BadData`] with line and column.
pub(crate) fn parse(text: &str, limits: &Limits) -> Result<Expr, QueryError> {
    let tokens = token::tokens(text, limits)?;
    let mut parser = Parser { text, tokens, at: 0, depth: 0, limits, empty: Vec::new() };
    if parser.peek().kind == Tok::End {
        return Err(token::error(text, 0, "no expression found in input"));
    }
    let expr = parser.expr()?;
    if parser.peek().kind != Tok::End {
        return Err(parser.unexpected("", ""));
    }
    match parser.empty.first() {
        Some(span) => Err(parser.error(*span, "vector selector must contain at least one non-empty matcher")),
        None => Ok(expr),
    }
}

/// Reads a series as scripts write it: `up{job="a"}`, `{"a.b"}`, `{}`.
///
/// # Errors
/// [`QueryError::BadData`] with line and column; also for any matcher but `=`.
pub(crate) fn labels(text: &str, limits: &Limits) -> Result<Labels, QueryError> {
    let tokens = token::tokens(text, limits)?;
    let mut parser = Parser { text, tokens, at: 0, depth: 0, limits, empty: Vec::new() };
    let Expr::Vector(selector) = parser.selector()? else {
        return Err(parser.unexpected("series", "labels"));
    };
    if parser.peek().kind != Tok::End {
        return Err(parser.unexpected("series", ""));
    }
    if selector.matchers.iter().any(|m| m.op() != MatchOp::Equal) {
        return Err(token::error(text, 0, "a series has labels with `=` only"));
    }
    Ok(Labels::new(selector.matchers.iter().map(|m| (m.name(), m.value()))))
}

/// Words that never name a metric.
const RESERVED: [&str; 6] = ["bool", "on", "ignoring", "group_left", "group_right", "atan2"];

pub(crate) struct Parser<'a> {
    pub(crate) text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    pub(crate) limits: &'a Limits,
    /// Selectors that would select everything.
    empty: Vec<Span>,
}

impl<'a> Parser<'a> {
    /// Remembers a selector that would select everything; refused at the end unless it is allowed until then.
    pub(crate) fn found_empty(&mut self, span: Span) {
        self.empty.push(span);
    }

    pub(crate) fn allow_empty(&mut self, span: Span) {
        self.empty.retain(|s| s.start != span.start);
    }

    pub(crate) fn peek(&self) -> Token {
        self.ahead(0)
    }

    pub(crate) fn ahead(&self, by: usize) -> Token {
        let end = Span { start: self.text.len(), end: self.text.len() };
        self.tokens.get(self.at + by).copied().unwrap_or(Token { kind: Tok::End, span: end })
    }

    pub(crate) fn next(&mut self) -> Token {
        let token = self.peek();
        self.at += 1;
        token
    }

    /// The place of the token read last.
    pub(crate) fn last(&self) -> Span {
        self.at.checked_sub(1).and_then(|i| self.tokens.get(i)).map_or(Span::default(), |t| t.span)
    }

    pub(crate) fn slice(&self, span: Span) -> &'a str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    /// The text of a word, else nothing.
    pub(crate) fn word_of(&self, token: Token) -> &'a str {
        if token.kind == Tok::Word { self.slice(token.span) } else { "" }
    }

    pub(crate) fn is_word(&self, token: Token, word: &str) -> bool {
        self.word_of(token).eq_ignore_ascii_case(word)
    }

    pub(crate) fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(self.peek(), word);
        if found {
            self.at += 1;
        }
        found
    }

    pub(crate) fn take(&mut self, punct: char) -> bool {
        let found = self.peek().kind == Tok::Punct(punct);
        if found {
            self.at += 1;
        }
        found
    }

    pub(crate) fn expect(&mut self, punct: char, context: &str) -> Result<Span, QueryError> {
        if self.take(punct) {
            Ok(self.last())
        } else {
            Err(self.unexpected(context, &format!("\"{punct}\"")))
        }
    }

    pub(crate) fn error(&self, span: Span, message: impl AsRef<str>) -> QueryError {
        token::error(self.text, span.start, message)
    }

    /// The error for the token at hand.
    pub(crate) fn unexpected(&self, context: &str, expected: &str) -> QueryError {
        let token = self.peek();
        let text = self.slice(token.span);
        let what = match token.kind {
            Tok::End => "end of input".to_owned(),
            Tok::Word if Op::find(text).is_some() => format!("<op:{}>", text.to_ascii_lowercase()),
            Tok::Word => format!("identifier {text:?}"),
            Tok::Number => format!("number {text:?}"),
            Tok::Duration => format!("duration {text:?}"),
            Tok::Text => format!("string {text}"),
            Tok::Operator(symbol) => format!("<op:{symbol}>"),
            Tok::Matching(symbol) => format!("{symbol:?}"),
            Tok::Punct(c) => format!("{:?}", c.to_string()),
        };
        let mut message = format!("unexpected {what}");
        if !context.is_empty() {
            message.push_str(&format!(" in {context}"));
        }
        if !expected.is_empty() {
            message.push_str(&format!(", expected {expected}"));
        }
        self.error(token.span, message)
    }

    /// Runs `parse` one level deeper.
    pub(crate) fn deeper<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        self.depth += 1;
        // Each bracket may carry a sign or an operand: about two levels for one of them.
        if self.depth > self.limits.depth.saturating_mul(2).saturating_add(8) {
            return Err(token::too_deep(self.limits));
        }
        let result = parse(self);
        self.depth -= 1;
        result
    }

    pub(crate) fn expr(&mut self) -> Result<Expr, QueryError> {
        self.deeper(|p| p.binary(0))
    }

    fn operator(&self) -> Option<Op> {
        match self.peek().kind {
            Tok::Operator(symbol) => Op::find(symbol),
            Tok::Word => Op::find(self.word_of(self.peek())),
            _ => None,
        }
    }

    /// A chain of operators that bind tighter than `least`.
    fn binary(&mut self, least: u8) -> Result<Expr, QueryError> {
        let mut lhs = self.unary()?;
        while let Some(op) = self.operator().filter(|op| op.precedence() > least) {
            self.next();
            let place = self.last();
            let as_bool = self.take_word("bool");
            let matching = self.matching()?;
            // Powers bind to the right.
            let rhs = if op == Op::Pow {
                self.deeper(|p| p.binary(op.precedence() - 1))?
            } else {
                self.binary(op.precedence())?
            };
            let span = lhs.span().to(rhs.span());
            let kinds = (lhs.kind(), rhs.kind());
            let kind = if kinds == (Kind::Scalar, Kind::Scalar) { Kind::Scalar } else { Kind::Vector };
            let mut binary = Binary { op, lhs, rhs, matching, as_bool, kind, span };
            self.check_binary(&mut binary, place)?;
            lhs = Expr::Binary(Box::new(binary));
        }
        Ok(lhs)
    }

    /// `on (a) group_left (b) fill (0)`
    fn matching(&mut self) -> Result<Matching, QueryError> {
        let mut matching = Matching::default();
        for (word, on) in [("on", true), ("ignoring", false)] {
            if self.is_word(self.peek(), word) {
                self.next();
                matching.on = on;
                matching.labels = self.label_list()?;
                for (word, card) in [("group_left", Card::ManyToOne), ("group_right", Card::OneToMany)] {
                    if self.take_word(word) {
                        matching.card = card;
                        if self.peek().kind == Tok::Punct('(') {
                            matching.include = self.label_list()?;
                        }
                    }
                }
            }
        }
        matching.sorted.clone_from(&matching.labels);
        matching.sorted.sort();
        self.fills(&mut matching)?;
        Ok(matching)
    }

    /// `fill (0)`, `fill_left (0)`, `fill_right (0)`: only before a bracket, so that metrics may have these names.
    fn fills(&mut self, matching: &mut Matching) -> Result<(), QueryError> {
        loop {
            let word = self.word_of(self.peek()).to_ascii_lowercase();
            let fills = matches!(word.as_str(), "fill" | "fill_left" | "fill_right");
            if !fills || self.ahead(1).kind != Tok::Punct('(') {
                return Ok(());
            }
            let place = self.next().span;
            self.expect('(', "fill modifier")?;
            let value = self.signed_number("fill modifier")?;
            self.expect(')', "fill modifier")?;
            let (left, right) = (word != "fill_right", word != "fill_left");
            if left && matching.fill_left.is_some() || right && matching.fill_right.is_some() {
                return Err(self.error(place, "fill may not be set multiple times for one side"));
            }
            if left {
                matching.fill_left = Some(value);
            }
            if right {
                matching.fill_right = Some(value);
            }
        }
    }

    /// A number with any sign.
    pub(crate) fn signed_number(&mut self, context: &str) -> Result<f64, QueryError> {
        let minus = match self.peek().kind {
            Tok::Operator("-") => true,
            Tok::Operator("+") => false,
            _ => return self.plain_number(context),
        };
        self.next();
        let value = self.plain_number(context)?;
        Ok(if minus { -value } else { value })
    }

    fn plain_number(&mut self, context: &str) -> Result<f64, QueryError> {
        let token = self.peek();
        if token.kind != Tok::Number && token.kind != Tok::Duration {
            let expected = if context == "@" { "timestamp" } else { "number" };
            return Err(self.unexpected(context, expected));
        }
        self.next();
        Ok(self.number_of(token)?.value)
    }

    /// The value of a number or duration.
    pub(crate) fn number_of(&self, token: Token) -> Result<Number, QueryError> {
        let text = self.slice(token.span);
        let value = if token.kind == Tok::Duration {
            duration::literal(text).map_err(|why| self.error(token.span, why))?
        } else {
            number::number(text).ok_or_else(|| self.error(token.span, format!("bad number {text:?}")))?
        };
        Ok(Number { value, duration: token.kind == Tok::Duration, span: token.span })
    }

    /// The text of a string literal.
    pub(crate) fn text_of(&self, token: Token) -> Result<String, QueryError> {
        let literal = self.slice(token.span);
        quote::unquote(literal)
            .map_err(|why| self.error(token.span, format!("error unquoting string {literal}: {why}")))
    }

    /// A sign binds like a product: `-a ^ b` is `-(a ^ b)`, `-a * b` is `(-a) * b`.
    fn unary(&mut self) -> Result<Expr, QueryError> {
        let minus = match self.peek().kind {
            Tok::Operator("-") => true,
            Tok::Operator("+") => false,
            _ => {
                let primary = self.primary()?;
                return self.suffixes(primary);
            }
        };
        let start = self.next().span;
        let inner = self.deeper(|p| p.binary(Op::Mul.precedence()))?;
        let span = start.to(inner.span());
        if let Expr::Number(number) = inner {
            let value = if minus { -number.value } else { number.value };
            return Ok(Expr::Number(Number { value, span, ..number }));
        }
        self.check_sign(&inner, span)?;
        Ok(Expr::Sign { minus, inner: Box::new(inner), span })
    }

    fn primary(&mut self) -> Result<Expr, QueryError> {
        let token = self.peek();
        match token.kind {
            Tok::Number | Tok::Duration => {
                self.next();
                self.number_of(token).map(Expr::Number)
            }
            Tok::Text => {
                self.next();
                Ok(Expr::Text { value: self.text_of(token)?, span: token.span })
            }
            Tok::Punct('(') => {
                self.next();
                let inner = Box::new(self.expr()?);
                let end = self.expect(')', "parenthesized expression")?;
                Ok(Expr::Paren { inner, span: token.span.to(end) })
            }
            Tok::Punct('{') => self.selector(),
            Tok::Word => self.named(token),
            _ => Err(self.unexpected("", "")),
        }
    }

    /// A metric, a function or an aggregation.
    fn named(&mut self, token: Token) -> Result<Expr, QueryError> {
        let word = self.word_of(token);
        if let Some(expr) = self.aggregation(word)? {
            return Ok(expr);
        }
        let is_call = self.ahead(1).kind == Tok::Punct('(');
        if RESERVED.iter().any(|r| r.eq_ignore_ascii_case(word)) {
            return Err(self.unexpected("", ""));
        }
        if is_call { self.call() } else { self.selector() }
    }
}
