//! Where one message ends and the next begins on a stream: counted octets or line feeds, told apart at each message.
//!
//! Source: RFC 6587, 3.4. A frame that begins with a digit other than 0 says its length; every other ends with a line
//! feed or a NUL.

use crate::emit;

/// Digits of a length: enough for a gigabyte, which no limit allows.
const COUNT_DIGITS_MAX: usize = 10;

/// Cuts a stream into messages and bounds what is held.
#[derive(Debug)]
pub struct Framer {
    held: Vec<u8>,
    message_bytes: usize,
    /// Octets of a counted message that is longer than allowed, still to be thrown away.
    skip: usize,
    /// Whether the line before was cut, so that what follows is its rest.
    in_line: bool,
    start: usize,
    /// Messages may stand behind their length.
    counted: bool,
}

/// A message on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its bytes, at most as many as allowed.
    pub bytes: &'a [u8],
    /// It was longer: what follows it is thrown away (counted octets), or comes as a frame of its own (lines).
    pub cut: bool,
}

/// What stands at the beginning of what is held.
enum Next {
    /// From, to, what to drop beyond, whether it was cut.
    Frame {
        from: usize,
        to: usize,
        end: usize,
        cut: bool,
    },
    Nothing,
}

impl Framer {
    /// `message_bytes`: most bytes of one message.
    #[must_use]
    pub fn new(message_bytes: usize) -> Self {
        Self {
            held: Vec::new(),
            message_bytes: message_bytes.max(64),
            skip: 0,
            in_line: false,
            start: 0,
            counted: true,
        }
    }

    /// For streams whose messages always end with a line feed.
    #[must_use]
    pub fn lines(message_bytes: usize) -> Self {
        Self { counted: false, ..Self::new(message_bytes) }
    }

    /// Takes what arrived. To be followed by [`Self::next`] until it gives nothing; then at most one message is held.
    pub fn push(&mut self, mut bytes: &[u8]) {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        bytes = bytes.get(skipped..).unwrap_or_default();
        self.held.drain(..self.start);
        self.start = 0;
        self.held.extend_from_slice(bytes);
    }

    /// The next message.
    #[expect(
        clippy::should_implement_trait,
        reason = "a frame borrows from the framer, which no iterator allows"
    )]
    pub fn next(&mut self) -> Option<Frame<'_>> {
        loop {
            let rest = self.held.get(self.start..).unwrap_or_default();
            let Next::Frame { from, to, end, cut } =
                look(rest, self.message_bytes, self.counted, &mut self.in_line)
            else {
                return None;
            };
            let base = self.start;
            let beyond = (base + end).saturating_sub(self.held.len());
            self.skip += beyond;
            self.start = (base + end).min(self.held.len());
            if to > from {
                return Some(Frame { bytes: self.held.get(base + from..base + to)?, cut });
            }
        }
    }

    /// What is left when the stream ends: a last line without its end.
    #[must_use]
    pub fn rest(&mut self) -> Option<Vec<u8>> {
        let rest = self.held.split_off(self.start.min(self.held.len()));
        self.held.clear();
        self.start = 0;
        (!rest.is_empty()).then_some(rest)
    }
}

fn look(rest: &[u8], message_bytes: usize, may_count: bool, in_line: &mut bool) -> Next {
    if rest.is_empty() {
        return Next::Nothing;
    }
    if may_count && !*in_line && rest.first().is_some_and(|b| (b'1'..=b'9').contains(b)) {
        let digits = rest.iter().take(COUNT_DIGITS_MAX).take_while(|b| b.is_ascii_digit()).count();
        match rest.get(digits) {
            None if digits < COUNT_DIGITS_MAX => return Next::Nothing,
            Some(b' ') => return counted(rest, digits, message_bytes),
            _ => {}
        }
    }
    line(rest, message_bytes, in_line)
}

fn counted(rest: &[u8], digits: usize, message_bytes: usize) -> Next {
    let number = rest.iter().take(digits).fold(0_usize, |n, d| n * 10 + usize::from(d - b'0'));
    let from = digits + 1;
    let kept = number.min(message_bytes);
    if rest.len() < from + kept {
        return Next::Nothing;
    }
    Next::Frame { from, to: from + kept, end: from + number, cut: number > kept }
}

fn line(rest: &[u8], message_bytes: usize, in_line: &mut bool) -> Next {
    let window = rest.get(..=message_bytes).unwrap_or(rest);
    match memchr::memchr2(b'\n', 0, window) {
        Some(end) => {
            *in_line = false;
            Next::Frame { from: 0, to: end, end: end + 1, cut: false }
        }
        None if rest.len() > message_bytes => {
            *in_line = true;
            let to = emit::border(rest, message_bytes);
            Next::Frame { from: 0, to, end: to, cut: true }
        }
        None => Next::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(chunks: &[&[u8]]) -> Vec<(String, bool)> {
        let mut framer = Framer::new(64);
        let mut out = Vec::new();
        for chunk in chunks {
            framer.push(chunk);
            while let Some(frame) = framer.next() {
                out.push((String::from_utf8_lossy(frame.bytes).into_owned(), frame.cut));
            }
        }
        out.extend(framer.rest().map(|r| (String::from_utf8_lossy(&r).into_owned(), false)));
        out
    }

    fn whole(texts: &[&str]) -> Vec<(String, bool)> {
        texts.iter().map(|t| ((*t).to_owned(), false)).collect()
    }

    #[test]
    fn counted_octets_and_line_feeds_may_stand_side_by_side() {
        let stream = b"5 <1>ab<2>cd\n\n7 <3>e\nfg12 <4>0123456 8<5>last";
        let expected = whole(&["<1>ab", "<2>cd", "<3>e\nfg", "<4>0123456 8", "<5>last"]);
        assert_eq!(frames(&[stream]), expected);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(frames(&bytes), expected);
    }

    #[test]
    fn a_counted_message_beyond_the_limit_is_cut_and_the_next_one_found() {
        let stream = [b"100 <1>".as_slice(), &[b'x'; 97], b"5 <2>ab"].concat();
        for size in [1, 7, 200] {
            let chunks: Vec<&[u8]> = stream.chunks(size).collect();
            let got = frames(&chunks);
            assert_eq!(got.len(), 2, "{got:?}");
            assert!(got[0].1 && got[0].0.len() == 64);
            assert_eq!(got[1], ("<2>ab".to_owned(), false));
        }
    }

    #[test]
    fn a_line_beyond_the_limit_comes_in_pieces_even_when_a_piece_begins_with_a_digit() {
        let stream = [b"<1>".as_slice(), &[b'5'; 150], b" x\n<2>ab\n"].concat();
        let got = frames(&[&stream]);
        assert_eq!(got.iter().map(|g| g.1).collect::<Vec<_>>(), [true, true, false, false]);
        assert_eq!(
            got.iter().map(|g| g.0.as_str()).collect::<String>(),
            format!("<1>{} x<2>ab", "5".repeat(150))
        );
    }

    #[test]
    fn a_stream_of_lines_may_begin_with_digits() {
        let mut framer = Framer::lines(64);
        framer.push(b"5 abcdefg\n12");
        assert_eq!(framer.next().unwrap().bytes, b"5 abcdefg");
        assert_eq!(framer.next(), None);
        assert_eq!(framer.rest().unwrap(), b"12");
    }

    #[test]
    fn a_length_of_endless_digits_is_a_line() {
        assert_eq!(frames(&[b"99999999999999 x\n"]), whole(&["99999999999999 x"]));
    }

    proptest::proptest! {
        #[test]
        fn what_is_held_is_bounded(chunks in proptest::collection::vec("[0-9 a<>\n]{0,100}", 0..20)) {
            let mut framer = Framer::new(64);
            for chunk in &chunks {
                framer.push(chunk.as_bytes());
                while let Some(frame) = framer.next() {
                    assert!(frame.bytes.len() <= 64);
                }
                framer.push(b"");
                assert!(framer.held.len() <= 64 + 12, "{}", framer.held.len());
            }
        }
    }
}
