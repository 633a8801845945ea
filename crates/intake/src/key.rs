//! The bytes by which a sink knows a series again, and the bounds of its labels.
//!
//! Protobuf doors share one form of key: the label fields of a remote write 1.0 series. That format has them on the
//! wire already; the others put them together here, which is cheaper than decoding text.

use wellkept_model::Sink;

use crate::proto::{ProtoError, Reader, Writer};
use crate::{DecodeError, Limits, Refusal};

/// Labels as a sink takes them.
pub(crate) type Pairs<'a> = Vec<(&'a str, &'a str)>;

/// What is left of [`Limits::expanded_bytes`].
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
    limit: usize,
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { left: limits.expanded_bytes, limit: limits.expanded_bytes }
    }

    /// Takes the cost of one series.
    #[inline]
    pub(crate) fn spend(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.left = self.left.checked_sub(bytes).ok_or(DecodeError::Expands { limit: self.limit })?;
        Ok(())
    }
}

/// Appends one label in the form of a remote write 1.0 label field (number 1: a message of name 1 and value 2).
#[inline]
pub(crate) fn push_label(key: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let mut w = Writer::new(key);
    if name.len() < 0x40 && value.len() < 0x38 {
        // The common case without a nested length to correct: every length fits into one byte.
        let length = (name.len() + value.len() + 4) as u8;
        key.extend_from_slice(&[0x0a, length, 0x0a, name.len() as u8]);
        key.extend_from_slice(name);
        key.extend_from_slice(&[0x12, value.len() as u8]);
        key.extend_from_slice(value);
        return;
    }
    w.message(1, |w| {
        w.bytes(1, name);
        w.bytes(2, value);
    });
}

/// A text with what follows it in its body: short texts are copied in whole words, over their end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Symbol<'a> {
    tail: &'a [u8],
    length: usize,
}

impl<'a> Symbol<'a> {
    /// The first `length` bytes of `tail`.
    pub(crate) fn new(tail: &'a [u8], length: usize) -> Option<Self> {
        (length <= tail.len()).then_some(Self { tail, length })
    }

    #[inline]
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.tail.get(..self.length).unwrap_or_default()
    }
}

/// A key while it is put together from symbols; what [`push_label`] would give, at a third of its cost.
#[derive(Debug, Default)]
pub(crate) struct KeyBuffer {
    /// Longer than the key: what lies behind it is left over.
    bytes: Vec<u8>,
    length: usize,
}

impl KeyBuffer {
    const WORD: usize = 16;

    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    pub(crate) fn key(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn push(&mut self, name: Symbol<'_>, value: Symbol<'_>) {
        if name.length > Self::WORD || value.length > 2 * Self::WORD {
            self.push_long(name.bytes(), value.bytes());
            return;
        }
        let needed = self.length + 5 * Self::WORD;
        if self.bytes.len() < needed {
            self.bytes.resize(needed * 2, 0);
        }
        let (name_length, value_length) = (name.length as u8, value.length as u8);
        self.put(&[0x0a, name_length + value_length + 4, 0x0a, name_length], 4);
        self.put_symbol(name);
        self.put(&[0x12, value_length], 2);
        self.put_symbol(value);
    }

    /// Writes `N` bytes, of which `length` count.
    #[inline]
    fn put<const N: usize>(&mut self, bytes: &[u8; N], length: usize) {
        if let Some(room) = self.bytes.get_mut(self.length..).and_then(|b| b.first_chunk_mut::<N>()) {
            *room = *bytes;
            self.length += length;
        }
    }

    #[inline]
    fn put_symbol(&mut self, symbol: Symbol<'_>) {
        match symbol.tail.first_chunk::<{ Self::WORD }>() {
            Some(word) if symbol.length <= Self::WORD => self.put(word, symbol.length),
            _ => self.put_slowly(symbol.bytes()),
        }
    }

    fn put_slowly(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.length..self.length + bytes.len()) {
            room.copy_from_slice(bytes);
            self.length += bytes.len();
        }
    }

    #[cold]
    fn push_long(&mut self, name: &[u8], value: &[u8]) {
        self.bytes.truncate(self.length);
        push_label(&mut self.bytes, name, value);
        self.length = self.bytes.len();
    }
}

/// Name and value of one label message.
#[inline]
pub(crate) fn label(message: &[u8]) -> Result<(&[u8], &[u8]), ProtoError> {
    let (mut name, mut value) = (&b""[..], &b""[..]);
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next_field()? {
        match field.number {
            1 => name = field.bytes()?,
            2 => value = field.bytes()?,
            _ => {}
        }
    }
    Ok((name, value))
}

/// Makes the series whose labels are `key` the sink's current one. They are decoded only when the sink knows nothing.
#[inline]
pub(crate) fn announce<S: Sink + ?Sized>(key: &[u8], limits: &Limits, sink: &mut S) -> Result<(), Refusal> {
    if key.is_empty() {
        return Err(Refusal::NoLabels);
    }
    if sink.known(key) {
        return Ok(());
    }
    let mut pairs = Pairs::new();
    let mut reader = Reader::new(key);
    // We wrote the key ourselves; should it be damaged all the same, the series ends where the damage starts.
    while let Ok(Some(field)) = reader.next_field() {
        if let Ok(Ok((name, value))) = field.bytes().map(label) {
            push_pair(&mut pairs, name, value, limits)?;
        }
    }
    sink.series(key, &pairs);
    Ok(())
}

/// Adds one label to a series after checking it.
pub(crate) fn push_pair<'a>(
    pairs: &mut Pairs<'a>,
    name: &'a [u8],
    value: &'a [u8],
    limits: &Limits,
) -> Result<(), Refusal> {
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Refusal::NotUtf8);
    check_pair(pairs.len(), name, value, limits)?;
    pairs.push((text(name)?, text(value)?));
    Ok(())
}

/// Refuses a label that is longer, or one more, than is allowed.
#[inline]
pub(crate) fn check_pair(before: usize, name: &[u8], value: &[u8], limits: &Limits) -> Result<(), Refusal> {
    let fits = before < limits.labels && name.len() <= limits.name_bytes && value.len() <= limits.value_bytes;
    if fits { Ok(()) } else { Err(too_much(before, name, limits)) }
}

#[cold]
fn too_much(before: usize, name: &[u8], limits: &Limits) -> Refusal {
    if before >= limits.labels {
        return Refusal::TooManyLabels { limit: limits.labels };
    }
    if name.len() > limits.name_bytes {
        return Refusal::NameTooLong { limit: limits.name_bytes };
    }
    let name = crate::error::readable(&String::from_utf8_lossy(name));
    Refusal::ValueTooLong { name, limit: limits.value_bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_and_the_long_form_of_a_label_are_the_same_protobuf() {
        for (name, value) in [(0, 0), (3, 5), (0x3f, 0x37), (0x40, 0x38), (200, 20_000)] {
            let (name, value) = (vec![b'n'; name], vec![b'v'; value]);
            let mut key = Vec::new();
            push_label(&mut key, &name, &value);
            let mut expected = Vec::new();
            Writer::new(&mut expected).message(1, |w| {
                w.bytes(1, &name);
                w.bytes(2, &value);
            });
            assert_eq!(key, expected);
            let field = Reader::new(&key).next_field().unwrap().unwrap();
            assert_eq!(label(field.bytes().unwrap()), Ok((&name[..], &value[..])));
        }
    }

    #[test]
    fn a_key_of_symbols_is_the_key_of_labels() {
        let text = b"0123456789abcdefghijklmnopqrstuvwxyz".repeat(10);
        let mut buffer = KeyBuffer::default();
        for lengths in [[0, 0], [5, 9], [16, 16], [16, 17], [16, 32], [17, 3], [3, 33], [200, 100], [0, 1]] {
            for start in [0, text.len() - lengths[0].max(lengths[1])] {
                buffer.clear();
                let mut expected = Vec::new();
                for _ in 0..20 {
                    let [name, value] = lengths.map(|n| Symbol::new(&text[start..], n).unwrap());
                    buffer.push(name, value);
                    push_label(&mut expected, name.bytes(), value.bytes());
                }
                assert_eq!(buffer.key(), expected, "{lengths:?} {start}");
            }
        }
        assert!(Symbol::new(b"ab", 3).is_none());
    }

    #[test]
    fn labels_beyond_the_limits_are_refused_by_name() {
        let limits = Limits { labels: 1, name_bytes: 2, value_bytes: 2, ..Limits::default() };
        let push = |name: &'static str, value: &'static str| {
            push_pair(&mut Vec::new(), name.as_bytes(), value.as_bytes(), &limits)
        };
        assert_eq!(push("ab", "ab"), Ok(()));
        assert_eq!(push("abc", ""), Err(Refusal::NameTooLong { limit: 2 }));
        assert_eq!(push("ab", "abc"), Err(Refusal::ValueTooLong { name: "ab".into(), limit: 2 }));
        assert_eq!(
            push_pair(&mut vec![("a", "b")], b"c", b"d", &limits),
            Err(Refusal::TooManyLabels { limit: 1 })
        );
        assert_eq!(push_pair(&mut Vec::new(), b"a", b"\xff", &limits), Err(Refusal::NotUtf8));
    }
}
