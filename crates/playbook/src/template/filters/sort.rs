//! `sort`, `min`, `max`, `unique`, `dictsort`, `sum`.

use std::cmp::Ordering;

use super::super::args::Args;
use super::super::ast::Op;
use super::super::error::{Result, bail};
use super::super::session::Session;
use super::super::value::{Key, Val};
use super::basic;

pub(crate) const NAMES: &[&str] = &["sort", "min", "max", "unique", "dictsort", "sum"];

/// Sorts by the values themselves; values that have no order are an error.
pub(crate) fn sort(session: &Session<'_>, items: &mut Vec<Val>) -> Result<()> {
    let mut keyed: Vec<(Val, Val)> = items.drain(..).map(|item| (item.clone(), item)).collect();
    sort_by(session, &mut keyed)?;
    items.extend(keyed.into_iter().map(|(_, item)| item));
    Ok(())
}

/// Sorts by keys and keeps the order of equal ones.
pub(crate) fn sort_by(session: &Session<'_>, keyed: &mut [(Val, Val)]) -> Result<()> {
    let mut failed = None;
    keyed.sort_by(|(a, _), (b, _)| match session.order(a, b, "<") {
        Ok(order) => order.unwrap_or(Ordering::Equal),
        Err(error) => {
            failed.get_or_insert(error);
            Ordering::Equal
        }
    });
    failed.map_or(Ok(()), Err)
}

/// A key for comparing; texts without their case unless asked.
fn key(args: &Args<'_, '_>, item: &Val, attribute: Option<&Val>, case: bool) -> Result<Val> {
    let found = match attribute {
        None => item.clone(),
        Some(attribute) => {
            let text = args.session.text(attribute)?;
            let mut keys = Vec::new();
            for part in text.split(',') {
                let part =
                    if matches!(attribute, Val::Int(_)) { attribute.clone() } else { Val::str(part.trim()) };
                keys.push(lower(args.session.force(&basic::path(args, item, &part)?)?, case));
            }
            if keys.len() > 1 { Val::list(keys) } else { keys.pop().unwrap_or(Val::None) }
        }
    };
    Ok(lower(found, case))
}

fn lower(value: Val, case: bool) -> Val {
    match value {
        Val::Str(text) if !case => Val::str(text.to_lowercase()),
        other => other,
    }
}

pub(crate) fn apply(name: &str, value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    let session = args.session;
    match name {
        "sort" => {
            let reverse = args.truth(0, "reverse", false)?;
            let case = args.truth(1, "case_sensitive", false)?;
            let attribute = args.get(2, "attribute")?.filter(|a| !matches!(a, Val::None));
            let mut keyed = Vec::new();
            for item in session.iterate(value)? {
                keyed.push((key(args, &item, attribute.as_ref(), case)?, item));
            }
            // Equal items keep their order in either direction.
            if reverse {
                keyed.reverse();
            }
            sort_by(session, &mut keyed)?;
            if reverse {
                keyed.reverse();
            }
            Ok(Val::list(keyed.into_iter().map(|(_, item)| item).collect()))
        }
        "min" | "max" => {
            let attribute = args.get(1, "attribute")?.filter(|a| !matches!(a, Val::None));
            let case = args.truth(0, "case_sensitive", false)?;
            let mut best: Option<(Val, Val)> = None;
            for item in session.iterate(value)? {
                let key = key(args, &item, attribute.as_ref(), case)?;
                let better = match &best {
                    None => true,
                    Some((top, _)) => {
                        let wanted = if name == "min" { Ordering::Less } else { Ordering::Greater };
                        session.order(&key, top, if name == "min" { "<" } else { ">" })? == Some(wanted)
                    }
                };
                if better {
                    best = Some((key, item));
                }
            }
            Ok(best.map_or_else(
                || Val::Undef("No aggregated item, sequence was empty.".into()),
                |(_, item)| item,
            ))
        }
        "unique" => {
            let case = args.truth(0, "case_sensitive", true)?;
            let attribute = args.get(1, "attribute")?.filter(|a| !matches!(a, Val::None));
            let mut seen = super::sets::Seen::default();
            let mut out = Vec::new();
            for item in session.iterate(value)? {
                if seen.add(session, &key(args, &item, attribute.as_ref(), case)?)? {
                    out.push(item);
                }
            }
            Ok(Val::list(out))
        }
        "dictsort" => dictsort(value, args),
        _ => {
            let attribute = args.get(0, "attribute")?.filter(|a| !matches!(a, Val::None));
            let mut sum = args.get(1, "start")?.unwrap_or(Val::Int(0));
            for item in session.iterate(value)? {
                let item = key(args, &item, attribute.as_ref(), true)?;
                sum = session.arithmetic(Op::Add, &sum, &session.used(&item)?)?;
            }
            Ok(sum)
        }
    }
}

fn dictsort(value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    let Val::Map(entries) = value else { bail!("dictsort needs a dictionary, got {}", value.type_name()) };
    let case = args.truth(0, "case_sensitive", false)?;
    let by_value = args.text(1, "by", "key")? == "value";
    let reverse = args.truth(2, "reverse", false)?;
    let mut keyed: Vec<(Val, Val)> = entries
        .borrow()
        .iter()
        .map(|(key, value): (&Key, &Val)| {
            let by = if by_value { value.clone() } else { key.value() };
            (lower(by, case), Val::tuple(vec![key.value(), value.clone()]))
        })
        .collect();
    sort_by(args.session, &mut keyed)?;
    if reverse {
        keyed.reverse();
    }
    Ok(Val::list(keyed.into_iter().map(|(_, pair)| pair).collect()))
}
