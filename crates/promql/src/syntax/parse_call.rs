//! Calls of functions and aggregations.

use crate::QueryError;
use crate::syntax::functions;
use crate::syntax::parse::Parser;
use crate::syntax::token::Kind as Tok;
use crate::syntax::tree::{Aggregate, AggregateOp, Call, Expr};

impl Parser<'_> {
    /// An aggregation, when the word at hand begins one: `sum(…)`, `sum by (a) (…)`. A metric may be called `sum`.
    pub(crate) fn aggregation(&mut self, word: &str) -> Result<Option<Expr>, QueryError> {
        let Some(op) = AggregateOp::find(word) else { return Ok(None) };
        let next = self.ahead(1);
        let modified = self.is_word(next, "by") || self.is_word(next, "without");
        if next.kind != Tok::Punct('(') && !modified {
            return Ok(None);
        }
        let start = self.next().span;
        let mut grouping = self.grouping()?;
        let mut args = self.arguments()?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        let span = start.to(self.last());
        let (without, labels) = grouping.unwrap_or_default();
        let wanted = if op.param().is_some() { 2 } else { 1 };
        if args.is_empty() {
            return Err(self.error(span, "no arguments for aggregate expression provided"));
        }
        if args.len() != wanted {
            let message = format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {}",
                args.len()
            );
            return Err(self.error(span, message));
        }
        let Some(inner) = args.pop() else { return Ok(None) };
        let mut sorted = labels.clone();
        sorted.sort();
        let aggregate = Aggregate { op, inner, param: args.pop(), without, labels, sorted, span };
        self.check_aggregate(&aggregate)?;
        Ok(Some(Expr::Aggregate(Box::new(aggregate))))
    }

    /// `by (a)` or `without (a)`: whether it is `without`, and the labels.
    fn grouping(&mut self) -> Result<Option<(bool, Vec<String>)>, QueryError> {
        for (word, without) in [("by", false), ("without", true)] {
            if self.take_word(word) {
                return Ok(Some((without, self.label_list()?)));
            }
        }
        Ok(None)
    }

    fn arguments(&mut self) -> Result<Vec<Expr>, QueryError> {
        self.expect('(', "aggregation")?;
        let mut args = Vec::new();
        if self.take(')') {
            return Ok(args);
        }
        loop {
            args.push(self.expr()?);
            if self.take(')') {
                return Ok(args);
            }
            if self.peek().kind != Tok::Punct(',') {
                return Err(self.unexpected("function call arguments", "\",\" or \")\""));
            }
            let comma = self.next().span;
            if self.peek().kind == Tok::Punct(')') {
                return Err(self.error(comma, "trailing commas not allowed in function call args"));
            }
        }
    }

    /// `name(…)`
    pub(crate) fn call(&mut self) -> Result<Expr, QueryError> {
        let token = self.next();
        let name = self.word_of(token);
        let Some(signature) = functions::find(name) else {
            return Err(self.error(token.span, format!("unknown function with name {name:?}")));
        };
        let args = self.arguments()?;
        let call = Call { signature, args, span: token.span.to(self.last()) };
        self.check_call(&call)?;
        Ok(Expr::Call(Box::new(call)))
    }
}
