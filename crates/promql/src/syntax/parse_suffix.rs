//! What may stand behind an operand: ranges, subqueries, `offset` and `@`.

use crate::QueryError;
use crate::syntax::duration::{Length, Time, milliseconds};
use crate::syntax::number;
use crate::syntax::parse::Parser;
use crate::syntax::token::{Kind as Tok, Span};
use crate::syntax::tree::{At, Edges, Expr, Kind, RangeExpr, RangeOf, Selector, Shift};

impl Parser<'_> {
    /// `[5m]`, `[5m:1m]`, `offset 5m`, `@ 5`
    pub(crate) fn suffixes(&mut self, mut expr: Expr) -> Result<Expr, QueryError> {
        loop {
            let token = self.peek();
            if token.kind == Tok::Punct('[') {
                expr = self.range(expr)?;
            } else if self.is_word(token, "offset") {
                self.next();
                let time = self.offset_time()?;
                self.set_offset(&mut expr, time)?;
            } else if self.is_word(token, "anchored") || self.is_word(token, "smoothed") {
                let smoothed = self.is_word(token, "smoothed");
                self.next();
                let edges = if smoothed { Edges::Smoothed } else { Edges::Anchored };
                self.set_edges(&mut expr, edges)?;
            } else if token.kind == Tok::Punct('@') {
                self.next();
                let at = self.instant()?;
                self.set_at(&mut expr, at)?;
            } else {
                return Ok(expr);
            }
        }
    }

    fn range(&mut self, expr: Expr) -> Result<Expr, QueryError> {
        self.next();
        let open = self.last();
        let range = self.positive_time()?;
        let start = expr.span();
        if self.take(':') {
            let step = if self.peek().kind == Tok::Punct(']') { None } else { Some(self.positive_time()?) };
            let end = self.expect(']', "subquery selector")?;
            let span = start.to(end);
            if expr.kind() != Kind::Vector {
                let message = format!(
                    "subquery is only allowed on instant vector, got {} instead",
                    expr.kind().short()
                );
                return Err(self.error(span, message));
            }
            let of = RangeOf::Subquery { inner: expr, step, shift: Shift::default() };
            return Ok(Expr::Range(Box::new(RangeExpr { of, range, span })));
        }
        let end = self.expect(']', "subquery or range")?;
        let Expr::Vector(selector) = expr else {
            return Err(self.error(open, "ranges only allowed for vector selectors"));
        };
        if selector.shift.offset.is_some() {
            return Err(self.error(open, "no offset modifiers allowed before range"));
        }
        if selector.edges != Edges::Plain {
            return Err(self.error(open, "no anchored or smoothed modifiers allowed before range"));
        }
        if selector.shift.at.is_some() {
            return Err(self.error(open, "no @ modifiers allowed before range"));
        }
        let of = RangeOf::Samples(*selector);
        Ok(Expr::Range(Box::new(RangeExpr { of, range, span: start.to(end) })))
    }

    fn instant(&mut self) -> Result<At, QueryError> {
        for (word, at) in [("start", At::Start), ("end", At::End)] {
            if self.is_word(self.peek(), word) {
                self.next();
                self.expect('(', "@")?;
                self.expect(')', "@")?;
                return Ok(at);
            }
        }
        let place = self.peek().span;
        let seconds = self.signed_number("@")?;
        // Far from the ends of `i64`, so that an offset cannot leave it either.
        if !seconds.is_finite() || seconds.abs() >= 9.2e15 {
            let message =
                format!("timestamp out of bounds for @ modifier: {}", number::format_number(seconds));
            return Err(self.error(place, message));
        }
        Ok(At::Time((seconds * 1000.0).round() as i64))
    }

    fn set_offset(&self, expr: &mut Expr, time: Time) -> Result<(), QueryError> {
        let end = self.last();
        let span = expr.span();
        let Some(shift) = shift_of(expr, end) else {
            return Err(self.error(
                span,
                "offset modifier must be preceded by an instant vector selector or range vector selector or a \
                 subquery",
            ));
        };
        if shift.offset.is_some() {
            return Err(self.error(span, "offset may not be set multiple times"));
        }
        // `offset 0s` says nothing, and Prometheus does not remember it; nor is there less than a millisecond.
        let nothing = matches!(time.expr, Length::Literal { seconds, .. } if milliseconds(seconds) == 0);
        shift.offset = (!nothing).then_some(time);
        Ok(())
    }

    fn set_edges(&self, expr: &mut Expr, edges: Edges) -> Result<(), QueryError> {
        let (end, span) = (self.last(), expr.span());
        let selector = match expr {
            Expr::Vector(selector) if edges == Edges::Smoothed => {
                selector.span.end = end.end;
                Some(&mut **selector)
            }
            Expr::Range(range) => {
                range.span.end = end.end;
                match &mut range.of {
                    RangeOf::Samples(selector) => Some(selector),
                    RangeOf::Subquery { .. } => None,
                }
            }
            _ => None,
        };
        let Some(selector) = selector else {
            let message = match edges {
                Edges::Smoothed => {
                    "smoothed modifier must be preceded by an instant vector selector or range vector selector"
                }
                _ => "anchored modifier must be preceded by a range vector selector",
            };
            return Err(self.error(span, message));
        };
        if selector.edges != Edges::Plain {
            return Err(self.error(span, "anchored and smoothed may be set only once"));
        }
        selector.edges = edges;
        Ok(())
    }

    fn set_at(&self, expr: &mut Expr, at: At) -> Result<(), QueryError> {
        let end = self.last();
        let span = expr.span();
        let Some(shift) = shift_of(expr, end) else {
            return Err(self.error(
                span,
                "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery",
            ));
        };
        if shift.at.is_some() {
            return Err(self.error(span, "@ <timestamp> may not be set multiple times"));
        }
        shift.at = Some(at);
        Ok(())
    }
}

/// Where a selector or subquery keeps its shift; its place now ends at `end`.
fn shift_of(expr: &mut Expr, end: Span) -> Option<&mut Shift> {
    match expr {
        Expr::Vector(selector) => {
            let Selector { shift, span, .. } = &mut **selector;
            span.end = end.end;
            Some(shift)
        }
        Expr::Range(range) => {
            range.span.end = end.end;
            match &mut range.of {
                RangeOf::Samples(selector) => Some(&mut selector.shift),
                RangeOf::Subquery { shift, .. } => Some(shift),
            }
        }
        _ => None,
    }
}
