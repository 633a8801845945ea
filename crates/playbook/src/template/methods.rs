//! The methods that Python's texts, lists and maps have.

use std::rc::Rc;

use super::args::Args;
use super::error::{Result, bail, value_error};
use super::interp::Interp;
use super::value::{Dict, Key, Val};

const TEXT: [&str; 41] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "islower",
    "isnumeric",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
];
const TEXT_MORE: [&str; 3] = ["zfill", "translate", "format_map"];
const LIST: [&str; 11] =
    ["append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort"];
const MAP: [&str; 10] =
    ["clear", "copy", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"];
const TIME: [&str; 7] = ["strftime", "isoformat", "timestamp", "date", "time", "weekday", "isoweekday"];

/// Most characters that a method may pad to.
const WIDTH_MAX: usize = 1 << 20;

/// Whether a value has the method.
pub(crate) fn has(of: &Val, name: &str) -> bool {
    match of {
        Val::Str(_) => TEXT.contains(&name) || TEXT_MORE.contains(&name),
        Val::List(_) => LIST.contains(&name),
        Val::Tuple(_) => matches!(name, "count" | "index"),
        Val::Map(_) => MAP.contains(&name),
        Val::Hosts(_) | Val::Scope(_) => matches!(name, "get" | "keys" | "items" | "values"),
        Val::Object(entries, kind) => match *kind {
            "loop" => matches!(name, "cycle" | "changed"),
            "cycler" => matches!(name, "next" | "reset"),
            _ => entries.borrow().is_empty() && matches!(name, "items" | "keys" | "get"),
        },
        Val::Time(_) => TIME.contains(&name),
        Val::Delta(_) => name == "total_seconds",
        Val::Int(_) => matches!(name, "bit_length"),
        Val::Float(_) => matches!(name, "is_integer"),
        _ => false,
    }
}

/// Fields of a moment.
pub(crate) fn time_field(time: jiff::civil::DateTime, name: &str) -> Option<Val> {
    let number = match name {
        "year" => i128::from(time.year()),
        "month" => i128::from(time.month()),
        "day" => i128::from(time.day()),
        "hour" => i128::from(time.hour()),
        "minute" => i128::from(time.minute()),
        "second" => i128::from(time.second()),
        "microsecond" => i128::from(time.subsec_nanosecond() / 1000),
        _ => return None,
    };
    Some(Val::Int(number))
}

/// Calls a method.
pub(crate) fn call(
    interp: &mut Interp<'_, '_>,
    of: &Val,
    name: &Rc<str>,
    positional: Vec<Val>,
    named: Vec<(Rc<str>, Val)>,
) -> Result<Val> {
    let args = Args { session: interp.session, what: Rc::clone(name), positional, named };
    match of {
        _ if &**name == "__str__" => Ok(of.clone()),
        Val::Str(text) => on_text(text, name, &args),
        Val::List(_) => on_list(of, name, &args),
        Val::Tuple(items) => on_tuple(items, name, &args),
        Val::Map(_) => on_map(of, name, &args),
        Val::Hosts(_) | Val::Scope(_) => on_scope(of, name, &args),
        Val::Object(entries, kind) => on_object(entries, kind, name, &args),
        Val::Time(time) => on_time(*time, name, &args),
        Val::Delta(micros) => Ok(Val::Float(*micros as f64 / 1e6)),
        Val::Int(number) => Ok(Val::Int(i128::from(128 - number.unsigned_abs().leading_zeros()))),
        Val::Float(number) => Ok(Val::Bool(number.fract() == 0.0)),
        other => bail!("'{}' object has no attribute '{name}'", other.type_name()),
    }
}

fn affixes(args: &Args<'_, '_>) -> Result<Vec<String>> {
    let value = args.need(0, "prefix")?;
    match &value {
        Val::Tuple(items) => items.iter().map(|item| args.session.text(item)).collect(),
        other => Ok(vec![args.session.text(other)?]),
    }
}

fn stripped<'t>(text: &'t str, args: &Args<'_, '_>, left: bool, right: bool) -> Result<&'t str> {
    let set = args.maybe_text(0, "chars")?;
    let drops = |c: char| set.as_ref().map_or(c.is_whitespace(), |set| set.contains(c));
    let text = if left { text.trim_start_matches(drops) } else { text };
    Ok(if right { text.trim_end_matches(drops) } else { text })
}

fn on_text(text: &str, name: &str, args: &Args<'_, '_>) -> Result<Val> {
    Ok(match name {
        "upper" => Val::str(text.to_uppercase()),
        "lower" | "casefold" => Val::str(text.to_lowercase()),
        "capitalize" => Val::str(capitalize(text)),
        "title" => Val::str(title(text)),
        "swapcase" => Val::str(
            text.chars()
                .flat_map(|c| {
                    if c.is_uppercase() {
                        c.to_lowercase().collect::<Vec<_>>()
                    } else {
                        c.to_uppercase().collect()
                    }
                })
                .collect::<String>(),
        ),
        "strip" => Val::str(stripped(text, args, true, true)?),
        "lstrip" => Val::str(stripped(text, args, true, false)?),
        "rstrip" => Val::str(stripped(text, args, false, true)?),
        "startswith" => Val::Bool(affixes(args)?.iter().any(|p| text.starts_with(p.as_str()))),
        "endswith" => Val::Bool(affixes(args)?.iter().any(|p| text.ends_with(p.as_str()))),
        "removeprefix" => {
            let prefix = args.need_text(0, "prefix")?;
            Val::str(text.strip_prefix(prefix.as_str()).unwrap_or(text))
        }
        "removesuffix" => {
            let suffix = args.need_text(0, "suffix")?;
            Val::str(text.strip_suffix(suffix.as_str()).unwrap_or(text))
        }
        "format" => Val::str(super::printf::format(args.session, text, &args.positional, &args.named)?),
        "encode" => Val::str(text),
        "join" => {
            let items = args.list(0, "iterable")?;
            let mut out = String::new();
            for (at, item) in items.iter().enumerate() {
                match args.session.used(item)? {
                    Val::Str(item) => {
                        if at > 0 {
                            out.push_str(text);
                        }
                        out.push_str(&item);
                    }
                    other => bail!("sequence item {at}: expected str instance, {} found", other.type_name()),
                }
                args.session.check_size(out.len())?;
            }
            Val::str(out)
        }
        "replace" => {
            let (old, new) = (args.need_text(0, "old")?, args.need_text(1, "new")?);
            let count = args.int(2, "count", -1)?;
            args.session.check_size(text.len().saturating_mul(new.len().max(1)) / old.len().max(1))?;
            Val::str(match usize::try_from(count) {
                Ok(count) => text.replacen(&old, &new, count),
                Err(_) => text.replace(&old, &new),
            })
        }
        _ if name.starts_with("is") => Val::Bool(is(text, name)),
        _ => return on_text_more(text, name, args),
    })
}

fn is(text: &str, name: &str) -> bool {
    let all = |test: fn(char) -> bool| !text.is_empty() && text.chars().all(test);
    let cased = || text.chars().any(|c| c.is_uppercase() || c.is_lowercase());
    match name {
        "isalnum" => all(char::is_alphanumeric),
        "isalpha" => all(char::is_alphabetic),
        "isascii" => text.is_ascii(),
        "isdecimal" | "isdigit" => all(|c| c.is_ascii_digit()),
        "isnumeric" => all(char::is_numeric),
        "isspace" => all(char::is_whitespace),
        "islower" => cased() && !text.chars().any(char::is_uppercase),
        "isupper" => cased() && !text.chars().any(char::is_lowercase),
        _ => cased() && title(text) == text,
    }
}

fn on_text_more(text: &str, name: &str, args: &Args<'_, '_>) -> Result<Val> {
    Ok(match name {
        "split" | "rsplit" => split(text, args, name == "rsplit")?,
        "splitlines" => {
            let keep = args.truth(0, "keepends", false)?;
            let lines = text.split_inclusive('\n').map(|line| {
                Val::str(if keep {
                    line
                } else {
                    line.strip_suffix('\n').map_or(line, |l| l.strip_suffix('\r').unwrap_or(l))
                })
            });
            Val::list(lines.collect())
        }
        "partition" | "rpartition" => {
            let separator = args.need_text(0, "sep")?;
            let found = if name == "partition" {
                text.split_once(separator.as_str())
            } else {
                text.rsplit_once(separator.as_str())
            };
            Val::tuple(match found {
                Some((before, after)) => vec![Val::str(before), Val::str(separator), Val::str(after)],
                None if name == "partition" => vec![Val::str(text), Val::str(""), Val::str("")],
                None => vec![Val::str(""), Val::str(""), Val::str(text)],
            })
        }
        "count" => Val::Int(text.matches(args.need_text(0, "sub")?.as_str()).count() as i128),
        "find" | "index" | "rfind" | "rindex" => {
            let part = args.need_text(0, "sub")?;
            let at = if name.starts_with('r') { text.rfind(part.as_str()) } else { text.find(part.as_str()) };
            match at {
                Some(at) => Val::Int(text.get(..at).map_or(0, |before| before.chars().count()) as i128),
                None if name.ends_with("find") => Val::Int(-1),
                None => bail!("substring not found"),
            }
        }
        "ljust" | "rjust" | "center" | "zfill" => {
            let width = args.size(0, "width", 0, WIDTH_MAX)?;
            let fill = if name == "zfill" { "0".to_owned() } else { args.text(1, "fillchar", " ")? };
            let missing = width.saturating_sub(text.chars().count());
            Val::str(match name {
                "ljust" => format!("{text}{}", fill.repeat(missing)),
                "rjust" => format!("{}{text}", fill.repeat(missing)),
                "zfill" => {
                    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
                    format!("{sign}{}{rest}", fill.repeat(missing))
                }
                _ => {
                    // Python puts the odd one to the left only when the width is odd too.
                    let left = missing / 2 + (missing & width & 1);
                    format!("{}{text}{}", fill.repeat(left), fill.repeat(missing - left))
                }
            })
        }
        "expandtabs" => {
            let size = args.size(0, "tabsize", 8, 100)?;
            Val::str(text.replace('\t', &" ".repeat(size)))
        }
        other => bail!("the method {other} of texts is not supported"),
    })
}

/// The filter `split`, which is the method.
pub(crate) fn call_split(text: &str, args: &Args<'_, '_>) -> Result<Val> {
    split(text, args, false)
}

/// `split` and `rsplit`; without a separator, runs of white space.
fn split(text: &str, args: &Args<'_, '_>, from_right: bool) -> Result<Val> {
    let limit = usize::try_from(args.int(1, "maxsplit", -1)?).ok();
    let separator = args.maybe_text(0, "sep")?;
    let mut parts: Vec<&str> = match (&separator, limit) {
        (Some(separator), _) if separator.is_empty() => bail!("empty separator"),
        (Some(separator), None) => text.split(separator.as_str()).collect(),
        (Some(separator), Some(limit)) if from_right => text.rsplitn(limit + 1, separator.as_str()).collect(),
        (Some(separator), Some(limit)) => text.splitn(limit + 1, separator.as_str()).collect(),
        (None, None) => text.split_whitespace().collect(),
        (None, Some(limit)) => words(text, limit, from_right),
    };
    if from_right && limit.is_some() {
        parts.reverse();
    }
    args.session.charge(parts.len())?;
    Ok(Val::list(parts.into_iter().map(Val::str).collect()))
}

fn words(text: &str, limit: usize, from_right: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let cut = if parts.len() >= limit {
            None
        } else if from_right {
            rest.rsplit_once(char::is_whitespace).map(|(before, word)| (word, before.trim_end()))
        } else {
            rest.split_once(char::is_whitespace).map(|(word, after)| (word, after.trim_start()))
        };
        let (part, after) = cut.unwrap_or((rest, ""));
        parts.push(part);
        rest = after;
    }
    parts
}

pub(crate) fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + &chars.as_str().to_lowercase()
    })
}

pub(crate) fn title(text: &str) -> String {
    let mut inside = false;
    let mut out = String::new();
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase())
        } else {
            out.extend(c.to_uppercase())
        }
        inside = c.is_alphabetic();
    }
    out
}

fn on_list(of: &Val, name: &str, args: &Args<'_, '_>) -> Result<Val> {
    let Val::List(cell) = of else { return Ok(Val::None) };
    let place = |at: i128, length: usize| {
        usize::try_from(if at < 0 { at + length as i128 } else { at }).ok().filter(|at| *at < length)
    };
    args.session.charge(1)?;
    match name {
        "append" => cell.borrow_mut().push(args.raw(0, "object").unwrap_or(Val::None)),
        "extend" => {
            let items = args.list(0, "iterable")?;
            cell.borrow_mut().extend(items);
        }
        "insert" => {
            let at = args.int(0, "index", 0)?;
            let mut items = cell.borrow_mut();
            let length = items.len() as i128;
            let at = if at < 0 { (at + length).max(0) } else { at.min(length) };
            items.insert(usize::try_from(at).unwrap_or_default(), args.raw(1, "object").unwrap_or(Val::None));
        }
        "pop" => {
            let at = args.int(0, "index", -1)?;
            let mut items = cell.borrow_mut();
            let Some(at) = place(at, items.len()) else { bail!("pop index out of range") };
            return args.session.resolve(&items.remove(at));
        }
        "remove" => {
            let item = args.need(0, "value")?;
            let items = cell.borrow().clone();
            for (at, other) in items.iter().enumerate() {
                if args.session.equal(other, &item)? {
                    cell.borrow_mut().remove(at);
                    return Ok(Val::None);
                }
            }
            bail!("list.remove(x): x not in list");
        }
        "clear" => cell.borrow_mut().clear(),
        "copy" => return Ok(Val::list(cell.borrow().clone())),
        "reverse" => cell.borrow_mut().reverse(),
        "sort" => {
            let mut items = cell.borrow().clone();
            super::filters::sort::sort(args.session, &mut items)?;
            if args.truth(usize::MAX, "reverse", false)? {
                items.reverse();
            }
            *cell.borrow_mut() = items;
        }
        _ => return on_tuple(&cell.borrow().clone(), name, args),
    }
    Ok(Val::None)
}

fn on_tuple(items: &[Val], name: &str, args: &Args<'_, '_>) -> Result<Val> {
    let wanted = args.need(0, "value")?;
    let mut count = 0;
    for (at, item) in items.iter().enumerate() {
        if args.session.equal(item, &wanted)? {
            if name == "index" {
                return Ok(Val::Int(at as i128));
            }
            count += 1;
        }
    }
    if name == "index" {
        bail!("{} is not in list", super::show::repr(&wanted));
    }
    Ok(Val::Int(count))
}

fn on_map(of: &Val, name: &str, args: &Args<'_, '_>) -> Result<Val> {
    let Val::Map(cell) = of else { return Ok(Val::None) };
    let session = args.session;
    let key = || session.key(&args.need(0, "key")?);
    let fallback = || args.raw(1, "default");
    Ok(match name {
        "get" => match session.entry(of, &args.need(0, "key")?)? {
            Some(found) => found,
            None => fallback().unwrap_or(Val::None),
        },
        "items" => Val::list(
            cell.borrow().iter().map(|(key, value)| Val::tuple(vec![key.value(), value.clone()])).collect(),
        ),
        "keys" => Val::list(cell.borrow().keys().map(Key::value).collect()),
        "values" => Val::list(cell.borrow().values().cloned().collect()),
        "copy" => Val::map(cell.borrow().clone()),
        "clear" => {
            cell.borrow_mut().clear();
            Val::None
        }
        "pop" => match cell.borrow_mut().shift_remove(&key()?) {
            Some(found) => session.resolve(&found)?,
            None => match fallback() {
                Some(fallback) => fallback,
                None => bail!("{}", super::show::repr(&args.need(0, "key")?)),
            },
        },
        "popitem" => {
            let last =
                cell.borrow_mut().pop().ok_or_else(|| value_error("popitem(): dictionary is empty"))?;
            Val::tuple(vec![last.0.value(), last.1])
        }
        "setdefault" => {
            let key = key()?;
            let value = fallback().unwrap_or(Val::None);
            let found = cell.borrow_mut().entry(key).or_insert(value).clone();
            session.resolve(&found)?
        }
        _ => {
            let mut more = Dict::new();
            if let Some(other) = args.raw(0, "") {
                more.extend(pairs(args, &other)?);
            }
            more.extend(args.named.iter().map(|(name, value)| (Key::Str(Rc::clone(name)), value.clone())));
            session.charge(more.len())?;
            cell.borrow_mut().extend(more);
            Val::None
        }
    })
}

/// A map, or a list of pairs, as entries.
pub(crate) fn pairs(args: &Args<'_, '_>, value: &Val) -> Result<Dict> {
    match args.session.used(value)? {
        Val::Map(entries) => Ok(entries.borrow().clone()),
        other => {
            let mut out = Dict::new();
            for item in args.session.iterate(&other)? {
                let pair = args.session.iterate(&item)?;
                let [key, value] = pair.as_slice() else {
                    bail!("dictionary update sequence element has length {}; 2 is required", pair.len());
                };
                out.insert(args.session.key(key)?, value.clone());
            }
            Ok(out)
        }
    }
}

fn on_scope(of: &Val, name: &str, args: &Args<'_, '_>) -> Result<Val> {
    let session = args.session;
    if name == "get" {
        let found = session.entry(of, &args.need(0, "key")?)?;
        return Ok(found.or_else(|| args.raw(1, "default")).unwrap_or(Val::None));
    }
    let keys = session.iterate(of)?;
    let mut out = Vec::new();
    for key in keys {
        out.push(match name {
            "keys" => key,
            _ => {
                let value = session.entry(of, &key)?.unwrap_or(Val::None);
                if name == "items" { Val::tuple(vec![key, value]) } else { value }
            }
        });
    }
    Ok(Val::list(out))
}

fn on_object(entries: &super::value::DictRef, kind: &str, name: &str, args: &Args<'_, '_>) -> Result<Val> {
    let field = |name: &str| entries.borrow().get(&Key::text(name)).cloned();
    match (kind, name) {
        ("loop", "cycle") => {
            let Some(Val::Int(at)) = field("index0") else { return Ok(Val::None) };
            let length = args.positional.len().max(1) as i128;
            let at = usize::try_from(at % length).unwrap_or_default();
            Ok(args.positional.get(at).cloned().unwrap_or(Val::None))
        }
        ("loop", _) => {
            let now = Val::tuple(args.positional.clone());
            let Some(Val::Map(state)) = field("__changed") else { return Ok(Val::None) };
            let before = state.borrow_mut().insert(Key::text("last"), now.clone());
            Ok(Val::Bool(match before {
                Some(before) => !args.session.equal(&before, &now)?,
                None => true,
            }))
        }
        ("cycler", "reset") => {
            entries.borrow_mut().insert(Key::text("at"), Val::Int(0));
            Ok(Val::None)
        }
        ("cycler", _) => {
            let items = field("items").and_then(|items| items.items()).unwrap_or_default();
            let Some(Val::Int(at)) = field("at") else { return Ok(Val::None) };
            let next = (at + 1) % items.len().max(1) as i128;
            entries.borrow_mut().insert(Key::text("at"), Val::Int(next));
            let current = usize::try_from(at).ok().and_then(|at| items.get(at)).cloned().unwrap_or(Val::None);
            entries.borrow_mut().insert(Key::text("current"), current.clone());
            Ok(current)
        }
        _ => bail!("'{kind}' object has no attribute '{name}'"),
    }
}

fn on_time(time: jiff::civil::DateTime, name: &str, args: &Args<'_, '_>) -> Result<Val> {
    Ok(match name {
        "strftime" => Val::str(super::moment::show(
            time,
            args.session.engine.utc_offset,
            &args.need_text(0, "format")?,
        )?),
        "isoformat" => Val::str(super::show::text(&Val::Time(time)).replacen(' ', "T", 1)),
        "timestamp" => {
            let offset = i64::from(args.session.engine.utc_offset) * 1_000_000;
            Val::Float((super::moment::micros(time) - offset) as f64 / 1e6)
        }
        "date" => Val::str(time.strftime("%Y-%m-%d").to_string()),
        "time" => Val::str(time.strftime("%H:%M:%S").to_string()),
        "weekday" => Val::Int(i128::from(time.weekday().to_monday_zero_offset())),
        _ => Val::Int(i128::from(time.weekday().to_monday_one_offset())),
    })
}
