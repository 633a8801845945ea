//! Turns what a task wrote into the type that an argument has, with Ansible's messages where that cannot be.

use serde_json::{Map, Number, Value};

use super::python;
use crate::spec::Kind;

/// What paths are expanded with.
pub(crate) trait Expand {
    /// `~` and `$NAME` replaced.
    fn expand(&self, path: &str) -> String;
}

/// The value in this type.
///
/// # Errors
/// Why not, in Ansible's words.
pub(crate) fn to(kind: Kind, value: &Value, expand: &dyn Expand) -> Result<Value, String> {
    match kind {
        Kind::Text => Ok(Value::String(text(value))),
        Kind::Path => Ok(Value::String(expand.expand(&text(value)))),
        Kind::Flag => truth(value).map(Value::Bool),
        Kind::Int => int(value).map(Value::from),
        Kind::Float => float(value),
        Kind::List => list(value).map(Value::Array),
        Kind::Map => map(value).map(Value::Object),
        Kind::Raw => Ok(value.clone()),
        Kind::Json => match value {
            Value::String(text) => Ok(Value::String(text.trim().to_owned())),
            Value::Array(_) | Value::Object(_) => Ok(Value::String(python::json(value))),
            other => Err(format!("{} cannot be converted to a json string", class(other))),
        },
    }
}

fn class(value: &Value) -> String {
    format!("<class '{}'>", python::type_name(value))
}

fn text(value: &Value) -> String {
    if value.is_null() { String::new() } else { python::text(value) }
}

/// Whether a text, number or truth value means yes.
pub(crate) fn truth(value: &Value) -> Result<bool, String> {
    const YES: &[&str] = &["y", "yes", "on", "1", "true", "t", "1.0"];
    const NO: &[&str] = &["n", "no", "off", "0", "false", "f", "0.0"];
    let word = match value {
        Value::Bool(truth) => return Ok(*truth),
        Value::String(text) => text.trim().to_lowercase(),
        Value::Number(number) => number.to_string(),
        other => return Err(format!("{} cannot be converted to a bool", class(other))),
    };
    if YES.contains(&word.as_str()) {
        Ok(true)
    } else if NO.contains(&word.as_str()) {
        Ok(false)
    } else {
        Err(format!(
            "The value {} is not a valid boolean. Valid booleans include: 0, 1, '0', '1', 'f', 'false', 'n', 'no', 'off', 'on', 't', 'true', 'y', 'yes'",
            python::repr(value)
        ))
    }
}

fn int(value: &Value) -> Result<i64, String> {
    let number = match value {
        Value::Bool(truth) => Some(i64::from(*truth)),
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| text.parse::<f64>().ok().and_then(whole))
        }
        _ => None,
    };
    number.ok_or_else(|| format!("\"{}\" cannot be converted to an int", python::repr(value)))
}

fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

fn float(value: &Value) -> Result<Value, String> {
    let number = match value {
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let number = number.and_then(Number::from_f64);
    number.map(Value::Number).ok_or_else(|| format!("{} cannot be converted to a float", class(value)))
}

fn list(value: &Value) -> Result<Vec<Value>, String> {
    match value {
        Value::Array(items) => Ok(items.clone()),
        Value::String(text) => Ok(text.split(',').map(Value::from).collect()),
        Value::Number(_) | Value::Bool(_) => Ok(vec![Value::String(python::text(value))]),
        other => Err(format!("{} cannot be converted to a list", class(other))),
    }
}

fn map(value: &Value) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(map) => Ok(map.clone()),
        Value::String(text) if text.starts_with('{') => {
            serde_json::from_str(text).map_err(|_| "unable to evaluate string as dictionary".to_owned())
        }
        Value::String(text) if text.contains('=') => pairs(text)
            .ok_or_else(|| "unable to evaluate string in the \"key=value\" format as dictionary".to_owned()),
        Value::String(_) => Err("dictionary requested, could not parse JSON or key=value".to_owned()),
        other => Err(format!("{} cannot be converted to a dict", class(other))),
    }
}

fn pairs(text: &str) -> Option<Map<String, Value>> {
    let mut fields = vec![String::new()];
    let mut quote = None;
    let mut chars = text.trim().chars();
    while let Some(c) = chars.next() {
        let field = fields.last_mut()?;
        match (c, quote) {
            ('\\', _) => field.extend(chars.next()),
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (',' | ' ', None) => fields.push(String::new()),
            (c, _) => field.push(c),
        }
    }
    let fields = fields.iter().filter(|field| !field.is_empty());
    fields.map(|field| field.split_once('=').map(|(key, value)| (key.to_owned(), value.into()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Plain;
    impl Expand for Plain {
        fn expand(&self, path: &str) -> String {
            path.replace('~', "/root")
        }
    }

    #[test]
    fn values_take_the_type_of_the_argument() {
        for (kind, value, expected) in [
            (Kind::Text, json!(true), json!("True")),
            (Kind::Text, json!(5), json!("5")),
            (Kind::Text, json!(null), json!("")),
            (Kind::Path, json!("~/a"), json!("/root/a")),
            (Kind::Flag, json!("Yes"), json!(true)),
            (Kind::Flag, json!(0), json!(false)),
            (Kind::Int, json!("12"), json!(12)),
            (Kind::Int, json!("3.0"), json!(3)),
            (Kind::List, json!("a,b"), json!(["a", "b"])),
            (Kind::List, json!(7), json!(["7"])),
            (Kind::Map, json!("a=1 b='x y'"), json!({"a": "1", "b": "x y"})),
            (Kind::Map, json!("{\"a\": 1}"), json!({"a": 1})),
            (Kind::Json, json!({"a": 1}), json!("{\"a\": 1}")),
        ] {
            assert_eq!(to(kind, &value, &Plain), Ok(expected), "{kind:?} {value}");
        }
        assert!(to(Kind::Int, &json!("abc"), &Plain).unwrap_err().contains("cannot be converted to an int"));
        assert!(to(Kind::Int, &json!("1.5"), &Plain).is_err());
        assert!(to(Kind::List, &json!({}), &Plain).unwrap_err().contains("<class 'dict'>"));
    }
}
