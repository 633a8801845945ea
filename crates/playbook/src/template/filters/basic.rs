//! Defaults, types and choices.

use super::super::args::Args;
use super::super::error::{Result, TemplateError, bail};
use super::super::ops::Number;
use super::super::show;
use super::super::value::{Key, Val};

pub(crate) const NAMES: &[&str] = &[
    "default",
    "d",
    "mandatory",
    "ternary",
    "bool",
    "int",
    "float",
    "string",
    "type_debug",
    "length",
    "count",
    "first",
    "last",
    "attr",
    "random",
    "vault",
    "unvault",
    "safe",
    "escape",
    "e",
    "forceescape",
];

pub(crate) fn apply(name: &str, value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    let session = args.session;
    match name {
        "default" | "d" => {
            let boolean = args.truth(1, "boolean", false)?;
            if value.is_undef() || (boolean && !session.truth(value)?) {
                return Ok(args.raw(0, "default_value").unwrap_or_else(|| Val::str("")));
            }
            Ok(value.clone())
        }
        "mandatory" => match value {
            Val::Undef(text) => Err(TemplateError::Undefined(match args.maybe_text(0, "msg")? {
                Some(message) => message,
                None => format!("Mandatory variable {} not defined.", text.trim_end_matches(" is undefined")),
            })),
            other => Ok(other.clone()),
        },
        "ternary" => {
            if matches!(value, Val::None) && args.raw(2, "none_val").is_some() {
                return Ok(args.raw(2, "none_val").unwrap_or(Val::None));
            }
            let (at, name) = if session.truth(value)? { (0, "true_val") } else { (1, "false_val") };
            match args.raw(at, name) {
                Some(chosen) => Ok(chosen),
                None => bail!("missing argument {name}"),
            }
        }
        "bool" => to_bool(&session.used(value)?),
        "int" => int(value, args),
        "float" => Ok(Val::Float(match Number::of(value) {
            Some(number) => number.float(),
            None => match show::text(value).trim().replace('_', "").parse() {
                Ok(number) => number,
                Err(_) => args.maybe_float(0, "default")?.unwrap_or(0.0),
            },
        })),
        "string" => Ok(Val::str(session.text(value)?)),
        "type_debug" => Ok(Val::str(value.type_name())),
        "length" | "count" => Ok(Val::Int(length(&session.used(value)?)? as i128)),
        "first" | "last" => {
            let items = session.iterate(value)?;
            let found = if name == "first" { items.first() } else { items.last() };
            Ok(found
                .cloned()
                .unwrap_or_else(|| Val::Undef(format!("No {name} item, sequence was empty.").into())))
        }
        // Attributes only: the entries of a map are none.
        "attr" => {
            let key = args.need_text(0, "name")?;
            let text = format!("'{}' object has no attribute '{key}'", value.type_name());
            Ok(match value {
                Val::Object(entries, _) => {
                    at(&entries.borrow(), &key).unwrap_or_else(|| Val::Undef(text.as_str().into()))
                }
                _ => Val::Undef(text.as_str().into()),
            })
        }
        "random" => super::lists::random(value, args),
        "vault" | "unvault" => super::hashes::vault(name, value, args),
        "safe" => Ok(value.clone()),
        _ => {
            let text = show::text(value);
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            Ok(Val::str(text.replace('\'', "&#39;").replace('"', "&#34;")))
        }
    }
}

pub(crate) fn length(value: &Val) -> Result<usize> {
    Ok(match value {
        Val::Str(text) => text.chars().count(),
        Val::List(items) => items.borrow().len(),
        Val::Tuple(items) => items.len(),
        Val::Map(entries) => entries.borrow().len(),
        Val::Hosts(scope) => scope.hosts().len(),
        Val::Scope(scope) => scope.names().len(),
        other => bail!("object of type '{}' has no len()", other.type_name()),
    })
}

/// Ansible's `bool`: the words that mean yes and no; none stays none.
pub(crate) fn to_bool(value: &Val) -> Result<Val> {
    Ok(match value {
        Val::None | Val::Bool(_) => value.clone(),
        Val::Int(number) if *number == 0 || *number == 1 => Val::Bool(*number == 1),
        Val::Float(number) if *number == 0.0 || *number == 1.0 => Val::Bool(*number == 1.0),
        Val::Str(text) => match text.trim().to_lowercase().as_str() {
            "yes" | "on" | "1" | "true" | "t" | "y" | "1.0" => Val::Bool(true),
            _ => Val::Bool(false),
        },
        _ => Val::Bool(false),
    })
}

fn int(value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    let default = args.int(0, "default", 0)?;
    let base = u32::try_from(args.int(1, "base", 10)?).unwrap_or(10);
    Ok(Val::Int(match Number::of(value) {
        Some(Number::Int(number)) => number,
        Some(Number::Float(number)) if number.is_finite() => number.trunc() as i128,
        _ => {
            let text = show::text(value).trim().replace('_', "").to_lowercase();
            let digits = match base {
                16 => text.strip_prefix("0x").unwrap_or(&text),
                8 => text.strip_prefix("0o").unwrap_or(&text),
                2 => text.strip_prefix("0b").unwrap_or(&text),
                _ => &text,
            };
            if !(2..=36).contains(&base) {
                bail!("int() base must be >= 2 and <= 36");
            }
            match i128::from_str_radix(digits, base) {
                Ok(number) => number,
                Err(_) => match text.parse::<f64>() {
                    Ok(number) if number.is_finite() && base == 10 => number.trunc() as i128,
                    _ => default,
                },
            }
        }
    }))
}

/// The entry at `a.b.0` in a value.
pub(crate) fn path(args: &Args<'_, '_>, value: &Val, path: &Val) -> Result<Val> {
    if let Val::Int(_) = path {
        return Ok(args.session.entry(value, path)?.unwrap_or_else(|| Val::undef(&show::text(path))));
    }
    let mut found = value.clone();
    let text = args.session.text(path)?;
    for part in text.split('.') {
        let key = match part.parse::<i128>() {
            Ok(number) => Val::Int(number),
            Err(_) => Val::str(part),
        };
        let of = args.session.resolve(&found)?;
        found = match args.session.entry(&of, &key)? {
            Some(found) => found,
            None => match args.session.entry(&of, &Val::str(part))? {
                Some(found) => found,
                None => {
                    return Ok(Val::Undef(
                        format!("object of type '{}' has no attribute '{part}'", of.type_name()).into(),
                    ));
                }
            },
        };
    }
    Ok(found)
}

/// A key of a map under a text.
pub(crate) fn at(entries: &super::super::value::Dict, key: &str) -> Option<Val> {
    entries.get(&Key::text(key)).cloned()
}
