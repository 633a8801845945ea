//! Regular expressions as Python writes them, over bytes, with a bound on the work.
//!
//! Playbooks use look-around and back-references, so a plain linear engine is not enough; what cannot be matched
//! within the bound is an error, never a hang. Text that is no UTF-8 is matched byte by byte.

use std::borrow::Cow;

use fancy_regex::{Captures, Regex, RegexBuilder};

/// Steps of back-tracking that one search may take.
const STEPS_MAX: usize = 2_000_000;
/// Longest pattern.
const LENGTH_MAX: usize = 64 << 10;

/// What Python calls flags.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Flags {
    /// `^` and `$` at every line.
    pub(crate) lines: bool,
    /// `.` takes line ends too.
    pub(crate) dot_all: bool,
    /// `\w`, `\d` and `\s` know only ASCII, as for bytes.
    pub(crate) ascii: bool,
    /// Only at the start of the text.
    pub(crate) at_start: bool,
}

/// A compiled pattern.
pub(crate) struct Pattern {
    regex: Regex,
}

/// Bytes as text: as it stands when it is UTF-8, else one character a byte.
pub(crate) fn as_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect()),
    }
}

impl Pattern {
    /// # Errors
    /// What is wrong with the pattern.
    pub(crate) fn new(pattern: &str, flags: Flags) -> Result<Self, String> {
        if pattern.len() > LENGTH_MAX {
            return Err(format!("the pattern is longer than {LENGTH_MAX} bytes"));
        }
        let (flags, pattern) = leading_flags(pattern, flags);
        let mut source = String::from("(?");
        source.push_str(&pattern.1);
        source.push_str(if flags.dot_all { "s)" } else { ")" });
        if source == "(?)" {
            source.clear();
        }
        if flags.at_start {
            source.push_str("\\A(?:");
        }
        translate(pattern.0, flags, &mut source);
        if flags.at_start {
            source.push(')');
        }
        let built = RegexBuilder::new(&source).backtrack_limit(STEPS_MAX).build();
        built.map(|regex| Self { regex }).map_err(|error| error.to_string())
    }

    /// Whether it matches anywhere.
    pub(crate) fn found(&self, bytes: &[u8]) -> Result<bool, String> {
        self.regex.is_match(&as_text(bytes)).map_err(|error| error.to_string())
    }

    /// The first match with its groups.
    pub(crate) fn first<'t>(&self, text: &'t str) -> Result<Option<Captures<'t>>, String> {
        self.regex.captures(text).map_err(|error| error.to_string())
    }

    /// Names of its groups.
    pub(crate) fn names(&self) -> Vec<String> {
        self.regex.capture_names().flatten().map(str::to_owned).collect()
    }

    /// Replaces all matches by a template with Python's escapes; how many there were.
    pub(crate) fn replace_all(&self, text: &str, template: &str) -> Result<(String, usize), String> {
        let parts = template_parts(template)?;
        let (mut out, mut end, mut count) = (String::with_capacity(text.len()), 0, 0);
        for found in self.regex.captures_iter(text) {
            let found = found.map_err(|error| error.to_string())?;
            let Some(whole) = found.get(0) else { continue };
            out.push_str(text.get(end..whole.start()).unwrap_or_default());
            expand(&parts, &found, &mut out)?;
            end = whole.end();
            count += 1;
        }
        out.push_str(text.get(end..).unwrap_or_default());
        Ok((out, count))
    }
}

/// `match.expand(template)`
pub(crate) fn expanded(template: &str, found: &Captures<'_>) -> Result<String, String> {
    let mut out = String::new();
    expand(&template_parts(template)?, found, &mut out)?;
    Ok(out)
}

/// `(?imsx)` at the start, which Python allows only there.
fn leading_flags(pattern: &str, mut flags: Flags) -> (Flags, (&str, String)) {
    let (mut rest, mut kept) = (pattern, String::new());
    while let Some(inner) = rest.strip_prefix("(?") {
        let Some(end) = inner.find(')') else { break };
        let letters = inner.get(..end).unwrap_or_default();
        if letters.is_empty() || !letters.chars().all(|c| "aiLmsux".contains(c)) {
            break;
        }
        flags.lines |= letters.contains('m');
        flags.dot_all |= letters.contains('s');
        flags.ascii |= letters.contains('a');
        kept.extend(letters.chars().filter(|c| matches!(c, 'i' | 'x')));
        rest = inner.get(end + 1..).unwrap_or_default();
    }
    (flags, (rest, kept))
}

/// From Python's syntax to that of the engine.
fn translate(pattern: &str, flags: Flags, out: &mut String) {
    let chars: Vec<char> = pattern.chars().collect();
    let at = |index: usize| chars.get(index).copied();
    let (mut index, mut class) = (0, false);
    while let Some(c) = at(index) {
        index += 1;
        match c {
            '\\' => {
                let next = at(index).unwrap_or('\\');
                index += 1;
                escape(next, class, flags, out);
            }
            ']' if class => {
                class = false;
                out.push(']');
            }
            '[' if class => out.push_str("\\["),
            '&' | '~' if class => {
                out.push('\\');
                out.push(c);
            }
            '-' if class && at(index) == Some('-') => out.push_str("\\-"),
            '[' => {
                class = true;
                out.push('[');
                if at(index) == Some('^') {
                    out.push('^');
                    index += 1;
                }
                if at(index) == Some(']') {
                    out.push_str("\\]");
                    index += 1;
                }
            }
            '^' if !class && flags.lines => out.push_str("(?m:^)"),
            '$' if !class && flags.lines => out.push_str("(?m:$)"),
            '$' if !class => out.push_str("(?=\\n?\\z)"),
            '{' if !class && !quantifier(&chars, index) => out.push_str("\\{"),
            '}' if !class && !closes(&chars, index - 1) => out.push_str("\\}"),
            c => out.push(c),
        }
    }
}

/// Whether `{` before this index opens a number of repetitions.
fn quantifier(chars: &[char], from: usize) -> bool {
    let rest = chars.get(from..).unwrap_or_default();
    let Some(end) = rest.iter().position(|c| *c == '}') else { return false };
    let inner = rest.get(..end).unwrap_or_default();
    let commas = inner.iter().filter(|c| **c == ',').count();
    !inner.is_empty()
        && commas <= 1
        && inner.iter().all(|c| c.is_ascii_digit() || *c == ',')
        && inner != [',']
}

fn closes(chars: &[char], at: usize) -> bool {
    let before = chars.get(..at).unwrap_or_default();
    before.iter().rposition(|c| *c == '{').is_some_and(|open| {
        quantifier(chars, open + 1) && !before.get(open..).unwrap_or_default().contains(&'}')
    })
}

fn escape(c: char, class: bool, flags: Flags, out: &mut String) {
    let ascii = |inner: &str, out: &mut String| {
        out.push_str(&if class { inner.to_owned() } else { format!("[{inner}]") });
    };
    match c {
        'Z' if !class => out.push_str("\\z"),
        'w' if flags.ascii => ascii("a-zA-Z0-9_", out),
        'd' if flags.ascii => ascii("0-9", out),
        's' if flags.ascii => ascii(" \\t\\n\\r\\f\\v", out),
        'W' if flags.ascii && !class => out.push_str("[^a-zA-Z0-9_]"),
        'D' if flags.ascii && !class => out.push_str("[^0-9]"),
        'S' if flags.ascii && !class => out.push_str("[^ \\t\\n\\r\\f\\v]"),
        'b' if class => out.push_str("\\x08"),
        '0' => out.push_str("\\x00"),
        c if c.is_ascii_alphanumeric() => {
            out.push('\\');
            out.push(c);
        }
        ' ' | '<' | '>' | '"' | '\'' | '/' | ':' | ';' | ',' | '=' | '@' | '!' | '%' | '`' | '_'
            if !class =>
        {
            out.push_str(&format!("\\x{:02x}", c as u32));
        }
        c if c.is_ascii_punctuation() || c == ' ' => {
            out.push_str(&format!("\\x{:02x}", c as u32));
        }
        c => out.push(c),
    }
}

enum Part {
    Text(String),
    Group(usize),
    Named(String),
}

/// Python's replacement templates: `\1`, `\g<name>`, `\n`, …
fn template_parts(template: &str) -> Result<Vec<Part>, String> {
    let chars: Vec<char> = template.chars().collect();
    let at = |index: usize| chars.get(index).copied();
    let (mut parts, mut text, mut index) = (Vec::new(), String::new(), 0);
    while let Some(c) = at(index) {
        index += 1;
        if c != '\\' {
            text.push(c);
            continue;
        }
        let Some(next) = at(index) else {
            return Err(format!("bad escape (end of pattern) at position {}", index - 1));
        };
        index += 1;
        let literal = match next {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            '\\' => '\\',
            '0' => '\0',
            'g' => {
                let rest: String = chars.get(index..).unwrap_or_default().iter().collect();
                let inner = rest.strip_prefix('<').and_then(|rest| rest.split_once('>'));
                let Some((name, _)) = inner else { return Err(format!("missing < at position {index}")) };
                parts.push(Part::Text(std::mem::take(&mut text)));
                parts.push(name.parse().map_or_else(|_| Part::Named(name.to_owned()), Part::Group));
                index += name.chars().count() + 2;
                continue;
            }
            '1'..='9' => {
                let mut number = next as usize - '0' as usize;
                if let Some(more) = at(index).filter(char::is_ascii_digit) {
                    number = number * 10 + (more as usize - '0' as usize);
                    index += 1;
                }
                parts.push(Part::Text(std::mem::take(&mut text)));
                parts.push(Part::Group(number));
                continue;
            }
            c if c.is_ascii_alphabetic() => {
                return Err(format!("bad escape \\{c} at position {}", index - 2));
            }
            c => {
                text.push('\\');
                c
            }
        };
        text.push(literal);
    }
    parts.push(Part::Text(text));
    Ok(parts)
}

fn expand(parts: &[Part], found: &Captures<'_>, out: &mut String) -> Result<(), String> {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Group(number) if *number >= found.len() => {
                return Err(format!("invalid group reference {number} at position 1"));
            }
            Part::Group(number) => out.push_str(found.get(*number).map_or("", |found| found.as_str())),
            Part::Named(name) => out.push_str(found.name(name).map_or("", |found| found.as_str())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern, Flags { ascii: true, ..Flags::default() })
            .unwrap()
            .found(text.as_bytes())
            .unwrap()
    }

    #[test]
    fn patterns_are_those_of_python() {
        for (pattern, text, expected) in [
            ("^foo$", "foo\n", true),
            ("foo$", "foo\n\n", false),
            ("^#?Port (?!22)", "Port 2222\n", false),
            ("^#?Port (?!22)", "#Port 80\n", true),
            ("a{b}", "a{b}", true),
            ("a{2}", "aa", true),
            ("a{2}}", "aa}", true),
            ("[[]x]", "[x]", true),
            (r"\<tag\>", "<tag>", true),
            (r"(\w)\1", "aa", true),
            (r"[\w-]+=", "a-b=", true),
            ("(?i)abc", "ABC", true),
            (r"foo\Z", "foo\n", false),
            (r"[]a]", "]", true),
            ("[a&&b]", "&", true),
            (r"\ x\-y\/\_", " x-y/_", true),
        ] {
            assert_eq!(found(pattern, text), expected, "{pattern} {text:?}");
        }
    }

    #[test]
    fn templates_name_groups() {
        let pattern = Pattern::new(r"(?P<k>\w+)=(\w*)(!)?", Flags::default()).unwrap();
        assert_eq!(
            pattern.replace_all("a=b c=", r"\2=\g<k>\3\\\n").unwrap(),
            ("b=a\\\n =c\\\n".to_owned(), 2)
        );
        assert!(pattern.replace_all("a=b", r"\q").unwrap_err().contains("bad escape"));
        assert!(pattern.replace_all("a=b", r"\9").unwrap_err().contains("invalid group"));
    }

    #[test]
    fn endless_work_is_an_error() {
        let pattern = Pattern::new(r"^(a|a)*(?=b)\1?$", Flags::default()).unwrap();
        assert!(pattern.found("a".repeat(64).as_bytes()).is_err());
    }
}
