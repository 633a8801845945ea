//! Regular expressions as Python writes them.
//!
//! Most run on an engine whose time grows with the text only. Look-around, back-references and atomic groups cannot be had
//! from such an engine: patterns with these try one way after the other, on short texts and with a bound on the ways.

use fancy_regex::{Captures, RegexBuilder};

use super::args::Args;
use super::error::{Result, TemplateError, bail};
use super::session::Session;
use super::value::Val;

pub(crate) const NAMES: &[&str] = &["regex_search", "regex_findall", "regex_replace", "regex_escape"];

/// Most bytes that a pattern may become.
const COMPILED_MAX: usize = 4 << 20;
/// Ways that one search with a pattern that tries ways may go back.
const WAYS_MAX: usize = 100_000;
/// What such a search costs, steps.
const TRYING: usize = 2_000;
/// Longest text for such a pattern, bytes: a look ahead may read it to its end at each place.
const TRIED_MAX: usize = 16 << 10;
/// Compiled patterns that are kept.
const CACHE_MAX: usize = 1000;

/// How a pattern is meant.
#[derive(Clone, Copy, Default)]
pub(crate) struct Flags {
    pub(crate) ignore_case: bool,
    pub(crate) multiline: bool,
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(crate) struct Regex {
    regex: fancy_regex::Regex,
    /// It tries one way after the other.
    tries: bool,
}

impl Regex {
    /// Whether it matches anywhere.
    pub(crate) fn is_match(&self, session: &Session<'_>, text: &str) -> Result<bool> {
        self.pay(session, text)?;
        self.regex.is_match(text).map_err(|error| self.given_up(&error))
    }

    fn captures<'t>(&self, session: &Session<'_>, text: &'t str) -> Result<Option<Captures<'t>>> {
        self.pay(session, text)?;
        self.regex.captures(text).map_err(|error| self.given_up(&error))
    }

    /// One match after the other; each is paid for.
    fn all<'r, 't: 'r>(
        &'r self,
        session: &'r Session<'_>,
        text: &'t str,
    ) -> impl Iterator<Item = Result<Captures<'t>>> + 'r {
        self.regex.captures_iter(text).map(move |found| {
            self.pay(session, text)?;
            found.map_err(|error| self.given_up(&error))
        })
    }

    fn pay(&self, session: &Session<'_>, text: &str) -> Result<()> {
        if !self.tries {
            return Ok(());
        }
        if text.len() > TRIED_MAX {
            bail!(
                "a text of {} bytes is too long for look-around and back-references, as in '{}'; accepted: at most {TRIED_MAX} bytes, or a pattern without them",
                text.len(),
                self.regex.as_str()
            );
        }
        session.charge(TRYING)
    }

    fn given_up(&self, error: &fancy_regex::Error) -> TemplateError {
        TemplateError::Value(format!(
            "the regular expression '{}' was given up: {error}",
            self.regex.as_str()
        ))
    }
}

/// Compiles a pattern, or finds it compiled.
pub(crate) fn compile(session: &Session<'_>, pattern: &str, flags: Flags) -> Result<Regex> {
    let key = format!("{}{} {pattern}", u8::from(flags.ignore_case), u8::from(flags.multiline));
    if let Some(found) = session.engine.regexes.borrow().get(&key) {
        return Ok(found.clone());
    }
    let (source, tries) = translate(pattern);
    let compiled = RegexBuilder::new(&source)
        .case_insensitive(flags.ignore_case)
        .multi_line(flags.multiline)
        .backtrack_limit(WAYS_MAX)
        .delegate_size_limit(COMPILED_MAX)
        .build();
    let regex = match compiled {
        Ok(regex) => Regex { regex, tries },
        Err(error) => bail!(
            "Invalid regex pattern '{pattern}': {}",
            error.to_string().lines().last().unwrap_or_default()
        ),
    };
    let mut cache = session.engine.regexes.borrow_mut();
    if cache.len() >= CACHE_MAX {
        cache.clear();
    }
    cache.insert(key, regex.clone());
    Ok(regex)
}

/// Python's spelling in ours, and whether ways must be tried.
fn translate(pattern: &str) -> (String, bool) {
    let mut out = String::new();
    let mut tries = false;
    let mut chars = pattern.chars().peekable();
    let mut class = false;
    let mut class_start = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('Z') if !class => out.push_str("\\z"),
                Some(digit @ '1'..='9') if !class => {
                    tries = true;
                    out.push('\\');
                    out.push(digit);
                }
                // Escapes that Python takes for the character itself.
                Some(plain) if plain.is_ascii_punctuation() || plain == ' ' => {
                    if plain.is_ascii_punctuation() && plain != '<' && plain != '>' {
                        out.push('\\');
                    }
                    out.push(plain);
                }
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
                None => out.push('\\'),
            },
            '[' if !class => {
                class = true;
                class_start = true;
                out.push('[');
                if chars.peek() == Some(&'^') {
                    chars.next();
                    out.push('^');
                }
                if chars.peek() == Some(&']') {
                    chars.next();
                    out.push_str("\\]");
                }
                continue;
            }
            // Ours knows classes within classes and set operations; Python does not.
            '[' => out.push_str("\\["),
            '&' | '~' if class && chars.peek() == Some(&c) => {
                out.push('\\');
                out.push(c);
            }
            '-' if class && chars.peek() == Some(&'-') => out.push_str("\\-"),
            ']' if class && !class_start => {
                class = false;
                out.push(']');
            }
            ']' if class => {
                class = false;
                out.push(']');
            }
            '(' if !class && chars.peek() == Some(&'?') => {
                let ahead: String = chars.clone().take(3).collect();
                tries |=
                    ["?=", "?!", "?<=", "?<!", "?P=", "?(", "?>"].iter().any(|mark| ahead.starts_with(mark));
                out.push('(');
            }
            '$' if !class && chars.peek().is_none() => out.push_str("(?:\\n?\\z|$)"),
            '{' if !class && !is_count(&chars) => out.push_str("\\{"),
            '}' if !class && !out_has_open_count(&out) => out.push_str("\\}"),
            other => out.push(other),
        }
        class_start = false;
    }
    (out, tries)
}

/// Whether what follows a `{` is a count such as `2,5}`.
fn is_count(chars: &std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    let inside: String = chars.clone().take_while(|c| *c != '}').take(12).collect();
    let closed = chars.clone().nth(inside.chars().count()) == Some('}');
    closed
        && inside.starts_with(|c: char| c.is_ascii_digit() || c == ',')
        && inside.len() > usize::from(inside.starts_with(','))
        && inside.chars().all(|c| c.is_ascii_digit() || c == ',')
}

fn out_has_open_count(out: &str) -> bool {
    let open = out.rfind('{');
    let tail = open.and_then(|at| out.get(at + 1..)).unwrap_or("x");
    open.is_some_and(|at| !out.get(..at).unwrap_or_default().ends_with('\\'))
        && tail.chars().all(|c| c.is_ascii_digit() || c == ',')
}

fn flags(args: &Args<'_, '_>) -> Result<Flags> {
    let named = |name: &str| {
        args.named
            .iter()
            .find(|(given, _)| &**given == name)
            .map_or(Ok(false), |(_, v)| args.session.truth(v))
    };
    Ok(Flags { ignore_case: named("ignorecase")?, multiline: named("multiline")? })
}

pub(crate) fn apply(name: &str, value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    let session = args.session;
    let text = session.text(value)?;
    session.charge(text.len() / 64)?;
    match name {
        "regex_escape" => Ok(Val::str(escape(&text, &args.text(0, "re_type", "python")?))),
        "regex_search" => {
            let regex = compile(session, &args.need_text(0, "regex")?, flags(args)?)?;
            let Some(found) = regex.captures(session, &text)? else { return Ok(Val::None) };
            let groups = args.positional.get(1..).unwrap_or_default();
            if groups.is_empty() {
                return Ok(found.get(0).map_or(Val::None, |m| Val::str(m.as_str())));
            }
            let mut out = Vec::new();
            for group in groups {
                let spec = session.text(group)?;
                let name = spec.strip_prefix("\\g<").and_then(|s| s.strip_suffix('>'));
                let part = match (name, spec.strip_prefix('\\').and_then(|n| n.parse::<usize>().ok())) {
                    (Some(name), _) => name.parse().map_or_else(|_| found.name(name), |n| found.get(n)),
                    (None, Some(number)) if number < found.len() => found.get(number),
                    (None, Some(_)) => bail!("no such group"),
                    _ => bail!("Unknown argument"),
                };
                out.push(part.map_or(Val::None, |m| Val::str(m.as_str())));
            }
            Ok(Val::list(out))
        }
        "regex_findall" => {
            let mut flags = flags(args)?;
            flags.multiline |= args.truth(1, "multiline", false)?;
            flags.ignore_case |= args.truth(2, "ignorecase", false)?;
            let regex = compile(session, &args.need_text(0, "regex")?, flags)?;
            let mut out = Vec::new();
            for found in regex.all(session, &text) {
                let found = found?;
                session.charge(found.len())?;
                let part = |at: usize| found.get(at).map_or_else(|| Val::str(""), |m| Val::str(m.as_str()));
                out.push(match found.len() {
                    1 => part(0),
                    2 => part(1),
                    many => Val::tuple((1..many).map(part).collect()),
                });
            }
            Ok(Val::list(out))
        }
        _ => {
            let mut flags = flags(args)?;
            flags.ignore_case |= args.truth(2, "ignorecase", false)?;
            flags.multiline |= args.truth(3, "multiline", false)?;
            let regex = compile(session, &args.text(0, "pattern", "")?, flags)?;
            let count = args.size(4, "count", 0, usize::MAX)?;
            Ok(Val::str(replace(session, &regex, &text, &args.text(1, "replacement", "")?, count)?))
        }
    }
}

/// Replaces matches; the replacement has Python's `\1` and `\g<name>`.
fn replace(
    session: &Session<'_>,
    regex: &Regex,
    text: &str,
    replacement: &str,
    count: usize,
) -> Result<String> {
    let parts = replacement_parts(replacement)?;
    let mut out = String::new();
    let mut at = 0;
    for (done, found) in regex.all(session, text).enumerate() {
        let found = found?;
        if count > 0 && done >= count {
            break;
        }
        let Some(whole) = found.get(0) else { continue };
        out.push_str(text.get(at..whole.start()).unwrap_or_default());
        for part in &parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Group(name) => {
                    let group = name.parse().map_or_else(|_| found.name(name), |n| found.get(n));
                    let exists = name.parse().map_or_else(
                        |_| regex.regex.capture_names().flatten().any(|n| n == name),
                        |n: usize| n < found.len(),
                    );
                    if !exists {
                        bail!("invalid group reference {name}");
                    }
                    out.push_str(group.map_or("", |m| m.as_str()));
                }
            }
        }
        at = whole.end();
        session.check_size(out.len())?;
        session.charge(1)?;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    Ok(out)
}

enum Part {
    Text(String),
    Group(String),
}

fn replacement_parts(text: &str) -> Result<Vec<Part>> {
    let mut parts = vec![];
    let mut plain = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        let group = match chars.next() {
            Some('g') if chars.peek() == Some(&'<') => {
                chars.next();
                Some(chars.by_ref().take_while(|c| *c != '>').collect::<String>())
            }
            Some(digit @ '0'..='9') => {
                let mut number = digit.to_string();
                if let Some(second) = chars.peek().copied().filter(char::is_ascii_digit) {
                    number.push(second);
                    chars.next();
                }
                Some(number)
            }
            Some(other) => {
                match other {
                    'n' => plain.push('\n'),
                    't' => plain.push('\t'),
                    'r' => plain.push('\r'),
                    '\\' => plain.push('\\'),
                    other if other.is_ascii_alphabetic() => bail!("bad escape \\{other} at position 0"),
                    other => {
                        plain.push('\\');
                        plain.push(other);
                    }
                }
                None
            }
            None => bail!("bad escape (end of pattern)"),
        };
        if let Some(group) = group {
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(Part::Group(group));
        }
    }
    parts.push(Part::Text(plain));
    Ok(parts)
}

fn escape(text: &str, kind: &str) -> String {
    let special: &str = if kind == "posix_basic" { "\\.[]^$*" } else { "\\.[]^$*+?{}()|-&~# \t\n\r" };
    let mut out = String::new();
    for c in text.chars() {
        if special.contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
