//! How grave a line says it is: words in many shapes, letters and numbers.
//!
//! A word in capitals counts wherever it stands alone near the beginning. In small letters the same words are part of
//! ordinary sentences, so they count only where a program puts a level: in brackets, before a colon, after `level=`,
//! or as the first word behind the time stamp.

use wellkept_model::Level;

/// Bytes from the beginning of a line, or from behind its time stamp, in which a level is looked for.
const SEARCH_BYTES: usize = 128;

/// The level that a word means, whatever its letters' size; nothing for other words.
#[must_use]
pub fn of_word(word: &str) -> Option<Level> {
    of_bytes(word.trim().as_bytes())
}

fn of_bytes(word: &[u8]) -> Option<Level> {
    let mut lower = [0_u8; 13];
    let lower = lower.get_mut(..word.len())?;
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    Some(match &*lower {
        b"trace" | b"trc" | b"finest" | b"finer" | b"verbose" => Level::Trace,
        b"debug" | b"dbg" | b"dbug" | b"debg" | b"fine" | b"debug1" | b"debug2" | b"debug3" | b"debug4"
        | b"debug5" => Level::Debug,
        b"info" | b"inf" | b"information" | b"informational" | b"log" | b"config" => Level::Info,
        b"notice" | b"note" => Level::Notice,
        b"warning" | b"warn" | b"wrn" => Level::Warning,
        b"error" | b"err" | b"eror" | b"erro" | b"severe" | b"failure" => Level::Error,
        b"critical" | b"crit" | b"fatal" | b"ftl" | b"alert" | b"emergency" | b"emerg" | b"panic"
        | b"dpanic" => Level::Critical,
        _ => return None,
    })
}

/// The level of a number under `key`: syslog's severities below 8; from 10 on Python's for `levelno`, and Bunyan's and
/// Pino's elsewhere; OpenTelemetry's for `severity_number`.
#[must_use]
pub fn of_number(key: &str, number: i64) -> Option<Level> {
    match key {
        "severity_number" | "severityNumber" => of_otlp(number),
        "levelno" => match number {
            1..=9 => Some(Level::Trace),
            10..=19 => Some(Level::Debug),
            20..=29 => Some(Level::Info),
            30..=39 => Some(Level::Warning),
            40..=49 => Some(Level::Error),
            50..=99 => Some(Level::Critical),
            _ => None,
        },
        _ => match number {
            10..=19 => Some(Level::Trace),
            20..=29 => Some(Level::Debug),
            30..=39 => Some(Level::Info),
            40..=49 => Some(Level::Warning),
            50..=59 => Some(Level::Error),
            60..=99 => Some(Level::Critical),
            _ => of_syslog(number),
        },
    }
}

/// The level of a syslog severity, 0 to 7. Source: RFC 5424, 6.2.1.
#[must_use]
pub fn of_syslog(severity: i64) -> Option<Level> {
    Some(match severity {
        0..=2 => Level::Critical,
        3 => Level::Error,
        4 => Level::Warning,
        5 => Level::Notice,
        6 => Level::Info,
        7 => Level::Debug,
        _ => return None,
    })
}

/// The level of an OpenTelemetry severity number, 1 to 24. Source: OpenTelemetry, "Logs Data Model", with syslog's
/// notice at 10 as in its appendix.
#[must_use]
pub fn of_otlp(number: i64) -> Option<Level> {
    Some(match number {
        1..=4 => Level::Trace,
        5..=8 => Level::Debug,
        9 => Level::Info,
        10..=12 => Level::Notice,
        13..=16 => Level::Warning,
        17..=20 => Level::Error,
        21..=24 => Level::Critical,
        _ => return None,
    })
}

/// The level of a text under a key that names levels: a word or a number.
#[must_use]
pub fn of_value(key: &str, value: &str) -> Option<Level> {
    of_word(value)
        .or_else(|| of_letter(value.as_bytes()))
        .or_else(|| of_number(key, value.trim().parse().ok()?))
}

fn of_letter(text: &[u8]) -> Option<Level> {
    let [letter] = text else { return None };
    Some(match letter {
        b'V' | b'T' => Level::Trace,
        b'D' => Level::Debug,
        b'I' => Level::Info,
        b'N' => Level::Notice,
        b'W' => Level::Warning,
        b'E' => Level::Error,
        b'F' | b'C' | b'A' => Level::Critical,
        _ => return None,
    })
}

/// The level in a free text. `stamp_end`: the byte behind its time stamp, or 0 when it has none.
#[must_use]
pub fn find(text: &[u8], stamp_end: usize) -> Option<Level> {
    let behind = text.get(stamp_end..).unwrap_or_default();
    let behind = behind.get(..SEARCH_BYTES).unwrap_or(behind);
    let before = text.get(..stamp_end.min(SEARCH_BYTES)).unwrap_or_default();
    // `E0102 03:04:05.678` begins with its level.
    let glog = || of_letter(before.get(..1)?).filter(|_| before.get(1).is_some_and(u8::is_ascii_digit));
    glog()
        .or_else(|| letter_behind(behind, stamp_end > 0))
        .or_else(|| word_in(behind, stamp_end > 0))
        .or_else(|| word_in(before, false))
}

/// A single letter where a level is expected: `D WindowManager:` behind process numbers, `W/Tag`, `[E]`; Redis' marks.
fn letter_behind(behind: &[u8], stamped: bool) -> Option<Level> {
    let mut rest = behind;
    for _ in 0..4 {
        let start = rest.iter().position(|b| *b != b' ')?;
        rest = rest.get(start..)?;
        let end = rest.iter().position(|b| *b == b' ').unwrap_or(rest.len());
        let (word, after) = rest.split_at_checked(end)?;
        match word {
            [b'[', letter, b']'] | [letter, b'/', ..] if stamped || word.first() == Some(&b'[') => {
                return of_letter(&[*letter]);
            }
            [letter] if stamped => {
                return match letter {
                    b'#' => Some(Level::Warning),
                    b'*' => Some(Level::Notice),
                    letter => of_letter(&[*letter]),
                };
            }
            _ if word.iter().all(|b| b.is_ascii_digit() || matches!(b, b'[' | b']')) => rest = after,
            _ => return None,
        }
    }
    None
}

/// A word in a free text.
fn word_in(text: &[u8], stamped: bool) -> Option<Level> {
    let mut at = 0;
    let mut first = true;
    while let Some(&byte) = text.get(at) {
        if !byte.is_ascii_alphabetic() {
            at = if byte == 0x1b { crate::stamp::after_colour(text, at) } else { at + 1 };
            continue;
        }
        let rest = text.get(at..)?;
        let end = rest.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let word = rest.get(..end)?;
        let before = at.checked_sub(1).and_then(|i| text.get(i)).copied();
        let after = rest.get(end..).unwrap_or_default();
        // Most words are small and stand between blanks: they need not be compared.
        let shouted = matches!(word, [a, b, ..] if a.is_ascii_uppercase() && b.is_ascii_uppercase());
        let marked = matches!(after.first(), Some(b']' | b'>' | b')' | b'|' | b':'));
        let may = shouted || marked || before == Some(b'=') || (first && stamped);
        if may
            && let Some(level) = of_bytes(word)
            && counts(word, before, after, first && stamped)
        {
            return Some(level);
        }
        first = false;
        at += end;
    }
    None
}

/// Whether a level's word is meant as one where it stands.
fn counts(word: &[u8], before: Option<u8>, after: &[u8], first: bool) -> bool {
    let next = after.first().copied();
    let opened = matches!(before, Some(b'[' | b'<' | b'(' | b'|' | b':'));
    let closed = matches!(next, Some(b']' | b'>' | b')' | b'|'));
    // `onerror=alert(1)` is a call.
    let key = before == Some(b'=') && next != Some(b'(');
    let joined = |b: Option<u8>| matches!(b, Some(b'_' | b'-' | b'.' | b'/' | b'$' | b'@' | b'\\'));
    if joined(before) || matches!(next, Some(b'_' | b'/' | b'$' | b'@' | b'\\' | b'=')) {
        return false;
    }
    // `log` and `note` are words of every sentence.
    let common = matches!(word, b"LOG" | b"NOTE" | b"CONFIG" | b"FAILURE" | b"ALERT");
    if word.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
        return !common || first || next == Some(b':') || (opened && closed);
    }
    if matches!(word, b"log" | b"Log" | b"config" | b"Config" | b"failure") {
        return false;
    }
    let colon = next == Some(b':') && matches!(after.get(1), Some(b' ') | None);
    key || (opened && closed) || colon || (first && matches!(next, Some(b' ' | b'\t' | b'|')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Zone;

    fn check(line: &str, expected: Option<Level>) {
        let end =
            crate::stamp::find(line.as_bytes(), 1_710_072_000_000_000_000, &Zone::utc()).map_or(0, |s| s.end);
        assert_eq!(find(line.as_bytes(), end), expected, "{line}");
    }

    #[test]
    fn a_call_is_no_level() {
        check("uploaded <img src=x onerror=alert(1)> as x", None);
        check("msg=x level=alert", Some(Level::Critical));
    }

    #[test]
    fn words_and_numbers_of_many_programs() {
        for (word, level) in [
            ("TRACE", Level::Trace),
            ("dbug", Level::Debug),
            ("Information", Level::Info),
            ("notice", Level::Notice),
            (" WARN ", Level::Warning),
            ("eror", Level::Error),
            ("SEVERE", Level::Error),
            ("dpanic", Level::Critical),
        ] {
            assert_eq!(of_word(word), Some(level), "{word}");
        }
        assert_eq!(of_word("started"), None);
        assert_eq!(of_word(&"x".repeat(1000)), None);
        assert_eq!(of_value("level", "30"), Some(Level::Info));
        assert_eq!(of_value("levelno", "30"), Some(Level::Warning));
        assert_eq!(of_value("PRIORITY", "3"), Some(Level::Error));
        assert_eq!(of_value("severity_number", "17"), Some(Level::Error));
        assert_eq!(of_value("s", "W"), Some(Level::Warning));
        assert_eq!(of_value("level", "-1"), None);
        assert_eq!(of_otlp(25), None);
    }

    #[test]
    fn levels_of_lines_as_programs_write_them() {
        for (line, level) in [
            ("2024-01-02 03:04:05,678 ERROR [main] org.example.Main - down", Level::Error),
            ("INFO 2024-01-02 03:04:05,678 up", Level::Info),
            ("2024/01/02 03:04:05 [emerg] 31#31: bind() failed", Level::Critical),
            ("[Sun Dec 04 04:47:44 2005] [core:error] x", Level::Error),
            ("2016-09-28 04:30:30, Info                  CBS    Loaded", Level::Info),
            ("E0309 03:04:05.678901   12 main.go:7] x", Level::Error),
            ("03-09 16:13:38.811  1702  2395 D WindowManager: x", Level::Debug),
            ("1:M 02 Jan 2024 15:04:05.123 # Server out of memory", Level::Warning),
            ("2024-01-02 03:04:05.678 UTC [77] FATAL:  the database is starting", Level::Critical),
            ("2024-01-02 03:04:05.678 UTC [77] LOG:  ready", Level::Info),
            ("2024-01-02T03:04:05Z 0 [Warning] [MY-010068] CA certificate", Level::Warning),
            ("time=\"2024-01-02T03:04:05Z\" level=warning msg=x", Level::Warning),
            ("error: could not compile", Level::Error),
            ("nginx: [alert] could not open", Level::Critical),
            ("Traceback: none, but CRITICAL here", Level::Critical),
            ("2024-01-02 03:04:05 | INFO     | app:main:1 - up", Level::Info),
            ("\u{1b}[32mINFO\u{1b}[0m up", Level::Info),
            ("2024-01-02 03:04:05 warn  slow", Level::Warning),
            ("W/ActivityManager( 512): slow", Level::Warning),
        ] {
            // Android's short form has no stamp at all.
            let expected = if line.starts_with("W/") { None } else { Some(level) };
            check(line, expected);
        }
    }

    #[test]
    fn sentences_about_errors_have_no_level() {
        for line in [
            "there was no error in the log",
            "user info updated",
            "GET /error/warning HTTP/1.1",
            "error_count=0 warn_count=0",
            "com.example.ERROR_HANDLER started",
            "ALERT is a word",
            "",
        ] {
            check(line, None);
        }
    }
}
