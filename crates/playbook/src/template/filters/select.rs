//! `map`, `select`, `selectattr`, `groupby`: filters that run filters and tests.

use std::rc::Rc;

use super::super::args::Args;
use super::super::error::{Result, TemplateError, bail};
use super::super::interp::Interp;
use super::super::tests;
use super::super::value::Val;
use super::basic;

pub(crate) const NAMES: &[&str] = &["map", "select", "reject", "selectattr", "rejectattr", "groupby", "list"];

pub(crate) fn apply(
    interp: &mut Interp<'_, '_>,
    name: &str,
    value: &Val,
    args: &Args<'_, '_>,
) -> Result<Val> {
    if let Val::Undef(text) = value {
        return Err(TemplateError::Undefined(text.to_string()));
    }
    let items = args.session.iterate(value)?;
    match name {
        "list" => Ok(Val::list(items)),
        "map" => map(interp, &items, args),
        "groupby" => groupby(&items, args),
        _ => pick(interp, name, items, args),
    }
}

fn map(interp: &mut Interp<'_, '_>, items: &[Val], args: &Args<'_, '_>) -> Result<Val> {
    let attribute =
        args.named.iter().find(|(name, _)| &**name == "attribute").map(|(_, value)| value.clone());
    let mut out = Vec::with_capacity(items.len());
    if let Some(attribute) = attribute.filter(|_| args.positional.is_empty()) {
        let default =
            args.named.iter().find(|(name, _)| &**name == "default").map(|(_, value)| value.clone());
        for item in items {
            let found = basic::path(args, item, &attribute)?;
            out.push(match (found, &default) {
                (Val::Undef(_), Some(default)) => default.clone(),
                (Val::Undef(text), None) => return Err(TemplateError::Undefined(text.to_string())),
                (found, _) => found,
            });
        }
        return Ok(Val::list(out));
    }
    let filter: Rc<str> = args.need_text(0, "filter")?.as_str().into();
    let rest = args.positional.get(1..).unwrap_or_default();
    for item in items {
        out.push(super::apply(interp, &filter, item.clone(), rest.to_vec(), args.named.clone())?);
    }
    Ok(Val::list(out))
}

fn pick(interp: &mut Interp<'_, '_>, name: &str, items: Vec<Val>, args: &Args<'_, '_>) -> Result<Val> {
    let by_attribute = name.ends_with("attr");
    let wanted = name.starts_with("select");
    let attribute = if by_attribute { Some(args.need(0, "attribute")?) } else { None };
    let after = usize::from(by_attribute);
    let test = args.positional.get(after).map(|test| args.session.text(test)).transpose()?;
    let test: Option<Rc<str>> = test.map(|test| test.as_str().into());
    let rest = args.positional.get(after + 1..).unwrap_or_default();
    let mut out = Vec::new();
    for item in items {
        let subject = match &attribute {
            Some(attribute) => basic::path(args, &item, attribute)?,
            None => item.clone(),
        };
        let holds = match &test {
            Some(test) => tests::judge(interp, test, &subject, rest, &args.named)?,
            None if subject.is_undef() => false,
            None => args.session.truth(&subject)?,
        };
        if holds == wanted {
            out.push(item);
        }
    }
    Ok(Val::list(out))
}

fn groupby(items: &[Val], args: &Args<'_, '_>) -> Result<Val> {
    let attribute = args.need(0, "attribute")?;
    let default = args.raw(1, "default");
    let mut keyed = Vec::new();
    for item in items {
        let key = match (basic::path(args, item, &attribute)?, &default) {
            (Val::Undef(_), Some(default)) => default.clone(),
            (Val::Undef(text), None) => return Err(TemplateError::Undefined(text.to_string())),
            (found, _) => args.session.force(&found)?,
        };
        keyed.push((key, item.clone()));
    }
    super::sort::sort_by(args.session, &mut keyed)?;
    let mut groups: Vec<(Val, Vec<Val>)> = Vec::new();
    for (key, item) in keyed {
        match groups.last_mut() {
            Some((last, group)) if args.session.equal(last, &key)? => group.push(item),
            _ => groups.push((key, vec![item])),
        }
    }
    if groups.len() > 1_000_000 {
        bail!("too many groups");
    }
    Ok(Val::list(groups.into_iter().map(|(key, group)| Val::tuple(vec![key, Val::list(group)])).collect()))
}
