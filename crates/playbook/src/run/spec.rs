//! Checks a role's arguments against what the role says of them.

use wellkept_inventory::Value;

use super::Run;
use super::results;
use super::task::{Running, told};
use crate::book::{Named, key_text};

/// What is wrong with the arguments, each in a sentence.
pub(crate) fn check(run: &Run, running: &Running, args: &Named) -> Vec<String> {
    let Some(Value::Map(options)) = results::get(args, "argument_spec") else { return Vec::new() };
    let session = run.session(running);
    let mut problems = Vec::new();
    let mut missing = Vec::new();
    for (name, spec) in options {
        let name = key_text(name);
        let provided = results::get(args, "provided_arguments").and_then(|given| given.get(&name)).cloned();
        let given = match provided {
            Some(value) => Ok(Some(value)),
            None => session.evaluate(&format!("{name} | default(omit)")),
        };
        match given {
            Err(error) => problems.push(format!("{name}: {}", told(&error))),
            Ok(None | Some(Value::Null)) => {
                if spec.get("required").is_some_and(results::truth) {
                    missing.push(name);
                }
            }
            Ok(Some(value)) => one(&name, spec, &value, "", &mut problems, 0),
        }
    }
    if !missing.is_empty() {
        missing.sort();
        problems.insert(0, format!("missing required arguments: {}", missing.join(", ")));
    }
    problems
}

/// Levels of options within options.
const DEPTH_MAX: usize = 20;

fn one(name: &str, spec: &Value, value: &Value, found_in: &str, problems: &mut Vec<String>, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    let kind = spec.get("type").map_or_else(|| "str".to_owned(), key_text);
    if !fits(&kind, value) {
        let found = crate::template::type_name(value);
        let wanted = kind.as_str();
        problems.push(format!(
            "argument '{name}' is of type {found}{found_in} and we were unable to convert to {wanted}: {} cannot be converted to {}",
            crate::template::quoted_type(value),
            article(wanted)
        ));
        return;
    }
    if let Some(Value::List(choices)) = spec.get("choices") {
        let values = match value {
            Value::List(items) if kind == "list" => items.clone(),
            one => vec![one.clone()],
        };
        let texts: Vec<String> = choices.iter().map(key_text).collect();
        let wrong: Vec<String> = values.iter().map(key_text).filter(|value| !texts.contains(value)).collect();
        if !wrong.is_empty() {
            let either = if kind == "list" { "one or more of" } else { "one of" };
            problems.push(format!(
                "value of {name} must be {either}: {}, got: {}{found_in}",
                texts.join(", "),
                wrong.join(", ")
            ));
        }
    }
    let Some(Value::Map(options)) = spec.get("options") else { return };
    let below = match value {
        Value::List(items) => items.iter().collect(),
        map => vec![map],
    };
    let inside = format!(" found in {name}");
    for map in below.into_iter().filter(|map| matches!(map, Value::Map(_))) {
        for (option, spec) in options {
            let option = key_text(option);
            match map.get(&option) {
                Some(value) => one(&option, spec, value, &inside, problems, depth + 1),
                None if spec.get("required").is_some_and(results::truth) => {
                    problems.push(format!("missing required arguments: {option}{inside}"));
                }
                None => {}
            }
        }
    }
}

fn fits(kind: &str, value: &Value) -> bool {
    let text = || value.as_text().unwrap_or_default();
    match kind {
        "int" => matches!(value, Value::Int(_)) || text().trim().parse::<i128>().is_ok(),
        "float" => matches!(value, Value::Int(_) | Value::Float(_)) || text().trim().parse::<f64>().is_ok(),
        "bool" => {
            matches!(value, Value::Bool(_) | Value::Int(0 | 1))
                || matches!(
                    text().to_lowercase().as_str(),
                    "yes" | "no" | "on" | "off" | "true" | "false" | "1" | "0" | "y" | "n" | "t" | "f"
                )
        }
        "list" => matches!(
            value,
            Value::List(_) | Value::Text(_) | Value::Unsafe(_) | Value::Int(_) | Value::Float(_)
        ),
        "dict" => {
            matches!(value, Value::Map(_)) || text().contains('=') || text().trim_start().starts_with('{')
        }
        "str" | "path" | "raw" | "json" | "jsonarg" | "bytes" | "bits" => true,
        _ => true,
    }
}

fn article(kind: &str) -> String {
    if kind == "int" { "an int".to_owned() } else { format!("a {kind}") }
}
