//! Filters on maps.

use super::super::args::Args;
use super::super::error::{Result, bail};
use super::super::value::{Dict, Key, Val};
use super::basic;

pub(crate) const NAMES: &[&str] =
    &["combine", "dict2items", "items2dict", "items", "rekey_on_member", "extract", "subelements"];

pub(crate) fn apply(name: &str, value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    let session = args.session;
    let value = &session.used(value)?;
    match name {
        "combine" => combine(value, args),
        "dict2items" => {
            let (key_name, value_name) =
                (args.text(0, "key_name", "key")?, args.text(1, "value_name", "value")?);
            let Val::Map(entries) = value else {
                bail!("dict2items requires a dictionary, got {} instead.", value.type_name());
            };
            let pair = |(key, value): (&Key, &Val)| {
                let entry: Dict =
                    [(Key::text(&key_name), key.value()), (Key::text(&value_name), value.clone())]
                        .into_iter()
                        .collect();
                Val::map(entry)
            };
            Ok(Val::list(entries.borrow().iter().map(pair).collect()))
        }
        "items2dict" => {
            let name = |at: usize, name: &str| -> Result<Val> {
                Ok(args.get(at, name)?.unwrap_or_else(|| Val::str(name.trim_end_matches("_name"))))
            };
            let (key_name, value_name) = (name(0, "key_name")?, name(1, "value_name")?);
            let mut out = Dict::new();
            for item in session.iterate(value)? {
                let field = |name: &Val| match session.entry(&item, name)? {
                    Some(found) => Ok(found),
                    None => bail!(
                        "items2dict requires each dictionary in the list to contain the keys '{}' and '{}'",
                        super::super::show::text(&key_name),
                        super::super::show::text(&value_name)
                    ),
                };
                out.insert(session.key(&field(&key_name)?)?, field(&value_name)?);
            }
            Ok(Val::map(out))
        }
        "items" => {
            let Val::Map(entries) = value else { bail!("Can only get item pairs from a mapping.") };
            Ok(Val::list(
                entries.borrow().iter().map(|(k, v)| Val::tuple(vec![k.value(), v.clone()])).collect(),
            ))
        }
        "rekey_on_member" => rekey(value, args),
        "extract" => {
            let container = args.session.resolve(&args.raw(0, "container").unwrap_or(Val::None))?;
            let mut found = basic::path(args, &container, &no_split(value))?;
            if let Val::Str(key) = value {
                found = session.entry(&container, &Val::Str(key.clone()))?.unwrap_or(found);
            }
            match args.get(1, "morekeys")? {
                None | Some(Val::None) => {}
                Some(Val::List(keys)) => {
                    for key in keys.borrow().iter() {
                        found = session
                            .entry(&session.resolve(&found)?, key)?
                            .unwrap_or_else(|| Val::undef(&super::super::show::text(key)));
                    }
                }
                Some(key) => {
                    found = session
                        .entry(&session.resolve(&found)?, &key)?
                        .unwrap_or_else(|| Val::undef(&super::super::show::text(&key)))
                }
            }
            Ok(found)
        }
        _ => subelements(value, args),
    }
}

fn no_split(value: &Val) -> Val {
    value.clone()
}

fn combine(value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    let named =
        |name: &str| args.named.iter().find(|(given, _)| &**given == name).map(|(_, value)| value.clone());
    let recursive = named("recursive").map_or(Ok(false), |v| args.session.truth(&v))?;
    let list_merge = named("list_merge").map_or(Ok("replace".to_owned()), |v| args.session.text(&v))?;
    let mut maps = Vec::new();
    flatten_maps(args, value, &mut maps)?;
    for more in &args.positional {
        flatten_maps(args, more, &mut maps)?;
    }
    let mut merged = Dict::new();
    for map in maps {
        merged = merge(args, merged, map, recursive, &list_merge)?;
    }
    Ok(Val::map(merged))
}

fn flatten_maps(args: &Args<'_, '_>, value: &Val, out: &mut Vec<Dict>) -> Result<()> {
    match args.session.used(value)? {
        Val::Map(entries) => out.push(entries.borrow().clone()),
        list @ (Val::List(_) | Val::Tuple(_)) => {
            for item in list.items().unwrap_or_default() {
                args.session.deeper(|| flatten_maps(args, &item, out))?;
            }
        }
        Val::Scope(scope) => {
            let Val::Map(entries) = args.session.force(&Val::Scope(scope))? else { return Ok(()) };
            out.push(entries.borrow().clone());
        }
        other => bail!("failed to combine variables, expected dicts but got a '{}'", other.type_name()),
    }
    Ok(())
}

fn merge(args: &Args<'_, '_>, mut under: Dict, over: Dict, recursive: bool, lists: &str) -> Result<Dict> {
    for (key, value) in over {
        args.session.charge(1)?;
        let merged = match (under.get(&key), &value) {
            (Some(old), _) if recursive || lists != "replace" => {
                match (args.session.resolve(old)?, args.session.resolve(&value)?) {
                    (Val::Map(a), Val::Map(b)) if recursive => {
                        let (a, b) = (a.borrow().clone(), b.borrow().clone());
                        Val::map(args.session.deeper(|| merge(args, a, b, recursive, lists))?)
                    }
                    (Val::List(a), Val::List(b)) => {
                        Val::list(merge_lists(args, &a.borrow(), &b.borrow(), lists)?)
                    }
                    (_, new) => new,
                }
            }
            _ => value,
        };
        under.insert(key, merged);
    }
    Ok(under)
}

fn merge_lists(args: &Args<'_, '_>, old: &[Val], new: &[Val], how: &str) -> Result<Vec<Val>> {
    let without = |items: &[Val], of: &[Val]| -> Result<Vec<Val>> {
        let mut out = Vec::new();
        for item in items {
            if !args.session.contains(&Val::list(of.to_vec()), item)? {
                out.push(item.clone());
            }
        }
        Ok(out)
    };
    let both = |a: &[Val], b: &[Val]| a.iter().chain(b).cloned().collect();
    Ok(match how {
        "replace" => new.to_vec(),
        "keep" => old.to_vec(),
        "append" => both(old, new),
        "prepend" => both(new, old),
        "append_rp" => both(&without(old, new)?, new),
        "prepend_rp" => both(new, &without(old, new)?),
        other => bail!(
            "'list_merge' argument to combine must be one of replace, keep, append, prepend, append_rp, prepend_rp, not {other}"
        ),
    })
}

fn rekey(value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    let key = args.need(0, "key")?;
    let duplicates = args.text(1, "duplicates", "error")?;
    let items = match value {
        Val::Map(entries) => entries.borrow().values().cloned().collect(),
        other => args.session.iterate(other)?,
    };
    let mut out = Dict::new();
    for item in items {
        let Some(found) = args.session.entry(&item, &key)? else {
            bail!("Key {} was not found", super::super::show::text(&key));
        };
        let found = args.session.key(&found)?;
        if out.contains_key(&found) && duplicates == "error" {
            bail!("Key {} is not unique, cannot convert to dict", super::super::show::key_text(&found));
        }
        out.insert(found, item);
    }
    Ok(Val::map(out))
}

fn subelements(value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    let path = args.need(0, "subelements")?;
    let skip = args.truth(1, "skip_missing", false)?;
    let keys = match &path {
        Val::Str(path) => path.split('.').map(Val::str).collect(),
        other => args.session.iterate(other)?,
    };
    let elements = match value {
        Val::Map(entries) => entries.borrow().values().cloned().collect(),
        other => args.session.iterate(other)?,
    };
    let mut out = Vec::new();
    'elements: for element in elements {
        let mut found = element.clone();
        for key in &keys {
            match args.session.entry(&found, key)? {
                Some(below) => found = below,
                None if skip => continue 'elements,
                None => bail!("could not find {} key in iterated item", super::super::show::repr(key)),
            }
        }
        let Val::List(items) = &found else {
            bail!("the key should point to a list, got {}", super::super::show::repr(&found))
        };
        args.session.charge(items.borrow().len())?;
        out.extend(items.borrow().iter().map(|item| Val::tuple(vec![element.clone(), item.clone()])));
    }
    Ok(Val::list(out))
}
