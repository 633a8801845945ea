//! Names of hosts and groups: addresses with ports, ranges, and what is refused.

use std::net::Ipv6Addr;

use crate::bounds::{HOSTS_MAX, NAME_BYTES_MAX};
use crate::problem::{Problem, short};

/// Checks a host's name before it can reach a command line.
///
/// # Errors
/// [`Problem::HostName`] for names that are empty, longer than 255 bytes, begin with `-`, or hold control
/// characters, white space or characters that a shell reads.
pub fn check_host_name(name: &str) -> Result<(), Problem> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > NAME_BYTES_MAX {
        "it is longer than 255 bytes"
    } else if name.starts_with('-') {
        "it begins with '-'"
    } else if name.chars().any(|c| c.is_control() || is_invisible(c)) {
        "it holds control characters"
    } else if name.chars().any(|c| c.is_whitespace() || "`$&|;<>(){}[]*?!#\\'\"~^=,".contains(c)) {
        "it holds characters that shells or patterns read"
    } else if name == "." || name == ".." {
        "it is a folder's name"
    } else {
        return Ok(());
    };
    Err(Problem::HostName { name: short(name), why })
}

/// Marks that turn the direction of text or have no width, with which one name can look like another.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

pub(crate) fn check_group_name(name: &str) -> Result<(), Problem> {
    let bad = name.is_empty()
        || name.len() > NAME_BYTES_MAX
        || name.chars().any(|c| c.is_control() || is_invisible(c))
        || name == "."
        || name == "..";
    if bad { Err(Problem::GroupName { name: short(name) }) } else { Ok(()) }
}

/// The hosts that a spelling such as `web[01:50:2].example:2222` stands for, and the port.
///
/// # Errors
/// [`Problem::Range`], [`Problem::HostName`], [`Problem::TooMany`].
pub(crate) fn expand(written: &str) -> Result<(Vec<String>, Option<u16>), Problem> {
    let (pattern, port) = parse_address(written).unwrap_or((written, None));
    if port.is_none() && written.trim_end().ends_with(':') && !written.ends_with("::") {
        return Err(Problem::HostName { name: short(written), why: "nothing stands after ':'" });
    }
    if pattern == "---" {
        return Err(Problem::HostName { name: short(written), why: "'---' begins a YAML file" });
    }
    let mut names = Vec::new();
    expand_ranges(String::new(), pattern, &mut names)?;
    for name in &names {
        check_host_name(name)?;
    }
    Ok((names, port))
}

/// `head` holds no range any more; every level of the recursion takes one bracket of the name away.
fn expand_ranges(head: String, rest: &str, names: &mut Vec<String>) -> Result<(), Problem> {
    if head.len() + rest.len() > 4 * NAME_BYTES_MAX {
        return Err(Problem::HostName { name: short(rest), why: "it is longer than 255 bytes" });
    }
    let Some((before, from)) = rest.split_once('[') else {
        if names.len() >= HOSTS_MAX {
            return Err(Problem::TooMany { what: "hosts in a range", max: HOSTS_MAX });
        }
        names.push(head + rest);
        return Ok(());
    };
    let Some((range, after)) = from.split_once(']') else {
        return Err(Problem::Range { range: short(rest), why: "']' is missing" });
    };
    for item in range_items(range)? {
        expand_ranges(format!("{head}{before}{item}"), after, names)?;
    }
    Ok(())
}

fn range_items(range: &str) -> Result<Vec<String>, Problem> {
    let wrong = |why| Problem::Range { range: format!("[{}]", short(range)), why };
    let parts: Vec<&str> = range.split(':').collect();
    let (begin, end, step) = match parts.as_slice() {
        [begin, end] => (*begin, *end, 1),
        [begin, end, step] => {
            let step = step.parse::<usize>().ok().filter(|step| *step > 0);
            (*begin, *end, step.ok_or_else(|| wrong("the step is no number above 0"))?)
        }
        _ => return Err(wrong("a range has a begin, an end and at most a step")),
    };
    let begin = if begin.is_empty() { "0" } else { begin };
    if end.is_empty() {
        return Err(wrong("the end is missing"));
    }
    if let (Some(from), Some(to)) = (letter(begin), letter(end)) {
        if from > to {
            return Err(wrong("the begin stands after the end"));
        }
        return Ok(LETTERS.chars().take(to + 1).skip(from).step_by(step).map(String::from).collect());
    }
    let width = if begin.len() > 1 && begin.starts_with('0') { begin.len() } else { 0 };
    if width > 0 && width != end.len() {
        return Err(wrong("begin and end have different lengths"));
    }
    let number =
        |text: &str| text.parse::<u64>().map_err(|_| wrong("begin and end are no numbers or letters"));
    let (from, to) = (number(begin)?, number(end)?);
    if to.saturating_sub(from) / step as u64 >= HOSTS_MAX as u64 {
        return Err(Problem::TooMany { what: "hosts in a range", max: HOSTS_MAX });
    }
    Ok((from..=to).step_by(step).map(|n| format!("{n:0width$}")).collect())
}

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

fn letter(text: &str) -> Option<usize> {
    (text.len() == 1).then(|| LETTERS.find(text)).flatten()
}

/// Splits `name:22`, `[name]:22`, `[::1]:22`; `None` when the text is no address (ranges are allowed in it).
pub(crate) fn parse_address(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            let bracketed =
                host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).filter(|h| !h.is_empty());
            match bracketed {
                Some(inner) => (inner, Some(port)),
                None if outside_brackets(host).is_some_and(|bare| !bare.contains(':')) => (host, Some(port)),
                None => (text, None),
            }
        }
        _ => (text, None),
    };
    let port = match port {
        Some(port) => Some(port.parse().ok()?),
        None => None,
    };
    (is_ipv6(host) || is_hostname(host)).then_some((host, port))
}

/// The text without its `[...]`; `None` when brackets do not pair.
fn outside_brackets(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('[') {
        out.push_str(before);
        rest = from.split_once(']')?.1;
    }
    out.push_str(rest);
    (!out.contains(']')).then_some(out)
}

/// An address without ranges; a range counts as one group of digits.
pub(crate) fn is_ipv6(text: &str) -> bool {
    if !text.contains(':') {
        return false;
    }
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('[') {
        let Some((range, after)) = from.split_once(']') else { return false };
        if !range.bytes().all(|b| b.is_ascii_hexdigit() || b == b':') || !range.contains(':') {
            return false;
        }
        plain.push_str(before);
        plain.push('1');
        rest = after;
    }
    plain.push_str(rest);
    plain.parse::<Ipv6Addr>().is_ok()
}

fn is_hostname(text: &str) -> bool {
    let mut last = '.';
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '[' {
            let Some((range, after)) = rest.get(1..).and_then(|r| r.split_once(']')) else { return false };
            if !is_range(range) {
                return false;
            }
            (last, rest) = (']', after);
            continue;
        }
        let fits = match c {
            '.' => !matches!(last, '.' | '-' | '_'),
            '-' => last != '.',
            '_' => true,
            other => other.is_alphanumeric(),
        };
        if !fits {
            return false;
        }
        last = c;
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    !matches!(last, '.' | '-' | '_')
}

fn is_range(range: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let letter = |text: &str| text.len() == 1 && text.bytes().all(|b| b.is_ascii_alphabetic());
    let parts: Vec<&str> = range.split(':').collect();
    match parts.as_slice() {
        [a, b] => (digits(a) && digits(b)) || (letter(a) && letter(b)),
        [a, b, step] => digits(step) && ((digits(a) && digits(b)) || (letter(a) && letter(b))),
        _ => false,
    }
}

/// The part of a name before its first dot; an address stays whole.
pub(crate) fn short_name(name: &str) -> &str {
    if name.parse::<std::net::IpAddr>().is_ok() {
        return name;
    }
    name.split('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(written: &str) -> Vec<String> {
        expand(written).expect("a good name").0
    }

    #[test]
    fn ranges_count_with_steps_and_leading_zeros() {
        assert_eq!(names("web[01:05:2].example"), ["web01.example", "web03.example", "web05.example"]);
        assert_eq!(names("[a:c]x[8:10]").len(), 9);
        assert_eq!(names("db-[y:B]"), ["db-y", "db-z", "db-A", "db-B"]);
        assert_eq!(names("n[:2]"), ["n0", "n1", "n2"]);
        assert_eq!(names("n[5:2]"), [""; 0]);
    }

    #[test]
    fn ports_stand_after_names_and_bracketed_addresses() {
        assert_eq!(expand("web:2222").expect("port"), (vec!["web".to_owned()], Some(2222)));
        assert_eq!(expand("[fe80::1]:22").expect("port"), (vec!["fe80::1".to_owned()], Some(22)));
        assert_eq!(expand("fe80::1").expect("address"), (vec!["fe80::1".to_owned()], None));
        assert_eq!(expand("w[1:2]:22").expect("range").1, Some(22));
        assert_eq!(expand("[2001:db8::[a:c]]:22").expect("range").0.len(), 3);
    }

    #[test]
    fn dangerous_names_are_refused() {
        for name in [
            "-oProxyCommand=x",
            "a;b",
            "a$(id)",
            "a`id`",
            "a|b",
            "a\u{7}",
            "a\u{202e}b",
            "..",
            "web:",
            "a b",
            "[-:x]",
            "---",
        ] {
            assert!(expand(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn wrong_and_endless_ranges_are_refused() {
        for name in [
            "w[1:]",
            "w[01:5]",
            "w[5:1:0]",
            "w[c:a]",
            "w[1:2:3:4]",
            "w[1",
            "w[0:99999999]",
            "w[0:999][0:999]",
        ] {
            assert!(expand(name).is_err(), "{name}");
        }
    }
}
