//! From the parser's tree to a checked [`Query`]; what is not supported is refused here, by its name.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use promql_parser::label as pl;
use promql_parser::parser as pp;
use wellkept_model::{METRIC_NAME, MatchOp, Matcher};

use crate::expr::{
    Aggregate, AggregateOp, Binary, Call, Card, Expr, Kind, Matching, Op, RangeExpr, RangeOf, Selector,
};
use crate::functions;
use crate::guard;
use crate::tokens::{aggregate_op, binary_op, milliseconds, shift};
use crate::{Limits, QueryError};

/// Step of a subquery that names none: Prometheus' default evaluation interval.
const SUBQUERY_STEP: Duration = Duration::from_secs(60);

/// A query that may be evaluated any number of times.
#[derive(Debug)]
pub struct Query {
    pub(crate) expr: Expr,
}

impl Query {
    /// Reads and checks a query. Safe for any text: nothing recurses before the bounds are checked.
    ///
    /// # Errors
    /// [`QueryError::BadData`] when the text is beyond a limit, is no PromQL, has types that do not fit, or uses
    /// something that is not supported.
    pub fn parse(text: &str, limits: &Limits) -> Result<Self, QueryError> {
        let tree = syntax(text, limits)?;
        Ok(Self { expr: Lower { limits }.expr(&tree, 0)? })
    }
}

/// The matchers of a lone series selector, as `match[]` of `/api/v1/series` wants it.
///
/// # Errors
/// [`QueryError::BadData`] as [`Query::parse`], and when the text is anything but a plain selector.
pub fn selector(text: &str, limits: &Limits) -> Result<Vec<Matcher>, QueryError> {
    let tree = syntax(text, limits)?;
    match &tree {
        pp::Expr::VectorSelector(vs) if vs.offset.is_none() && vs.at.is_none() => {
            Ok(Lower { limits }.selector(vs)?.matchers)
        }
        _ => Err(QueryError::bad(
            "parse error: this is no series selector; write a name, matchers in braces, or both",
        )),
    }
}

fn syntax(text: &str, limits: &Limits) -> Result<pp::Expr, QueryError> {
    guard::check(text, limits)?;
    // The guard keeps out what is known to panic in the parser. Should there be more, a stranger's text still must
    // not end the thread that serves everybody.
    let parsed = catch_unwind(AssertUnwindSafe(|| pp::parse(text)))
        .map_err(|_| QueryError::bad("parse error: the parser failed on this text"))?;
    parsed.map_err(|e| QueryError::bad(format!("parse error: {e}")))
}

struct Lower<'a> {
    limits: &'a Limits,
}

impl Lower<'_> {
    fn expr(&self, tree: &pp::Expr, depth: usize) -> Result<Expr, QueryError> {
        let mut tree = tree;
        while let pp::Expr::Paren(paren) = tree {
            tree = &paren.expr;
        }
        if depth > self.limits.depth {
            return Err(guard::too_deep(self.limits));
        }
        match tree {
            pp::Expr::NumberLiteral(n) => Ok(Expr::Number(n.val)),
            pp::Expr::StringLiteral(s) => Ok(Expr::Text(s.val.clone())),
            pp::Expr::VectorSelector(vs) => Ok(Expr::Vector(self.selector(vs)?)),
            pp::Expr::MatrixSelector(ms) => Ok(Expr::Range(Box::new(RangeExpr {
                range: milliseconds(ms.range)?,
                of: RangeOf::Samples(self.selector(&ms.vs)?),
            }))),
            pp::Expr::Subquery(sub) => self.subquery(sub, depth),
            pp::Expr::Unary(unary) => {
                let inner = self.expr(&unary.expr, depth + 1)?;
                if !matches!(inner.kind(), Kind::Scalar | Kind::Vector) {
                    return Err(type_error("unary expression", "scalar or instant vector", inner.kind()));
                }
                Ok(Expr::Negate(Box::new(inner)))
            }
            pp::Expr::Binary(_) => self.chain(tree, depth),
            pp::Expr::Aggregate(aggregate) => self.aggregate(aggregate, depth),
            pp::Expr::Call(call) => self.call(call, depth),
            pp::Expr::Paren(_) | pp::Expr::Extension(_) => {
                Err(QueryError::bad("extensions are not supported"))
            }
        }
    }

    /// `a + b + c`: the left side is walked in a loop, so that a long flat chain is not depth.
    fn chain(&self, tree: &pp::Expr, depth: usize) -> Result<Expr, QueryError> {
        let mut spine = Vec::new();
        let mut at = tree;
        loop {
            match at {
                pp::Expr::Binary(binary) => {
                    spine.push(binary);
                    at = &binary.lhs;
                }
                pp::Expr::Paren(paren) => at = &paren.expr,
                _ => break,
            }
        }
        let mut lhs = self.expr(at, depth + 1)?;
        for binary in spine.into_iter().rev() {
            let rhs = self.expr(&binary.rhs, depth + 1)?;
            lhs = join(binary, lhs, rhs)?;
        }
        Ok(lhs)
    }

    fn subquery(&self, sub: &pp::SubqueryExpr, depth: usize) -> Result<Expr, QueryError> {
        let inner = self.expr(&sub.expr, depth + 1)?;
        if inner.kind() != Kind::Vector {
            return Err(type_error("subquery", "instant vector", inner.kind()));
        }
        let step = milliseconds(sub.step.unwrap_or(SUBQUERY_STEP))?;
        let shift = shift(sub.offset.as_ref(), sub.at.as_ref())?;
        let of = RangeOf::Subquery { inner, step, shift };
        Ok(Expr::Range(Box::new(RangeExpr { range: milliseconds(sub.range)?, of })))
    }

    fn selector(&self, vs: &pp::VectorSelector) -> Result<Selector, QueryError> {
        if !vs.matchers.or_matchers.is_empty() {
            return Err(QueryError::bad("parse error: `or` between label matchers is not supported"));
        }
        let mut matchers = Vec::with_capacity(vs.matchers.matchers.len() + 1);
        if let Some(name) = &vs.name {
            matchers.push(guard::matcher(METRIC_NAME, MatchOp::Equal, name)?);
        }
        for matcher in &vs.matchers.matchers {
            let op = match matcher.op {
                pl::MatchOp::Equal => MatchOp::Equal,
                pl::MatchOp::NotEqual => MatchOp::NotEqual,
                pl::MatchOp::Re(_) => MatchOp::Regex,
                pl::MatchOp::NotRe(_) => MatchOp::NotRegex,
            };
            matchers.push(guard::matcher(&matcher.name, op, &matcher.value)?);
        }
        if matchers.iter().all(|m| m.matches("")) {
            return Err(QueryError::bad(
                "parse error: vector selector must contain at least one non-empty matcher",
            ));
        }
        Ok(Selector { text: vs.to_string(), matchers, shift: shift(vs.offset.as_ref(), vs.at.as_ref())? })
    }

    fn aggregate(&self, tree: &pp::AggregateExpr, depth: usize) -> Result<Expr, QueryError> {
        let op = aggregate_op(tree)?;
        let inner = self.expr(&tree.expr, depth + 1)?;
        if inner.kind() != Kind::Vector {
            return Err(type_error("aggregation expression", "instant vector", inner.kind()));
        }
        let param = tree.param.as_ref().map(|p| self.expr(p, depth + 1)).transpose()?;
        let wanted = match op {
            AggregateOp::TopK | AggregateOp::BottomK | AggregateOp::Quantile => Some(Kind::Scalar),
            AggregateOp::CountValues => Some(Kind::Text),
            _ => None,
        };
        let got = param.as_ref().map(Expr::kind);
        if let (Some(wanted), Some(got)) = (wanted, got)
            && wanted != got
        {
            return Err(type_error("aggregation parameter", wanted.word(), got));
        }
        if wanted.is_some() != got.is_some() {
            return Err(QueryError::bad(format!("parse error: wrong number of arguments for `{}`", tree.op)));
        }
        let (without, labels) = match &tree.modifier {
            None => (false, Vec::new()),
            Some(pp::LabelModifier::Include(l)) => (false, sorted(l)),
            Some(pp::LabelModifier::Exclude(l)) => (true, sorted(l)),
        };
        Ok(Expr::Aggregate(Box::new(Aggregate { op, inner, param, without, labels })))
    }

    fn call(&self, tree: &pp::Call, depth: usize) -> Result<Expr, QueryError> {
        let name = tree.func.name;
        let Some(signature) = functions::find(name) else {
            return Err(QueryError::bad(format!("parse error: the function `{name}` is not supported")));
        };
        let count = tree.args.args.len();
        let most = if signature.repeats_last { usize::MAX } else { signature.args.len() };
        if count < signature.required || count > most {
            return Err(QueryError::bad(format!(
                "parse error: expected {} argument(s) in call to \"{name}\", got {count}",
                signature.expected()
            )));
        }
        let mut args = Vec::with_capacity(count);
        for (i, arg) in tree.args.args.iter().enumerate() {
            let arg = self.expr(arg, depth + 1)?;
            let wanted = signature.args.get(i).or(signature.args.last());
            if let Some(wanted) = wanted.filter(|w| **w != arg.kind()) {
                return Err(type_error(&format!("call to function \"{name}\""), wanted.word(), arg.kind()));
            }
            args.push(arg);
        }
        let call = Call { function: signature.function, args, returns: signature.returns };
        functions::check_texts(&call)?;
        Ok(Expr::Call(Box::new(call)))
    }
}

/// Label names in order, so that evaluation can search them.
fn sorted(labels: &pl::Labels) -> Vec<String> {
    let mut names = labels.labels.clone();
    names.sort();
    names
}

fn type_error(place: &str, wanted: &str, got: Kind) -> QueryError {
    QueryError::bad(format!("parse error: expected type {wanted} in {place}, got {}", got.word()))
}

/// Joins two sides, after checking that the operator takes them.
fn join(tree: &pp::BinaryExpr, lhs: Expr, rhs: Expr) -> Result<Expr, QueryError> {
    let op = binary_op(tree)?;
    let as_bool = tree.modifier.as_ref().is_some_and(|m| m.return_bool);
    let kinds = (lhs.kind(), rhs.kind());
    for kind in [kinds.0, kinds.1] {
        if !matches!(kind, Kind::Scalar | Kind::Vector) {
            return Err(type_error("binary expression", "scalar or instant vector", kind));
        }
    }
    if as_bool && !op.is_comparison() {
        return Err(QueryError::bad("parse error: bool modifier can only be used on comparison operators"));
    }
    let scalars = kinds == (Kind::Scalar, Kind::Scalar);
    if scalars && op.is_comparison() && !as_bool {
        return Err(QueryError::bad("parse error: comparisons between scalars must use BOOL modifier"));
    }
    if kinds != (Kind::Vector, Kind::Vector) && op.is_set() {
        return Err(QueryError::bad(format!(
            "parse error: set operator {:?} not allowed in binary scalar expression",
            tree.op.to_string()
        )));
    }
    let matching = matching(tree, op)?;
    let kind = if scalars { Kind::Scalar } else { Kind::Vector };
    Ok(Expr::Binary(Box::new(Binary { op, lhs, rhs, matching, as_bool, kind })))
}

fn matching(tree: &pp::BinaryExpr, op: Op) -> Result<Matching, QueryError> {
    let Some(modifier) = &tree.modifier else { return Ok(Matching::default()) };
    if modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some() {
        return Err(QueryError::bad(
            "parse error: the modifiers `fill`, `fill_left` and `fill_right` are not supported",
        ));
    }
    let (on, labels) = match &modifier.matching {
        None => (false, Vec::new()),
        Some(pp::LabelModifier::Include(l)) => (true, sorted(l)),
        Some(pp::LabelModifier::Exclude(l)) => (false, sorted(l)),
    };
    let (card, include) = match &modifier.card {
        pp::VectorMatchCardinality::OneToOne | pp::VectorMatchCardinality::ManyToMany => {
            (Card::OneToOne, Vec::new())
        }
        pp::VectorMatchCardinality::ManyToOne(l) => (Card::ManyToOne, sorted(l)),
        pp::VectorMatchCardinality::OneToMany(l) => (Card::OneToMany, sorted(l)),
    };
    if op.is_set() && card != Card::OneToOne {
        return Err(QueryError::bad(format!(
            "parse error: no grouping allowed for \"{}\" operation",
            tree.op
        )));
    }
    if let Some(both) = labels.iter().find(|l| on && include.binary_search(l).is_ok()) {
        return Err(QueryError::bad(format!(
            "parse error: label {both:?} must not occur in ON and GROUP clause at once"
        )));
    }
    Ok(Matching { on, labels, card, include })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<(String, MatchOp, String)> {
        let matchers = selector(text, &Limits::default()).unwrap();
        matchers.iter().map(|m| (m.name().to_owned(), m.op(), m.value().to_owned())).collect()
    }

    #[test]
    fn a_selector_gives_its_matchers_with_the_name_first() {
        let name = (METRIC_NAME.to_owned(), MatchOp::Equal, "up".to_owned());
        assert_eq!(named("up"), std::slice::from_ref(&name));
        assert_eq!(
            named(r#"up{job!~"n|m"}"#),
            [name.clone(), ("job".into(), MatchOp::NotRegex, "n|m".into())]
        );
        assert_eq!(named(r#"{__name__="up"}"#), std::slice::from_ref(&name));
        assert_eq!(named(r#"{"up"}"#), [name]);
    }

    #[test]
    fn what_is_more_than_a_selector_is_none() {
        for text in ["up offset 5m", "up @ 5", "up[5m]", "sum(up)", "(up)", "1", "", "{}", "up{"] {
            assert!(selector(text, &Limits::default()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_query_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Query>();
        shared::<QueryError>();
    }
}
