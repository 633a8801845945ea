//! Series selectors and lists of labels.

use wellkept_model::{METRIC_NAME, MatchOp, Matcher};

use crate::QueryError;
use crate::syntax::parse::Parser;
use crate::syntax::token::{Kind as Tok, Token};
use crate::syntax::tree::{Edges, Expr, Selector, Shift};

impl Parser<'_> {
    /// `up`, `up{job="a"}`, `{"a.b"}`, `{job="a"}`
    pub(crate) fn selector(&mut self) -> Result<Expr, QueryError> {
        let start = self.peek().span;
        let name = self.word_of(self.peek()).to_owned();
        if !name.is_empty() {
            self.next();
        }
        let mut matchers = Vec::new();
        if self.take('{') {
            self.matchers(&mut matchers)?;
        }
        let span = start.to(self.last());
        if !name.is_empty() {
            if let Some(twice) = matchers.iter().find(|m| m.name() == METRIC_NAME) {
                let message = format!("metric name must not be set twice: {name:?} or {:?}", twice.value());
                return Err(self.error(span, message));
            }
            matchers.push(self.matcher(METRIC_NAME, MatchOp::Equal, &name, start)?);
        }
        if matchers.iter().all(|m| m.matches("")) {
            self.found_empty(span);
        }
        Ok(Expr::Vector(Box::new(Selector {
            name,
            matchers,
            shift: Shift::default(),
            edges: Edges::Plain,
            span,
        })))
    }

    fn matchers(&mut self, into: &mut Vec<Matcher>) -> Result<(), QueryError> {
        while !self.take('}') {
            let token = self.peek();
            let quoted = token.kind == Tok::Text;
            let name = match token.kind {
                Tok::Word => self.label_name(token)?,
                Tok::Text => self.text_of(token)?,
                _ => return Err(self.unexpected("label matching", "identifier or \"}\"")),
            };
            self.next();
            let op = match self.peek().kind {
                Tok::Punct('=') => MatchOp::Equal,
                Tok::Operator("!=") => MatchOp::NotEqual,
                Tok::Matching("=~") => MatchOp::Regex,
                Tok::Matching(_) => MatchOp::NotRegex,
                Tok::Punct(',' | '}') if quoted => {
                    into.push(self.matcher(METRIC_NAME, MatchOp::Equal, &name, token.span)?);
                    self.separator("label matching")?;
                    continue;
                }
                _ => return Err(self.unexpected("label matching", "label matching operator")),
            };
            self.next();
            let value = self.peek();
            if value.kind != Tok::Text {
                return Err(self.unexpected("label matching", "string"));
            }
            self.next();
            let text = self.text_of(value)?;
            into.push(self.matcher(&name, op, &text, token.span)?);
            self.separator("label matching")?;
        }
        Ok(())
    }

    /// A comma, or the end of the braces, which stays.
    fn separator(&mut self, context: &str) -> Result<(), QueryError> {
        if self.take(',') || self.peek().kind == Tok::Punct('}') {
            return Ok(());
        }
        Err(self.unexpected(context, "\",\" or \"}\""))
    }

    fn label_name(&self, token: Token) -> Result<String, QueryError> {
        let name = self.word_of(token);
        if name.contains(':') {
            return Err(self.unexpected("label matching", "identifier or \"}\""));
        }
        Ok(name.to_owned())
    }

    /// A matcher, or an error that says what is wrong with its pattern.
    pub(crate) fn matcher(
        &self,
        name: &str,
        op: MatchOp,
        value: &str,
        span: crate::syntax::token::Span,
    ) -> Result<Matcher, QueryError> {
        Matcher::new(name, op, value).map_err(|e| self.error(span, pattern_error(value, &e)))
    }

    /// `(a, "b.c",)`
    pub(crate) fn label_list(&mut self) -> Result<Vec<String>, QueryError> {
        self.expect('(', "grouping opts")?;
        let mut labels = Vec::new();
        while !self.take(')') {
            let token = self.peek();
            let name = match token.kind {
                Tok::Word if !self.word_of(token).contains(':') => self.word_of(token).to_owned(),
                Tok::Number if self.slice(token.span).chars().all(char::is_alphabetic) => {
                    self.slice(token.span).to_owned()
                }
                Tok::Text => self.text_of(token)?,
                _ => return Err(self.unexpected("grouping opts", "label")),
            };
            if name.is_empty() {
                return Err(self.unexpected("grouping opts", "label"));
            }
            self.next();
            labels.push(name);
            if !self.take(',') && self.peek().kind != Tok::Punct(')') {
                return Err(self.unexpected("grouping opts", "\",\" or \")\""));
            }
        }
        Ok(labels)
    }
}

/// What is wrong with a pattern, in one line.
pub(crate) fn pattern_error(value: &str, error: &wellkept_model::MatcherError) -> String {
    let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    // The last line of the library's message says why; the lines before it draw the pattern.
    let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
    format!("the regular expression {value:?} is not accepted: {why}")
}
