//! A tree as PromQL text on several lines: what is longer than [`LINE`] is split at its parts.

use crate::syntax::print::{aggregate_head, bare_base, bare_selector, operator, print, range_suffix, sign};
use crate::syntax::tree::{Expr, RangeOf};

/// Longest line that is not split, characters: Prometheus' value.
const LINE: usize = 100;

/// Several lines, indented by two spaces for each level.
pub(crate) fn pretty(expr: &Expr, level: usize) -> String {
    let indent = "  ".repeat(level);
    let line = print(expr);
    let fits = line.len() <= LINE;
    match expr {
        Expr::Range(range) if !fits => match &range.of {
            RangeOf::Subquery { inner, .. } => format!("{}{}", pretty(inner, level), range_suffix(range)),
            RangeOf::Samples(selector) => {
                format!("{indent}{}{}", bare_selector(selector), range_suffix(range))
            }
        },
        Expr::Sign { minus, inner, .. } => {
            format!("{indent}{}{}", sign(*minus), pretty(inner, level).trim())
        }
        Expr::Binary(binary) if !fits => format!(
            "{}\n{indent}{}\n{}",
            bare_base(binary)
                .map_or_else(|| pretty(&binary.lhs, level + 1), |base| format!("{indent}  {base}")),
            operator(binary),
            pretty(&binary.rhs, level + 1)
        ),
        Expr::Aggregate(aggregate) if !fits => {
            let param = aggregate.param.as_ref().map(|p| format!("{},\n", pretty(p, level + 1)));
            format!(
                "{indent}{}(\n{}{}\n{indent})",
                aggregate_head(aggregate),
                param.unwrap_or_default(),
                pretty(&aggregate.inner, level + 1)
            )
        }
        Expr::Call(call) if !fits => {
            let args: Vec<_> = call.args.iter().map(|a| pretty(a, level + 1)).collect();
            format!("{indent}{}(\n{}\n{indent})", call.signature.name, args.join(",\n"))
        }
        Expr::Paren { inner, .. } if !fits => {
            format!("{indent}(\n{}\n{indent})", pretty(inner, level + 1))
        }
        _ => format!("{indent}{line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::syntax::parse::parse;

    #[test]
    fn what_is_long_is_split_and_what_is_short_is_not() {
        let long = format!("sum by (job) (rate(http_requests_total{{path=\"{}\"}}[5m])) / 2", "x".repeat(80));
        let tree = parse(&long, &Limits::default()).unwrap();
        let wanted = format!(
            "  sum by (job) (\n    rate(\n      http_requests_total{{path=\"{}\"}}[5m]\n    )\n  )\n/\n  2",
            "x".repeat(80)
        );
        assert_eq!(pretty(&tree, 0), wanted);
        let tree = parse("sum(up)  +  1", &Limits::default()).unwrap();
        assert_eq!(pretty(&tree, 0), "sum(up) + 1");
    }
}
