//! The functions that every template knows.

use std::cell::RefCell;
use std::rc::Rc;

use super::args::Args;
use super::error::{Result, TemplateError, bail};
use super::interp::Interp;
use super::lookups;
use super::value::{Dict, Func, Key, Val};

/// Names of the functions.
pub(crate) const KNOWN: [&str; 13] = [
    "range",
    "dict",
    "lookup",
    "query",
    "q",
    "now",
    "undef",
    "namespace",
    "cycler",
    "joiner",
    "lipsum",
    "finalize",
    "environment",
];

/// Most numbers of a `range`.
const RANGE_MAX: i128 = 100_000;

/// Calls a function.
pub(crate) fn call(
    interp: &mut Interp<'_, '_>,
    name: &'static str,
    positional: Vec<Val>,
    named: Vec<(Rc<str>, Val)>,
) -> Result<Val> {
    let args = Args { session: interp.session, what: name.into(), positional, named };
    match name {
        "range" => range(&args),
        "dict" => {
            let mut out = Dict::new();
            if let Some(first) = args.raw(0, "") {
                out.extend(super::methods::pairs(&args, &first)?);
            }
            out.extend(args.named.iter().map(|(name, value)| (Key::Str(Rc::clone(name)), value.clone())));
            Ok(Val::map(out))
        }
        "namespace" => {
            let mut out = Dict::new();
            if let Some(first) = args.raw(0, "") {
                out.extend(super::methods::pairs(&args, &first)?);
            }
            out.extend(args.named.iter().map(|(name, value)| (Key::Str(Rc::clone(name)), value.clone())));
            Ok(Val::Object(Rc::new(RefCell::new(out)), "namespace"))
        }
        "lookup" | "query" | "q" => lookups::call(interp, name != "lookup", &args),
        "now" => now(&args),
        "undef" => {
            let hint = args.text(0, "hint", "undef")?;
            Ok(Val::Undef(hint.as_str().into()))
        }
        "cycler" => {
            let mut state = Dict::new();
            state.insert(Key::text("current"), args.positional.first().cloned().unwrap_or(Val::None));
            state.insert(Key::text("items"), Val::list(args.positional.clone()));
            state.insert(Key::text("at"), Val::Int(0));
            Ok(Val::Object(Rc::new(RefCell::new(state)), "cycler"))
        }
        "joiner" => {
            let separator = args.text(0, "sep", ", ")?;
            Ok(Val::Func(Rc::new(Func::Joiner(separator.as_str().into(), RefCell::new(false)))))
        }
        other => Err(TemplateError::Refused(format!("the function {other}() is not supported in templates"))),
    }
}

fn range(args: &Args<'_, '_>) -> Result<Val> {
    let first = args.int(0, "start", 0)?;
    let (from, to) = match args.maybe_int(1, "stop")? {
        Some(stop) => (first, stop),
        None => (0, first),
    };
    let step = args.int(2, "step", 1)?;
    if step == 0 {
        bail!("range() arg 3 must not be zero");
    }
    let span = if step > 0 { to.saturating_sub(from) } else { from.saturating_sub(to) };
    let count = if span <= 0 { 0 } else { (span - 1) / step.saturating_abs() + 1 };
    if count > RANGE_MAX {
        bail!("Range too big. The sandbox blocks ranges larger than MAX_RANGE ({RANGE_MAX}).");
    }
    args.session.charge(usize::try_from(count).unwrap_or_default())?;
    Ok(Val::list((0..count).map(|n| Val::Int(from + n * step)).collect()))
}

fn now(args: &Args<'_, '_>) -> Result<Val> {
    let engine = args.session.engine;
    let utc = args.truth(0, "utc", false)?;
    let offset = if utc { 0 } else { engine.utc_offset };
    let time = super::moment::from_micros((engine.now_ms.get() + i64::from(offset) * 1000) * 1000)?;
    match args.maybe_text(1, "fmt")? {
        Some(format) => Ok(Val::str(super::moment::show(time, offset, &format)?)),
        None => Ok(Val::Time(time)),
    }
}
