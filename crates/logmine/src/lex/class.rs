//! What each byte is to the lexer.

/// Space, tab and other blanks, and control bytes.
pub(crate) const BLANK: u8 = 1;

/// Ends a chunk.
pub(crate) const BREAK: u8 = 2;

/// Ends a word inside of a chunk with digits.
pub(crate) const INNER: u8 = 4;

/// `0` to `9`.
pub(crate) const DIGIT: u8 = 8;

/// Letter that is also a hexadecimal digit.
pub(crate) const HEX: u8 = 16;

/// Any letter of ASCII.
pub(crate) const ALPHA: u8 = 32;

/// Upper case.
pub(crate) const UPPER: u8 = 64;

/// Outside of ASCII.
pub(crate) const HIGH: u8 = 128;

const fn class_of(b: u8) -> u8 {
    match b {
        0..=32 | 127 => BLANK | BREAK,
        b',' | b'!' | b';' | b':' | b'=' | b'|' | b'"' | b'\'' | b'[' | b']' | b'(' | b')' | b'{' | b'}' => {
            BREAK
        }
        b'.' | b'-' | b'+' | b'@' | b'#' | b'$' | b'%' | b'&' => INNER,
        b'0'..=b'9' => DIGIT,
        b'a'..=b'f' => ALPHA | HEX,
        b'A'..=b'F' => ALPHA | HEX | UPPER,
        b'G'..=b'Z' => ALPHA | UPPER,
        b'g'..=b'z' => ALPHA,
        128..=255 => HIGH,
        _ => 0,
    }
}

/// Properties of each byte.
static CLASS: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = class_of(b as u8);
        b += 1;
    }
    table
};

/// Class of a byte.
#[inline]
pub(crate) fn class(b: u8) -> u8 {
    CLASS[b as usize]
}
