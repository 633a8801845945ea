//! Answers of a server, read from bytes with bounds.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// Longest answer, bytes.
pub(crate) const ANSWER_MAX: usize = 1 << 20;
/// Lists in lists.
const DEPTH_MAX: usize = 4;
/// Most items of all lists of one answer.
const ITEMS_MAX: usize = 10_000;

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// There is nothing.
    Nil,
    /// A number.
    Number(i64),
    /// A text or a status; any bytes.
    Text(Vec<u8>),
    /// The server refuses; its words.
    Refused(String),
    /// Several.
    List(Vec<Reply>),
}

impl Reply {
    /// The number, also when it came as text.
    #[must_use]
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Number(n) => Some(*n),
            Self::Text(bytes) => std::str::from_utf8(bytes).ok()?.trim().parse().ok(),
            Self::Nil | Self::Refused(_) | Self::List(_) => None,
        }
    }

    /// The bytes of a text.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        if let Self::Text(bytes) = self { Some(bytes) } else { None }
    }

    /// The items of a list; of anything else none.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        if let Self::List(items) = self { items } else { &[] }
    }
}

/// What was wrong with bytes that should be an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    /// They may become one when more arrive.
    Short,
    /// They never will.
    Broken,
}

/// One answer at the beginning of `bytes`, and how long it was.
pub(crate) fn parse(bytes: &[u8]) -> Result<(Reply, usize), Bad> {
    let mut reader = Reader { bytes, at: 0, items: 0 };
    let reply = reader.reply(0)?;
    Ok((reply, reader.at))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    items: usize,
}

impl<'a> Reader<'a> {
    fn line(&mut self) -> Result<&'a [u8], Bad> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.windows(2).position(|w| w == b"\r\n").ok_or(Bad::Short)?;
        self.at += end + 2;
        rest.get(..end).ok_or(Bad::Broken)
    }

    fn reply(&mut self, depth: usize) -> Result<Reply, Bad> {
        let line = self.line()?;
        let (kind, rest) = line.split_first().ok_or(Bad::Broken)?;
        let number = || std::str::from_utf8(rest).ok().and_then(|t| t.parse::<i64>().ok()).ok_or(Bad::Broken);
        match kind {
            b'+' => Ok(Reply::Text(rest.to_vec())),
            b'-' => Ok(Reply::Refused(plain(rest))),
            b':' => Ok(Reply::Number(number()?)),
            b'$' => self.bulk(number()?),
            b'*' => self.list(number()?, depth),
            _ => Err(Bad::Broken),
        }
    }

    fn bulk(&mut self, length: i64) -> Result<Reply, Bad> {
        if length == -1 {
            return Ok(Reply::Nil);
        }
        let length = usize::try_from(length).ok().filter(|l| *l <= ANSWER_MAX).ok_or(Bad::Broken)?;
        let found = self.bytes.get(self.at..self.at + length).ok_or(Bad::Short)?;
        let end = self.bytes.get(self.at + length..self.at + length + 2).ok_or(Bad::Short)?;
        self.at += length + 2;
        if end == b"\r\n" { Ok(Reply::Text(found.to_vec())) } else { Err(Bad::Broken) }
    }

    fn list(&mut self, length: i64, depth: usize) -> Result<Reply, Bad> {
        if length == -1 {
            return Ok(Reply::Nil);
        }
        let length = usize::try_from(length).map_err(|_| Bad::Broken)?;
        self.items = self.items.saturating_add(length);
        if depth >= DEPTH_MAX || self.items > ITEMS_MAX {
            return Err(Bad::Broken);
        }
        (0..length).map(|_| self.reply(depth + 1)).collect::<Result<_, _>>().map(Reply::List)
    }
}

/// Words of a server without control characters, at most 300 of them.
fn plain(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).take(300).collect()
}

/// What an entry is known by, without its content: 64 bits of its SHA-256 in hexadecimal digits.
#[must_use]
pub fn fingerprint(entry: &[u8]) -> String {
    Sha256::digest(entry).iter().take(8).map(|b| format!("{b:02x}")).collect()
}

/// The fields of an answer to `INFO`.
#[must_use]
pub fn parse_info(text: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split_once(':'));
    lines.take(2_000).map(|(k, v)| (k.to_owned(), v.trim_end().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_kinds_of_answers_are_read_with_their_length() {
        for (bytes, reply) in [
            (&b"+OK\r\n"[..], Reply::Text(b"OK".to_vec())),
            (b"-NOAUTH x\r\n", Reply::Refused("NOAUTH x".into())),
            (b":-7\r\n", Reply::Number(-7)),
            (b"$2\r\n\r\n\r\n", Reply::Text(b"\r\n".to_vec())),
            (b"$-1\r\n", Reply::Nil),
            (b"*-1\r\n", Reply::Nil),
            (b"*2\r\n:1\r\n*0\r\n", Reply::List(vec![Reply::Number(1), Reply::List(vec![])])),
        ] {
            assert_eq!(parse(bytes), Ok((reply, bytes.len())));
            assert_eq!(parse(&bytes[..bytes.len() - 1]), Err(Bad::Short));
        }
    }

    #[test]
    fn lengths_that_nobody_may_claim_are_refused_before_memory_is_given() {
        for bytes in [
            &b"$99999999999\r\n"[..],
            b"$-2\r\n",
            b"*10001\r\n",
            b"*-2\r\n",
            b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
            b"!x\r\n",
            b"\r\n",
            b":x\r\n",
            b"$1\r\nabc",
        ] {
            assert_eq!(parse(bytes), Err(Bad::Broken), "{bytes:?}");
        }
    }

    #[test]
    fn fields_of_info_are_read_and_headings_left_out() {
        let info = parse_info(b"# Memory\r\nused_memory:12\r\nmaxmemory_policy:noeviction\r\n\r\nodd\r\n");
        assert_eq!(info.len(), 2);
        assert_eq!(info["used_memory"], "12");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(prop::sample::select(b"*$:+-0123\r\n".to_vec()), 0..60)) {
            if let Ok((_, length)) = parse(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
