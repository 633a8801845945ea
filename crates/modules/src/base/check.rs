//! Checks a task's arguments against what the module takes, in Ansible's order and words.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::args::Args;
use super::convert::{self, Expand};
use super::python;
use super::result::Fail;
use crate::spec::{Arg, Kind, ModuleSpec, Preset, Rule};

/// Names in a task that are for the engine, not for the module.
const ENGINES: &str = "_ansible_";

/// Whether vaulted files are opened: the controller has done that.
const DECRYPT: &str = "decrypt";

/// Arguments in their types, presets filled in, and warnings.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn check(
    spec: &ModuleSpec,
    given: &Map<String, Value>,
    expand: &dyn Expand,
) -> Result<(Args, Vec<String>), Fail> {
    let args: Vec<&Arg> = spec.all_args().collect();
    let mut warnings = Vec::new();
    let mut values = Map::new();
    let mut unknown = BTreeSet::new();
    for (name, value) in given.iter().filter(|(name, _)| !name.starts_with(ENGINES) && *name != DECRYPT) {
        match args.iter().find(|arg| arg.name == name) {
            Some(_) => {
                values.insert(name.clone(), value.clone());
            }
            None if args.iter().any(|arg| arg.aliases.contains(&name.as_str())) => {}
            None => {
                unknown.insert(name.clone());
            }
        }
    }
    for arg in &args {
        for alias in arg.aliases.iter().filter(|alias| given.contains_key(**alias)) {
            if given.contains_key(arg.name) {
                warnings.push(format!("Both option {} and its alias {alias} are set.", arg.name));
            }
            values.insert(arg.name.to_owned(), given.get(*alias).cloned().unwrap_or_default());
        }
    }
    if let Some(first) = problem(spec.rules, &args, &mut values, expand) {
        return Err(Fail::new(first));
    }
    if !unknown.is_empty() {
        let named: Vec<&str> = unknown.iter().map(String::as_str).collect();
        return Err(Fail::new(unsupported(spec, &named)));
    }
    Ok((Args::new(values), warnings))
}

/// What is said of unknown names.
fn unsupported(spec: &ModuleSpec, names: &[&str]) -> String {
    let args: Vec<&Arg> = spec.all_args().collect();
    let message = format!("{}. Supported parameters include: {}.", names.join(", "), accepted(&args));
    format!("Unsupported parameters for ({}) module: {message}", spec.name)
}

/// The same before the task runs, when only names are known.
pub(crate) fn unknown(spec: &ModuleSpec, names: &[&str]) -> Option<String> {
    let known = |name: &str| {
        name.starts_with(ENGINES)
            || name == DECRYPT
            || spec.all_args().any(|arg| arg.name == name || arg.aliases.contains(&name))
    };
    let mut unknown: Vec<&str> = names.iter().copied().filter(|name| !known(name)).collect();
    unknown.sort_unstable();
    (!unknown.is_empty()).then(|| unsupported(spec, &unknown))
}

/// Accepted names, then their aliases in brackets.
fn accepted(args: &[&Arg]) -> String {
    let names: BTreeSet<&str> = args.iter().map(|arg| arg.name).collect();
    let aliases: BTreeSet<&str> = args.iter().flat_map(|arg| arg.aliases).copied().collect();
    let join = |set: BTreeSet<&str>| set.into_iter().collect::<Vec<_>>().join(", ");
    if aliases.is_empty() { join(names) } else { format!("{} ({})", join(names), join(aliases)) }
}

fn given(values: &Map<String, Value>, name: &str) -> bool {
    values.get(name).is_some_and(|value| !value.is_null())
}

fn problem(
    rules: &[Rule],
    args: &[&Arg],
    values: &mut Map<String, Value>,
    expand: &dyn Expand,
) -> Option<String> {
    for rule in rules {
        if let Rule::Exclusive(names) = rule
            && names.iter().filter(|name| given(values, name)).count() > 1
        {
            return Some(format!("parameters are mutually exclusive: {}", names.join("|")));
        }
    }
    for arg in args {
        if let Some(value) = preset(arg.preset)
            && !given(values, arg.name)
        {
            values.insert(arg.name.to_owned(), value);
        }
    }
    let mut missing: Vec<&str> = args
        .iter()
        .filter(|arg| arg.required && !values.contains_key(arg.name))
        .map(|arg| arg.name)
        .collect();
    if !missing.is_empty() {
        missing.sort_unstable();
        return Some(format!("missing required arguments: {}", missing.join(", ")));
    }
    args.iter()
        .find_map(|arg| typed(arg, values, expand))
        .or_else(|| args.iter().find_map(|arg| chosen(arg, values)))
        .or_else(|| broken(rules, values))
        .or_else(|| {
            for arg in args {
                values.entry(arg.name).or_insert(Value::Null);
            }
            args.iter().find_map(|arg| inner(arg, values, expand))
        })
}

fn preset(preset: Preset) -> Option<Value> {
    match preset {
        Preset::Nothing => None,
        Preset::Flag(truth) => Some(truth.into()),
        Preset::Int(number) => Some(number.into()),
        Preset::Text(text) => Some(text.into()),
        Preset::List(items) => Some(items.iter().copied().collect()),
    }
}

fn typed(arg: &Arg, values: &mut Map<String, Value>, expand: &dyn Expand) -> Option<String> {
    let value = values.get(arg.name).filter(|value| !value.is_null() || arg.required)?;
    let typed = match convert::to(arg.kind, value, expand) {
        Ok(typed) => typed,
        Err(why) => {
            return Some(format!(
                "argument '{}' is of type {} and we were unable to convert to {}: {why}",
                arg.name,
                python::type_name(value),
                arg.kind.name()
            ));
        }
    };
    let typed = match typed {
        Value::Array(items) if arg.elements != Kind::Raw => {
            let mut out = Vec::with_capacity(items.len());
            for item in &items {
                match convert::to(arg.elements, item, expand) {
                    Ok(value) => out.push(value),
                    Err(why) => {
                        return Some(format!(
                            "Elements value for option '{}' is of type {} and we were unable to convert to {}: {why}",
                            arg.name,
                            python::type_name(item),
                            arg.elements.name()
                        ));
                    }
                }
            }
            Value::Array(out)
        }
        other => other,
    };
    values.insert(arg.name.to_owned(), typed);
    None
}

fn chosen(arg: &Arg, values: &mut Map<String, Value>) -> Option<String> {
    let value = values.get(arg.name).filter(|value| !arg.choices.is_empty() && !value.is_null())?;
    let choices = arg.choices.join(", ");
    if let Value::Array(items) = value {
        let wrong: Vec<String> =
            items.iter().map(python::text).filter(|item| !arg.choices.contains(&item.as_str())).collect();
        return (!wrong.is_empty()).then(|| {
            format!(
                "value of {} must be one or more of: {choices}. Got no match for: {}",
                arg.name,
                wrong.join(", ")
            )
        });
    }
    let word = python::text(value);
    if arg.choices.contains(&word.as_str()) {
        return None;
    }
    let same: &[&str] = match word.as_str() {
        "True" => &["1", "on", "t", "true", "y", "yes"],
        "False" => &["0", "f", "false", "n", "no", "off"],
        _ => &[],
    };
    let meant: Vec<&&str> = arg.choices.iter().filter(|choice| same.contains(choice)).collect();
    if let [only] = meant.as_slice() {
        values.insert(arg.name.to_owned(), (**only).into());
        return None;
    }
    Some(format!("value of {} must be one of: {choices}, got: {word}", arg.name))
}

fn broken(rules: &[Rule], values: &Map<String, Value>) -> Option<String> {
    let together = rules.iter().find_map(|rule| match rule {
        Rule::Together(names) => {
            let count = names.iter().filter(|name| given(values, name)).count();
            (count != 0 && count != names.len())
                .then(|| format!("parameters are required together: {}", names.join(", ")))
        }
        _ => None,
    });
    let one_of = || {
        rules.iter().find_map(|rule| match rule {
            Rule::OneOf(names) => (!names.iter().any(|name| given(values, name)))
                .then(|| format!("one of the following is required: {}", names.join(", "))),
            _ => None,
        })
    };
    let conditions = || {
        rules.iter().find_map(|rule| {
            let (name, value, needs, any) = match rule {
                Rule::IfAll(name, value, needs) => (name, value, needs, false),
                Rule::IfAny(name, value, needs) => (name, value, needs, true),
                _ => return None,
            };
            if values.get(*name).is_none_or(|got| !same(got, value)) {
                return None;
            }
            let missing: Vec<&str> = needs.iter().copied().filter(|name| !given(values, name)).collect();
            let broken = if any { missing.len() == needs.len() } else { !missing.is_empty() };
            let word = if any { "any" } else { "all" };
            let shown = values.get(*name).map(python::text).unwrap_or_default();
            broken.then(|| {
                format!("{name} is {shown} but {word} of the following are missing: {}", missing.join(", "))
            })
        })
    };
    let by = || {
        rules.iter().find_map(|rule| match rule {
            Rule::By(name, needs) if given(values, name) => {
                let missing: Vec<&str> = needs.iter().copied().filter(|name| !given(values, name)).collect();
                (!missing.is_empty())
                    .then(|| format!("missing parameter(s) required by '{name}': {}", missing.join(", ")))
            }
            _ => None,
        })
    };
    together.or_else(one_of).or_else(conditions).or_else(by)
}

fn same(got: &Value, wanted: &str) -> bool {
    match got {
        Value::Bool(truth) => wanted == if *truth { "true" } else { "false" },
        other => python::text(other) == wanted,
    }
}

/// Arguments within an argument.
fn inner(arg: &Arg, values: &mut Map<String, Value>, expand: &dyn Expand) -> Option<String> {
    if arg.inner.is_empty() {
        return None;
    }
    let args: Vec<&Arg> = arg.inner.iter().collect();
    let maps: Vec<&mut Value> = match values.get_mut(arg.name)? {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Null => return None,
        one => vec![one],
    };
    for map in maps {
        let Value::Object(map) = map else {
            return Some(format!("value of '{}' must be of type dict or list of dicts", arg.name));
        };
        let unknown: Vec<String> =
            map.keys().filter(|key| !args.iter().any(|arg| arg.name == *key)).cloned().collect();
        if let Some(first) = problem(&[], &args, map, expand) {
            return Some(format!("{first} found in {}", arg.name));
        }
        if let Some(name) = unknown.first() {
            return Some(format!("{}.{name}. Supported parameters include: {}.", arg.name, accepted(&args)));
        }
    }
    None
}
