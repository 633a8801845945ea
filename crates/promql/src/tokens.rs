//! The parser's operators, durations and instants in our words.

use std::time::{Duration, SystemTime};

use promql_parser::parser as pp;
use promql_parser::parser::token as tok;

use crate::QueryError;
use crate::expr::{AggregateOp, At, Op, Shift};
use crate::guard::DURATION_SECONDS_MAX;

/// Our word for an operator of the parser.
pub(crate) fn binary_op(tree: &pp::BinaryExpr) -> Result<Op, QueryError> {
    Ok(match tree.op.id() {
        tok::T_ADD => Op::Add,
        tok::T_SUB => Op::Sub,
        tok::T_MUL => Op::Mul,
        tok::T_DIV => Op::Div,
        tok::T_MOD => Op::Mod,
        tok::T_POW => Op::Pow,
        tok::T_ATAN2 => Op::Atan2,
        tok::T_EQLC => Op::Equal,
        tok::T_NEQ => Op::NotEqual,
        tok::T_GTR => Op::Greater,
        tok::T_GTE => Op::GreaterEqual,
        tok::T_LSS => Op::Less,
        tok::T_LTE => Op::LessEqual,
        tok::T_LAND => Op::And,
        tok::T_LOR => Op::Or,
        tok::T_LUNLESS => Op::Unless,
        _ => {
            return Err(QueryError::bad(format!("parse error: the operator `{}` is not supported", tree.op)));
        }
    })
}

/// Our word for an aggregation of the parser.
pub(crate) fn aggregate_op(tree: &pp::AggregateExpr) -> Result<AggregateOp, QueryError> {
    Ok(match tree.op.id() {
        tok::T_SUM => AggregateOp::Sum,
        tok::T_AVG => AggregateOp::Avg,
        tok::T_MIN => AggregateOp::Min,
        tok::T_MAX => AggregateOp::Max,
        tok::T_COUNT => AggregateOp::Count,
        tok::T_GROUP => AggregateOp::Group,
        tok::T_STDDEV => AggregateOp::Stddev,
        tok::T_STDVAR => AggregateOp::Stdvar,
        tok::T_TOPK => AggregateOp::TopK,
        tok::T_BOTTOMK => AggregateOp::BottomK,
        tok::T_QUANTILE => AggregateOp::Quantile,
        tok::T_COUNT_VALUES => AggregateOp::CountValues,
        _ => {
            return Err(QueryError::bad(format!(
                "parse error: the aggregation `{}` is not supported",
                tree.op
            )));
        }
    })
}

/// A duration in whole milliseconds, at least one.
pub(crate) fn milliseconds(duration: Duration) -> Result<i64, QueryError> {
    let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    if ms == 0 {
        return Err(QueryError::bad("parse error: duration must be greater than 0"));
    }
    if duration.as_secs_f64() > DURATION_SECONDS_MAX {
        return Err(QueryError::bad(format!(
            "parse error: duration is out of range; at most {DURATION_SECONDS_MAX} seconds are accepted"
        )));
    }
    Ok(ms)
}

/// The `offset` and `@` of a selector.
pub(crate) fn shift(offset: Option<&pp::Offset>, at: Option<&pp::AtModifier>) -> Result<Shift, QueryError> {
    let whole = |d: &Duration| if d.is_zero() { Ok(0) } else { milliseconds(*d) };
    let offset = match offset {
        None => 0,
        Some(pp::Offset::Pos(d)) => whole(d)?,
        Some(pp::Offset::Neg(d)) => -whole(d)?,
    };
    let at = match at {
        None => None,
        Some(pp::AtModifier::Start) => Some(At::Start),
        Some(pp::AtModifier::End) => Some(At::End),
        Some(pp::AtModifier::At(time)) => Some(At::Time(instant_ms(*time))),
    };
    Ok(Shift { offset, at })
}

fn instant_ms(time: SystemTime) -> i64 {
    let whole = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => whole(after),
        Err(before) => -whole(before.duration()),
    }
}
