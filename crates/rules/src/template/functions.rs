//! Go's built-in functions of templates, and the list of all functions by name.
//!
//! Prometheus' own functions are in [`super::prometheus`]. `and` and `or` do not evaluate all arguments and are
//! therefore done where templates are executed.

use super::execute::Executor;
use super::format::sprintf;
use super::prometheus;
use super::value::Value;

/// Names of the functions in this file, and those that the executor does itself.
const BUILT_IN: [&str; 18] = [
    "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or", "print",
    "printf", "println", "slice",
];

/// Whether a template may call this.
pub(crate) fn exists(name: &str) -> bool {
    BUILT_IN.contains(&name) || matches!(name, "urlquery" | "tmpl") || prometheus::NAMES.contains(&name)
}

/// Calls a function with all its arguments.
pub(crate) fn call(name: &str, args: &[Value], on: &mut Executor<'_>) -> Result<Value, String> {
    let room = on.room();
    Ok(match name {
        "not" => Value::Bool(!only(args)?.is_true()),
        "len" => length(only(args)?)?,
        "index" => index(args)?,
        "slice" => slice(args)?,
        "print" => Value::text(print(args, room)),
        "println" => Value::text(println(args, room)),
        "printf" => match args.split_first() {
            Some((Value::Text(format), rest)) => Value::text(sprintf(format, rest, room)),
            Some((other, _)) => return Err(wrong_type("string", other)),
            None => return Err("wrong number of args for printf: want at least 1 got 0".to_owned()),
        },
        "html" => Value::text(html(&print(args, room))),
        "js" => Value::text(js(&print(args, room))),
        "urlquery" => Value::text(url_query(&print(args, room))),
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" => Value::Bool(compare(name, args)?),
        "call" => return Err("values that are functions do not exist here".to_owned()),
        "tmpl" => match args {
            [Value::Text(name), data] => Value::text(on.named(name, data.clone())?),
            _ => return Err("wrong arguments for tmpl: want a name and a value".to_owned()),
        },
        _ => return prometheus::call(name, args, on),
    })
}

pub(crate) fn wrong_type(wanted: &str, got: &Value) -> String {
    format!("wrong type for value; expected {wanted}; got {}", got.type_name())
}

/// The one argument of a function that takes one.
pub(crate) fn only(args: &[Value]) -> Result<&Value, String> {
    match args {
        [one] => Ok(one),
        _ => Err(format!("wrong number of args: want 1 got {}", args.len())),
    }
}

/// As `fmt.Sprint`: a blank between two operands when neither is a text.
fn print(args: &[Value], room: usize) -> String {
    let mut out = String::new();
    let mut text_before = true;
    for arg in args {
        let text = matches!(arg, Value::Text(_));
        if !text && !text_before {
            out.push(' ');
        }
        arg.show(&mut out, room);
        text_before = text;
        if out.len() > room {
            break;
        }
    }
    out
}

fn println(args: &[Value], room: usize) -> String {
    let mut out = String::new();
    for (i, arg) in args.iter().enumerate() {
        out.push_str(if i > 0 { " " } else { "" });
        arg.show(&mut out, room);
        if out.len() > room {
            break;
        }
    }
    out.push('\n');
    out
}

fn length(of: &Value) -> Result<Value, String> {
    let length = match of {
        Value::Text(t) => t.len(),
        Value::Labels(l) => l.len(),
        Value::Map(m) => m.len(),
        Value::Samples(s) => s.len(),
        Value::Nil | Value::Missing => return Err("len of nil pointer".to_owned()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(args: &[Value]) -> Result<Value, String> {
    let Some((first, keys)) = args.split_first() else {
        return Err("wrong number of args for index: want at least 1 got 0".to_owned());
    };
    let mut at = first.clone();
    for key in keys {
        at = match (&at, key) {
            (Value::Labels(_) | Value::Map(_), Value::Text(name)) => at.field(name)?,
            (Value::Labels(_) | Value::Map(_), other) => return Err(wrong_type("string", other)),
            (Value::Samples(samples), Value::Int(i)) => {
                let sample = usize::try_from(*i).ok().and_then(|i| samples.get(i));
                Value::Sample(sample.ok_or_else(|| out_of_range(*i))?.clone().into())
            }
            (Value::Text(text), Value::Int(i)) => {
                let byte = usize::try_from(*i).ok().and_then(|i| text.as_bytes().get(i));
                Value::Int(i64::from(*byte.ok_or_else(|| out_of_range(*i))?))
            }
            (Value::Samples(_) | Value::Text(_), other) => {
                return Err(format!("cannot index slice/array with type {}", other.type_name()));
            }
            (Value::Nil | Value::Missing, _) => return Err("index of untyped nil".to_owned()),
            (other, _) => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(at)
}

fn out_of_range(i: i64) -> String {
    format!("index out of range: {i}")
}

fn slice(args: &[Value]) -> Result<Value, String> {
    let Some((first, bounds)) = args.split_first() else {
        return Err("wrong number of args for slice: want at least 1 got 0".to_owned());
    };
    let length = match first {
        Value::Text(t) => t.len(),
        Value::Samples(s) => s.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    let mut ends = [0, length];
    for (end, bound) in ends.iter_mut().zip(bounds) {
        let Value::Int(i) = bound else { return Err(wrong_type("integer", bound)) };
        *end = usize::try_from(*i).ok().filter(|i| *i <= length).ok_or_else(|| out_of_range(*i))?;
    }
    let [from, to] = ends;
    if from > to || bounds.len() > 2 {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    Ok(match first {
        Value::Samples(s) => Value::Samples(s.get(from..to).unwrap_or_default().to_vec().into()),
        Value::Text(t) => {
            let bytes = t.as_bytes().get(from..to).unwrap_or_default();
            Value::text(String::from_utf8_lossy(bytes).into_owned())
        }
        _ => Value::Missing,
    })
}

fn compare(name: &str, args: &[Value]) -> Result<bool, String> {
    let (first, rest) = args.split_first().ok_or("missing argument for comparison")?;
    match (name, rest) {
        (_, []) => Err("missing argument for comparison".to_owned()),
        ("eq", rest) => {
            for other in rest {
                if equal(first, other)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        ("ne", [other]) => equal(first, other).map(|same| !same),
        ("lt", [other]) => less(first, other),
        ("le", [other]) => Ok(less(first, other)? || equal(first, other)?),
        ("gt", [other]) => Ok(!(less(first, other)? || equal(first, other)?)),
        ("ge", [other]) => Ok(!less(first, other)?),
        _ => Err(format!("wrong number of args for {name}: want 2 got {}", args.len())),
    }
}

const INCOMPATIBLE: &str = "incompatible types for comparison";

fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    Ok(match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b)) => a == b,
        #[expect(clippy::float_cmp, reason = "the template asked for equality, and Go compares so")]
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::Time(a), Value::Time(b)) => a == b,
        (Value::Nil | Value::Missing, Value::Nil | Value::Missing) => true,
        (Value::Nil | Value::Missing, _) | (_, Value::Nil | Value::Missing) => false,
        _ => return Err(INCOMPATIBLE.to_owned()),
    })
}

fn less(a: &Value, b: &Value) -> Result<bool, String> {
    Ok(match (a, b) {
        (Value::Int(a), Value::Int(b)) => a < b,
        (Value::Float(a), Value::Float(b)) => a < b,
        (Value::Text(a), Value::Text(b)) => a < b,
        (Value::Bool(_), Value::Bool(_)) => return Err("invalid type for comparison".to_owned()),
        _ => return Err(INCOMPATIBLE.to_owned()),
    })
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\0' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => out.extend(['\\', c]),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// As a part of a URL's query: blanks become `+`.
pub(crate) fn url_query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
