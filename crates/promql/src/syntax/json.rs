//! A tree as the JSON of Prometheus' `/api/v1/parse_query`.

use serde_json::{Value, json};
use wellkept_model::Matcher;

use crate::syntax::duration::{Scale, Time};
use crate::syntax::number::format_number;
use crate::syntax::print::{match_symbol, sign};
use crate::syntax::tree::{At, Binary, Call, Card, Edges, Expr, RangeExpr, RangeOf, Selector, Shift};

/// The tree. Deep only as far as the query is nested; a chain of operators is as deep as it is long.
pub(crate) fn json(expr: &Expr) -> Value {
    match expr {
        Expr::Number(number) => json!({"type": "numberLiteral", "val": format_number(number.value)}),
        Expr::Text { value, .. } => json!({"type": "stringLiteral", "val": value}),
        Expr::Vector(selector) => vector(selector),
        Expr::Range(range) => matrix(range),
        Expr::Sign { minus, inner, .. } => {
            json!({"type": "unaryExpr", "op": sign(*minus), "expr": json(inner)})
        }
        Expr::Binary(_) => chain(expr),
        Expr::Aggregate(aggregate) => json!({
            "type": "aggregation",
            "op": aggregate.op.name(),
            "expr": json(&aggregate.inner),
            "param": aggregate.param.as_ref().map(json),
            "grouping": aggregate.labels,
            "without": aggregate.without,
        }),
        Expr::Call(call) => function(call),
        Expr::Paren { inner, .. } => json!({"type": "parenExpr", "expr": json(inner)}),
    }
}

/// A chain of operators in a loop: only its left side is deep.
fn chain(expr: &Expr) -> Value {
    let mut spine = Vec::new();
    let mut at = expr;
    while let Expr::Binary(binary) = at {
        spine.push(binary);
        at = &binary.lhs;
    }
    let mut lhs = json(at);
    for binary in spine.into_iter().rev() {
        lhs = json!({
            "type": "binaryExpr",
            "op": binary.op.symbol(),
            "lhs": lhs,
            "rhs": json(&binary.rhs),
            "matching": matching(binary),
            "bool": binary.as_bool,
        });
    }
    lhs
}

fn matching(binary: &Binary) -> Value {
    use crate::syntax::tree::Kind::Vector;
    if binary.lhs.kind() != Vector || binary.rhs.kind() != Vector {
        return Value::Null;
    }
    let matching = &binary.matching;
    let card = match matching.card {
        _ if binary.op.is_set() => "many-to-many",
        Card::OneToOne => "one-to-one",
        Card::ManyToOne => "many-to-one",
        Card::OneToMany => "one-to-many",
    };
    let number = |value: Option<f64>| value.map(format_number);
    json!({
        "card": card,
        "labels": matching.labels,
        "on": matching.on,
        "include": matching.include,
        "fillValues": {"lhs": number(matching.fill_left), "rhs": number(matching.fill_right)},
    })
}

fn function(call: &Call) -> Value {
    let kinds: Vec<_> = call.signature.args.iter().map(|k| k.short()).collect();
    let args: Vec<_> = call.args.iter().map(json).collect();
    json!({
        "type": "call",
        "func": {
            "name": call.signature.name,
            "argTypes": kinds,
            "variadic": call.signature.variadic,
            "returnType": call.signature.returns.short(),
        },
        "args": args,
    })
}

/// Milliseconds where they are known without the query's step; else nothing.
fn known(time: Option<&Time>) -> i64 {
    time.and_then(|t| t.ms(Scale::default(), false).ok()).unwrap_or(0)
}

fn matchers(matchers: &[Matcher]) -> Vec<Value> {
    let one = |m: &Matcher| json!({"name": m.name(), "value": m.value(), "type": match_symbol(m.op())});
    matchers.iter().map(one).collect()
}

fn with_shift(mut value: Value, shift: &Shift) -> Value {
    let (time, word) = match shift.at {
        None => (Value::Null, Value::Null),
        Some(At::Start) => (Value::Null, json!("start")),
        Some(At::End) => (Value::Null, json!("end")),
        Some(At::Time(ms)) => (json!(ms), Value::Null),
    };
    if let Some(map) = value.as_object_mut() {
        map.insert("offset".to_owned(), json!(known(shift.offset.as_ref())));
        map.insert("timestamp".to_owned(), time);
        map.insert("startOrEnd".to_owned(), word);
    }
    value
}

fn vector(selector: &Selector) -> Value {
    let value = json!({
        "type": "vectorSelector",
        "name": selector.name,
        "matchers": matchers(&selector.matchers),
        "anchored": selector.edges == Edges::Anchored,
        "smoothed": selector.edges == Edges::Smoothed,
    });
    with_shift(value, &selector.shift)
}

fn matrix(range: &RangeExpr) -> Value {
    let length = known(Some(&range.range));
    match &range.of {
        RangeOf::Samples(selector) => {
            let value = json!({
                "type": "matrixSelector",
                "name": selector.name,
                "range": length,
                "matchers": matchers(&selector.matchers),
                "anchored": selector.edges == Edges::Anchored,
                "smoothed": selector.edges == Edges::Smoothed,
            });
            with_shift(value, &selector.shift)
        }
        RangeOf::Subquery { inner, step, shift } => {
            let value = json!({
                "type": "subquery",
                "expr": json(inner),
                "range": length,
                "step": known(step.as_ref()),
            });
            with_shift(value, shift)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::syntax::parse::parse;

    fn of(text: &str) -> Value {
        json(&parse(text, &Limits::default()).unwrap())
    }

    #[test]
    fn a_selector_tells_its_matchers_and_when_it_looks() {
        assert_eq!(
            of("up{a=~\"b\"} offset 5m @ 10"),
            json!({
                "type": "vectorSelector",
                "name": "up",
                "matchers": [
                    {"name": "a", "value": "b", "type": "=~"},
                    {"name": "__name__", "value": "up", "type": "="},
                ],
                "offset": 300_000,
                "timestamp": 10_000,
                "startOrEnd": null,
                "anchored": false,
                "smoothed": false,
            })
        );
    }

    #[test]
    fn every_kind_of_node_has_its_type() {
        for (text, kind) in [
            ("1", "numberLiteral"),
            ("'a'", "stringLiteral"),
            ("-up", "unaryExpr"),
            ("up + 1", "binaryExpr"),
            ("sum(up)", "aggregation"),
            ("abs(up)", "call"),
            ("(up)", "parenExpr"),
            ("up[5m]", "matrixSelector"),
            ("up[5m:]", "subquery"),
        ] {
            assert_eq!(of(text)["type"], kind, "{text}");
        }
        assert_eq!(of("a and b")["matching"]["card"], "many-to-many");
        assert_eq!(of("a + 1")["matching"], Value::Null);
    }
}
