//! `printf` with Go's verbs, flags and complaints about arguments that do not fit.

use super::number::{fixed, general, plain_float, scientific};
use super::value::Value;

/// Widest field and longest precision; more is a mistake in the template or an attempt to fill memory.
const WIDTH_MAX: usize = 1000;

#[derive(Default)]
struct Spec {
    minus: bool,
    plus: bool,
    space: bool,
    sharp: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// As Go's `fmt.Sprintf`, cut near `room` bytes.
pub(crate) fn sprintf(format: &str, args: &[Value], room: usize) -> String {
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    let (mut next, mut reordered) = (0, false);
    while let Some(c) = chars.next() {
        if out.len() > room {
            return out;
        }
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|c| "+-# 0".contains(*c)) {
            match flag {
                '+' => spec.plus = true,
                '-' => spec.minus = true,
                '#' => spec.sharp = true,
                ' ' => spec.space = true,
                _ => spec.zero = true,
            }
        }
        reordered |= index(&mut chars, &mut next);
        spec.width = amount(&mut chars, args, &mut next, &mut out);
        if chars.next_if_eq(&'.').is_some() {
            reordered |= index(&mut chars, &mut next);
            spec.precision = Some(amount(&mut chars, args, &mut next, &mut out).unwrap_or(0));
        }
        reordered |= index(&mut chars, &mut next);
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match args.get(next) {
                None => out.push_str(&format!("%!{verb}(MISSING)")),
                Some(arg) => {
                    next += 1;
                    out.push_str(&one(&spec, verb, arg, room));
                }
            },
        }
    }
    if !reordered && next < args.len() {
        let extra: Vec<String> = args.iter().skip(next).map(|a| typed(a, room)).collect();
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// `[2]`: which argument comes next.
fn index(chars: &mut Chars<'_>, next: &mut usize) -> bool {
    if chars.next_if_eq(&'[').is_none() {
        return false;
    }
    let mut digits = String::new();
    while let Some(c) = chars.next_if(|c| *c != ']') {
        digits.push(c);
    }
    chars.next();
    *next = digits.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).unwrap_or(usize::MAX - 1);
    true
}

/// A width or precision: digits, or `*` for the next argument.
fn amount(chars: &mut Chars<'_>, args: &[Value], next: &mut usize, out: &mut String) -> Option<usize> {
    if chars.next_if_eq(&'*').is_some() {
        let arg = args.get(*next);
        *next += 1;
        let amount = match arg {
            Some(Value::Int(n)) => usize::try_from(*n).ok().filter(|n| *n <= WIDTH_MAX),
            _ => None,
        };
        if amount.is_none() {
            out.push_str("%!(BADWIDTH)");
        }
        return amount;
    }
    let mut digits = String::new();
    while let Some(c) = chars.next_if(char::is_ascii_digit) {
        digits.push(c);
    }
    if digits.is_empty() { None } else { Some(digits.parse().unwrap_or(WIDTH_MAX).min(WIDTH_MAX)) }
}

fn one(spec: &Spec, verb: char, arg: &Value, room: usize) -> String {
    if verb == 'T' {
        return pad(spec, arg.type_name(), false);
    }
    let (text, numeric) = match (arg, verb) {
        (Value::Bool(_), 't' | 'v') | (Value::Nil | Value::Missing, 'v') => (shown(arg, room), false),
        (Value::Int(n), _) => match integer(spec, verb, *n) {
            Some(text) => (text, !matches!(verb, 'c' | 'q' | 'U')),
            None => return unfit(verb, arg, room),
        },
        (Value::Float(f), _) => match float(spec, verb, *f) {
            Some(text) => (signed(spec, text), f.is_finite()),
            None => return unfit(verb, arg, room),
        },
        (Value::Text(t), _) => match string(spec, verb, t) {
            Some(text) => (text, false),
            None => return unfit(verb, arg, room),
        },
        (Value::Duration(n), 'd') => (n.to_string(), true),
        (Value::Bool(_) | Value::Nil | Value::Missing, _) => return unfit(verb, arg, room),
        (_, 'v' | 's') => (shown(arg, room), false),
        _ => return unfit(verb, arg, room),
    };
    pad(spec, &text, numeric)
}

fn shown(value: &Value, room: usize) -> String {
    let mut out = String::new();
    value.show(&mut out, room);
    out
}

fn typed(value: &Value, room: usize) -> String {
    match value {
        Value::Nil | Value::Missing => "<nil>".to_owned(),
        _ => format!("{}={}", value.type_name(), shown(value, room)),
    }
}

fn unfit(verb: char, arg: &Value, room: usize) -> String {
    format!("%!{verb}({})", typed(arg, room))
}

fn signed(spec: &Spec, text: String) -> String {
    match text.strip_prefix('+') {
        Some(rest) if !spec.plus => format!("{}{rest}", if spec.space { " " } else { "+" }),
        None if spec.plus && !text.starts_with('-') => format!("+{text}"),
        None if spec.space && !text.starts_with('-') => format!(" {text}"),
        _ => text,
    }
}

fn integer(spec: &Spec, verb: char, n: i64) -> Option<String> {
    let magnitude = n.unsigned_abs();
    let digits = match verb {
        'd' | 'v' => magnitude.to_string(),
        'x' => format!("{}{magnitude:x}", if spec.sharp { "0x" } else { "" }),
        'X' => format!("{}{magnitude:X}", if spec.sharp { "0X" } else { "" }),
        'o' => format!("{}{magnitude:o}", if spec.sharp { "0" } else { "" }),
        'O' => format!("0o{magnitude:o}"),
        'b' => format!("{}{magnitude:b}", if spec.sharp { "0b" } else { "" }),
        'c' | 'q' | 'U' => {
            let c = u32::try_from(n).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
            return Some(match verb {
                'c' => c.to_string(),
                'q' => format!("'{}'", quote(&c.to_string(), '\'')),
                _ => format!("U+{:04X}", u32::from(c)),
            });
        }
        _ => return None,
    };
    let digits = spec.precision.map_or(digits.clone(), |p| format!("{digits:0>p$}"));
    Some(signed(spec, format!("{}{digits}", if n < 0 { "-" } else { "" })))
}

fn float(spec: &Spec, verb: char, f: f64) -> Option<String> {
    let precision = spec.precision;
    Some(match verb {
        'v' if precision.is_none() => plain_float(f),
        'g' | 'v' => general(f, precision),
        'G' => general(f, precision).replace('e', "E"),
        'f' | 'F' => fixed(f, precision.unwrap_or(6)),
        'e' => scientific(f, Some(precision.unwrap_or(6))),
        'E' => scientific(f, Some(precision.unwrap_or(6))).replace('e', "E"),
        _ => return None,
    })
}

fn string(spec: &Spec, verb: char, text: &str) -> Option<String> {
    let cut: String = text.chars().take(spec.precision.unwrap_or(usize::MAX)).collect();
    Some(match verb {
        's' | 'v' => cut,
        'q' if spec.sharp && !cut.contains('`') && !cut.chars().any(char::is_control) => format!("`{cut}`"),
        'q' => format!("\"{}\"", quote(&cut, '"')),
        'x' => text.bytes().take(spec.precision.unwrap_or(usize::MAX)).map(|b| format!("{b:02x}")).collect(),
        'X' => text.bytes().take(spec.precision.unwrap_or(usize::MAX)).map(|b| format!("{b:02X}")).collect(),
        _ => return None,
    })
}

/// A text inside quotes, as Go escapes it.
fn quote(text: &str, mark: char) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            c if c == mark => out.extend(['\\', c]),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

fn pad(spec: &Spec, text: &str, numeric: bool) -> String {
    let have = text.chars().count();
    let missing = spec.width.unwrap_or(0).saturating_sub(have);
    if missing == 0 {
        return text.to_owned();
    }
    if spec.minus {
        return format!("{text}{}", " ".repeat(missing));
    }
    if spec.zero && numeric {
        let sign = text.len() - text.trim_start_matches(['+', '-', ' ']).len();
        let (sign, digits) = text.split_at(sign);
        return format!("{sign}{}{digits}", "0".repeat(missing));
    }
    format!("{}{text}", " ".repeat(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_flags_widths_and_complaints_are_gos() {
        let (i, f, t) = (Value::Int(255), Value::Float(2.5), Value::text("hé"));
        for (format, args, wanted) in [
            ("%d %x %X %o %b %c", vec![&i; 6], "255 ff FF 377 11111111 ÿ"),
            ("%#x %05d %+d %-6d|", vec![&i; 4], "0xff 00255 +255 255   |"),
            ("%v %s %d", vec![&f; 3], "2.5 %!s(float64=2.5) %!d(float64=2.5)"),
            ("%.2f %6.1f %06.1f %e %g %.3g%%", vec![&f; 6], "2.50    2.5 0002.5 2.500000e+00 2.5 2.5%"),
            ("%s %q %5s|%-5s|%.1s %x", vec![&t; 6], "hé \"hé\"    hé|hé   |h 68c3a9"),
            ("%d", vec![], "%!d(MISSING)"),
            ("x", vec![&i, &t], "x%!(EXTRA int=255, string=hé)"),
            ("%[2]d %[1]s", vec![&t, &i], "255 hé"),
            ("%*d %", vec![&Value::Int(4), &Value::Int(7)], "   7 %!(NOVERB)"),
            ("%T %t", vec![&f, &Value::Bool(true)], "float64 true"),
        ] {
            let args: Vec<Value> = args.into_iter().cloned().collect();
            assert_eq!(sprintf(format, &args, 1000), wanted, "{format}");
        }
    }

    #[test]
    fn no_width_fills_memory() {
        let wide = sprintf("%999999999d %0999999999.999999999f", &[Value::Int(1), Value::Float(1.0)], 10_000);
        assert!(wide.len() < 3000);
        assert!(sprintf(&"%1000d".repeat(1000), &vec![Value::Int(1); 1000], 5000).len() < 7000);
    }
}
