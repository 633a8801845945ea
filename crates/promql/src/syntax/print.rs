//! A tree as PromQL text on one line, in Prometheus' form.

use wellkept_model::{METRIC_NAME, MatchOp, Matcher};

use crate::syntax::number::{format_duration, format_number};
use crate::syntax::quote::quote;
use crate::syntax::tree::{
    Aggregate, At, Binary, Call, Card, Edges, Expr, Number, Op, RangeExpr, RangeOf, Selector, Shift,
};

/// One line.
pub(crate) fn print(expr: &Expr) -> String {
    match expr {
        Expr::Number(number) => print_number(*number),
        Expr::Text { value, .. } => quote(value),
        Expr::Vector(selector) => {
            let (edges, shift) = (print_edges(selector.edges), print_shift(&selector.shift));
            format!("{}{edges}{shift}", bare_selector(selector))
        }
        Expr::Range(range) => print_range(range),
        Expr::Sign { minus, inner, .. } => format!("{}{}", sign(*minus), print(inner)),
        Expr::Binary(_) => chain(expr),
        Expr::Aggregate(aggregate) => {
            let param = aggregate.param.as_ref().map(|p| format!("{}, ", print(p))).unwrap_or_default();
            format!("{}({param}{})", aggregate_head(aggregate), print(&aggregate.inner))
        }
        Expr::Call(call) => print_call(call),
        Expr::Paren { inner, .. } => format!("({})", print(inner)),
    }
}

/// A chain of operators in a loop: it may be long, and only its left side is deep.
fn chain(expr: &Expr) -> String {
    let mut spine = Vec::new();
    let mut at = expr;
    while let Expr::Binary(binary) = at {
        spine.push(binary);
        at = &binary.lhs;
    }
    let mut out = spine.last().and_then(|b| bare_base(b)).map_or_else(|| print(at), str::to_owned);
    for binary in spine.into_iter().rev() {
        out.push_str(&format!(" {} {}", operator(binary), print(&binary.rhs)));
    }
    out
}

/// The base of a power where it is infinite: its sign would be read as that of the whole power.
pub(crate) fn bare_base(binary: &Binary) -> Option<&'static str> {
    let infinite = matches!(&binary.lhs, Expr::Number(n) if n.value == f64::INFINITY && !n.duration);
    (binary.op == Op::Pow && infinite).then_some("Inf")
}

pub(crate) fn sign(minus: bool) -> &'static str {
    if minus { "-" } else { "+" }
}

fn print_call(call: &Call) -> String {
    let args: Vec<_> = call.args.iter().map(print).collect();
    format!("{}({})", call.signature.name, args.join(", "))
}

fn print_number(number: Number) -> String {
    if number.duration {
        return format_duration((number.value * 1000.0).round() as i64);
    }
    format_number(number.value)
}

/// The operator with everything that stands between it and the right side.
pub(crate) fn operator(binary: &Binary) -> String {
    let matching = &binary.matching;
    let mut out = binary.op.symbol().to_owned();
    if binary.as_bool {
        out.push_str(" bool");
    }
    if matching.on || !matching.labels.is_empty() {
        out.push_str(if matching.on { " on (" } else { " ignoring (" });
        out.push_str(&label_list(&matching.labels));
        out.push(')');
        let group = match matching.card {
            Card::OneToOne => None,
            Card::ManyToOne => Some("group_left"),
            Card::OneToMany => Some("group_right"),
        };
        if let Some(group) = group {
            out.push_str(&format!(" {group} ({})", label_list(&matching.include)));
        }
    }
    match (matching.fill_left, matching.fill_right) {
        (Some(left), Some(right)) if left.to_bits() == right.to_bits() => {
            out.push_str(&format!(" fill ({})", format_number(left)));
        }
        (left, right) => {
            for (word, value) in [("fill_left", left), ("fill_right", right)] {
                if let Some(value) = value {
                    out.push_str(&format!(" {word} ({})", format_number(value)));
                }
            }
        }
    }
    out
}

pub(crate) fn aggregate_head(aggregate: &Aggregate) -> String {
    let name = aggregate.op.name();
    let labels = label_list(&aggregate.labels);
    match (aggregate.without, labels.is_empty()) {
        (true, _) => format!("{name} without ({labels}) "),
        (false, false) => format!("{name} by ({labels}) "),
        (false, true) => name.to_owned(),
    }
}

fn label_list(labels: &[String]) -> String {
    let names: Vec<_> = labels.iter().map(|l| label_name(l)).collect();
    names.join(", ")
}

/// A name that needs no quotes, or in quotes.
fn label_name(name: &str) -> String {
    if is_plain(name, false) { name.to_owned() } else { quote(name) }
}

fn is_plain(name: &str, colon: bool) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || colon && c == ':';
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

/// A selector without `offset` and `@`.
pub(crate) fn bare_selector(selector: &Selector) -> String {
    let mut named = false;
    let mut parts: Vec<String> = Vec::new();
    for matcher in &selector.matchers {
        let is_name = matcher.name() == METRIC_NAME
            && matcher.op() == MatchOp::Equal
            && !selector.name.is_empty()
            && matcher.value() == selector.name;
        if is_name {
            named = true;
        } else {
            parts.push(print_matcher(matcher));
        }
    }
    let name = if named { selector.name.as_str() } else { "" };
    if parts.is_empty() && named {
        return name.to_owned();
    }
    parts.sort();
    format!("{name}{{{}}}", parts.join(","))
}

pub(crate) fn match_symbol(op: MatchOp) -> &'static str {
    match op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex => "=~",
        MatchOp::NotRegex => "!~",
    }
}

fn print_matcher(matcher: &Matcher) -> String {
    format!("{}{}{}", label_name(matcher.name()), match_symbol(matcher.op()), quote(matcher.value()))
}

fn print_shift(shift: &Shift) -> String {
    let at = match shift.at {
        None => String::new(),
        Some(At::Start) => " @ start()".to_owned(),
        Some(At::End) => " @ end()".to_owned(),
        Some(At::Time(ms)) => format!(" @ {:.3}", crate::syntax::number::seconds(ms)),
    };
    let offset = shift.offset.as_ref().map(|o| format!(" offset {}", o.print())).unwrap_or_default();
    format!("{at}{offset}")
}

fn print_edges(edges: Edges) -> &'static str {
    match edges {
        Edges::Plain => "",
        Edges::Anchored => " anchored",
        Edges::Smoothed => " smoothed",
    }
}

fn print_range(range: &RangeExpr) -> String {
    match &range.of {
        RangeOf::Samples(selector) => format!("{}{}", bare_selector(selector), range_suffix(range)),
        RangeOf::Subquery { inner, .. } => format!("{}{}", print(inner), range_suffix(range)),
    }
}

/// `[5m:1m] @ 5 offset 1m`
pub(crate) fn range_suffix(range: &RangeExpr) -> String {
    let length = range.range.print();
    let shift = print_shift(range.shift());
    match &range.of {
        RangeOf::Samples(selector) => format!("[{length}]{}{shift}", print_edges(selector.edges)),
        RangeOf::Subquery { step, .. } => {
            let step = step.as_ref().map(|s| s.print()).unwrap_or_default();
            format!("[{length}:{step}]{shift}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::syntax::parse::parse;

    fn check(text: &str, wanted: &str) {
        let limits = Limits::default();
        let printed = print(&parse(text, &limits).unwrap());
        assert_eq!(printed, wanted);
        let again = print(&parse(&printed, &limits).unwrap());
        assert_eq!(again, wanted, "what is printed is read as the same");
    }

    #[test]
    fn a_tree_is_printed_as_prometheus_prints_it() {
        for (text, wanted) in [
            ("sum(up)by(job)", "sum by (job) (up)"),
            ("SUM WITHOUT(a,\"b.c\")(up)", "sum without (a, \"b.c\") (up)"),
            ("up{b='x',a=~\"y\"}", "up{a=~\"y\",b=\"x\"}"),
            ("{\"up\", a='1'}", "{__name__=\"up\",a=\"1\"}"),
            ("rate(up[90s] offset 5m @ 10)", "rate(up[1m30s] @ 10.000 offset 5m)"),
            ("max_over_time((up+1)[1h:]@end()offset-1m)", "max_over_time((up + 1)[1h:] @ end() offset -1m)"),
            ("topk(2,up)>bool 1", "topk(2, up) > bool 1"),
            ("a/on(x)group_left(y)b", "a / on (x) group_left (y) b"),
            ("a-ignoring(x)b", "a - ignoring (x) b"),
            ("a+fill(0)b", "a + fill (0) b"),
            ("a+fill_left(-1)fill_right(NaN)b", "a + fill_left (-1) fill_right (NaN) b"),
            ("-a^2", "-a ^ 2"),
            ("Inf^a", "Inf ^ a"),
            ("-Inf^a*Inf", "-Inf ^ a * +Inf"),
            ("- 5", "-5"),
            ("1h", "1h"),
            ("\"a\\\"b\"", "\"a\\\"b\""),
            ("rate(up[5m+step()*2])", "rate(up[5m + step() * 2])"),
            ("h </ 3", "h </ 3"),
            ("rate(up[5m]offset 1m anchored)", "rate(up[5m] anchored offset 1m)"),
            ("up smoothed @ 5", "up smoothed @ 5.000"),
            ("info(up,{a=\"b\"})", "info(up, {a=\"b\"})"),
        ] {
            check(text, wanted);
        }
    }
}
