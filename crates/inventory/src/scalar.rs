//! The types of plain words by YAML 1.1, as Ansible reads them.

use std::sync::LazyLock;

use regex::Regex;

use crate::value::Value;

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is fixed and tested")
}

static INT: LazyLock<Regex> = LazyLock::new(|| {
    pattern("^[-+]?(?:0b[01_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*(?::[0-5]?[0-9])+)$")
});
static FLOAT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*)$",
    )
});

/// The type of a plain word by YAML 1.1. Dates stay text.
pub fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Value::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    let number = if !numeric {
        None
    } else if INT.is_match(text) {
        int(text)
    } else if FLOAT.is_match(text) {
        float(text)
    } else {
        None
    };
    number.unwrap_or_else(|| Value::Text(text.to_owned()))
}

fn signed(text: &str) -> (bool, String) {
    let digits = text.trim_start_matches(['-', '+']).replace('_', "");
    (text.starts_with('-'), digits)
}

fn int(text: &str) -> Option<Value> {
    let (minus, digits) = signed(text);
    let size = if let Some(binary) = digits.strip_prefix("0b") {
        i128::from_str_radix(binary, 2).ok()?
    } else if let Some(hex) = digits.strip_prefix("0x") {
        i128::from_str_radix(hex, 16).ok()?
    } else if digits.contains(':') {
        digits.split(':').try_fold(0i128, |sum, part| sum.checked_mul(60)?.checked_add(part.parse().ok()?))?
    } else if digits.len() > 1 && digits.starts_with('0') {
        i128::from_str_radix(&digits, 8).ok()?
    } else {
        digits.parse().ok()?
    };
    Some(Value::Int(if minus { size.checked_neg()? } else { size }))
}

fn float(text: &str) -> Option<Value> {
    let (minus, digits) = signed(text);
    let size = if digits.contains(':') {
        digits.split(':').try_fold(0f64, |sum, part| Some(sum * 60.0 + part.parse::<f64>().ok()?))?
    } else {
        digits.parse().ok()?
    };
    Some(Value::Float(if minus { -size } else { size }))
}
