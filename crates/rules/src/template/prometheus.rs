//! The functions that Prometheus adds to Go's.

use std::net::IpAddr;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use wellkept_model::TimestampMs;

use super::execute::Executor;
use super::functions::{only, url_query, wrong_type};
use super::number::general;
use super::value::{Map, Value};
use crate::time::{go_time, parse_duration};

/// Names of the functions in this file.
pub(crate) const NAMES: [&str; 29] = [
    "args",
    "externalURL",
    "first",
    "graphLink",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "label",
    "match",
    "now",
    "parseDuration",
    "pathPrefix",
    "query",
    "reReplaceAll",
    "safeHtml",
    "sortByLabel",
    "stripDomain",
    "stripPort",
    "strvalue",
    "tableLink",
    "title",
    "toDuration",
    "toLower",
    "toTime",
    "toUpper",
    "urlQueryEscape",
    "value",
];

/// Size limit of a compiled pattern, bytes; label matchers have the same.
const REGEX_SIZE_MAX: usize = 1 << 20;

/// Calls one of [`NAMES`].
pub(crate) fn call(name: &str, args: &[Value], on: &mut Executor<'_>) -> Result<Value, String> {
    match name {
        "query" => return on.query(text(only(args)?)?).map(|s| Value::Samples(s.into())),
        "first" | "label" | "value" | "strvalue" | "sortByLabel" => {
            return of_samples(name, args, on);
        }
        "args" => {
            let named = args.iter().enumerate().map(|(i, v)| (format!("arg{i}"), v.clone()));
            return Ok(Value::Map(Arc::new(Map::new(named.collect())?)));
        }
        "match" | "reReplaceAll" => return pattern(name, args, on),
        "now" => return Ok(Value::Float(on.now().as_seconds())),
        "pathPrefix" => return Ok(Value::text(path_of(on.external_url()))),
        "externalURL" => return Ok(Value::text(on.external_url())),
        _ => {}
    }
    let arg = only(args)?;
    Ok(match name {
        "humanize" => Value::text(humanize(number(arg)?)),
        "humanize1024" => Value::text(humanize_1024(number(arg)?)),
        "humanizeDuration" => Value::text(humanize_duration(number(arg)?)),
        "humanizePercentage" => Value::text(format!("{}%", general(number(arg)? * 100.0, Some(4)))),
        "humanizeTimestamp" => match number(arg)? {
            v if v.is_finite() => Value::text(go_time(instant(v)?)),
            v => Value::text(general(v, Some(4))),
        },
        "toTime" => Value::Time(instant(number(arg)?)?),
        "toDuration" => Value::Duration(nanoseconds(number(arg)?)?),
        "parseDuration" => {
            let text = text(arg)?;
            let duration =
                parse_duration(text).ok_or_else(|| format!("not a valid duration string: {text:?}"))?;
            Value::Float(duration.as_secs_f64())
        }
        "title" => Value::text(title(text(arg)?)),
        "toUpper" => Value::text(text(arg)?.to_uppercase()),
        "toLower" => Value::text(text(arg)?.to_lowercase()),
        "safeHtml" => Value::text(text(arg)?),
        "stripPort" => {
            let text = text(arg)?;
            Value::text(split_host_port(text).map_or(text, |(host, _)| host))
        }
        "stripDomain" => Value::text(strip_domain(text(arg)?)),
        "urlQueryEscape" => Value::text(url_query(text(arg)?)),
        "graphLink" => Value::text(format!("/graph?g0.expr={}&g0.tab=0", url_query(text(arg)?))),
        "tableLink" => Value::text(format!("/graph?g0.expr={}&g0.tab=1", url_query(text(arg)?))),
        _ => return Err(format!("function {name:?} not defined")),
    })
}

fn text(value: &Value) -> Result<&str, String> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(wrong_type("string", other)),
    }
}

/// Numbers, and texts that are numbers.
fn number(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(f) => Ok(*f),
        #[expect(clippy::cast_precision_loss, reason = "Go converts so too")]
        Value::Int(i) => Ok(*i as f64),
        #[expect(clippy::cast_precision_loss, reason = "300 years of nanoseconds lose only microseconds")]
        Value::Duration(nanos) => Ok(*nanos as f64 / 1e9),
        Value::Text(text) => {
            text.parse().map_err(|_| format!("strconv.ParseFloat: parsing {text:?}: invalid syntax"))
        }
        other => Err(format!("can't convert {} to float", other.type_name())),
    }
}

fn of_samples(name: &str, args: &[Value], on: &mut Executor<'_>) -> Result<Value, String> {
    match (name, args) {
        ("first", [Value::Samples(samples)]) => match samples.first() {
            Some(sample) => Ok(Value::Sample(Arc::new(sample.clone()))),
            None => Err("first() called on vector with no elements".to_owned()),
        },
        ("label", [Value::Text(name), Value::Sample(sample)]) => Ok(Value::text(sample.labels.get(name))),
        ("value", [Value::Sample(sample)]) => Ok(Value::Float(sample.value)),
        ("strvalue", [Value::Sample(sample)]) => Ok(Value::text(sample.labels.get("__value__"))),
        ("sortByLabel", [Value::Text(name), Value::Samples(samples)]) => {
            on.work(samples.len())?;
            let mut sorted = samples.to_vec();
            sorted.sort_by(|a, b| a.labels.get(name).cmp(b.labels.get(name)));
            Ok(Value::Samples(Arc::new(sorted)))
        }
        (_, args) => match args.last() {
            Some(last) => {
                Err(format!("wrong arguments for {name}; got {} of {}", args.len(), last.type_name()))
            }
            None => Err(format!("wrong number of args for {name}: got 0")),
        },
    }
}

fn pattern(name: &str, args: &[Value], on: &mut Executor<'_>) -> Result<Value, String> {
    on.pattern()?;
    let compile = |pattern: &str| -> Result<Regex, String> {
        RegexBuilder::new(pattern)
            .size_limit(REGEX_SIZE_MAX)
            .build()
            .map_err(|_| format!("the regular expression {pattern:?} is not accepted"))
    };
    match (name, args) {
        ("match", [p, t]) => Ok(Value::Bool(compile(text(p)?)?.is_match(text(t)?))),
        ("reReplaceAll", [p, with, t]) => {
            Ok(Value::text(replace(&compile(text(p)?)?, text(with)?, text(t)?, on.room())?))
        }
        _ => Err(format!("wrong number of args for {name}: got {}", args.len())),
    }
}

/// Replaces every match. What one match may bring is bounded before it is made, the whole after each.
fn replace(pattern: &Regex, with: &str, text: &str, room: usize) -> Result<String, String> {
    let mut out = String::new();
    let mut done = 0;
    for captures in pattern.captures_iter(text) {
        let Some(all) = captures.get(0) else { continue };
        // Every second byte of the replacement may name a group as long as the match.
        if all.len().saturating_mul(with.len()) > room << 10 {
            return Err("reReplaceAll: match and replacement are too long".to_owned());
        }
        out.push_str(text.get(done..all.start()).unwrap_or_default());
        captures.expand(with, &mut out);
        done = all.end();
        if out.len() > room {
            return Err(format!("reReplaceAll: the result has more than {room} bytes"));
        }
    }
    out.push_str(text.get(done..).unwrap_or_default());
    Ok(out)
}

/// A thousand at a time, with the prefixes of the metric system.
fn humanize(v: f64) -> String {
    if v == 0.0 || !v.is_finite() {
        return general(v, Some(4));
    }
    if v.abs() < 1.0 {
        return below_one(v);
    }
    scaled(v, 1000.0, ["k", "M", "G", "T", "P", "E", "Z", "Y"])
}

fn humanize_1024(v: f64) -> String {
    if v.abs() <= 1.0 || !v.is_finite() {
        return general(v, Some(4));
    }
    scaled(v, 1024.0, ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"])
}

fn scaled(mut v: f64, base: f64, prefixes: [&str; 8]) -> String {
    let mut prefix = "";
    for p in prefixes {
        if v.abs() < base {
            break;
        }
        prefix = p;
        v /= base;
    }
    format!("{}{prefix}", general(v, Some(4)))
}

fn below_one(mut v: f64) -> String {
    let mut prefix = "";
    for p in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if v.abs() >= 1.0 {
            break;
        }
        prefix = p;
        v *= 1000.0;
    }
    format!("{}{prefix}", general(v, Some(4)))
}

fn humanize_duration(v: f64) -> String {
    if !v.is_finite() {
        return general(v, Some(4));
    }
    if v == 0.0 {
        return "0s".to_owned();
    }
    if v.abs() < 1.0 {
        return format!("{}s", below_one(v));
    }
    let sign = if v < 0.0 { "-" } else { "" };
    let v = v.abs();
    let whole = v as i64;
    let (s, m, h, d) = (whole % 60, whole / 60 % 60, whole / 3600 % 24, whole / 86_400);
    match (d, h, m) {
        (0, 0, 0) => format!("{sign}{}s", general(v, Some(4))),
        (0, 0, m) => format!("{sign}{m}m {s}s"),
        (0, h, m) => format!("{sign}{h}h {m}m {s}s"),
        (d, h, m) => format!("{sign}{d}d {h}h {m}m {s}s"),
    }
}

fn nanoseconds(seconds: f64) -> Result<i64, String> {
    if !seconds.is_finite() {
        return Err("value is NaN or Inf".to_owned());
    }
    let nanos = seconds * 1e9;
    #[expect(clippy::cast_precision_loss, reason = "the bound itself need not be exact")]
    if nanos.abs() >= i64::MAX as f64 {
        return Err(format!(
            "{} cannot be represented as a nanoseconds timestamp since it overflows int64",
            general(seconds, None)
        ));
    }
    Ok(nanos as i64)
}

fn instant(seconds: f64) -> Result<TimestampMs, String> {
    Ok(TimestampMs(nanoseconds(seconds)?.div_euclid(1_000_000)))
}

/// The first letter of each word in upper case; `'`, `.` and `:` between letters do not end a word.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_word = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let is_word = c.is_alphanumeric() || c == '_';
        let joins =
            in_word && matches!(c, '\'' | '’' | '.' | ':') && chars.peek().is_some_and(|n| n.is_alphabetic());
        if is_word && !in_word && c.is_alphabetic() {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        // Digits do not use up the capital, underscores do: as Unicode's word breaks have it.
        in_word = joins || is_word && (in_word || !c.is_numeric());
    }
    out
}

/// As Go's `net.SplitHostPort`.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inside) => inside.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    (!host.contains(['[', ']']) && !port.contains(['[', ']'])).then_some((host, port))
}

fn strip_domain(text: &str) -> String {
    let (host, port) = split_host_port(text).unwrap_or((text, ""));
    if host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let name = host.split('.').next().unwrap_or_default();
    match port {
        "" => name.to_owned(),
        port if name.contains(':') => format!("[{name}]:{port}"),
        port => format!("{name}:{port}"),
    }
}

/// The path of a URL: what follows the host, without query and fragment.
fn path_of(url: &str) -> &str {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after_scheme.find('/').and_then(|at| after_scheme.get(at..)).unwrap_or_default();
    path.split(['?', '#']).next().unwrap_or_default()
}
