//! Tests: what stands after `is`.

use std::rc::Rc;

use super::args::Args;
use super::ast::Cmp;
use super::error::{Result, TemplateError, bail};
use super::filters::basic;
use super::interp::Interp;
use super::ops::Number;
use super::regexes::{Flags, compile};
use super::value::Val;

/// All tests.
pub(crate) const NAMES: &[&str] = &[
    "defined",
    "undefined",
    "none",
    "boolean",
    "true",
    "false",
    "integer",
    "float",
    "number",
    "string",
    "mapping",
    "sequence",
    "iterable",
    "callable",
    "sameas",
    "escaped",
    "in",
    "even",
    "odd",
    "divisibleby",
    "lower",
    "upper",
    "eq",
    "equalto",
    "==",
    "ne",
    "!=",
    "lt",
    "lessthan",
    "<",
    "le",
    "<=",
    "gt",
    "greaterthan",
    ">",
    "ge",
    ">=",
    "filter",
    "test",
    "failed",
    "failure",
    "success",
    "succeeded",
    "successful",
    "changed",
    "change",
    "skipped",
    "skip",
    "reachable",
    "unreachable",
    "timedout",
    "started",
    "finished",
    "match",
    "search",
    "regex",
    "version",
    "version_compare",
    "subset",
    "issubset",
    "superset",
    "issuperset",
    "contains",
    "any",
    "all",
    "truthy",
    "falsy",
    "file",
    "is_file",
    "directory",
    "is_dir",
    "exists",
    "link",
    "is_link",
    "link_exists",
    "mount",
    "is_mount",
    "same_file",
    "is_same_file",
    "abs",
    "is_abs",
    "isnan",
    "nan",
    "vault_encrypted",
    "vaulted_file",
    "uri",
    "url",
    "urn",
];

/// A name without `ansible.builtin.`.
pub(crate) fn short(name: &str) -> &str {
    name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("ansible.legacy.")).unwrap_or(name)
}

/// Whether a value passes a test.
pub(crate) fn judge(
    interp: &mut Interp<'_, '_>,
    name: &Rc<str>,
    value: &Val,
    positional: &[Val],
    named: &[(Rc<str>, Val)],
) -> Result<bool> {
    let session = interp.session;
    session.charge(1)?;
    let name = short(name);
    let args = Args { session, what: name.into(), positional: positional.to_vec(), named: named.to_vec() };
    // A lazy text may turn out to name something undefined.
    let open = match session.resolve(value) {
        Err(TemplateError::Undefined(text)) if matches!(name, "defined" | "undefined") => {
            Val::Undef(text.as_str().into())
        }
        other => other?,
    };
    match name {
        "defined" => return Ok(!open.is_undef()),
        "undefined" => return Ok(open.is_undef()),
        "vault_encrypted" => {
            return Ok(
                matches!(value, Val::Vault(_)) || matches!(&open, Val::Str(t) if crate::vault::is_sealed(t))
            );
        }
        "filter" => return Ok(super::filters::is_known(&session.text(&open)?)),
        "test" => return Ok(NAMES.contains(&short(&session.text(&open)?))),
        _ if !NAMES.contains(&name) => {
            return Err(TemplateError::Refused(format!("No test named '{name}'.")));
        }
        _ => {}
    }
    let value = session.used(&open)?;
    types(name, &value)
        .map_or_else(|| compared(name, &value, &args), |found| Ok(Some(found)))?
        .map_or_else(|| results(name, &value, &args), |found| Ok(Some(found)))?
        .map_or_else(|| on_files(name, &value, &args), Ok)
}

fn types(name: &str, value: &Val) -> Option<bool> {
    Some(match name {
        "none" => matches!(value, Val::None),
        "boolean" => matches!(value, Val::Bool(_)),
        "true" => matches!(value, Val::Bool(true)),
        "false" => matches!(value, Val::Bool(false)),
        "integer" => matches!(value, Val::Int(_)),
        "float" => matches!(value, Val::Float(_)),
        "number" => Number::of(value).is_some(),
        "string" => matches!(value, Val::Str(_)),
        "mapping" => matches!(value, Val::Map(_) | Val::Hosts(_) | Val::Scope(_)),
        "sequence" => matches!(value, Val::Str(_) | Val::List(_) | Val::Tuple(_) | Val::Map(_)),
        "iterable" => matches!(
            value,
            Val::Str(_) | Val::List(_) | Val::Tuple(_) | Val::Map(_) | Val::Hosts(_) | Val::Scope(_)
        ),
        "callable" => matches!(value, Val::Func(_)),
        "escaped" => false,
        "lower" => matches!(value, Val::Str(text) if text.to_lowercase() == **text),
        "upper" => matches!(value, Val::Str(text) if text.to_uppercase() == **text),
        "isnan" | "nan" => matches!(value, Val::Float(number) if number.is_nan()),
        _ => return None,
    })
}

fn compared(name: &str, value: &Val, args: &Args<'_, '_>) -> Result<Option<bool>> {
    let session = args.session;
    let by = |cmp: Cmp| session.compare(cmp, value, &args.need(0, "other")?);
    Ok(Some(match name {
        "eq" | "equalto" | "==" => by(Cmp::Eq)?,
        "ne" | "!=" => by(Cmp::Ne)?,
        "lt" | "lessthan" | "<" => by(Cmp::Lt)?,
        "le" | "<=" => by(Cmp::Le)?,
        "gt" | "greaterthan" | ">" => by(Cmp::Gt)?,
        "ge" | ">=" => by(Cmp::Ge)?,
        "in" => by(Cmp::In)?,
        "contains" => session.contains(value, &args.need(0, "needle")?)?,
        "sameas" => match (value, args.need(0, "other")?) {
            (Val::List(a), Val::List(b)) => Rc::ptr_eq(a, &b),
            (Val::Map(a), Val::Map(b)) => Rc::ptr_eq(a, &b),
            (a, b) => a.type_name() == b.type_name() && session.equal(a, &b)?,
        },
        "even" | "odd" | "divisibleby" => {
            let Some(Number::Int(number)) = Number::of(value) else {
                bail!("not a whole number: {}", value.type_name())
            };
            match name {
                "even" => number % 2 == 0,
                "odd" => number % 2 != 0,
                _ => match args.int(0, "num", 1)? {
                    0 => bail!("integer modulo by zero"),
                    divisor => number % divisor == 0,
                },
            }
        }
        "subset" | "issubset" | "superset" | "issuperset" => {
            let (mine, other) = (session.iterate(value)?, args.need(0, "b")?);
            let other = session.iterate(&other)?;
            let (small, large) = if name.ends_with("subset") { (mine, other) } else { (other, mine) };
            let large = Val::list(large);
            for item in &small {
                if !session.contains(&large, item)? {
                    return Ok(Some(false));
                }
            }
            true
        }
        "any" | "all" => {
            for item in session.iterate(value)? {
                if session.truth(&item)? == (name == "any") {
                    return Ok(Some(name == "any"));
                }
            }
            name == "all"
        }
        "truthy" | "falsy" => {
            let value = if args.truth(usize::MAX, "convert_bool", false)? {
                basic::to_bool(value)?
            } else {
                value.clone()
            };
            session.truth(&value)? == (name == "truthy")
        }
        "match" | "search" | "regex" => matches(name, value, args)?,
        "version" | "version_compare" => super::versions::judge(&session.text(value)?, args)?,
        _ => return Ok(None),
    }))
}

fn matches(name: &str, value: &Val, args: &Args<'_, '_>) -> Result<bool> {
    let pattern = args.need_text(0, "pattern")?;
    let (ignore_case, multiline) = (args.truth(1, "ignorecase", false)?, args.truth(2, "multiline", false)?);
    let kind = if name == "regex" { args.text(3, "match_type", "search")? } else { name.to_owned() };
    let pattern = match kind.as_str() {
        "match" => format!("\\A(?:{pattern})"),
        "fullmatch" => format!("\\A(?:{pattern})\\Z"),
        _ => pattern,
    };
    let regex = compile(args.session, &pattern, Flags { ignore_case, multiline })?;
    regex.is_match(args.session, &args.session.text(value)?)
}

/// Tests on what a task said.
fn results(name: &str, value: &Val, args: &Args<'_, '_>) -> Result<Option<bool>> {
    const ON_RESULTS: [&str; 14] = [
        "failed",
        "failure",
        "success",
        "succeeded",
        "successful",
        "changed",
        "change",
        "skipped",
        "skip",
        "reachable",
        "unreachable",
        "timedout",
        "started",
        "finished",
    ];
    if !ON_RESULTS.contains(&name) {
        return Ok(None);
    }
    let Val::Map(entries) = value else {
        bail!("The '{name}' test expects a dictionary");
    };
    let field = |name: &str| -> Result<bool> {
        let found = basic::at(&entries.borrow(), name);
        found.map_or(Ok(false), |found| args.session.truth(&found))
    };
    Ok(Some(match name {
        "failed" | "failure" => field("failed")?,
        "success" | "succeeded" | "successful" => !field("failed")?,
        "changed" | "change" => {
            let results = basic::at(&entries.borrow(), "results").and_then(|results| results.items());
            match (basic::at(&entries.borrow(), "changed"), results) {
                (None, Some(results)) => {
                    let mut any = false;
                    for item in results {
                        let found = args.session.entry(&item, &Val::str("changed"))?;
                        any |= found.map_or(Ok(false), |found| args.session.truth(&found))?;
                    }
                    any
                }
                _ => field("changed")?,
            }
        }
        "skipped" | "skip" => field("skipped")?,
        "reachable" => !field("unreachable")?,
        "unreachable" => field("unreachable")?,
        "timedout" => field("timedout")?,
        "started" => basic::at(&entries.borrow(), "started").map_or(Ok(true), |v| args.session.truth(&v))?,
        _ => basic::at(&entries.borrow(), "finished").map_or(Ok(true), |v| args.session.truth(&v))?,
    }))
}

/// Tests on files of the machine that runs the play, and on texts that name things.
fn on_files(name: &str, value: &Val, args: &Args<'_, '_>) -> Result<bool> {
    let text = args.session.text(value)?;
    let files = &args.session.engine.files;
    args.session.engine.early.ask_outside();
    let meta = || match files.stat(&text) {
        Ok(found) => Ok(found),
        Err(why) => bail!("cannot look at {text}: {why}"),
    };
    let seat = |path: &str| match files.seat(path) {
        Ok(found) => Ok(found),
        Err(why) => bail!("cannot look at {path}: {why}"),
    };
    Ok(match name {
        "file" | "is_file" => meta()?.is_some_and(|m| !m.folder),
        "directory" | "is_dir" => meta()?.is_some_and(|m| m.folder),
        "exists" => meta()?.is_some(),
        "link" | "is_link" => seat(&text)?.is_some_and(|s| s.link),
        "link_exists" => seat(&text)?.is_some(),
        "mount" | "is_mount" => seat(&text)?.is_some_and(|s| s.mount),
        "abs" | "is_abs" => text.starts_with('/'),
        "same_file" | "is_same_file" => {
            let file = |path: &str| match seat(path)?.and_then(|s| s.file) {
                Some(file) => Ok(file),
                None => bail!("there is no file {path}"),
            };
            file(&text)? == file(&args.need_text(0, "b")?)?
        }
        "vaulted_file" => match files.read(&text, 64) {
            Ok((_, head)) => head.starts_with(b"$ANSIBLE_VAULT;"),
            Err(why) => bail!("cannot read {text}: {why}"),
        },
        "uri" | "url" => {
            let (scheme, rest) = text.split_once(':').unwrap_or(("", &text));
            let good =
                !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
            let wanted = args.positional.first().map(|list| args.session.iterate(list)).transpose()?;
            let in_list =
                wanted.map_or(Ok(true), |list| args.session.contains(&Val::list(list), &Val::str(scheme)))?;
            good && in_list
                && (name == "uri"
                    || rest.strip_prefix("//").is_some_and(|r| !r.is_empty() && !r.starts_with('/')))
        }
        _ => text.split(':').count() >= 3 && text.to_lowercase().starts_with("urn:"),
    })
}
