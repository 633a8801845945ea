//! Running one query of a script.

use std::time::Duration;

use wellkept_model::{SeriesSource, TimestampMs};

use super::command::{Eval, Message, When};
use super::compare::{self, compare, points};
use super::memory::Memory;
use crate::answer::{Query, Value, instant_value, range_value, steps};
use crate::column::Grid;
use crate::eval::Evaluator;
use crate::{Limits, QueryError};

/// How far around its instant a query is also run as a range.
const AROUND: Duration = Duration::from_secs(60);

/// A value with what was said about it, without places.
struct Answer {
    value: Value,
    warnings: Vec<String>,
    infos: Vec<String>,
}

fn answer(
    query: &Query,
    when: When,
    source: &dyn SeriesSource,
    limits: &Limits,
    cancelled: &dyn Fn() -> bool,
) -> Result<Answer, QueryError> {
    let (eval, value) = match when {
        When::Instant(at) => {
            let grid = Grid { start: at.0, step: 1, count: 1 };
            let eval = Evaluator::new(source, limits, cancelled, grid, 0);
            let value = instant_value(query, &eval, at, grid)?;
            (eval, value)
        }
        When::Range { from, to, step } => {
            let grid = steps(from, to, step, limits)?;
            let eval = Evaluator::new(source, limits, cancelled, grid, grid.step);
            let value = range_value(query, &eval, grid)?;
            (eval, value)
        }
    };
    let (warnings, infos) = eval.notes.plain();
    Ok(Answer { value, warnings, infos })
}

/// Runs a query and compares; says what is wrong.
pub(super) fn check(
    eval: &Eval,
    memory: &Memory,
    limits: &Limits,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), String> {
    let asked = Query::parse(&eval.query, limits)
        .and_then(|query| Ok((answer(&query, eval.when, memory, limits, cancelled)?, query)));
    let (got, query) = match (asked, &eval.wanted.fail) {
        (Ok(got), None) => got,
        (Err(error), None) => return Err(format!("error evaluating query: {error}")),
        (Ok(_), Some(_)) => return Err("expected error evaluating query but got none".to_owned()),
        (Err(error), Some(message)) => {
            let text = error.to_string();
            // Where in the text it is wrong need not be said.
            let bare = text.split_once("parse error: ").map_or(text.as_str(), |(_, rest)| rest);
            let fits = message.fits(&text) || message.fits(bare);
            let wanted = message.describe();
            return fits.then_some(()).ok_or_else(|| format!("expected error {wanted}, but got: {text}"));
        }
    };
    notes(&eval.wanted.warnings, eval.wanted.no_warning, &got.warnings, "warn")?;
    notes(&eval.wanted.infos, eval.wanted.no_info, &got.infos, "info")?;
    compare(eval, &got.value)?;
    match (eval.when, got.value) {
        (When::Instant(at), Value::Scalar { .. } | Value::Vector(_)) if !eval.wanted.ordered => {
            around(eval, &query, at, memory, limits, cancelled).map_err(|why| format!("in range mode: {why}"))
        }
        _ => Ok(()),
    }
}

fn notes(wanted: &[Message], none: bool, got: &[String], kind: &str) -> Result<(), String> {
    if none && !got.is_empty() {
        return Err(format!("unexpected {kind} annotations: {got:?}"));
    }
    if wanted.is_empty() {
        return Ok(());
    }
    if got.is_empty() {
        return Err(format!("expected {kind} annotations but got none"));
    }
    if let Some(lost) = wanted.iter().find(|w| !got.iter().any(|g| w.fits(g))) {
        return Err(format!("expected {kind} annotation {}, got {got:?}", lost.describe()));
    }
    match got.iter().find(|g| !wanted.iter().any(|w| w.fits(g))) {
        Some(extra) => Err(format!("unexpected {kind} annotation {extra:?}")),
        None => Ok(()),
    }
}

/// The same query as a range around its instant says the same at that instant.
fn around(
    eval: &Eval,
    query: &Query,
    at: TimestampMs,
    memory: &Memory,
    limits: &Limits,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), String> {
    let when = When::Range { from: at - AROUND, to: at + AROUND, step: AROUND };
    let Value::Matrix(series) =
        answer(query, when, memory, limits, cancelled).map_err(|e| e.to_string())?.value
    else {
        return Err("a range query gave no matrix".to_owned());
    };
    let there = series.iter().filter_map(|s| {
        let point = points(s).into_iter().find(|p| p.at == at)?;
        Some((s.labels.clone(), point))
    });
    let there: Vec<_> = there.collect();
    match eval.wanted.scalar {
        Some(_) => {
            let value = there.first().and_then(|(_, p)| p.float()).unwrap_or(f64::NAN);
            compare(eval, &Value::Scalar { at, value })
        }
        None => compare::vector(&eval.wanted, &there),
    }
}
