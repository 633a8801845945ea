//! `"%s" % x` and `"{}".format(x)`.

use super::error::{Result, bail};
use super::ops::Number;
use super::session::Session;
use super::show;
use super::value::Val;

/// Widths and precisions beyond this are refused.
const WIDTH_MAX: usize = 10_000;

/// How one value is shown: `-`, `0`, width, precision, kind.
#[derive(Default)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    plus: bool,
    blank: bool,
    alternate: bool,
    zero: bool,
    comma: bool,
    width: usize,
    precision: Option<usize>,
    kind: Option<char>,
}

/// Python's `%`: `values` is a tuple, a map for `%(name)s`, or one value.
pub(crate) fn printf(session: &Session<'_>, format: &str, values: &Val) -> Result<String> {
    let mut list = match values {
        Val::Tuple(items) => items.to_vec(),
        other => vec![other.clone()],
    };
    list.reverse();
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    let mut by_name = false;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut named = None;
        if chars.peek() == Some(&'(') {
            chars.next();
            let name: String = chars.by_ref().take_while(|c| *c != ')').collect();
            named = Some(session.entry(values, &Val::str(&name))?);
            by_name = true;
            if let Some(None) = named {
                bail!("'{name}'");
            }
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.peek().copied().filter(|c| "-+ #0".contains(*c)) {
            match flag {
                '-' => spec.align = Some('<'),
                '+' => spec.plus = true,
                ' ' => spec.blank = true,
                '#' => spec.alternate = true,
                _ => spec.zero = true,
            }
            chars.next();
        }
        spec.width = digits(&mut chars)?;
        if chars.peek() == Some(&'.') {
            chars.next();
            spec.precision = Some(digits(&mut chars)?);
        }
        while chars.peek().is_some_and(|c| "hlL".contains(*c)) {
            chars.next();
        }
        let Some(kind) = chars.next() else { bail!("incomplete format") };
        if kind == '%' {
            out.push('%');
            continue;
        }
        let value = match named.flatten().or_else(|| list.pop()) {
            Some(value) => session.used(&value)?,
            None => bail!("not enough arguments for format string"),
        };
        spec.kind = Some(kind);
        if spec.align.is_none() {
            spec.align = Some('>');
        }
        let text = match kind {
            's' => cut(&session.text(&value)?, spec.precision),
            'r' | 'a' => cut(&show::repr(&session.force(&value)?), spec.precision),
            'c' => match &value {
                Val::Int(code) => {
                    u32::try_from(*code).ok().and_then(char::from_u32).unwrap_or(' ').to_string()
                }
                other => session.text(other)?,
            },
            'd' | 'i' | 'u' | 'x' | 'X' | 'o' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
                number(&value, kind, &spec)?
            }
            other => bail!("unsupported format character '{other}'"),
        };
        out.push_str(&pad(&text, &spec));
        session.check_size(out.len())?;
    }
    if !list.is_empty() && !by_name && !matches!(values, Val::Map(_) | Val::List(_)) {
        bail!("not all arguments converted during string formatting");
    }
    Ok(out)
}

fn cut(text: &str, precision: Option<usize>) -> String {
    match precision {
        Some(precision) => text.chars().take(precision).collect(),
        None => text.to_owned(),
    }
}

fn digits(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<usize> {
    let mut number = 0usize;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        number = number * 10 + digit as usize;
        if number > WIDTH_MAX {
            bail!("a width in a format is too large; accepted: at most {WIDTH_MAX}");
        }
    }
    Ok(number)
}

fn number(value: &Val, kind: char, spec: &Spec) -> Result<String> {
    let Some(number) = Number::of(value) else {
        if matches!(kind, 'x' | 'X' | 'o') {
            bail!("%{kind} format: an integer is required, not {}", value.type_name());
        }
        if "efgEFG".contains(kind) {
            bail!("must be real number, not {}", value.type_name());
        }
        bail!("%{kind} format: a real number is required, not {}", value.type_name());
    };
    let whole = match number {
        Number::Int(whole) => whole,
        Number::Float(float) => float.trunc() as i128,
    };
    let size = whole.unsigned_abs();
    let (negative, text) = match kind {
        'd' | 'i' | 'u' => (whole < 0, group(&size.to_string(), spec.comma)),
        'x' => (whole < 0, format!("{}{size:x}", if spec.alternate { "0x" } else { "" })),
        'X' => (whole < 0, format!("{}{size:X}", if spec.alternate { "0X" } else { "" })),
        'o' => (whole < 0, format!("{}{size:o}", if spec.alternate { "0o" } else { "" })),
        'b' => (whole < 0, format!("{}{size:b}", if spec.alternate { "0b" } else { "" })),
        _ => {
            let float = number.float();
            let precision = spec.precision.unwrap_or(6);
            let size = float.abs();
            let text = match kind {
                'f' | 'F' => group(&format!("{size:.precision$}"), spec.comma),
                'e' | 'E' => exponent(&format!("{size:.precision$e}")),
                _ => general(size, precision.max(1)),
            };
            let text = if kind.is_uppercase() { text.to_uppercase() } else { text };
            (float.is_sign_negative() && !float.is_nan(), text)
        }
    };
    let sign = if negative {
        "-"
    } else if spec.plus {
        "+"
    } else if spec.blank {
        " "
    } else {
        ""
    };
    if spec.zero && spec.align != Some('<') {
        let missing = spec.width.saturating_sub(sign.len() + text.len());
        return Ok(format!("{sign}{}{text}", "0".repeat(missing)));
    }
    Ok(format!("{sign}{text}"))
}

fn group(digits: &str, comma: bool) -> String {
    if !comma {
        return digits.to_owned();
    }
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(w, f)| (w, Some(f)));
    let mut out = String::new();
    for (at, c) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    fraction.map_or(out.clone(), |fraction| format!("{out}.{fraction}"))
}

/// Rust's `1e5` as C's `1e+05`.
fn exponent(text: &str) -> String {
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// `%g`.
fn general(size: f64, precision: usize) -> String {
    if size == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{size:.*e}", precision - 1);
    let power: i32 = scientific.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or_default();
    let trim = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if power < -4 || power >= precision as i32 {
        let (digits, rest) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        return exponent(&format!("{}e{rest}", trim(digits)));
    }
    let places = usize::try_from(precision as i32 - 1 - power).unwrap_or_default();
    trim(&format!("{size:.places$}"))
}

fn pad(text: &str, spec: &Spec) -> String {
    let missing = spec.width.saturating_sub(text.chars().count());
    let fill = |n: usize| spec.fill.unwrap_or(' ').to_string().repeat(n);
    match spec.align {
        Some('<') => format!("{text}{}", fill(missing)),
        Some('^') => format!("{}{text}{}", fill(missing / 2), fill(missing - missing / 2)),
        _ => format!("{}{text}", fill(missing)),
    }
}

/// Python's `str.format`.
pub(crate) fn format(
    session: &Session<'_>,
    text: &str,
    positional: &[Val],
    named: &[(std::rc::Rc<str>, Val)],
) -> Result<String> {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    let mut next = 0usize;
    while let Some(c) = chars.next() {
        match c {
            '{' if chars.peek() == Some(&'{') => {
                chars.next();
                out.push('{');
            }
            '}' => {
                if chars.next() != Some('}') {
                    bail!("Single '}}' encountered in format string");
                }
                out.push('}');
            }
            '{' => {
                let mut depth = 1;
                let field: String = chars
                    .by_ref()
                    .take_while(|c| {
                        depth += i32::from(*c == '{') - i32::from(*c == '}');
                        depth > 0
                    })
                    .collect();
                if depth > 0 {
                    bail!("expected '}}' before end of string");
                }
                out.push_str(&one_field(session, &field, positional, named, &mut next)?);
            }
            other => out.push(other),
        }
        session.check_size(out.len())?;
    }
    Ok(out)
}

fn one_field(
    session: &Session<'_>,
    field: &str,
    positional: &[Val],
    named: &[(std::rc::Rc<str>, Val)],
    next: &mut usize,
) -> Result<String> {
    let (path, spec) = field.split_once(':').unwrap_or((field, ""));
    let (path, conversion) = path.split_once('!').unwrap_or((path, ""));
    let spec = if spec.contains('{') { format(session, spec, positional, named)? } else { spec.to_owned() };
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (name, mut rest) = path.split_at(end);
    let found = if name.is_empty() {
        *next += 1;
        positional.get(*next - 1).cloned()
    } else if let Ok(at) = name.parse::<usize>() {
        positional.get(at).cloned()
    } else {
        named.iter().find(|(given, _)| &**given == name).map(|(_, value)| value.clone())
    };
    let Some(found) = found else {
        if name.is_empty() || name.parse::<usize>().is_ok() {
            bail!(
                "Replacement index {} out of range for positional args tuple",
                if name.is_empty() { (*next - 1).to_string() } else { name.to_owned() }
            );
        }
        bail!("'{name}'");
    };
    let mut value = session.used(&found)?;
    while !rest.is_empty() {
        let (key, after) = if let Some(inner) = rest.strip_prefix('[') {
            inner.split_once(']').unwrap_or((inner, ""))
        } else {
            let inner = rest.strip_prefix('.').unwrap_or(rest);
            inner.split_at(inner.find(['.', '[']).unwrap_or(inner.len()))
        };
        let key_value = key.parse().map_or_else(|_| Val::str(key), Val::Int);
        value = match session.entry(&value, &key_value)? {
            Some(found) => session.used(&found)?,
            None => bail!("'{key}'"),
        };
        rest = after;
    }
    let value = match conversion {
        "r" | "a" => Val::str(show::repr(&session.force(&value)?)),
        "s" => Val::str(session.text(&value)?),
        _ => value,
    };
    formatted(session, &value, &spec)
}

/// `format(value, spec)`.
fn formatted(session: &Session<'_>, value: &Val, spec_text: &str) -> Result<String> {
    if let Val::Time(time) = value
        && !spec_text.is_empty()
    {
        return super::moment::show(*time, 0, spec_text);
    }
    let spec = parse_spec(spec_text)?;
    if spec_text.is_empty() {
        return session.text(value);
    }
    let numeric = Number::of(value);
    let text = match (numeric, spec.kind) {
        (Some(_), Some('%')) => {
            let percent = Val::Float(numeric.map_or(0.0, Number::float) * 100.0);
            format!("{}%", number(&percent, 'f', &spec)?)
        }
        (Some(_), Some('s')) if !matches!(value, Val::Bool(_)) => {
            bail!("Unknown format code 's' for object of type '{}'", value.type_name())
        }
        (Some(_), Some('n')) => number(value, 'd', &spec)?,
        (Some(_), Some(kind)) if kind != 's' => number(value, kind, &spec)?,
        (Some(Number::Int(_)), None) => number(value, 'd', &spec)?,
        (Some(Number::Float(_)), None) if spec.precision.is_some() => number(value, 'g', &spec)?,
        (Some(Number::Float(float)), None) => show::float(float),
        (None, Some(kind)) if kind != 's' => {
            bail!("Unknown format code '{kind}' for object of type '{}'", value.type_name())
        }
        _ => cut(&session.text(value)?, spec.precision),
    };
    let align = spec.align.unwrap_or(if numeric.is_some() { '>' } else { '<' });
    Ok(pad(&text, &Spec { align: Some(align), ..spec }))
}

fn parse_spec(text: &str) -> Result<Spec> {
    let mut spec = Spec::default();
    let mut chars = text.chars().peekable();
    let second = text.chars().nth(1);
    if second.is_some_and(|c| "<>^=".contains(c)) {
        spec.fill = chars.next();
        spec.align = chars.next();
    } else if chars.peek().is_some_and(|c| "<>^=".contains(*c)) {
        spec.align = chars.next();
    }
    while let Some(flag) = chars.peek().copied().filter(|c| "+- #".contains(*c)) {
        spec.plus |= flag == '+';
        spec.blank |= flag == ' ';
        spec.alternate |= flag == '#';
        chars.next();
    }
    if chars.peek() == Some(&'0') {
        spec.zero = spec.align.is_none() || spec.align == Some('=');
        spec.fill = spec.fill.or(Some('0'));
    }
    spec.width = digits(&mut chars)?;
    if chars.peek() == Some(&',') || chars.peek() == Some(&'_') {
        spec.comma = true;
        chars.next();
    }
    if chars.peek() == Some(&'.') {
        chars.next();
        spec.precision = Some(digits(&mut chars)?);
    }
    spec.kind = chars.next();
    if chars.next().is_some() {
        bail!("Invalid format specifier '{text}'");
    }
    Ok(spec)
}
