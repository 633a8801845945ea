//! Filters on texts.

use super::super::args::Args;
use super::super::error::{Result, bail};
use super::super::methods::{capitalize, title};
use super::super::ops::Number;
use super::super::show;
use super::super::value::Val;

pub(crate) const NAMES: &[&str] = &[
    "upper",
    "lower",
    "capitalize",
    "title",
    "trim",
    "replace",
    "indent",
    "center",
    "truncate",
    "wordcount",
    "wordwrap",
    "format",
    "quote",
    "comment",
    "split",
    "b64encode",
    "b64decode",
    "urlencode",
    "urldecode",
    "striptags",
    "filesizeformat",
    "pprint",
    "tojson",
    "xmlattr",
    "urlize",
    "shell_quote",
];

const SIZE_MAX: usize = 1 << 20;

pub(crate) fn apply(name: &str, value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    let text = args.session.text(value)?;
    Ok(Val::str(match name {
        "upper" => text.to_uppercase(),
        "lower" => text.to_lowercase(),
        "capitalize" => capitalize(&text),
        "title" => words_capitalized(&text),
        "trim" => match args.maybe_text(0, "chars")? {
            Some(set) => text.trim_matches(|c| set.contains(c)).to_owned(),
            None => text.trim().to_owned(),
        },
        "replace" => {
            let (old, new) = (args.need_text(0, "old")?, args.need_text(1, "new")?);
            args.session.check_size(text.len().saturating_mul(new.len().max(1)) / old.len().max(1))?;
            match args.maybe_int(2, "count")?.and_then(|n| usize::try_from(n).ok()) {
                Some(count) => text.replacen(&old, &new, count),
                None => text.replace(&old, &new),
            }
        }
        "indent" => indent(&text, args)?,
        "center" => {
            let width = args.size(0, "width", 80, SIZE_MAX)?;
            let missing = width.saturating_sub(text.chars().count());
            let left = missing / 2 + (missing & width & 1);
            format!("{}{text}{}", " ".repeat(left), " ".repeat(missing - left))
        }
        "truncate" => truncate(&text, args)?,
        "wordcount" => {
            let words = text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty());
            return Ok(Val::Int(words.count() as i128));
        }
        "wordwrap" => {
            let width = args.size(0, "width", 79, SIZE_MAX)?.max(1);
            let breaks = args.truth(1, "break_long_words", true)?;
            let joiner = args.text(2, "wrapstring", "\n")?;
            text.lines().map(|line| wrap(line, width, breaks).join(&joiner)).collect::<Vec<_>>().join(&joiner)
        }
        "format" => {
            let values = if args.named.is_empty() {
                Val::tuple(args.positional.clone())
            } else {
                let named = args
                    .named
                    .iter()
                    .map(|(name, value)| (super::super::value::Key::Str(name.clone()), value.clone()));
                Val::map(named.collect())
            };
            super::super::printf::printf(args.session, &text, &values)?
        }
        "quote" => quote(if matches!(value, Val::None) { "" } else { &text }),
        "comment" => comment(&text, args)?,
        "split" => {
            let made = super::super::methods::call_split(&text, args)?;
            return Ok(made);
        }
        _ => return apply_more(name, value, &text, args),
    }))
}

fn apply_more(name: &str, value: &Val, text: &str, args: &Args<'_, '_>) -> Result<Val> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

    Ok(Val::str(match name {
        "b64encode" => STANDARD.encode(text),
        "b64decode" => {
            let clean: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            let lenient =
                GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
            let safe = args.truth(1, "urlsafe", false)?;
            let alphabet = if safe { base64::alphabet::URL_SAFE } else { base64::alphabet::STANDARD };
            let _ = &URL_SAFE;
            match GeneralPurpose::new(&alphabet, lenient).decode(clean) {
                Ok(bytes) => match String::from_utf8(bytes) {
                    Ok(text) => text,
                    Err(_) => bail!("the decoded bytes are not UTF-8 text"),
                },
                Err(error) => bail!("Incorrect base64: {error}"),
            }
        }
        "urlencode" => match value {
            Val::Map(entries) => {
                let mut parts = Vec::new();
                for (key, value) in entries.borrow().iter() {
                    let value = args.session.text(value)?;
                    parts.push(format!("{}={}", plus(&show::key_text(key)), plus(&value)));
                }
                parts.join("&")
            }
            _ => percent(text, "/"),
        },
        "urldecode" => unpercent(text),
        "striptags" => {
            let mut inside = false;
            let kept: String = text
                .chars()
                .filter(|c| {
                    inside = (inside || *c == '<') && *c != '>';
                    !inside && *c != '>'
                })
                .collect();
            kept.split_whitespace().collect::<Vec<_>>().join(" ")
        }
        "filesizeformat" => filesize(value, args)?,
        "pprint" => show::repr(value),
        "tojson" => super::super::json::dump(value, None, true, false)?
            .replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .replace('&', "\\u0026")
            .replace('\'', "\\u0027"),
        "shell_quote" => quote(text),
        other => bail!("the filter {other} makes HTML and is not supported"),
    }))
}

fn words_capitalized(text: &str) -> String {
    let mut out = String::new();
    let mut start = true;
    for c in text.chars() {
        if start {
            out.extend(c.to_uppercase())
        } else {
            out.extend(c.to_lowercase())
        }
        start = c.is_whitespace() || matches!(c, '-' | '(' | '{' | '[' | '<');
    }
    debug_assert!(text.is_empty() || !out.is_empty(), "{}", title(text));
    out
}

fn indent(text: &str, args: &Args<'_, '_>) -> Result<String> {
    let prefix = match args.get(0, "width")? {
        Some(Val::Str(prefix)) => prefix.to_string(),
        _ => " ".repeat(args.size(0, "width", 4, SIZE_MAX)?),
    };
    let first = args.truth(1, "first", false)?;
    let blank = args.truth(2, "blank", false)?;
    args.session.check_size(text.matches('\n').count().saturating_mul(prefix.len()))?;
    let lines = text.split('\n').enumerate().map(|(at, line)| {
        if (at == 0 && !first) || (at > 0 && line.is_empty() && !blank) {
            line.to_owned()
        } else {
            format!("{prefix}{line}")
        }
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

fn truncate(text: &str, args: &Args<'_, '_>) -> Result<String> {
    let length = args.size(0, "length", 255, SIZE_MAX)?;
    let whole = args.truth(1, "killwords", false)?;
    let end = args.text(2, "end", "...")?;
    let leeway = args.size(3, "leeway", 5, SIZE_MAX)?;
    if text.chars().count() <= length + leeway {
        return Ok(text.to_owned());
    }
    let cut: String = text.chars().take(length.saturating_sub(end.chars().count())).collect();
    if whole {
        return Ok(cut + &end);
    }
    Ok(cut.rsplit_once(' ').map_or(cut.as_str(), |(before, _)| before).to_owned() + &end)
}

fn wrap(line: &str, width: usize, breaks: bool) -> Vec<String> {
    let mut out = vec![String::new()];
    for word in line.split(' ') {
        let mut word = word.to_owned();
        loop {
            let Some(last) = out.last_mut() else { return out };
            let used = last.chars().count();
            let gap = usize::from(used > 0);
            if used + gap + word.chars().count() <= width {
                if gap > 0 {
                    last.push(' ');
                }
                last.push_str(&word);
                break;
            }
            if used == 0 {
                if !breaks {
                    last.push_str(&word);
                    break;
                }
                let rest = word.chars().skip(width).collect();
                last.extend(word.chars().take(width));
                word = rest;
            }
            out.push(String::new());
        }
    }
    out
}

/// A text as one word of a POSIX shell.
pub(crate) fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}

fn comment(text: &str, args: &Args<'_, '_>) -> Result<String> {
    let style = args.text(0, "style", "plain")?;
    let (beginning, default, end) = match style.as_str() {
        "erlang" => ("", "% ", ""),
        "c" => ("", "// ", ""),
        "cblock" => ("/*", " * ", " */"),
        "xml" => ("<!--", " - ", "-->"),
        _ => ("", "# ", ""),
    };
    let named = |name: &str, default: &str| args.text(usize::MAX, name, default);
    let decoration = named("decoration", default)?;
    let newline = named("newline", "\n")?;
    let beginning = named("beginning", beginning)?;
    let prefix = named("prefix", decoration.trim_end())?;
    let postfix = named("postfix", decoration.trim_end())?;
    let end = named("end", end)?;
    let count = |name: &str| args.size(usize::MAX, name, 1, 1000);
    let mut out = String::new();
    if !beginning.is_empty() {
        out = format!("{beginning}{newline}");
    }
    if !prefix.is_empty() {
        out.push_str(&format!("{prefix}{newline}").repeat(count("prefix_count")?));
    }
    let lines: Vec<String> = text
        .split(newline.as_str())
        .map(|line| {
            if line.is_empty() {
                decoration.trim_end().to_owned()
            } else {
                format!("{decoration}{line}").trim_end().to_owned()
            }
        })
        .collect();
    out.push_str(&lines.join(&newline));
    out.push_str(&format!("{newline}{postfix}").repeat(count("postfix_count")?));
    if !end.is_empty() {
        out.push_str(&format!("{newline}{end}"));
    }
    Ok(out)
}

/// Percent-encoding, except letters, digits, `_.-~` and `safe`.
pub(crate) fn percent(text: &str, safe: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "_.-~".contains(c) || (c.is_ascii() && safe.contains(c)) {
            out.push(c);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Percent-encoding with `+` for blanks, as in the query of a URL.
fn plus(text: &str) -> String {
    percent(text, " ").replace(' ', "+")
}

pub(crate) fn unpercent(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        let mut digits = bytes.clone().take(2).map(char::from);
        let pair = match (
            byte,
            digits.next().and_then(|c| c.to_digit(16)),
            digits.next().and_then(|c| c.to_digit(16)),
        ) {
            (b'%', Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
            _ => None,
        };
        match pair {
            Some(decoded) => {
                out.push(decoded);
                bytes.next();
                bytes.next();
            }
            None if byte == b'+' => out.push(b' '),
            None => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn filesize(value: &Val, args: &Args<'_, '_>) -> Result<String> {
    let bytes = match Number::of(value) {
        Some(number) => number.float(),
        None => show::text(value).trim().parse().unwrap_or(0.0),
    };
    let binary = args.truth(0, "binary", false)?;
    let base: f64 = if binary { 1024.0 } else { 1000.0 };
    if bytes == 1.0 {
        return Ok("1 Byte".to_owned());
    }
    if bytes < base {
        return Ok(format!("{} Bytes", bytes.trunc()));
    }
    let mut unit = base;
    for (at, letter) in "kMGTPEZY".chars().enumerate() {
        unit = base.powi(at as i32 + 2);
        if bytes < unit {
            let letter = if binary { letter.to_ascii_uppercase() } else { letter };
            return Ok(format!("{:.1} {letter}{}", base * bytes / unit, if binary { "iB" } else { "B" }));
        }
    }
    Ok(format!("{:.1} Y{}", base * bytes / unit, if binary { "iB" } else { "B" }))
}
