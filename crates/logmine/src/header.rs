//! Where the message of a raw line begins.
//!
//! Most files carry time, level, process and component before the message. This finds them by their looks, line by
//! line, without knowing the format: it walks over times, levels, numbers, brackets and a `component:` and keeps the
//! place behind the last thing that can only be a header. A line without any of that is all message.

use wellkept_model::Level;

use crate::lex::{ALPHA, BLANK, DIGIT, class};
use crate::mask;

/// What stands before the message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// Where the first time stamp stands.
    pub time: Option<std::ops::Range<usize>>,
    /// What the header says of the line's gravity.
    pub level: Option<Level>,
    /// Where the component stands: a program, a class, a thread.
    pub component: Option<std::ops::Range<usize>>,
    /// Where the message begins.
    pub message: usize,
}

/// Parts of a header that are walked over at most.
const PARTS: usize = 12;

/// Finds the header of `line`.
#[must_use]
pub fn header(line: &[u8]) -> Header {
    let mut header = Header::default();
    let mut at = 0;
    for _ in 0..PARTS {
        at = skip_blanks(line, at);
        let Some((end, part)) = part(line, at, &header) else { break };
        match part {
            Part::Time => {
                header.time.get_or_insert(at..end);
                header.message = end;
            }
            Part::Level(level) => {
                header.level.get_or_insert(level);
                header.message = end;
            }
            Part::Component(name) => {
                header.component = Some(name);
                header.message = skip_blanks(line, end);
                return header;
            }
            Part::Bracket => {
                header.message = end;
                if line.get(end..).is_some_and(|rest| rest.starts_with(b" - ")) {
                    break;
                }
            }
            // Counts only when something certain follows.
            Part::Perhaps => {}
        }
        at = end;
    }
    header.message = skip_blanks(line, header.message);
    if header.message > 0 && line.get(header.message..).is_some_and(|rest| rest.starts_with(b"- ")) {
        header.message = skip_blanks(line, header.message + 1);
    }
    header
}

enum Part {
    Time,
    Level(Level),
    Bracket,
    Component(std::ops::Range<usize>),
    Perhaps,
}

/// The part of a header that starts at `at`, and where it ends.
fn part(line: &[u8], at: usize, header: &Header) -> Option<(usize, Part)> {
    let first = *line.get(at)?;
    if first == b'[' {
        let close = closing(line, at)?;
        let inside = line.get(at + 1..close)?;
        if let Some(level) = level(inside) {
            return Some((past(line, close + 1, b':'), Part::Level(level)));
        }
        let time = time_end(line, at + 1).is_some();
        let part = if time { Part::Time } else { Part::Bracket };
        return (time || header.time.is_some()).then_some((past(line, close + 1, b':'), part));
    }
    if let Some(end) = time_end(line, at) {
        return Some((past(line, end, b':'), Part::Time));
    }
    let end = at + line.get(at..)?.iter().position(|&b| class(b) & BLANK != 0).unwrap_or(line.len() - at);
    let word = &line[at..end];
    if let Some(level) = level(word.strip_suffix(b":").unwrap_or(word)) {
        return Some((end, Part::Level(level)));
    }
    if word == b"-" || is_epoch(word) {
        return Some((end, if word == b"-" { Part::Perhaps } else { Part::Time }));
    }
    header.time.as_ref()?;
    if let Some(name) = component(word) {
        return Some((end, Part::Component(at..at + name)));
    }
    let number = word.iter().all(|&b| class(b) & DIGIT != 0 || matches!(b, b'.' | b'-' | b'+' | b':' | b'#'));
    // A host or a class may stand between time and component; a sentence may not.
    let name = header.level.is_none() || header.component.is_none();
    (number || name).then_some((end, Part::Perhaps))
}

/// Bytes of a bracket that are looked at.
const BRACKET_BYTES: usize = 200;

/// Where the bracket that opens at `at` closes; brackets within it are passed over.
fn closing(line: &[u8], at: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (place, &byte) in line.iter().enumerate().skip(at).take(BRACKET_BYTES) {
        match byte {
            b'[' => depth += 1,
            b']' if depth == 1 => return Some(place),
            b']' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Seconds or milliseconds since the Unix epoch, between 2001 and 2033, with or without fraction.
fn is_epoch(word: &[u8]) -> bool {
    let digits = word.iter().take_while(|&&b| class(b) & DIGIT != 0).count();
    let rest = word.get(digits..).unwrap_or_default();
    let fraction = rest.is_empty() || (rest[0] == b'.' && rest[1..].iter().all(|&b| class(b) & DIGIT != 0));
    (digits == 10 || digits == 13) && word[0] == b'1' && fraction
}

/// Length of the name in `name:`, `name[12]:`, `name(x)[12]:`.
fn component(word: &[u8]) -> Option<usize> {
    let body = word.strip_suffix(b":")?;
    let name = body.iter().position(|b| matches!(b, b'[' | b'(')).unwrap_or(body.len());
    let fits =
        |b: &u8| class(*b) & (ALPHA | DIGIT) != 0 || matches!(b, b'.' | b'_' | b'-' | b'/' | b'$' | b'@');
    (name > 0 && (class(body[0]) & ALPHA != 0 || body[0] == b'/') && body[..name].iter().all(fits))
        .then_some(name)
}

fn level(word: &[u8]) -> Option<Level> {
    let mut small = [0u8; 9];
    let small = small.get_mut(..word.len())?;
    small.copy_from_slice(word);
    let shouted = small.iter().all(u8::is_ascii_uppercase);
    small.make_ascii_lowercase();
    let titled = word.first().is_some_and(u8::is_ascii_uppercase);
    Some(match &*small {
        b"trace" | b"finest" | b"finer" | b"verbose" => Level::Trace,
        b"debug" | b"fine" if shouted || titled => Level::Debug,
        b"debug" => Level::Debug,
        b"info" | b"information" => Level::Info,
        b"notice" => Level::Notice,
        b"warn" | b"warning" => Level::Warning,
        b"error" | b"err" | b"severe" => Level::Error,
        b"fatal" | b"critical" | b"crit" | b"alert" | b"emerg" | b"panic" if word.len() > 3 => {
            Level::Critical
        }
        b"v" if shouted => Level::Trace,
        b"d" if shouted => Level::Debug,
        b"i" if shouted => Level::Info,
        b"w" if shouted => Level::Warning,
        b"e" if shouted => Level::Error,
        b"f" if shouted => Level::Critical,
        _ => return None,
    })
}

fn time_end(line: &[u8], at: usize) -> Option<usize> {
    let word_end = at + line.get(at..)?.iter().take(4).position(|&b| class(b) & BLANK != 0).unwrap_or(0);
    mask::time_at(line, at)
        .or_else(|| (word_end > at).then(|| mask::named_time(line, at, word_end)).flatten())
}

fn past(line: &[u8], at: usize, byte: u8) -> usize {
    at + usize::from(line.get(at) == Some(&byte))
}

fn skip_blanks(line: &[u8], at: usize) -> usize {
    at + line.get(at..).unwrap_or_default().iter().take_while(|&&b| b == b' ' || b == b'\t').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(line: &str) -> (&str, Option<Level>, Option<&str>) {
        let header = header(line.as_bytes());
        (&line[header.message..], header.level, header.component.map(|c| &line[c]))
    }

    #[test]
    fn headers_of_common_formats_end_where_the_message_begins() {
        for (line, wanted) in [
            ("Jun 14 15:16:01 combo sshd(pam_unix)[19939]: check pass", ("check pass", None, Some("sshd"))),
            (
                "2015-10-18 18:01:47,978 INFO [main] org.apache.App: Created it",
                ("Created it", Some(Level::Info), Some("org.apache.App")),
            ),
            (
                "03-17 16:13:38.811  1702  2395 D WindowManager: off now",
                ("off now", Some(Level::Debug), Some("WindowManager")),
            ),
            (
                "[Sun Dec 04 04:47:44 2005] [error] mod in state 6",
                ("mod in state 6", Some(Level::Error), None),
            ),
            ("2024-05-06T07:08:09Z level fine", ("level fine", None, None)),
            (
                "2015-07-29 17:41:44,747 - INFO  [Peer[id=1]/0:0:0:0:0:0:0:0:2181:Election@774] - Notification: 3200",
                ("Notification: 3200", Some(Level::Info), None),
            ),
            (
                "- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228/dn228 crond(pam_unix)[2915]: session closed",
                ("session closed", None, Some("crond")),
            ),
            ("1700000000.123 disk full", ("disk full", None, None)),
            ("- item of a list", ("- item of a list", None, None)),
            ("INFO: started", ("started", Some(Level::Info), None)),
            ("plain words: nothing else", ("plain words: nothing else", None, None)),
            ("", ("", None, None)),
        ] {
            assert_eq!(message(line), wanted, "{line}");
        }
    }
}
