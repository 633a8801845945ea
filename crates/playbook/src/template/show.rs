//! Python's `str` and `repr` of values.

use super::value::{Key, Val};

/// `str(value)`. Lazy values must have been rendered.
pub(crate) fn text(value: &Val) -> String {
    match value {
        Val::Str(text) | Val::Lazy(text, _) | Val::Vault(text) => text.to_string(),
        other => {
            let mut out = String::new();
            repr_into(other, &mut out, 0);
            out
        }
    }
}

/// `repr(value)`.
pub(crate) fn repr(value: &Val) -> String {
    let mut out = String::new();
    repr_into(value, &mut out, 0);
    out
}

/// Containers within each other that are shown; a list can hold itself.
const DEPTH_MAX: usize = 60;

fn repr_into(value: &Val, out: &mut String, depth: usize) {
    if depth > DEPTH_MAX {
        out.push_str("...");
        return;
    }
    match value {
        Val::Undef(_) => {}
        Val::Omit => out.push_str("<<Omit>>"),
        Val::None => out.push_str("None"),
        Val::Bool(truth) => out.push_str(if *truth { "True" } else { "False" }),
        Val::Int(number) => out.push_str(&number.to_string()),
        Val::Float(number) => out.push_str(&float(*number)),
        Val::Str(text) | Val::Lazy(text, _) | Val::Vault(text) => quoted(text, out),
        Val::List(items) => {
            out.push('[');
            join(items.borrow().iter(), out, depth);
            out.push(']');
        }
        Val::Tuple(items) => {
            // Ansible makes lists of tuples wherever a value is stored or shown.
            out.push('[');
            join(items.iter(), out, depth);
            out.push(']');
        }
        Val::Map(entries) | Val::Object(entries, _) => {
            out.push('{');
            for (at, (key, value)) in entries.borrow().iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                repr_into(&key.value(), out, depth + 1);
                out.push_str(": ");
                repr_into(value, out, depth + 1);
            }
            out.push('}');
        }
        Val::Time(time) => {
            let text = time.strftime("%Y-%m-%d %H:%M:%S").to_string();
            out.push_str(&text);
            if time.subsec_nanosecond() > 0 {
                out.push_str(&format!(".{:06}", time.subsec_nanosecond() / 1000));
            }
        }
        Val::Delta(micros) => out.push_str(&delta(*micros)),
        Val::Func(_) => out.push_str("<function>"),
        Val::Hosts(_) | Val::Scope(_) => out.push_str("<hostvars>"),
    }
}

fn join<'v>(items: impl Iterator<Item = &'v Val>, out: &mut String, depth: usize) {
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        repr_into(item, out, depth + 1);
    }
}

/// The text of a key when it stands alone.
pub(crate) fn key_text(key: &Key) -> String {
    text(&key.value())
}

/// `str(timedelta)`.
fn delta(micros: i64) -> String {
    const DAY: i64 = 86_400_000_000;
    let (days, rest) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    let mut out = match days {
        0 => String::new(),
        1 | -1 => format!("{days} day, "),
        _ => format!("{days} days, "),
    };
    out.push_str(&format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60));
    if fraction > 0 {
        out.push_str(&format!(".{fraction:06}"));
    }
    out
}

/// A number with a fraction as Python prints it: the shortest digits, with an exponent from 1e16 on.
pub(crate) fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let size = number.abs();
    if number == 0.0 || (1e-4..1e16).contains(&size) {
        return format!("{number:?}");
    }
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
    format!("{digits}e{sign}{exponent:0>2}")
}

fn quoted(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push(quote);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_look_as_in_python() {
        let list = Val::list(vec![
            Val::str("it's"),
            Val::Bool(true),
            Val::None,
            Val::Float(1.0),
            Val::tuple(vec![Val::Int(1)]),
        ]);
        assert_eq!(text(&list), "[\"it's\", True, None, 1.0, [1]]");
        for (number, wanted) in
            [(1e16, "1e+16"), (0.00001, "1e-05"), (123456.75, "123456.75"), (1e22, "1e+22")]
        {
            assert_eq!(float(number), wanted);
        }
    }
}
