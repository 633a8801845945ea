//! A place in a text, and the few steps by which stamps are read.

/// Moves over bytes; a step that does not fit leaves it where it was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a [u8], at: usize) -> Self {
        Self { text, at }
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    /// Takes this byte.
    #[inline]
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Takes one of these bytes.
    pub(super) fn eat_any(&mut self, bytes: &[u8]) -> Option<u8> {
        let byte = self.peek().filter(|b| bytes.contains(b))?;
        self.at += 1;
        Some(byte)
    }

    /// Takes exactly these bytes.
    pub(super) fn eat_word(&mut self, word: &[u8]) -> bool {
        let there = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word));
        self.at += if there { word.len() } else { 0 };
        there
    }

    /// How many digits stand here, at most 20.
    pub(super) fn digits_ahead(&self) -> usize {
        let rest = self.text.get(self.at..).unwrap_or_default();
        rest.iter().take(20).take_while(|b| b.is_ascii_digit()).count()
    }

    /// Takes a number of exactly `n` digits, at most 19; more digits may follow.
    #[inline]
    pub(super) fn digits(&mut self, n: usize) -> Option<u64> {
        let digits = self.text.get(self.at..self.at + n)?;
        let mut number = 0_u64;
        for byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            number = number * 10 + u64::from(digit);
        }
        self.at += n;
        Some(number)
    }

    /// Takes a number of one or two digits, for days and hours.
    pub(super) fn one_or_two(&mut self) -> Option<u32> {
        let two = self.peek_at(1).is_some_and(|b| b.is_ascii_digit());
        self.digits(if two { 2 } else { 1 }).map(|n| n as u32)
    }

    /// Takes two digits.
    #[inline]
    pub(super) fn two(&mut self) -> Option<u32> {
        self.digits(2).map(|n| n as u32)
    }

    /// Takes a month's English name of three letters.
    pub(super) fn month(&mut self) -> Option<u32> {
        const NAMES: [&[u8; 3]; 12] =
            [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
        let word = self.text.get(self.at..self.at + 3)?;
        let month = NAMES.iter().position(|name| name.eq_ignore_ascii_case(word))?;
        self.at += 3;
        Some(month as u32 + 1)
    }

    /// Takes a weekday's English name of three letters.
    pub(super) fn weekday(&mut self) -> bool {
        const NAMES: [&[u8; 3]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
        let there = self.text.get(self.at..self.at + 3).is_some_and(|w| NAMES.iter().any(|n| *n == w));
        self.at += if there { 3 } else { 0 };
        there
    }

    /// Whether a digit stands here.
    pub(super) fn on_digit(&self) -> bool {
        self.peek().is_some_and(|b| b.is_ascii_digit())
    }

    /// Whether a letter or digit stands here.
    pub(super) fn on_word(&self) -> bool {
        self.peek().is_some_and(|b| b.is_ascii_alphanumeric())
    }
}
