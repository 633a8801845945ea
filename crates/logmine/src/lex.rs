//! Cuts a line into words, typed values and what stands between them.
//!
//! A *chunk* is what stands between blanks, brackets, quotes and `, ; : = |`. A chunk without digits is one word,
//! whatever dots or hyphens it has (`org.apache.hadoop`, `non-uberized`). A chunk with digits is either one typed
//! value (an address, a path, a time) or is cut further at `. - + @ # $ % &`, so that the `node` of `node-246` stands
//! still while its number moves. Nothing here knows any system: only what numbers, addresses and paths look like
//! everywhere. Bytes are never changed, so a line can be rebuilt from its tokens and the gaps between them.

use wellkept_model::ParamKind;

use crate::mask;

mod class;
mod series;

pub(crate) use class::{ALPHA, BLANK, BREAK, DIGIT, HEX, HIGH, INNER, UPPER, class};
use series::{named_user, series};

/// Bytes of a line that are looked at. The rest is one text parameter: nobody reads a template longer than this.
pub(crate) const SCANNED_BYTES: usize = 4096;

/// Tokens of a line that are kept apart, for the same reason.
pub(crate) const MAX_TOKENS: usize = 400;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// Letters; may turn out to be a parameter by its neighbours.
    Word,
    /// Letters with a few digits (`tty2`, `eth0`): stands still in one line, moves in another.
    Mixed,
    /// A value by its looks alone.
    Value(ParamKind),
}

/// A piece of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) class: Class,
}

impl Token {
    /// The bytes in `text`, the line it was cut from.
    pub(crate) fn of<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// Cuts `text` into `tokens` (emptied first), in order and without overlap.
pub(crate) fn tokens(text: &[u8], tokens: &mut Vec<Token>) {
    tokens.clear();
    let scanned = text.get(..SCANNED_BYTES).unwrap_or(text);
    let mut at = 0;
    while let Some(&byte) = scanned.get(at) {
        if class(byte) & BREAK != 0 {
            at += 1;
            continue;
        }
        at = chunk(scanned, at, tokens);
        if tokens.len() >= MAX_TOKENS {
            break;
        }
    }
    tokens.truncate(MAX_TOKENS);
    series(text, tokens);
    named_user(text, tokens);
    let done =
        if tokens.len() == MAX_TOKENS { tokens.last().map_or(0, |t| t.end as usize) } else { scanned.len() };
    if done < text.len() {
        tail(text.len(), done, tokens);
    }
}

/// Makes everything from `done` on one text parameter.
fn tail(len: usize, done: usize, tokens: &mut Vec<Token>) {
    // A token that touches the cut belongs to the tail: what follows may be more of it.
    let start = match tokens.last() {
        Some(last) if last.end as usize == done => {
            let start = last.start;
            tokens.pop();
            start
        }
        _ => done as u32,
    };
    tokens.push(Token {
        start,
        end: u32::try_from(len).unwrap_or(u32::MAX),
        class: Class::Value(ParamKind::Text),
    });
}

/// Takes the chunk that starts at `start`; returns where it ends.
fn chunk(text: &[u8], start: usize, out: &mut Vec<Token>) -> usize {
    let mut end = text.len();
    let mut seen = 0u8;
    let mut slash = false;
    for (at, &byte) in text.iter().enumerate().skip(start) {
        let class = class(byte);
        if class & BREAK != 0 {
            end = at;
            break;
        }
        seen |= class;
        slash |= byte == b'/';
    }
    let key = text.get(end) == Some(&b'=') && text.get(end + 1) != Some(&b'=') && seen & ALPHA != 0;
    if seen & DIGIT == 0 && !slash && seen & (ALPHA | HIGH) != 0 {
        let found = match text.get(end) {
            Some(b':') => mask::lettered_with_colons(text, start, end),
            Some(b' ') if end == start + 3 && class(byte_at(text, start)) & UPPER != 0 => {
                mask::named_time(text, start, end).map(|stop| (stop, ParamKind::Time))
            }
            _ => None,
        };
        if let Some((stop, kind)) = found {
            out.push(value(start, stop, kind));
            return stop;
        }
        if seen & INNER == 0 {
            out.push(Token { start: start as u32, end: end as u32, class: Class::Word });
            return end;
        }
        return words(text, start, end, key, out);
    }
    if let Some((value_end, kind)) = (!key).then(|| mask::whole(text, start, end, seen, slash)).flatten() {
        out.push(value(start, value_end, kind));
        return value_end;
    }
    if seen & (DIGIT | ALPHA | HIGH) == 0 {
        // Only signs (`--`, `->`, `***`): stands still.
        out.push(Token { start: start as u32, end: end as u32, class: Class::Word });
        return end;
    }
    if seen & DIGIT == 0 {
        return words(text, start, end, key, out);
    }
    inner(text, start, end, key, out)
}

fn byte_at(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or_default()
}

fn value(start: usize, end: usize, kind: ParamKind) -> Token {
    Token { start: start as u32, end: end as u32, class: Class::Value(kind) }
}

/// A chunk without digits: one word, without the dots that end a sentence. Returns where the token ends.
fn words(text: &[u8], start: usize, end: usize, key: bool, out: &mut Vec<Token>) -> usize {
    let last = text[start..end].iter().rposition(|&b| class(b) & INNER == 0).map_or(end, |p| start + p + 1);
    let first = text[start..last].iter().position(|&b| class(b) & INNER == 0).map_or(start, |p| start + p);
    let word = &text[first..last];
    let assigned = text[..start].trim_ascii_end().last() == Some(&b'=');
    let dotted = if key { None } else { mask::dotted(word) };
    let put_together = assigned && word.iter().any(|&b| matches!(b, b'.' | b'/' | b'@'));
    let dotted = dotted.or(put_together.then_some(ParamKind::Text));
    let Some(kind) = dotted else {
        out.push(Token { start: first as u32, end: last as u32, class: Class::Word });
        return end;
    };
    if let Some(stop) = (last == end).then(|| mask::host_port(text, first, end)).flatten() {
        out.push(value(first, stop, ParamKind::Address));
        return stop;
    }
    out.push(value(first, last, kind));
    end
}

/// A chunk with digits that is no value as a whole: its parts. Returns where the last token ends.
fn inner(text: &[u8], start: usize, end: usize, key: bool, out: &mut Vec<Token>) -> usize {
    let mut at = start;
    while at < end {
        if ends_part(text[at]) {
            at += 1;
            continue;
        }
        if class(text[at]) & DIGIT != 0
            && let Some(stop) = mask::time_at(text, at).filter(|&stop| stop >= end)
        {
            out.push(value(at, stop, ParamKind::Time));
            return stop;
        }
        let (part_end, seen) = part_end(text, at, end);
        let mut class = mask::part(&text[at..part_end], seen);
        if key && part_end == end && seen & ALPHA != 0 {
            // The name of a field stands still, digits or not.
            class = Class::Mixed;
        }
        match out.last_mut() {
            Some(last)
                if last.start as usize >= start
                    && matches!(class, Class::Value(_))
                    && joins(text, last, at) =>
            {
                if last.class != class || text[at - 1] != b'.' {
                    last.class = Class::Value(ParamKind::Id);
                }
                last.end = part_end as u32;
            }
            _ => out.push(Token { start: at as u32, end: part_end as u32, class }),
        }
        at = part_end;
    }
    end
}

fn ends_part(byte: u8) -> bool {
    class(byte) & INNER != 0 || byte == b'/'
}

/// Where the part that starts at `at` ends, and what bytes it has.
fn part_end(text: &[u8], at: usize, end: usize) -> (usize, u8) {
    let (mut part_end, mut seen) = (at, 0u8);
    let high = class(text[at]) & HIGH;
    while part_end < end {
        let class = class(text[part_end]);
        // Chinese text has no blanks: a number in it is a word of its own.
        if ends_part(text[part_end]) || class & HIGH != high {
            break;
        }
        seen |= class;
        part_end += 1;
    }
    (part_end, seen)
}

/// Whether a number at `at` belongs to the token before it: `6.1.26`, `dquot_6.5`, `2.6.5-1`, `blk_-12`.
fn joins(text: &[u8], last: &Token, at: usize) -> bool {
    if last.end as usize + 1 != at {
        return false;
    }
    if last.class == Class::Word {
        return text[at - 1] == b'-' && last.of(text).ends_with(b"_");
    }
    match text[at - 1] {
        b'.' => true,
        b'-' => matches!(last.class, Class::Value(_)) && last.of(text).contains(&b'.'),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<String> {
        let mut out = Vec::new();
        tokens(text.as_bytes(), &mut out);
        out.iter()
            .map(|t| {
                let s = String::from_utf8_lossy(t.of(text.as_bytes())).into_owned();
                match t.class {
                    Class::Word => s,
                    Class::Mixed => format!("~{s}"),
                    Class::Value(k) => format!("{k:?}:{s}"),
                }
            })
            .collect()
    }

    #[test]
    fn words_values_and_mixed_words_are_told_apart() {
        assert_eq!(
            cut("link tty2 up at 10.0.0.1:80, took 15ms"),
            ["link", "~tty2", "up", "at", "Address:10.0.0.1:80", "took", "Duration:15ms"]
        );
        assert_eq!(
            cut("node-246 of org.apache.hadoop done."),
            ["node", "Number:246", "of", "Text:org.apache.hadoop", "done"]
        );
        assert_eq!(
            cut("open /var/log/x.log: 0x1f -3 2.5"),
            ["open", "Path:/var/log/x.log", "Hex:0x1f", "Number:-3", "Number:2.5"]
        );
        assert_eq!(cut("用户42登录"), ["用户", "Number:42", "登录"]);
        assert_eq!(
            cut("jetty-6.1.26 at 16:13:38.811"),
            ["jetty", "Number:6.1.26", "at", "Time:16:13:38.811"]
        );
        assert_eq!(cut("2024-05-06T07:08:09Z up"), ["Time:2024-05-06T07:08:09Z", "up"]);
        assert_eq!(cut("2024-05-06 07:08:09,123 up"), ["Time:2024-05-06 07:08:09,123", "up"]);
        assert_eq!(
            cut("id 550e8400-e29b-41d4-a716-446655440000 from fe80::1 via 00:1a:2b:3c:4d:5e"),
            [
                "id",
                "Id:550e8400-e29b-41d4-a716-446655440000",
                "from",
                "Address:fe80::1",
                "via",
                "Address:00:1a:2b:3c:4d:5e"
            ]
        );
        assert_eq!(
            cut("block blk_-160 on R63-M0-L2-U19 via HTTP/1.1"),
            ["block", "Id:blk_-160", "on", "Id:R63-M0-L2-U19", "via", "HTTP", "Number:1.1"]
        );
        assert_eq!(
            cut(r"took 00:41 or <1 sec in C:\Windows\a.log"),
            ["took", "Duration:00:41", "or", "Duration:<1 sec", "in", r"Path:C:\Windows\a.log"]
        );
        assert_eq!(
            cut("00000001@2016/9/27:20:40:53.744 CSI"),
            ["Number:00000001", "Time:2016/9/27:20:40:53.744", "CSI"]
        );
        assert_eq!(
            cut("GET https://a.example/x?y=1&z=2 ok"),
            ["GET", "Path:https://a.example/x?y=1&z=2", "ok"]
        );
    }

    #[test]
    fn what_lies_beyond_the_scanned_part_is_one_parameter() {
        let text = vec![b'a'; 3 * SCANNED_BYTES];
        let mut out = Vec::new();
        tokens(&text, &mut out);
        assert_eq!(out.len(), 1);
        assert_eq!((out[0].start, out[0].end as usize), (0, text.len()));
        let many = "w ".repeat(MAX_TOKENS + 50);
        tokens(many.as_bytes(), &mut out);
        assert_eq!(out.len(), MAX_TOKENS);
        assert_eq!(out[MAX_TOKENS - 1].end as usize, many.len());
    }
}
