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
pub(crate) fn check_pair(before: usize, name: &[u8], value: &[u8], limits: &Limits) -> Result<(), Refusal> {
    if before >= limits.labels {
        return Err(Refusal::TooManyLabels { limit: limits.labels });
    }
    if name.len() > limits.name_bytes {
        return Err(Refusal::NameTooLong { limit: limits.name_bytes });
    }
    if value.len() > limits.value_bytes {
        let name = crate::error::readable(&String::from_utf8_lossy(name));
        return Err(Refusal::ValueTooLong { name, limit: limits.value_bytes });
    }
    Ok(())
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
