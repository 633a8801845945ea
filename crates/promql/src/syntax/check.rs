//! Types: every rule is asked when its node is built, so that a wrong query is refused before data is read.

use wellkept_model::{MatchOp, Matcher};

use crate::QueryError;
use crate::syntax::functions::Function;
use crate::syntax::parse::Parser;
use crate::syntax::parse_selector::pattern_error;
use crate::syntax::token::Span;
use crate::syntax::tree::{Aggregate, Binary, Call, Card, Edges, Expr, Kind, RangeOf};

impl Parser<'_> {
    fn wants(&self, expr: &Expr, wanted: Kind, context: &str) -> Result<(), QueryError> {
        let got = expr.kind();
        if got == wanted {
            return Ok(());
        }
        let message = format!("expected type {} in {context}, got {}", wanted.word(), got.word());
        Err(self.error(expr.span(), message))
    }

    pub(crate) fn check_sign(&self, inner: &Expr, span: Span) -> Result<(), QueryError> {
        if matches!(inner.kind(), Kind::Scalar | Kind::Vector) {
            return Ok(());
        }
        let message = format!(
            "unary expression only allowed on expressions of type scalar or instant vector, got {:?}",
            inner.kind().word()
        );
        Err(self.error(span, message))
    }

    pub(crate) fn check_aggregate(&self, aggregate: &Aggregate) -> Result<(), QueryError> {
        self.wants(&aggregate.inner, Kind::Vector, "aggregation expression")?;
        match (&aggregate.param, aggregate.op.param()) {
            (Some(param), Some(kind)) => self.wants(param, kind, "aggregation parameter"),
            _ => Ok(()),
        }
    }

    pub(crate) fn check_binary(&self, binary: &mut Binary, place: Span) -> Result<(), QueryError> {
        let (op, kinds) = (binary.op, (binary.lhs.kind(), binary.rhs.kind()));
        for side in [&binary.lhs, &binary.rhs] {
            if !matches!(side.kind(), Kind::Scalar | Kind::Vector) {
                let message = "binary expression must contain only scalar and instant vector types";
                return Err(self.error(side.span(), message));
            }
        }
        if binary.as_bool && !op.is_comparison() {
            return Err(self.error(place, "bool modifier can only be used on comparison operators"));
        }
        if op.is_comparison() && !binary.as_bool && kinds == (Kind::Scalar, Kind::Scalar) {
            return Err(self.error(place, "comparisons between scalars must use BOOL modifier"));
        }
        let matching = &binary.matching;
        if let Some(both) = matching.labels.iter().find(|l| matching.on && matching.include.contains(l)) {
            let message = format!("label {both:?} must not occur in ON and GROUP clause at once");
            return Err(self.error(place, message));
        }
        if kinds != (Kind::Vector, Kind::Vector) {
            if op.is_set() {
                let message =
                    format!("set operator {:?} not allowed in binary scalar expression", op.symbol());
                return Err(self.error(binary.span, message));
            }
            let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
            if fills || !matching.labels.is_empty() {
                let message = "vector matching only allowed between instant vectors";
                return Err(self.error(binary.span, message));
            }
            return Ok(());
        }
        if op.is_set() {
            if matching.card != Card::OneToOne {
                let message = format!("no grouping allowed for {:?} operation", op.symbol());
                return Err(self.error(binary.span, message));
            }
            if matching.fill_left.is_some() || matching.fill_right.is_some() {
                return Err(
                    self.error(binary.span, "filling in missing series not allowed for set operators")
                );
            }
        }
        Ok(())
    }

    pub(crate) fn check_call(&mut self, call: &Call) -> Result<(), QueryError> {
        let signature = call.signature;
        let (name, count, most) = (signature.name, call.args.len(), signature.args.len());
        let message = match signature.variadic {
            0 if count != most => format!("expected {most} argument(s) in call to {name:?}, got {count}"),
            0 => String::new(),
            _ if count + 1 < most => {
                format!("expected at least {} argument(s) in call to {name:?}, got {count}", most - 1)
            }
            more @ 1.. if count > most - 1 + more.unsigned_abs() as usize => format!(
                "expected at most {} argument(s) in call to {name:?}, got {count}",
                most - 1 + more.unsigned_abs() as usize
            ),
            _ => String::new(),
        };
        if !message.is_empty() {
            return Err(self.error(call.span, message));
        }
        for (arg, wanted) in call.args.iter().zip(signature.kinds()) {
            self.wants(arg, wanted, &format!("call to function {name:?}"))?;
        }
        self.check_edges(call)?;
        self.check_texts(call)
    }

    /// Only functions that look at the ends of a range can say something about them.
    fn check_edges(&self, call: &Call) -> Result<(), QueryError> {
        for arg in &call.args {
            let Expr::Range(range) = arg.bare() else { continue };
            let RangeOf::Samples(selector) = &range.of else { continue };
            let (word, fits): (_, &[&str]) = match selector.edges {
                Edges::Plain => continue,
                Edges::Anchored => ("anchored", &["changes", "delta", "increase", "rate", "resets"]),
                Edges::Smoothed => ("smoothed", &["delta", "increase", "rate"]),
            };
            let name = call.signature.name;
            if !fits.contains(&name) {
                let message =
                    format!("{word} modifier can only be used with: {} - not with {name}", fits.join(", "));
                return Err(self.error(arg.span(), message));
            }
        }
        Ok(())
    }

    /// Arguments that can be wrong in themselves, so that a bad one is refused before data is read.
    fn check_texts(&mut self, call: &Call) -> Result<(), QueryError> {
        let text = |i: usize| match call.args.get(i).map(Expr::bare) {
            Some(Expr::Text { value, .. }) => value.as_str(),
            _ => "",
        };
        match call.signature.function {
            Function::LabelReplace => {
                Matcher::new("pattern", MatchOp::Regex, text(4))
                    .map_err(|e| self.error(call.span, pattern_error(text(4), &e)))?;
                if text(1).is_empty() {
                    let message = "invalid destination label name in label_replace(): it is empty";
                    return Err(self.error(call.span, message));
                }
                Ok(())
            }
            Function::LabelJoin if text(1).is_empty() => {
                Err(self.error(call.span, "invalid destination label name in label_join(): it is empty"))
            }
            Function::LabelJoin if (3..call.args.len()).any(|i| text(i).is_empty()) => {
                Err(self.error(call.span, "invalid source label name in label_join(): it is empty"))
            }
            Function::Info => {
                match call.args.get(1) {
                    // Its selector names labels, not series, and may be empty.
                    Some(Expr::Vector(selector)) if selector.name.is_empty() => {
                        self.allow_empty(selector.span);
                        Ok(())
                    }
                    Some(other) => Err(self
                        .error(other.span(), "expected label selectors only, got vector selector instead")),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}
